"""Arguments of searches, as users pass them: checked once, here."""

from __future__ import annotations

import math
import numbers
import operator
import uuid
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from vecdb.errors import DimensionMismatchError, InvalidInputError
from vecdb.query.effort import RECALL, USUAL, Effort
from vecdb.schema.blame import shown
from vecdb.schema.fields import Id, Vector
from vecdb.schema.schema import Column, Schema

if TYPE_CHECKING:
    import numpy as np

    from vecdb.encoders.attached import Attached

RequestId: TypeAlias = bytes | uuid.UUID | str
"""16 bytes, a UUID, its text, or any other text of at most 200 characters."""
LONGEST_REQUEST_ID = 200
WIDEST = 10_000
"""The most candidates that a walk may be asked to keep, and the most lists that a search may be asked to read."""


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


def _usual(query: Any, field: Vector) -> bool:
    """Tell whether a query is what nearly all are: float32 of the right length, finite and not all zeros.

    Its square says so of all its numbers at once; a square that overflows is looked at again, more closely.
    """
    import numpy as np

    usual = isinstance(query, np.ndarray) and query.dtype == np.float32 and query.shape == (field.dimension,)
    return usual and field.dtype != "int8" and 0 < float(query.dot(query)) < math.inf


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
        if not np.isfinite(converted).all():
            row = int(np.flatnonzero(~np.isfinite(converted).all(axis=1))[0])
            raise InvalidInputError(f"query {row} for {name!r} holds NaN or infinity", field=name, row=row)
    if field.metric == "cosine" and not converted.any(axis=1).all():
        row = int(np.flatnonzero(~converted.any(axis=1))[0])
        raise InvalidInputError(f"query {row} for {name!r} is all zeros: its cosine is undefined", field=name, row=row)
    return _for_kernels(converted)


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
    if isinstance(queries, str) or not isinstance(queries, Iterable):
        raise InvalidInputError(f"the queries for {name!r} are {queries!r:.200}, expected a list of texts", field=name)
    return [query.as_py() if hasattr(query, "as_py") else query for query in queries]


def as_vectors(column: Column[Vector], query: Any, encoders: Attached | None) -> Any:
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
    if encoders is None:
        raise InvalidInputError(
            f"the query {shown(texts[0])} for {column.name!r} is text, and there is no encoder here", field=column.name
        )
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
    if not exact and recall is None and ef is None and plan is None and probes is None:
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
        hint = "; exact=True finds all" if recall == 1 else ""
        raise InvalidInputError(
            f"recall is {recall!r}, expected a number above 0 and below 1{hint}", field="recall", value=recall
        )
    width = None
    for name, value in (("ef", ef), ("probes", probes)):
        if value is not None:
            width = whole_number(name, value)
            if width > WIDEST:
                raise InvalidInputError(f"{name} is {value}, at most {WIDEST}", field=name, value=value)
    if plan is not None and plan not in KINDS:
        raise InvalidInputError(f"plan {plan!r} is not one of {', '.join(KINDS)}", field="plan", value=plan)
    return Effort(bool(exact), width, RECALL if recall is None else float(recall), cast("Any", plan))


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


def one_vector(schema: Schema, given: Mapping[str, Any]) -> tuple[Column[Vector], Any]:
    """Return the one vector column that a search names, and what is sought in it.

    Raises:
        InvalidInputError: it names another field, or several, or none.

    """
    known = ", ".join(repr(column.name) for column in schema.vectors) or "none"
    if len(given) != 1:
        named = ", ".join(map(repr, given)) or "none"
        raise InvalidInputError(f"name one vector field and its query (there are: {known}), got {named}")
    ((name, sought),) = given.items()
    column = schema[name]
    if column.field.kind == "vector":
        return cast("Column[Vector]", column), sought
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
    listed = [one if isinstance(one, str | Expression) else resolve(one) for one in where]
    if len(listed) != queries:
        raise InvalidInputError(f"there are {len(listed)} filters for {queries} queries", field="where")
    return listed


def names_of(fields: Any) -> Sequence[str]:
    """Return the names of fields to be returned, each once.

    Raises:
        InvalidInputError: it is no list of names.

    """
    if isinstance(fields, str):
        raise InvalidInputError(f"fields is the string {fields!r}, expected a list of names", field="fields")
    if not isinstance(fields, Iterable):
        raise InvalidInputError(f"fields is {fields!r}, expected a list of names", field="fields")
    return list(dict.fromkeys(fields))


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
    listed = [ids] if single else list(ids)
    return [_id(column, value, collection) for value in listed], single


def _id(column: Column[Id], value: Any, collection: str) -> str | int:
    if hasattr(value, "item"):
        value = value.item()  # a NumPy scalar
    expected = str if column.field.type == "string" else int
    if not isinstance(value, expected) or isinstance(value, bool):
        raise InvalidInputError(
            f"id {value!r} is {type(value).__name__}, the ids of {collection!r} are {column.field.type}",
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
