"""What a link is: two ends, a type, a weight, and attributes that were declared.

Links have a schema of their own, whose first four columns are always the same; `src` stands where the id of a schema
stands, though no link has an id: source, destination and type together name it. So filters and storage work on links as
they do on rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.schema.blame import shown
from vecdb.schema.fields import Bool, Field, Float64, Id, Int64, Keyword, Timestamp
from vecdb.schema.given import choice, listed
from vecdb.schema.limits import DEFAULT_LIMITS
from vecdb.schema.schema import Column, Schema

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.schema.blame import Blame

SRC, DST, TYPE, WEIGHT = "src", "dst", "type", "weight"
ENDS = SRC, DST, TYPE
_FIXED = 4
"""Columns before the attributes."""
DEFAULT_TYPE = "link"
TYPE_BYTES = 256
TYPES = 32_767
"""The most types of one collection: a type is a word of a small vocabulary, what differs from link to link an
attribute. (Files have room for twice as many.)"""
Direction = Literal["out", "in", "both"]
LINK_BATCH = 1 << 16
"""Links of a batch that is read."""
ATTRIBUTES = Keyword, Int64, Float64, Bool, Timestamp


def link_schema(id_field: Id) -> Schema:
    """Return the schema of the links between ids of one type, without attributes."""
    end = Keyword() if id_field.type == "string" else Int64()
    return Schema(src=Id(id_field.type), dst=end, type=Keyword(), weight=Float64())


def attributes_of(schema: Schema) -> tuple[Column, ...]:
    """Return the columns of a schema of links that were declared, those behind the fixed ones."""
    return schema.columns[_FIXED:]


def with_attribute(schema: Schema, name: str, field: Field) -> Schema:
    """Return a schema of links with one more attribute.

    Raises:
        InvalidInputError: the name is taken or malformed, or the field is no keyword, number, bool or timestamp.

    """
    if not isinstance(field, ATTRIBUTES):
        raise InvalidInputError(
            f"attribute {name!r} is declared as {shown(field)}: links have Keyword, Int64, Float64, Bool and Timestamp",
            field=name,
        )
    return schema.with_column(name, field)


def validated_links(data: Any, schema: Schema, directed: bool = True) -> pa.RecordBatch:
    """Check links and return them as one batch of all columns of the schema, each link once.

    Types that are missing are "link", weights 1. Of a link that comes twice the last one stays. Undirected links come
    back in both directions.

    Args:
        data: what `upsert` takes, with columns src, dst, and perhaps type, weight and attributes.
        schema: of the links.
        directed: False: each link holds in both directions.

    Raises:
        InvalidInputError: a value does not fit: it names field, row and value.
        UnknownFieldError: there is no such attribute.

    """
    import pyarrow as pa

    from vecdb.schema.blame import Blame
    from vecdb.schema.checks import check_row_bytes
    from vecdb.schema.columns import column_array
    from vecdb.schema.from_arrow import nulls
    from vecdb.schema.ingest import whole

    chunk = whole(data, schema, partial=False)
    if chunk.rows > DEFAULT_LIMITS.batch_rows:
        raise InvalidInputError(f"a batch of {chunk.rows} links is above the limit of {DEFAULT_LIMITS.batch_rows}")
    for name in chunk.columns:
        if name not in schema:
            raise schema.unknown(name)
    for name in (SRC, DST):
        if name not in chunk.columns and (chunk.columns or chunk.rows):
            raise InvalidInputError(f"a link has two ends: no field {name!r} in the input", field=name)
    arrays: list[pa.Array] = []
    for column in schema:
        source, blame = chunk.columns.get(column.name), Blame(column.name)
        array = (
            nulls(chunk.rows, column.field)
            if source is None
            else column_array(source, column.field, blame, DEFAULT_LIMITS)
        )
        arrays.append(_checked(column.name, array, blame))
    batch = pa.RecordBatch.from_arrays(arrays, schema=schema.arrow_schema())
    check_row_bytes(batch, DEFAULT_LIMITS, 0)
    return last_of_each(batch if directed else both_ways(batch))


def _checked(name: str, array: pa.Array, blame: Blame) -> pa.Array:
    import pyarrow as pa

    from vecdb.schema.arrow import pc
    from vecdb.schema.checks import check_end

    if name in (SRC, DST):
        check_end(array, blame)
    elif name == TYPE:
        array = pc.fill_null(array, DEFAULT_TYPE)
        lengths = np.asarray(pc.binary_length(array))
        bad = np.flatnonzero((lengths < 1) | (lengths > TYPE_BYTES))
        if len(bad):
            value = array[int(bad[0])].as_py()
            raise blame.error(int(bad[0]), f"the type {shown(value)} does not have 1 to {TYPE_BYTES} bytes", value)
    elif name == WEIGHT:
        filled = np.asarray(pc.fill_null(array, 1.0), np.float64)
        with np.errstate(over="ignore"):
            weights = filled.astype(np.float32).astype(np.float64)
        bad = np.flatnonzero((filled < 0) | ~np.isfinite(weights))
        if len(bad):
            value = float(filled[bad[0]])
            raise blame.error(int(bad[0]), f"the weight {value} is not a float32 of 0 or more", value)
        array = pa.array(weights)
    return array


def both_ways(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return links in both directions: the given ones, and each turned round behind it."""
    import pyarrow as pa

    turned = [batch.column(DST), batch.column(SRC), *batch.columns[2:]]
    back = pa.RecordBatch.from_arrays(
        [array.cast(field.type) for array, field in zip(turned, batch.schema, strict=True)], schema=batch.schema
    )
    rows = batch.num_rows
    order = np.arange(2 * rows).reshape(2, rows).T.ravel()
    whole = pa.Table.from_batches([batch, back]).combine_chunks().to_batches()
    return whole[0].take(pa.array(order)) if whole else batch


