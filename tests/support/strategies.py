"""What hypothesis draws for tests of a collection: cheap to draw, small when shrunk."""

from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from hypothesis import strategies as st

import vecdb
from support.model import BITS, DIMENSION, ID, Row
from vecdb.schema.fields import Field
from vecdb.schema.schema import Schema

# (number of the id, seed of all other values); see Model.row
seeds = st.tuples(st.integers(0, 9), st.integers(0, 255))
batches = st.lists(seeds, min_size=1, max_size=5, unique_by=lambda pair: pair[0])
numbers = st.lists(st.integers(0, 9), min_size=1, max_size=4)
forms = st.sampled_from(["records", "sparse", "arrays", "table", "reader"])

bits = st.sampled_from(["auto", "flat"]).map(lambda index: vecdb.Vector(BITS, dtype="binary", index=index))
vectors = bits | st.builds(
    lambda dtype, metric, index: vecdb.Vector(DIMENSION, dtype=dtype, metric=metric, index=index),
    st.sampled_from(["float32", "float16", "int8"]),
    st.sampled_from(["cosine", "dot", "l2"]),
    st.sampled_from(["hnsw", "auto"]),
)
indexes = st.sampled_from(["hnsw", "flat", "auto", vecdb.Hnsw(m=4, ef_construction=8)])
scalars = st.sampled_from(
    [vecdb.Int64(), vecdb.Bool(), vecdb.Keyword(), vecdb.Keyword(many=True), vecdb.Text(), vecdb.Json()]
)
new_columns: st.SearchStrategy[tuple[str, Field]] = st.tuples(st.sampled_from(["x", "y", "z"]), scalars | vectors)

settings = st.builds(
    lambda memtable, segment, versions, fan_in: {
        "memtable_bytes": memtable,
        "segment_bytes": segment,
        "retain_versions": versions,
        "merge_fan_in": fan_in,
    },
    st.sampled_from([1024, 8192]),
    st.sampled_from([1024, 20_000, 1 << 20]),
    st.sampled_from([1, 3]),
    st.sampled_from([2, 3]),
)


def as_input(rows: list[Row], form: str, schema: Schema) -> Any:
    """Return rows in one of the forms that upsert takes."""
    if form == "records":
        return rows[0] if len(rows) == 1 else rows
    if form == "sparse":
        return [{name: value for name, value in row.items() if value is not None or name == ID} for row in rows]
    if form == "arrays":
        return {name: [row[name] for row in rows] for name in rows[0]}
    table = as_table(rows, schema)
    if form == "table":
        return table
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=2))


def as_table(rows: list[Row], schema: Schema) -> pa.Table:
    """Return rows as an Arrow table of exactly the fields' types."""
    arrays = []
    for column in schema.columns:
        values = [row[column.name] for row in rows]
        if isinstance(column.field, vecdb.Vector):
            dtype = column.field.arrow_type.value_type.to_pandas_dtype()
            values = [None if value is None else np.asarray(value, dtype) for value in values]
        elif column.field.kind == "json":
            values = [None if value is None else orjson.dumps(value).decode() for value in values]
        arrays.append(pa.array(values, column.field.arrow_type))
    return pa.table(arrays, schema=schema.arrow_schema())
