"""Reading: everything that can be asked of one consistent state.

A snapshot never changes: writes, flushes, merges and schema changes that happen meanwhile are not seen, and the files
that it maps stay readable although they may have been removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self, cast, overload

from vecdb.arguments import as_vectors, effort_of, query_matrix, whole_number
from vecdb.errors import InvalidInputError
from vecdb.results import RecallReport, SearchResult
from vecdb.schema.fields import Vector
from vecdb.schema.schema import Column, Schema

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from vecdb.encoders.attached import Attached
    from vecdb.filters import BoundFilter, Expression
    from vecdb.planner.effort import Effort
    from vecdb.planner.found import Found
    from vecdb.storage.snapshot import Part, State
    from vecdb.tuning import Trial

BATCH_ROWS = 8192
FEW = 64
"""Up to so many hits have their fields read one by one: Arrow's take costs as much as twenty values."""


class Snapshot:
    """One version of a collection. Use it as a context manager, or let it go: it holds memory maps and no lock."""

    def __init__(
        self,
        name: str,
        state: State,
        pool: ThreadPoolExecutor | None,
        on_damaged_index: Callable[[], None] | None = None,
        encoders: Attached | None = None,
    ) -> None:
        self.name = name
        self._encoders = encoders
        self._state = state
        self._pool = pool
        self._on_damaged_index = on_damaged_index

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
        *,
        exact: bool = False,
        recall: float | None = None,
        ef: int | None = None,
        probes: int | None = None,
        plan: str | None = None,
        allow_partial: bool = False,
        **vectors: Any,
    ) -> SearchResult:
        """Return the k best rows for one query; all matching rows when fewer match.

        Where there is an index, about the best k: a share of at least `recall` of them on average. Scores are exact
        either way, and equal ones are ordered by id. Rows that have no index yet are scanned.

        Args:
            k: how many, at least 1.
            where: a filter, as a string or built with `vecdb.col`; rows that do not pass are not considered.
            fields: the fields to return with each hit; by default all but the vectors.
            exact: compare the query with every row that passes.
            recall: the share of the true best k to find, above 0 and below 1; by default 0.99. What it takes was
                measured when the index was built, or by `tune`.
            ef: instead of recall: how many candidates a walk through a graph keeps, or how many rows a funnel or signs
                leave to be scored exactly.
            probes: instead of recall, for inverted files: how many lists are read.
            plan: insist on one way through the segments that have an index: "scan", "codes", "graph", "wide",
                "two_hops" or "lists". For measurements.
            allow_partial: answer although a damaged segment cannot be read; `missing` then names it.
            **vectors: one vector field's name and the query: (dimension,) numbers, or a text if it has an encoder.

        Raises:
            InvalidInputError: an argument is wrong; DimensionMismatchError, UnknownFieldError and FilterSyntaxError
                are kinds of it.
            CorruptionError: a segment that the answer needs is damaged.

        """
        column, query = self._query(vectors)
        effort = effort_of(exact, recall, ef, plan, probes)
        return self._search(column, query_matrix(column, query, 1), k, where, fields, effort, allow_partial)[0]

    def search_batch(
        self,
        k: int = 10,
        where: str | Expression | None = None,
        fields: Sequence[str] | None = None,
        *,
        exact: bool = False,
        recall: float | None = None,
        ef: int | None = None,
        probes: int | None = None,
        plan: str | None = None,
        allow_partial: bool = False,
        **vectors: Any,
    ) -> list[SearchResult]:
        """Return, for each row of a (queries, dimension) matrix, or each text, what `search` returns for it."""
        column, queries = self._query(vectors)
        effort = effort_of(exact, recall, ef, plan, probes)
        return self._search(column, query_matrix(column, queries, 2), k, where, fields, effort, allow_partial)

    def search_iter(
        self,
        k: int = 100,
        where: str | Expression | None = None,
        fields: Sequence[str] | None = None,
        *,
        exact: bool = False,
        recall: float | None = None,
        **vectors: Any,
    ) -> Iterator[SearchResult]:
        """Yield pages of k hits, best first, until every row that matches was seen; no row comes twice.

        Each page is found by a search twice as deep as the one before when that was used up, so the whole costs about
        twice what one search for all of it would. All pages come from the same state.
        """
        column, query = self._query(vectors)
        effort = effort_of(exact, recall, None, None)
        queries, k = query_matrix(column, query, 1), whole_number("k", k)
        return self._pages(column, queries, k, self._bind(where), self._columns(fields), effort)

    def _pages(
        self,
        column: Column[Vector],
        queries: np.ndarray,
        k: int,
        bound: BoundFilter | None,
        columns: list[Column],
        effort: Effort,
    ) -> Iterator[SearchResult]:
        import numpy as np

        seen: set[tuple[int, int]] = set()
        depth = 2 * k
        while True:
            (found,) = _planner().search(self._state, column, queries, depth, bound, self._pool, effort)
            part = np.zeros(len(found.row), np.int64) if found.part is None else found.part
            places = list(zip(part.tolist(), found.row.tolist(), strict=True))
            fresh = [at for at, place in enumerate(places) if place not in seen]
            last = len(places) < depth
            while len(fresh) >= k or (last and fresh):
                page, fresh = fresh[:k], fresh[k:]
                seen.update(places[at] for at in page)
                chosen = found.some(np.array(page))
                yield SearchResult(_Rows(self, columns, chosen), column.field.metric)
            if last:
                return
            depth *= 2

    def recall(
        self,
        queries: Any = None,
        *,
        field: str | None = None,
        sample: int = 100,
        k: int = 10,
        where: str | Expression | None = None,
        recall: float | None = None,
        ef: int | None = None,
        probes: int | None = None,
        plan: str | None = None,
    ) -> RecallReport:
        """Ask queries both through the index and exactly, and return how good and how fast the answers are.

        Args:
            queries: (queries, dimension), or texts; by default `sample` rows of the collection, each with half of
                another one added, which is about as hard as real questions.
            field: the vector field; not needed when there is only one.
            sample: how many.
            k: rows asked for.
            where: a filter, as in `search`.
            recall: as in `search`, and so are ef, probes and plan.
            ef: as in `search`.
            probes: as in `search`.
            plan: as in `search`.

        """
        from vecdb import tuning

        trial = self.trial(queries, field, sample, k, where)
        return tuning.recall(trial, effort_of(False, recall, ef, plan, probes))

    def trial(
        self, queries: Any, field: str | None, sample: int, k: int, where: str | Expression | None = None
    ) -> Trial:
        """Return questions to this state, checked."""
        from vecdb import tuning

        column = tuning.vector_column(self.schema, field)
        asked = tuning.questions(self._state, column, queries, whole_number("sample", sample), self._encoders)
        return tuning.Trial(self._state, column, asked, whole_number("k", k), self._bind(where), self._pool)

    def _query(self, vectors: dict[str, Any]) -> tuple[Column[Vector], Any]:
        if len(vectors) == 1:
            for name, value in vectors.items():
                column = cast("Column[Vector]", self.schema[name])
                if column.field.kind == "vector":
                    return column, as_vectors(column, value, self._encoders)
        known = ", ".join(repr(column.name) for column in self.schema.vectors) or "none"
        if len(vectors) != 1:
            given = ", ".join(map(repr, vectors)) or "none"
            raise InvalidInputError(f"name one vector field and its query (there are: {known}), got {given}")
        (name,) = vectors
        raise InvalidInputError(
            f"field {name!r} is {self.schema[name].field.kind}, not a vector (there are: {known})", field=name
        )

    def _search(
        self,
        column: Column[Vector],
        queries: np.ndarray,
        k: int,
        where: str | Expression | None,
        fields: Sequence[str] | None,
        effort: Effort,
        allow_partial: bool,
    ) -> list[SearchResult]:
        k = whole_number("k", k)
        bound = self._bind(where)
        columns = self._columns(fields)
        found = _planner().search(self._state, column, queries, k, bound, self._pool, effort, allow_partial)
        if self._on_damaged_index is not None and found:
            for plan in found[0].plans:
                if plan.problem:
                    self._on_damaged_index()
                    break
        return [SearchResult(_Rows(self, columns, one), column.field.metric) for one in found]

    def _bind(self, where: str | Expression | None) -> BoundFilter | None:
        if where is None:
            return None
        if isinstance(where, str):
            return _bound(where, self.schema)
        from vecdb.filters import bind, resolve

        expression = resolve(where)
        return None if expression is None else bind(expression, self.schema)

    def _columns(self, fields: Sequence[str] | None) -> list[Column]:
        if fields is None:
            return list(self.schema.scalars)
        if not fields and not isinstance(fields, str):
            return []
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

        from vecdb.planner.masks import filter_mask

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

        schema = pa.schema([column.arrow_field for column in columns])
        for part, mask in self._matches(bound):
            rows = np.flatnonzero(mask)
            for start in range(0, len(rows), batch_rows):
                chosen = rows[start : start + batch_rows]
                yield pa.record_batch([values(part, column, chosen) for column in columns], schema=schema)


