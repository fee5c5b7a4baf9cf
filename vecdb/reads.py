"""Reading: everything that can be asked of one consistent state.

A snapshot never changes: writes, flushes, merges and schema changes that happen meanwhile are not seen, and the files
that it maps stay readable although they may have been removed.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self, cast, overload

from vecdb.errors import DimensionMismatchError, InvalidInputError
from vecdb.results import SearchResult
from vecdb.schema.fields import Vector
from vecdb.schema.schema import Column, Schema

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from vecdb.filters import BoundFilter, Expression
    from vecdb.planner.exact import Found
    from vecdb.storage.snapshot import Part, State

BATCH_ROWS = 8192


class Snapshot:
    """One version of a collection. Use it as a context manager, or let it go: it holds memory maps and no lock."""

    def __init__(self, name: str, state: State, pool: ThreadPoolExecutor | None) -> None:
        self.name = name
        self._state = state
        self._pool = pool

    @property
    def schema(self) -> Schema:
        """The fields at this version."""
        return self._state.schema

    @property
    def version(self) -> int:
        """The published version that this snapshot is based on."""
        return self._state.located.manifest.version

    @property
    def lsn(self) -> int:
        """The last write that this snapshot contains."""
        return self._state.lsn

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __len__(self) -> int:
        return self.count()

    def search(
        self,
        k: int = 10,
        where: str | Expression | None = None,
        fields: Sequence[str] | None = None,
        allow_partial: bool = False,
        **vectors: Any,
    ) -> SearchResult:
        """Return the k best rows for one query vector, exactly; all matching rows when fewer match.

        Equal scores are ordered by id, so the result is reproducible.

        Args:
            k: how many, at least 1.
            where: a filter, as a string or built with `vecdb.col`; rows that do not pass are not considered.
            fields: the fields to return with each hit; by default all but the vectors.
            allow_partial: answer although a damaged segment cannot be read; `missing` then names it.
            **vectors: one vector field's name and the query: (dimension,) numbers.

        Raises:
            InvalidInputError: an argument is wrong; DimensionMismatchError, UnknownFieldError and FilterSyntaxError
                are kinds of it.
            CorruptionError: a segment that the answer needs is damaged.

        """
        column, query = self._query(vectors)
        return self._search(column, _matrix(column, query, 1), k, where, fields, allow_partial)[0]

    def search_batch(
        self,
        k: int = 10,
        where: str | Expression | None = None,
        fields: Sequence[str] | None = None,
        allow_partial: bool = False,
        **vectors: Any,
    ) -> list[SearchResult]:
        """Return, for each row of a (queries, dimension) matrix, exactly what `search` returns for it."""
        column, queries = self._query(vectors)
        return self._search(column, _matrix(column, queries, 2), k, where, fields, allow_partial)

    def _query(self, vectors: dict[str, Any]) -> tuple[Column[Vector], Any]:
        known = ", ".join(repr(column.name) for column in self.schema.vectors) or "none"
        if len(vectors) != 1:
            given = ", ".join(map(repr, vectors)) or "none"
            raise InvalidInputError(f"name one vector field and its query (there are: {known}), got {given}")
        (name, value), *_ = vectors.items()
        column = self.schema[name]
        if column.field.kind != "vector":
            raise InvalidInputError(
                f"field {name!r} is {column.field.kind}, not a vector (there are: {known})", field=name
            )
        return cast("Column[Vector]", column), value

    def _search(
        self,
        column: Column[Vector],
        queries: np.ndarray,
        k: int,
        where: str | Expression | None,
        fields: Sequence[str] | None,
        allow_partial: bool,
    ) -> list[SearchResult]:
        from vecdb.planner import exact

        k = whole_number("k", k)
        bound = self._bind(where)
        columns = self._columns(fields)
        found = exact.search(self._state, column, queries, k, bound, self._pool, allow_partial)
        return [self._result(column, columns, one) for one in found]

    def _result(self, column: Column[Vector], columns: list[Column], found: Found) -> SearchResult:
        return SearchResult(
            found.score,
            column.field.metric,
            lambda: self._table([self.schema.id], found),
            lambda: self._table(columns, found),
            frozenset(one.name for one in columns if one.field.kind == "json"),
            found.missing,
        )

    def _table(self, columns: list[Column], found: Found) -> pa.Table:
        import pyarrow as pa

        from vecdb.planner import exact

        arrays = []
        for column in columns:
            if len(found.row) == 0:
                arrays.append(pa.array([], column.field.arrow_type))
            else:
                arrays.append(
                    exact.take(
                        found.parts, found.part, found.row, lambda part, rows, column=column: values(part, column, rows)
                    )
                )
        return pa.table(arrays, names=[column.name for column in columns])

    def _bind(self, where: str | Expression | None) -> BoundFilter | None:
        if where is None:
            return None
        from vecdb.filters import bind, resolve

        expression = resolve(where)
        return None if expression is None else bind(expression, self.schema)

    def _columns(self, fields: Sequence[str] | None) -> list[Column]:
        if fields is None:
            return list(self.schema.scalars)
        if isinstance(fields, str):
            raise InvalidInputError(f"fields is the string {fields!r}, expected a list of names", field="fields")
        wanted = [self.schema[name] for name in dict.fromkeys(fields)]
        return [column for column in wanted if column.field.kind != "id"]

    @overload  # a str is a sequence of str too: the first overload decides
    def get(  # pyright: ignore[reportOverlappingOverload]
        self, ids: str | int | np.integer, fields: Sequence[str] | None = None
    ) -> dict[str, Any] | None: ...
    @overload
    def get(
        self, ids: Sequence[Any] | np.ndarray | pa.Array, fields: Sequence[str] | None = None
    ) -> list[dict[str, Any] | None]: ...
    def get(
        self,
        ids: str | int | np.integer | Sequence[Any] | np.ndarray | pa.Array,
        fields: Sequence[str] | None = None,
    ) -> dict[str, Any] | list[dict[str, Any] | None] | None:
        """Return the record of an id as a dict, None when there is none; for a list of ids, a list.

        Vectors come as NumPy arrays, JSON parsed. Without `fields` the whole record comes.
        """
        columns = list(self.schema.columns) if fields is None else [self.schema.id, *self._columns(fields)]
        listed, single = self.checked_ids(ids)
        found = [self._get(one, columns) for one in listed]
        return found[0] if single else found

    def _get(self, value: str | int, columns: list[Column]) -> dict[str, Any] | None:
        place = self._state.find(value)
        if place is None:
            return None
        part, row = place
        return {column.name: _value(part, column, row) for column in columns}

    def checked_ids(self, ids: Any) -> tuple[list[str | int], bool]:
        """Return ids as plain Python values, and whether it was one id and not many.

        Anything with to_pylist() or tolist() is taken: NumPy and Arrow arrays, pandas and polars columns.

        Raises:
            InvalidInputError: an id is of another type than the collection's.

        """
        for unpack in ("to_pylist", "tolist"):
            if hasattr(ids, unpack):
                ids = getattr(ids, unpack)()
        single = not isinstance(ids, Iterable) or isinstance(ids, str | bytes | dict)
        listed = [ids] if single else list(ids)
        return [self._checked_id(value) for value in listed], single

    def _checked_id(self, value: Any) -> str | int:
        column = self.schema.id
        if hasattr(value, "item"):
            value = value.item()  # a NumPy scalar
        expected = str if column.field.type == "string" else int
        if not isinstance(value, expected) or isinstance(value, bool):
            raise InvalidInputError(
                f"id {value!r} is {type(value).__name__}, the ids of {self.name!r} are {column.field.type}",
                field=column.name,
                value=value,
            )
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            raise InvalidInputError(f"id {value} does not fit in 64 bits", field=column.name, value=value)
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise InvalidInputError(f"id {value!r} is not valid Unicode", field=column.name, value=value) from None
        return value

    def count(self, where: str | Expression | None = None) -> int:
        """Return how many rows there are, or how many pass a filter."""
        bound = self._bind(where)
        if bound is None:
            return self._state.count
        import numpy as np

        return sum(int(np.count_nonzero(mask)) for _, mask in self._matches(bound))

    def _matches(self, bound: BoundFilter | None) -> Iterator[tuple[Part, np.ndarray]]:
        import numpy as np

        from vecdb.planner.exact import filter_mask

        for part in self._state.parts:
            mask = filter_mask(part, self.schema, bound)
            yield part, np.ones(part.rows, bool) if mask is None else mask

    def scan(
        self,
        where: str | Expression | None = None,
        fields: Sequence[str] | None = None,
        batch_rows: int = BATCH_ROWS,
    ) -> Iterator[pa.RecordBatch]:
        """Yield all rows that pass, in batches of at most batch_rows, in storage order.

        Without `fields` all columns come, vectors too; JSON as text. Memory: one batch at a time.
        """
        batch_rows = whole_number("batch_rows", batch_rows)
        columns = list(self.schema.columns) if fields is None else [self.schema.id, *self._columns(fields)]
        return self._scan(self._bind(where), columns, batch_rows)

    def _scan(self, bound: BoundFilter | None, columns: list[Column], batch_rows: int) -> Iterator[pa.RecordBatch]:
        import numpy as np
        import pyarrow as pa

        schema = pa.schema([(column.name, column.field.arrow_type) for column in columns])
        for part, mask in self._matches(bound):
            rows = np.flatnonzero(mask)
            for start in range(0, len(rows), batch_rows):
                chosen = rows[start : start + batch_rows]
                yield pa.record_batch([values(part, column, chosen) for column in columns], schema=schema)


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """Return a count given by a user, NumPy's integers too.

    Raises:
        InvalidInputError: it is no whole number, or below the least.

    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise InvalidInputError(
            f"{name} is {value!r}, expected a whole number of at least {least}", field=name, value=value
        )
    return number