def last_of_each(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return the last link of those with the same ends and type, in the order in which they came."""
    import pyarrow as pa

    if batch.num_rows < 2:
        return batch
    codes = [np.asarray(batch.column(name).dictionary_encode().indices) for name in ENDS]
    order = np.lexsort(codes)  # stable: of equal links the last given stands last
    same = np.ones(len(order) - 1, bool)
    for code in codes:
        same &= code[order[1:]] == code[order[:-1]]
    if not same.any():
        return batch
    kept = np.sort(order[np.append(~same, True)])
    return batch.take(pa.array(kept))


def ends_of(data: Any, schema: Schema, directed: bool = True) -> tuple[pa.RecordBatch, bool]:
    """Return source, destination and type of links, each once, and whether types were given; the rest is left out.

    Raises:
        InvalidInputError: as `validated_links`.

    """
    from vecdb.schema.ingest import whole

    if isinstance(data, Mapping):
        data = _ends(data)
    elif isinstance(data, Sequence):
        data = [_ends(one) if isinstance(one, Mapping) else one for one in data]
    columns = _ends(whole(data, schema, partial=False).columns)
    return validated_links(columns, schema, directed).select(list(ENDS)), TYPE in columns


def _ends(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in ENDS if name in record}


def direction_of(direction: Any) -> Direction:
    """Return a direction.

    Raises:
        InvalidInputError: it is none.

    """
    choice("direction", direction, get_args(Direction))
    return direction


def type_of(type: Any) -> str:
    """Return the type of links that are to be made.

    Raises:
        InvalidInputError: it is no text of 1 to 256 bytes.

    """
    if not isinstance(type, str) or not 1 <= len(type.encode("utf-8", "replace")) <= TYPE_BYTES:
        told = f"the type {shown(type)} is no text of 1 to {TYPE_BYTES} bytes"
        raise InvalidInputError(told, field=TYPE, value=type)
    return type


def types_of(type: Any) -> frozenset[str] | None:
    """Return the types that are asked for; None: all.

    Raises:
        InvalidInputError: one is no string.

    """
    if type is None:
        return None
    given = (type,) if isinstance(type, str) else listed("type", type, "strings, or one")
    for one in given:
        if not isinstance(one, str):
            raise InvalidInputError(f"type is {shown(one)}, expected a string or a list of them", field="type")
    return frozenset(given)
