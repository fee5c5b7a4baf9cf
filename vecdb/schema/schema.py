"""The columns of a collection: names, fields and permanent numbers.

Invariant: a column's number is given once and never again, also after the column was dropped. Files and the
log call a column by its number (`f3`), so a rename touches no file, and a new column under an old name never
sees the old column's data.

The surprise: a name that is reserved today is still accepted from stored JSON, because the word may have been
reserved after the collection was made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

from vecdb.errors import InvalidInputError, UnknownFieldError
from vecdb.schema.blame import closest, shown, unknown_part
from vecdb.schema.fields import Field, Id, Keyword, Sparse, Text, Vector
from vecdb.schema.known import field_from_json
from vecdb.schema.multivector import MultiVector

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.schema.fulltext import FullText
    from vecdb.schema.indexes import IndexSpec
    from vecdb.schema.space import Space

F_co = TypeVar("F_co", bound=Field, covariant=True)

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")

COLUMNS = 1_024
"""The most columns of one schema."""

ARGUMENTS = frozenset(
    (
        "after",
        "allow_partial",
        "cut",
        "ef",
        "exact",
        "fetch",
        "fields",
        "fusion",
        "group_by",
        "k",
        "min_score",
        "order_by",
        "per_group",
        "plan",
        "probes",
        "recall",
        "select",
        "where",
    )
)
"""Keyword arguments of `search` beside fields."""
RESERVED = ARGUMENTS | {
    "arms",
    "batch",
    "batch_rows",
    "deadline",
    "distance",
    "ef_search",
    "effort",
    "explain",
    "filter",
    "limit",
    "nprobe",
    "offset",
    "queries",
    "query",
    "rerank",
    "score",
    "scores",
    "self",
    "text_query",
    "timeout",
}
"""Names that no field may have: keyword arguments of search, now or probably later, and parts of its results."""


@dataclass(frozen=True)
class Column(Generic[F_co]):
    """One column: what the user calls it, what it holds, and its permanent number."""

    name: str
    field: F_co
    id: int

    @property
    def storage_name(self) -> str:
        """What files and the log call the column: the same under every name that it ever has."""
        return f"f{self.id}"

    @cached_property
    def arrow_field(self) -> pa.Field:
        """The column as users send and receive it; a vector's metadata names its space."""
        import pyarrow as pa

        space = self.field.space if isinstance(self.field, Vector | MultiVector) else None
        return pa.field(self.name, self.field.arrow_type, metadata=None if space is None else space.metadata())