def values(part: Part, column: Column, rows: np.ndarray) -> pa.Array:
    """Return the values of some rows of a part, vectors too."""
    import numpy as np
    import pyarrow as pa

    if column.field.kind != "vector":
        return part.column(column).take(pa.array(rows))
    held = part.vectors(column)
    if held is None:
        list_type = column.field.arrow_type  # with zeros under the nulls, as everywhere: pa.nulls has nulls there too
        zeros = np.zeros(len(rows) * list_type.list_size, list_type.value_type.to_pandas_dtype())
        nowhere = pa.array(np.ones(len(rows), bool))
        return pa.FixedSizeListArray.from_arrays(pa.array(zeros, list_type.value_type), type=list_type, mask=nowhere)
    matrix, present, _ = held
    chosen = np.ascontiguousarray(matrix[rows]).reshape(-1)
    mask = None if present is None else pa.array(~present[rows])
    return pa.FixedSizeListArray.from_arrays(
        pa.array(chosen, column.field.arrow_type.value_type), type=column.field.arrow_type, mask=mask
    )


def _value(part: Part, column: Column, row: int) -> Any:
    if column.field.kind == "json":
        from orjson import loads

        text = part.value(column, row)
        return None if text is None else loads(text)
    if column.field.kind != "vector":
        return part.value(column, row)
    held = part.vectors(column)
    if held is None or (held[1] is not None and not held[1][row]):
        return None
    return held[0][row].copy()


