"""Arguments of searches, as users pass them: checked once, here."""

from __future__ import annotations

import numbers
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from vecdb.errors import DimensionMismatchError, InvalidInputError
from vecdb.query.effort import RECALL, USUAL, Effort
from vecdb.schema.blame import shown
from vecdb.schema.fields import Id, Sparse, Vector
from vecdb.schema.given import choice, flag, listed, names, whole_number
from vecdb.schema.schema import ARGUMENTS, Column, Schema
from vecdb.schema.timestamps import timestamp_micros

if TYPE_CHECKING:
    import numpy as np

    from vecdb.encoders.attached import Attached
    from vecdb.query.weights import Weights
    from vecdb.schema.multivector import MultiVector

RequestId: TypeAlias = bytes | uuid.UUID | str
"""16 bytes, a UUID, its text, or any other text of at most 200 characters."""
LONGEST_REQUEST_ID = 200
_CHUNKS = 1 << 62
_VERSIONS = (1 << 63) - 1
FETCH = 10_000_000
"""The most rows that a search, or an arm of one, may be asked for."""
AT_ONCE = (1 << 31) - 1
"""The most rows of a batch or a segment, and links of an id, that may be asked for: more than there are."""
WIDEST = 10_000
"""The most candidates that a walk may be asked to keep, and the most lists that a search may be asked to read."""

_SURE = 1e37
"""A square of a query below this is of one that is short enough for any metric."""


def rows_asked(k: Any, name: str = "k", most: int = FETCH) -> int:
    """Return how many rows are asked for by an argument, at least 1.

    Raises:
        InvalidInputError: it is no such number.

    """
    return whole_number(name, k, most=most)


def sought(schema: Schema, name: str) -> Column:
    """Return the field that a keyword argument of a search names.

    Raises:
        UnknownFieldError: there is none; the message has the fields, and the field or the argument that is closest.

    """
    if name in schema:
        return schema[name]
    raise schema.unknown(name, others=ARGUMENTS)


def _usual(query: Any, field: Vector) -> bool:
    """Tell whether a query is what nearly all are: float32 of the right length, finite, not too long, not all zeros.

    Its square says so of all its numbers at once; a large one is looked at again, more closely.
    """
    import numpy as np

    usual = isinstance(query, np.ndarray) and query.dtype == np.float32 and query.shape == (field.dimension,)
    return usual and field.dtype != "int8" and 0 < float(np.vdot(query, query)) < _SURE


def _for_kernels(array: np.ndarray) -> np.ndarray:
    """Return an array as kernels were compiled for it: in one piece, and not read-only, as Arrow's memory is."""
    import numpy as np

    return np.ascontiguousarray(array) if array.flags.writeable else array.copy()


def query_matrix(column: Column[Vector], query: Any, axes: int) -> np.ndarray:
    """Return queries as a (q, d) matrix of what the kernels want, or say what is wrong with them.

    Of binary vectors it has d / 8 bytes a query.
    """
    return _bits(column, query, axes) if column.field.dtype == "binary" else _numbers(column, query, axes)


def _numbers(column: Column[Vector], query: Any, axes: int) -> np.ndarray:
    """Return queries for a field of numbers."""
    import numpy as np

    field = column.field
    name = column.name
    if axes == 1 and _usual(query, field):
        return _for_kernels(query)[None]
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
        _check_floats(converted, column)
    if field.metric == "cosine" and not converted.any(axis=1).all():
        row = int(np.flatnonzero(~converted.any(axis=1))[0])
        raise InvalidInputError(f"query {row} for {name!r} is all zeros: its cosine is undefined", field=name, row=row)
    return _for_kernels(converted)


def _check_floats(queries: np.ndarray, column: Column[Vector]) -> None:
    """Refuse queries (q, d) float32 of which scores would be no numbers, or infinite."""
    import numpy as np

    from vecdb.schema.vector_numbers import length_told, too_long

    name, finite = column.name, np.isfinite(queries).all(axis=1)
    if not finite.all():
        row = int(finite.argmin())
        raise InvalidInputError(f"query {row} for {name!r} holds NaN or infinity", field=name, row=row)
    long = too_long(queries, column.field)
    if long.any():
        row = int(long.argmax())
        raise InvalidInputError(
            f"query {row} for {name!r} {length_told(queries[row], column.field)}", field=name, row=row
        )


def _bits(column: Column[Vector], query: Any, axes: int) -> np.ndarray:
    """Return queries for a field of binary vectors, given as its rows are."""
    import numpy as np

    from vecdb.schema.binary_vectors import packed
    from vecdb.schema.blame import AskedBlame

    name, blame = column.name, AskedBlame(column.name)
    asked = [query] if axes == 1 else query if isinstance(query, list | tuple) else np.asarray(query)
    if isinstance(asked, np.ndarray) and asked.ndim != 2:
        shape = f"has shape {asked.shape}, expected (queries, dimension)"
        raise InvalidInputError(f"the query for {name!r} {shape}", field=name)
    found, present = packed(asked, column.field, blame)
    if present is not None:
        raise blame.error(int(present.argmin()), "it is None")
    return found


