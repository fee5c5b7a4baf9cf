"""The edge where records come in: everything that is stored passed through here, and nothing behind checks again.

A batch that comes out has exactly the columns of `schema.arrow_schema()` (a patch: the id and those that were
given), every value fits its field, every array is contiguous at offset 0, a row without a vector is null over zeros.

Either a whole batch comes out or an error that names field, row and value; the input is never changed, and what
comes out does not follow later changes of NumPy arrays or lists that went in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from vecdb.errors import InvalidInputError
from vecdb.schema.limits import DEFAULT_LIMITS, Limits
from vecdb.schema.schema import Schema

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.schema.ingest import Chunk


def validated(
    data: Any, schema: Schema, limits: Limits = DEFAULT_LIMITS, partial: bool = False
) -> Iterator[pa.RecordBatch]:
    """Check data batch by batch, holding one batch in memory at a time.

    A stream or table comes out in its own batches, anything longer than limits.batch_rows is cut. An id may come
    twice in different batches, but not in one. No rows give no batch.

    Args:
        data: a record (dict), records (list of dict), columns (dict of lists or arrays, vectors as (n, d)), an Arrow
            table, batch or reader, or anything with `__arrow_c_stream__` or `__arrow_c_array__` (pandas, Polars).
        schema: the fields.
        limits: the sizes above which a value is refused.
        partial: take any columns beside the id, and return only those, the id first.

    Raises:
        InvalidInputError: a value does not fit; the rows of an error count from 0 in the whole input. Batches
            before it have come out already.
        UnknownFieldError: the schema has no such field.
        DimensionMismatchError: a vector has another number of values than its field.
        DuplicateIdError: an id comes twice in one batch.

    """
    from vecdb.schema.ingest import chunks

    first_row = 0
    for chunk in chunks(data, schema, partial, limits.batch_rows):
        yield _batch(chunk, schema, limits, partial, first_row)
        first_row += chunk.rows


def validated_batch(
    data: Any, schema: Schema, limits: Limits = DEFAULT_LIMITS, partial: bool = False
) -> pa.RecordBatch:
    """Check data and return all of it as one batch, perhaps of no rows.

    The arguments and errors are those of `validated`; more rows than limits.batch_rows are refused. One record of
    plain values (str, int, float, an array of the vector's own dtype) takes a shortcut of some microseconds.
    """
    record = data[0] if type(data) is list and len(data) == 1 else data
    if type(record) is dict:
        from vecdb.schema.one_row import one_row

        batch = one_row(schema).batch(record, limits, partial)
        if batch is not None:
            return batch
    from vecdb.schema.ingest import whole

    chunk = whole(data, schema, partial)
    if chunk.rows > limits.batch_rows:
        raise InvalidInputError(f"a batch of {chunk.rows} rows is above the limit of {limits.batch_rows}")
    return _batch(chunk, schema, limits, partial, 0)


def _batch(chunk: Chunk, schema: Schema, limits: Limits, partial: bool, first_row: int) -> pa.RecordBatch:
    import pyarrow as pa

    from vecdb.schema.blame import Blame
    from vecdb.schema.checks import check_ids, check_row_bytes
    from vecdb.schema.columns import column_array
    from vecdb.schema.from_arrow import nulls

    for name in chunk.columns:
        if name not in schema:
            raise schema.unknown(name)
    if schema.id.name not in chunk.columns and (chunk.columns or chunk.rows):
        raise InvalidInputError(f"the id is missing: no field {schema.id.name!r} in the input", field=schema.id.name)
    columns = [schema.id, *(column for column in schema if column is not schema.id)] if partial else schema.columns
    columns = [column for column in columns if column is schema.id or not partial or column.name in chunk.columns]
    arrays = []
    for column in columns:
        source = chunk.columns.get(column.name)
        blame = Blame(column.name, first_row)
        array = nulls(chunk.rows, column.field) if source is None else column_array(source, column.field, blame, limits)
        if column is schema.id:
            check_ids(array, blame)
        arrays.append(array)
    batch = pa.RecordBatch.from_arrays(
        arrays, schema=pa.schema([(column.name, column.field.arrow_type) for column in columns])
    )
    check_row_bytes(batch, limits, first_row)
    return batch