def _matrix(column: Column[Vector], query: Any, axes: int) -> np.ndarray:
    """Return queries as a (q, d) matrix of what the kernels want, or say what is wrong with them."""
    import numpy as np

    field = column.field
    name = column.name
    try:
        array = np.asarray(query)
    except (TypeError, ValueError):
        array = np.empty(0, object)
    if array.dtype.kind not in "fiu" and array.size:
        raise InvalidInputError(f"the query for {name!r} is not an array of numbers", field=name, value=query)
    if array.ndim != axes:
        shape = "(dimension,)" if axes == 1 else "(queries, dimension)"
        raise InvalidInputError(f"the query for {name!r} has shape {array.shape}, expected {shape}", field=name)
    if array.shape[-1] != field.dimension:
        raise DimensionMismatchError(
            f"the query has {array.shape[-1]} values, field {name!r} has {field.dimension}", field=name
        )
    array = array.reshape(-1, field.dimension)
    if field.dtype == "int8":
        if array.size and not ((array >= -128) & (array <= 127) & (array == np.trunc(array))).all():
            raise InvalidInputError(
                f"field {name!r} holds int8: a query needs whole numbers from -128 to 127", field=name
            )
        converted = array.astype(np.int8)
    else:
        with np.errstate(over="ignore"):
            converted = array.astype(np.float32)
        if not np.isfinite(converted).all():
            row = int(np.flatnonzero(~np.isfinite(converted).all(axis=1))[0])
            raise InvalidInputError(f"query {row} for {name!r} holds NaN or infinity", field=name, row=row)
    if field.metric == "cosine" and not converted.any(axis=1).all():
        row = int(np.flatnonzero(~converted.any(axis=1))[0])
        raise InvalidInputError(f"query {row} for {name!r} is all zeros: its cosine is undefined", field=name, row=row)
    return np.ascontiguousarray(converted)