def texts_of(queries: Any, name: str) -> list[Any]:
    """Return the questions of a batch, in a list; each is checked when it is asked.

    Raises:
        InvalidInputError: it is no list of questions.

    """
    given = listed(f"the queries for {name!r}", queries, "texts")
    return [query.as_py() if hasattr(query, "as_py") else query for query in given]


def as_vectors(column: Column[Vector], query: Any, encoders: Attached) -> Any:
    """Return the vector of a text, the (texts, dimension) matrix of several, or the query itself.

    Raises:
        InvalidInputError: the query is text, and the column has no encoder at hand.
        EncoderError: the encoder failed.

    """
    if getattr(getattr(query, "dtype", None), "kind", "O") in "fiub":
        return query
    texts = [query] if isinstance(query, str) else _texts(query)
    if texts is None:
        return query
    made = encoders.needed(column, f"the query {shown(texts[0])}").queries(texts)
    return made[0] if isinstance(query, str) else made


def _texts(query: Any) -> list[str] | None:
    """Return the texts of a list, or of a column of any library; None when it is none of text."""
    if not isinstance(query, list | tuple):
        unpack = next((name for name in ("to_pylist", "tolist", "to_list") if hasattr(query, name)), None)
        if unpack is None:
            return None
        query = getattr(query, unpack)()
    if not isinstance(query, list | tuple) or not query or not isinstance(query[0], str):
        return None
    return list(query) if all(isinstance(text, str) for text in query) else None


def effort_of(exact: bool, recall: float | None, ef: int | None, plan: str | None, probes: int | None = None) -> Effort:
    """Return how hard to look, as the arguments of a search say it.

    Raises:
        InvalidInputError: recall is no share, ef no number of candidates, or plan no plan.

    """
    if exact is False and recall is None and ef is None and plan is None and probes is None:
        return USUAL
    try:
        return _effort(exact, recall, ef, plan, probes)
    except TypeError:  # something that has no hash is no number either
        return _effort.__wrapped__(exact, recall, ef, plan, probes)


@lru_cache(64, typed=True)
def _effort(exact: bool, recall: float | None, ef: int | None, plan: str | None, probes: int | None) -> Effort:
    from vecdb_index.dense.plan import KINDS

    if sum(choice is not None for choice in (recall, ef, probes)) > 1:
        raise InvalidInputError("name only one of recall, ef and probes", field="recall")
    if recall is not None and not (isinstance(recall, numbers.Real) and 0 < recall < 1):
        hint = "; exact=True finds all" if isinstance(recall, numbers.Real) and recall == 1 else ""
        raise InvalidInputError(
            f"recall is {shown(recall)}, expected a number above 0 and below 1{hint}", field="recall", value=recall
        )
    width = None
    for name, value in (("ef", ef), ("probes", probes)):
        if value is not None:
            width = whole_number(name, value, most=WIDEST)
    if plan is not None:
        choice("plan", plan, KINDS)
    return Effort(flag("exact", exact), width, RECALL if recall is None else float(recall), cast("Any", plan))


def check_terms(column: Column[Sparse], asked: Weights) -> None:
    """Refuse a question with a term that no row of the column can have.

    Raises:
        InvalidInputError: there is one.

    """
    dimension = column.field.dimension
    if dimension is not None and len(asked.terms) and int(asked.terms[-1]) >= dimension:
        raise InvalidInputError(
            f"the query for {column.name!r} has the term {int(asked.terms[-1])}, which is not from 0 to"
            f" {dimension - 1}",
            field=column.name,
        )


def vector_column(schema: Schema, name: str | None) -> Column[Vector]:
    """Return the vector column of a name, or the only one.

    Raises:
        InvalidInputError: there is none, or several and no name.

    """
    if name is not None:
        column = schema[name]
        if not isinstance(column.field, Vector):
            raise InvalidInputError(f"field {name!r} is {column.field.kind}, not a vector", field=name)
        return column
    if len(schema.vectors) != 1:
        known = ", ".join(repr(column.name) for column in schema.vectors) or "none"
        raise InvalidInputError(f"name the vector field (there are: {known})", field="field")
    return schema.vectors[0]


def token_column(schema: Schema, name: str | None) -> Column[MultiVector] | None:
    """Return the column of multi-vectors of a name, or the only one where there are no vectors; None: it is none."""
    if name is not None:
        column = schema[name]
        return cast("Column[MultiVector]", column) if column.field.kind == "multivector" else None
    only = schema.multivectors
    return only[0] if len(only) == 1 and not schema.vectors else None