class Schema:
    """The columns of a collection, in order: exactly one `Id`, any number of vectors and other fields.

    Immutable: the methods that change something return another schema. Two schemas are equal when their
    columns, column numbers and next number are; compare `fields` to ask whether they hold the same things.
    """

    columns: tuple[Column, ...]
    next_id: int

    def __init__(self, /, **fields: Field) -> None:
        """Number the fields from 0 in the order given.

        Raises:
            InvalidInputError: there is not exactly one Id, a name is malformed or reserved, or a value is no field.

        """
        for name, field in fields.items():
            _check_name(name)
            _check_field(name, field)
        self._set(tuple(Column(name, field, number) for number, (name, field) in enumerate(fields.items())))

    def _set(self, columns: tuple[Column, ...], next_id: int | None = None) -> None:
        """Check what must hold between columns, then keep them."""
        ids = [column.name for column in columns if isinstance(column.field, Id)]
        if len(ids) != 1:
            found = "none" if not ids else " and ".join(repr(name) for name in ids)
            raise InvalidInputError(f"a schema has exactly one field of kind Id, found {found}")
        if len(columns) > COLUMNS:
            raise InvalidInputError(f"a schema has at most {COLUMNS} fields, found {len(columns)}")
        _check_sources(columns)
        self.__dict__["columns"] = columns
        self.__dict__["next_id"] = len(columns) if next_id is None else next_id

    @classmethod
    def _of(cls, columns: tuple[Column, ...], next_id: int) -> Schema:
        schema = cls.__new__(cls)
        schema._set(columns, next_id)
        return schema

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a schema is immutable: with_column, without_column and renamed return another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a schema is immutable")

    @cached_property
    def id(self) -> Column[Id]:
        """The column of ids."""
        return next(cast("Column[Id]", column) for column in self.columns if isinstance(column.field, Id))

    @cached_property
    def vectors(self) -> tuple[Column[Vector], ...]:
        """The vector columns, in order."""
        return tuple(cast("Column[Vector]", column) for column in self.columns if isinstance(column.field, Vector))

    @cached_property
    def texts(self) -> tuple[Column[Text], ...]:
        """The text columns that are searched by words, in order."""
        texts = (cast("Column[Text]", column) for column in self.columns if isinstance(column.field, Text))
        return tuple(column for column in texts if column.field.fulltext is not None)

    @cached_property
    def sparse(self) -> tuple[Column[Sparse], ...]:
        """The columns of sparse vectors, in order."""
        return tuple(cast("Column[Sparse]", column) for column in self.columns if isinstance(column.field, Sparse))

    @cached_property
    def multivectors(self) -> tuple[Column[MultiVector], ...]:
        """The columns of several vectors for a row, in order."""
        columns = (column for column in self.columns if isinstance(column.field, MultiVector))
        return tuple(cast("Column[MultiVector]", column) for column in columns)

    @cached_property
    def narrow(self) -> tuple[Column, ...]:
        """The columns of all but vectors, which are streamed to files of their own, in order."""
        return tuple(column for column in self.columns if not isinstance(column.field, Vector | MultiVector))

    @cached_property
    def scalars(self) -> tuple[Column, ...]:
        """The columns that are neither the id nor of vectors, in order."""
        return tuple(column for column in self.narrow if not isinstance(column.field, Id))

    @cached_property
    def encoded(self) -> tuple[tuple[Column[Vector], Column], ...]:
        """Each vector column that is made of texts, with the column of its texts."""
        return tuple((column, self[column.field.source]) for column in self.vectors if column.field.source is not None)

    @cached_property
    def token_encoded(self) -> tuple[tuple[Column[MultiVector], Column], ...]:
        """Each column of multi-vectors that is made of texts, with the column of its texts."""
        columns = (column for column in self.multivectors if column.field.source is not None)
        return tuple((column, self[cast("str", column.field.source)]) for column in columns)

    @cached_property
    def shown(self) -> tuple[Column, ...]:
        """The columns that hits have where nobody names any: all but the id, vectors and sparse vectors."""
        return tuple(column for column in self.scalars if not isinstance(column.field, Sparse))

    @property
    def fields(self) -> dict[str, Field]:
        """Each name with its field, without numbers: equal for schemas that hold the same things."""
        return {column.name: column.field for column in self.columns}

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    def __getitem__(self, name: str) -> Column:
        """Return the column called name.

        Raises:
            UnknownFieldError: there is none; the message lists the names and the one that was probably meant.

        """
        try:
            return self._by_name[name]
        except (KeyError, TypeError):  # TypeError: it has no hash, and is no name
            raise self.unknown(name) from None

    def unknown(self, name: object, row: int | None = None, others: Iterable[str] = ()) -> UnknownFieldError:
        """Return the error about a name that is no column, with the names that are and the one that is closest.

        `others` are words that may have been meant as well.
        """
        known = ", ".join(repr(column.name) for column in self.columns)
        hint = closest(name, self._by_name) or closest(name, others)
        place = "" if row is None else f"row {row}: "
        sentence = f"{place}no field {shown(name)}: the fields are {known}{hint}"
        return UnknownFieldError(sentence, field=name if isinstance(name, str) else None, row=row, value=name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._by_name

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def with_column(self, name: str, field: Field) -> Schema:
        """Return a schema with one more column, last, under a number that was never used.

        Raises:
            InvalidInputError: the name is taken, malformed or reserved, or the field is a second Id.

        """
        self._check_new_name(name)
        _check_field(name, field)
        if isinstance(field, Id):
            raise InvalidInputError(
                f"{name!r} cannot be an Id: {self.id.name!r} is the id of the collection", field=name
            )
        return self._of((*self.columns, Column(name, field, self.next_id)), self.next_id + 1)

    def without_column(self, name: str) -> Schema:
        """Return a schema without the column; its number stays used, and vectors made of its texts have no source.

        Raises:
            UnknownFieldError: there is no such column.
            InvalidInputError: it is the id.

        """
        gone = self[name]
        if isinstance(gone.field, Id):
            raise InvalidInputError(f"{name!r} is the id of the collection and cannot be dropped", field=name)
        return self._of(_resourced((c for c in self.columns if c is not gone), name, None), self.next_id)

    def renamed(self, old: str, new: str) -> Schema:
        """Return a schema in which the column old is called new, in the same place under the same number.

        Raises:
            UnknownFieldError: there is no column old.
            InvalidInputError: new is taken, malformed or reserved.

        """
        target = self[old]
        self._check_new_name(new)
        _check_field(new, target.field)
        columns = (replace(column, name=new) if column is target else column for column in self.columns)
        return self._of(_resourced(columns, old, new), self.next_id)

    def with_index(self, name: str, index: IndexSpec | FullText | str | bool) -> Schema:
        """Return a schema in which a column of vectors, of multi-vectors or of texts is searched in another way.

        Raises:
            UnknownFieldError: there is no such column.
            InvalidInputError: it is neither, or there is no such kind of index for it.

        """
        target = self[name]
        if isinstance(target.field, Text):
            return self._with_field(target, Text(search=cast("Any", index)))
        if isinstance(target.field, MultiVector):
            return self._with_field(target, replace(target.field, index=cast("IndexSpec", index)))
        if not isinstance(target.field, Vector):
            told = f"field {name!r} is {target.field.kind}: only vectors and texts have an index"
            raise InvalidInputError(told, field=name)
        return self._with_vector(name, "an index", index=index)

    def with_pool_factor(self, name: str, factor: float) -> Schema:
        """Return a schema in which a column of multi-vectors is stored with fewer vectors.

        Raises:
            UnknownFieldError: there is no such column.
            InvalidInputError: it is of another kind, has a fixed count, or the factor is less than it was.

        """
        held = self[name].field
        if not isinstance(held, MultiVector):
            raise InvalidInputError(f"field {name!r} is {held.kind}: only multi-vectors are pooled", field=name)
        changed = replace(held, pool_factor=factor)
        if changed.pool_factor < held.pool_factor:
            told = f"{name!r} is pooled by {held.pool_factor} already: what was joined cannot be taken apart"
            raise InvalidInputError(told, field=name, value=factor)
        return self._with_field(self[name], changed)

    def with_space(self, name: str, space: Space, source: str | None) -> Schema:
        """Return a schema in which the vector column says which space it holds, and the source of its vectors.

        Raises:
            UnknownFieldError: there is no such column.
            InvalidInputError: it is no vector, or of another dimension, or source is no text.
            SpaceMismatchError: it holds another space already.

        """
        held = self[name].field
        if isinstance(held, Vector | Sparse | MultiVector) and held.space is not None:
            held.space.check_same(space, name, "the encoder makes those")
        if isinstance(held, Sparse):
            if source is not None:
                raise InvalidInputError(f"{name!r} is sparse: no table makes its rows of {source!r}", field=name)
            return self._with_field(self[name], replace(held, space=space))
        if isinstance(held, MultiVector):
            return self._with_field(self[name], replace(held, space=space, source=source))
        return self._with_vector(name, "an encoder", space=space, source=source)

    def _with_vector(self, name: str, what: str, **changes: Any) -> Schema:
        target = self[name]
        if not isinstance(target.field, Vector):
            raise InvalidInputError(f"field {name!r} is {target.field.kind}: only vectors have {what}", field=name)
        return self._with_field(target, replace(target.field, **changes))

    def _with_field(self, target: Column, field: Field) -> Schema:
        columns = (replace(column, field=field) if column is target else column for column in self.columns)
        return self._of(tuple(columns), self.next_id)

    def described(self) -> Schema:
        """Return what is stored: the same schema without the encoders of its vectors."""
        return self._of(tuple(replace(column, field=column.field.described()) for column in self.columns), self.next_id)

    def _check_new_name(self, name: str) -> None:
        _check_name(name)
        if name in self:
            raise InvalidInputError(f"the schema already has a field {name!r}", field=name)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that `from_json` turns into an equal schema."""
        columns = [{"id": column.id, "name": column.name, "field": column.field.to_json()} for column in self.columns]
        return {"columns": columns, "next_id": self.next_id}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Schema:
        """Read what `to_json` wrote.

        Raises:
            InvalidInputError: the object has another shape, names or numbers repeat, or a kind is unknown.

        """
        try:
            unknown = data.keys() - {"columns", "next_id"}
            next_id = data["next_id"]
            columns = tuple(
                Column(entry["name"], field_from_json(entry["field"]), entry["id"]) for entry in data["columns"]
            )
        except (TypeError, KeyError, AttributeError) as error:
            raise InvalidInputError(f"this is not the JSON form of a schema: {data!r:.200}") from error
        if unknown:
            raise unknown_part("a schema has no part", unknown)
        names = [column.name for column in columns]
        ids = [column.id for column in columns]
        if not all(isinstance(name, str) and NAME.fullmatch(name) for name in names) or len(set(names)) < len(names):
            raise InvalidInputError(f"the stored field names are malformed or repeat: {names}")
        if any(type(number) is not int or number < 0 for number in [*ids, next_id]) or len(set(ids)) < len(ids):
            raise InvalidInputError(f"the stored field numbers are malformed or repeat: {ids}, next {next_id!r}")
        if max(ids, default=-1) >= next_id:
            raise InvalidInputError(f"the next field number {next_id} is already used: {ids}")
        return cls._of(columns, next_id)

    def arrow_schema(self) -> pa.Schema:
        """Return the Arrow schema by names, in column order: what users send and receive."""
        return self._arrow_schema

    def storage_schema(self) -> pa.Schema:
        """Return the Arrow schema by storage names, in column order: what files and the log contain."""
        return self._storage_schema

    @cached_property
    def _arrow_schema(self) -> pa.Schema:
        import pyarrow as pa

        return pa.schema([column.arrow_field for column in self.columns])

    @cached_property
    def _storage_schema(self) -> pa.Schema:
        import pyarrow as pa

        return pa.schema([(column.storage_name, column.field.stored_type) for column in self.columns])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Schema):
            return NotImplemented
        return self is other or (self.columns == other.columns and self.next_id == other.next_id)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.columns, self.next_id))

    def __reduce__(self) -> tuple[Any, ...]:
        return Schema.from_json, (self.to_json(),)

    def __repr__(self) -> str:
        return f"Schema({', '.join(f'{column.name}={column.field!r}' for column in self.columns)})"


def _resourced(columns: Iterable[Column], old: str, new: str | None) -> tuple[Column, ...]:
    """Return columns in which the vectors made of the texts of old are made of those of new."""
    return tuple(
        replace(column, field=replace(column.field, source=new))
        if isinstance(column.field, Vector | MultiVector) and column.field.source == old
        else column
        for column in columns
    )


def _check_sources(columns: tuple[Column, ...]) -> None:
    """Refuse a vector whose source is no text."""
    kinds = {column.name: column.field for column in columns}
    for column in columns:
        source = column.field.source if isinstance(column.field, Vector | MultiVector) else None
        if source is None:
            continue
        found = kinds.get(source)
        if not isinstance(found, Text | Keyword) or (isinstance(found, Keyword) and found.many):
            what = "no field of the schema" if found is None else f"{found.kind}, not a text"
            raise InvalidInputError(f"the source {source!r} of {column.name!r} is {what}", field=column.name)


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidInputError(
            f"{shown(name)} cannot name a field: a name has 1 to 128 letters, digits and underscores"
            " of ASCII and does not begin with a digit",
            value=name,
        )
    if name in RESERVED:
        raise InvalidInputError(f"{name!r} cannot name a field: it is a word of search itself", field=name, value=name)


def _check_field(name: str, field: object) -> None:
    if not isinstance(field, Field) or type(field) is Field:
        hint = f": write {field.__name__}()" if isinstance(field, type) and issubclass(field, Field) else ""
        raise InvalidInputError(f"{name!r} is declared as {shown(field)}, which is not a field{hint}", field=name)
    if name == "id" and not isinstance(field, Id):
        raise InvalidInputError("'id' can only name the Id field: results call the id so", field=name)