@cache
def _planner() -> ModuleType:
    """Return the module that searches; loaded when something is searched first."""
    from vecdb.planner import dense

    return dense


@lru_cache(256)
def _bound(where: str, schema: Schema) -> BoundFilter:
    """Return a filter text, read and checked against the fields. The same text comes again and again."""
    from vecdb.filters import bind, parse

    return bind(parse(where), schema)


class _Rows:
    """The rows of a result and the state that they were found in; see `vecdb.results.Rows`."""

    __slots__ = ("_columns", "_found", "_snapshot", "missing", "scores")

    def __init__(self, snapshot: Snapshot, columns: list[Column], found: Found) -> None:
        self._snapshot = snapshot
        self._columns = columns
        self._found = found
        self.scores = found.score
        self.missing = found.missing

    def ids(self) -> list[Any]:
        return self._found.ids()

    def id_table(self) -> pa.Table:
        return self._table([self._snapshot.schema.id])

    def field_table(self) -> pa.Table:
        return self._table(self._columns)

    def field_values(self) -> list[tuple[str, list[Any]]]:
        if len(self.scores) <= FEW:
            places = self._found.places()
            return [(column.name, [_value(part, column, row) for part, row in places]) for column in self._columns]
        table = self.field_table()
        return [(column.name, _listed(column, table.column(column.name))) for column in self._columns]

    def explain(self) -> dict[str, Any]:
        found = self._found
        return {"parts": [plan._asdict() for plan in found.plans], "codes_compared": found.reads}

    def _table(self, columns: list[Column]) -> pa.Table:
        import pyarrow as pa

        if len(self.scores) == 0:
            arrays = [pa.array([], column.field.arrow_type) for column in columns]
        else:
            arrays = [
                self._found.take(lambda part, rows, column=column: values(part, column, rows)) for column in columns
            ]
        return pa.table(arrays, schema=pa.schema([column.arrow_field for column in columns]))


def values(part: Part, column: Column, rows: np.ndarray) -> pa.Array:
    """Return the values of some rows of a part, vectors too."""
    import numpy as np
    import pyarrow as pa

    if column.field.kind != "vector":
        return part.take(column, rows)
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


def _listed(column: Column, array: pa.ChunkedArray) -> list[Any]:
    """Return values as Python objects: vectors as NumPy arrays, JSON parsed, everything else as Arrow makes it."""
    if column.field.kind == "json":
        from orjson import loads

        return [None if text is None else loads(text) for text in array.to_pylist()]
    if column.field.kind != "vector":
        return array.to_pylist()
    return [None if value.values is None else value.values.to_numpy() for value in array]


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