def one_vector(schema: Schema, given: Mapping[str, Any]) -> tuple[Column[Vector], Any]:
    """Return the one vector column that a search names, and what is sought in it.

    Raises:
        InvalidInputError: it names another field, or several, or none.

    """
    known = ", ".join(repr(column.name) for column in schema.vectors) or "none"
    if len(given) != 1:
        named = ", ".join(map(repr, given)) or "none"
        raise InvalidInputError(f"name one vector field and its query (there are: {known}), got {named}")
    ((name, query),) = given.items()
    column = sought(schema, name)
    if column.field.kind == "vector":
        return cast("Column[Vector]", column), query
    raise InvalidInputError(f"field {name!r} is {column.field.kind}, not a vector (there are: {known})", field=name)


def filters_for(where: Any, queries: int) -> Sequence[Any]:
    """Return a filter for each query of a batch: the one that is given, or one of a list each.

    Raises:
        InvalidInputError: there are not as many filters as queries, or one is none.

    """
    from vecdb.filters import Expression, resolve

    if hasattr(where, "tolist"):
        where = where.tolist()
    if not isinstance(where, Sequence) or isinstance(where, str):
        return [where if isinstance(where, str | Expression) else resolve(where)] * queries
    given = [one if isinstance(one, str | Expression) else resolve(one) for one in where]
    if len(given) != queries:
        raise InvalidInputError(f"there are {len(given)} filters for {queries} queries", field="where")
    return given


def names_of(fields: Any) -> Sequence[str]:
    """Return the names of fields to be returned, each once.

    Raises:
        InvalidInputError: it is no list of names.

    """
    return list(dict.fromkeys(names("fields", fields)))


def ids_of(column: Column[Id], ids: Any, collection: str) -> tuple[list[str | int], bool]:
    """Return ids as plain Python values, and whether it was one id and not many.

    Anything with to_pylist() or tolist() is taken: NumPy and Arrow arrays, pandas and polars columns.

    Raises:
        InvalidInputError: an id is of another type than the collection's.

    """
    for unpack in ("to_pylist", "tolist"):
        if hasattr(ids, unpack):
            ids = getattr(ids, unpack)()
    single = not isinstance(ids, Iterable) or isinstance(ids, str | bytes | dict)
    given = [ids] if single else list(ids)
    return [_id(column, value, collection) for value in given], single


def _id(column: Column[Id], value: Any, collection: str) -> str | int:
    if getattr(value, "shape", None) == ():
        value = value.item()  # a NumPy scalar
    expected = str if column.field.type == "string" else int
    if not isinstance(value, expected) or isinstance(value, bool):
        raise InvalidInputError(
            f"id {shown(value)} is {type(value).__name__}, the ids of {collection!r} are {column.field.type}",
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


def version_of(version: Any, timestamp: Any, tag: Any) -> dict[str, Any]:
    """Return how an older version is named, by one of these: a moment in seconds since 1970.

    Raises:
        InvalidInputError: none is given, or several, or what cannot name a version.

    """
    given = {"version": version, "timestamp": timestamp, "tag": tag}
    named = {name: value for name, value in given.items() if value is not None}
    if len(named) != 1:
        raise InvalidInputError("name one of version, timestamp and tag")
    if tag is not None and not isinstance(tag, str):
        raise InvalidInputError(f"tag is {shown(tag)}, expected a name", field="tag", value=tag)
    if tag is not None:
        return named
    if version is not None:
        return {"version": whole_number("version", version, most=_VERSIONS)}
    return {"timestamp": _seconds(timestamp)}


def _seconds(timestamp: Any) -> float:
    """Return a moment in seconds since 1970; one without a zone is taken as UTC, as in a field."""
    micros = timestamp_micros(timestamp) if isinstance(timestamp, datetime) else None
    if micros is not None:
        return micros / 10**6
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | float):
        told = f"timestamp is {shown(timestamp)}, expected a datetime or seconds since 1970"
        raise InvalidInputError(told, field="timestamp", value=timestamp)
    return timestamp


def request_bytes(request_id: Any) -> bytes:
    """Return the 16 bytes by which a write is known.

    Raises:
        InvalidInputError: what was given is no request id.

    """
    if isinstance(request_id, uuid.UUID):
        return request_id.bytes
    if isinstance(request_id, bytes) and len(request_id) == 16 and any(request_id):
        return request_id
    if isinstance(request_id, str) and 0 < len(request_id) <= LONGEST_REQUEST_ID:
        try:
            return uuid.UUID(request_id).bytes
        except ValueError:
            return blake2b(request_id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    raise InvalidInputError(
        f"request_id is {request_id!r:.80}, expected 16 bytes that are not all zero, a UUID, or a text of at most"
        f" {LONGEST_REQUEST_ID} characters",
        field="request_id",
        value=request_id,
    )


def chunk_number(chunk: Any) -> int:
    """Return the number of a chunk, from 0.

    Raises:
        InvalidInputError: it is none.

    """
    number = whole_number("chunk", chunk, 0)
    if number >= _CHUNKS:
        raise InvalidInputError(f"chunk is {chunk}, expected less than {_CHUNKS}", field="chunk", value=chunk)
    return number
