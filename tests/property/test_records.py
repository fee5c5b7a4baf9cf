"""Laws of the edge where records come in, over random records in random forms."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from vecdb.errors import DuplicateIdError, InvalidInputError
from vecdb.schema import (
    Bool,
    Float64,
    Geo,
    Id,
    Int64,
    Json,
    Keyword,
    Limits,
    Schema,
    Sparse,
    Text,
    Timestamp,
    Vector,
    validated,
    validated_batch,
)
from vecdb.schema.one_row import one_row

SCHEMA = Schema(
    id=Id(),
    title=Text(),
    topic=Keyword(),
    tags=Keyword(many=True),
    draft=Bool(),
    size=Int64(),
    price=Float64(),
    added=Timestamp(),
    extra=Json(),
    place=Geo(),
    embedding=Vector(3),
    half=Vector(2, "float16", "dot"),
    code=Vector(2, "int8", "l2"),
    bits=Vector(16, "binary"),
    terms=Sparse(1000),
)

TEXT = st.text(max_size=8)
FINITE32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
FINITE64 = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), FINITE64, TEXT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
# A str would be taken as JSON text, so it is wrapped.
VALUES: dict[str, SearchStrategy[Any]] = {
    "title": TEXT,
    "topic": TEXT,
    "tags": st.lists(TEXT, max_size=3),
    "draft": st.booleans(),
    "size": st.integers(-(2**63), 2**63 - 1),
    "price": FINITE64,
    "added": st.datetimes(timezones=st.just(UTC)),
    "extra": JSON.map(lambda value: [value] if isinstance(value, str) else value),
    "place": st.fixed_dictionaries({"lat": st.floats(-90, 90), "lon": st.floats(-180, 180)}),
    "embedding": st.lists(FINITE32, min_size=3, max_size=3).filter(any),
    "half": st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), min_size=2, max_size=2),
    "code": st.lists(st.integers(-128, 127), min_size=2, max_size=2),
    "terms": st.dictionaries(st.integers(0, 999), st.floats(0, 10, width=32), max_size=4),
    "bits": st.lists(st.integers(0, 255), min_size=2, max_size=2),
}
NULLABLE = {name: st.none() | values for name, values in VALUES.items()}


def records(min_size: int = 0) -> SearchStrategy[list[dict[str, Any]]]:
    record = st.fixed_dictionaries({"id": st.text(min_size=1, max_size=8)}, optional=NULLABLE)
    return st.lists(record, min_size=min_size, max_size=6, unique_by=lambda record: record["id"])


def oracle(record: dict[str, Any]) -> dict[str, Any]:
    """Say what a record must look like when it is read back."""
    full: dict[str, Any] = {column.name: record.get(column.name) for column in SCHEMA}
    if full["extra"] is not None:
        full["extra"] = json.loads(json.dumps(full["extra"]))
    if full["terms"] is not None:
        full["terms"] = [{"index": term, "value": worth} for term, worth in sorted(full["terms"].items()) if worth]
    return full


def read_back(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    rows = batch.to_pylist()
    for row in rows:
        if row["extra"] is not None:
            row["extra"] = json.loads(row["extra"])
    return rows


@settings(deadline=None)
@given(rows=records())
def test_what_goes_in_comes_out(rows: list[dict[str, Any]]) -> None:
    batch = validated_batch(rows, SCHEMA)

    batch.validate(full=True)
    assert batch.schema == SCHEMA.arrow_schema()
    assert read_back(batch) == [oracle(row) for row in rows]


@settings(deadline=None)
@given(rows=records(min_size=1), data=st.data())
def test_the_form_of_the_input_makes_no_difference(rows: list[dict[str, Any]], data: DataObject) -> None:
    expected = validated_batch(rows, SCHEMA)
    columns = {name: [row.get(name) for row in rows] for name in {name for row in rows for name in row}}
    # Garbage around the slice must not be seen: not by the values, not by the checks.
    around = pa.concat_batches([expected, expected])
    start = data.draw(st.integers(0, len(rows)))
    rotated = rows[start:] + rows[:start]
    chunk = data.draw(st.integers(1, len(rows)))
    table = pa.Table.from_batches([expected])

    assert validated_batch(columns, SCHEMA).equals(expected)
    assert validated_batch(table, SCHEMA).equals(expected)
    sliced = validated_batch(around.slice(start, len(rows)), SCHEMA)
    assert sliced.equals(validated_batch(rotated, SCHEMA))
    assert all(column.offset == 0 for column in sliced.columns)
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=chunk))
    assert validated_batch(reader, SCHEMA).equals(expected)
    cut = list(validated(rows, SCHEMA, Limits(batch_rows=chunk)))
    assert pa.concat_batches(cut).equals(expected)


WIDER: dict[str, list[pa.DataType]] = {
    "id": [pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())],
    "title": [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
    "tags": [pa.large_list(pa.large_string()), pa.list_view(pa.string_view()), pa.large_list_view(pa.string())],
    "added": [pa.timestamp("us"), pa.timestamp("us", tz="Asia/Tokyo")],
    "embedding": [
        pa.list_(pa.float64()),
        pa.large_list(pa.float32()),
        pa.list_(pa.float64(), 3),
        pa.list_view(pa.float32()),
    ],
    "half": [pa.list_(pa.float16()), pa.list_(pa.float32(), 2), pa.list_(pa.float64())],
    "code": [pa.list_(pa.int64()), pa.list_(pa.int16(), 2), pa.list_(pa.float32()), pa.large_list(pa.int8())],
    "bits": [pa.list_(pa.int64()), pa.list_(pa.uint16(), 2), pa.list_view(pa.uint8()), pa.binary(), pa.binary(2)],
}


@settings(deadline=None)
@given(rows=records(min_size=1), data=st.data())
def test_a_column_of_a_wider_arrow_type_means_the_same(rows: list[dict[str, Any]], data: DataObject) -> None:
    expected = validated_batch(rows, SCHEMA)
    arrays = dict(zip(expected.schema.names, expected.columns, strict=True))
    for name, types in WIDER.items():
        type_ = data.draw(st.sampled_from(types), label=name)
        values = arrays[name].to_pylist()
        if pa.types.is_binary(type_) or pa.types.is_fixed_size_binary(type_):
            values = [None if value is None else bytes(value) for value in values]
        if pa.types.is_timestamp(type_):
            arrays[name] = arrays[name].view(type_)
        else:
            front = data.draw(st.integers(0, 2), label=f"{name} front")
            arrays[name] = pa.array([*values[:1] * front, *values], type_).slice(front)

    assert validated_batch(pa.table(arrays), SCHEMA).equals(expected)


@settings(deadline=None)
@given(rows=records(min_size=1))
def test_vectors_are_a_matrix_with_zeros_under_nulls(rows: list[dict[str, Any]]) -> None:
    batch = validated_batch(rows, SCHEMA)

    for column in SCHEMA.vectors:
        array = batch.column(column.name)
        held = column.field.arrow_type
        expected = [row.get(column.name) or [0] * held.list_size for row in rows]
        matrix = array.values.to_numpy().reshape(len(rows), held.list_size)
        np.testing.assert_array_equal(matrix, np.array(expected, held.value_type.to_pandas_dtype()))
        assert array.values.null_count == 0
        assert array.is_null().to_pylist() == [row.get(column.name) is None for row in rows]


ODD: SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=4),
    st.text(st.characters(), max_size=3),
    st.binary(max_size=3),
    st.datetimes(),
    st.dates(),
    st.lists(st.floats() | st.integers(-(2**70), 2**70) | st.none() | st.text(max_size=2) | st.booleans(), max_size=4),
    st.lists(st.floats(width=32), min_size=3, max_size=3).map(lambda values: np.array(values, np.float32)),
    st.lists(st.floats(width=16), min_size=2, max_size=2).map(lambda values: np.array(values, np.float16)),
    st.lists(st.floats(), min_size=3, max_size=3).map(np.array),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3).map(np.array),
    st.dictionaries(st.text(max_size=2) | st.integers(), st.floats() | st.none() | st.integers(), max_size=3),
    st.builds(np.float32, st.floats(width=32)),
    st.builds(np.int64, st.integers(-(2**63), 2**63 - 1)),
    st.just(np.datetime64("NaT")),
    st.just(object()),
    st.just({1, 2}),
    st.just(1j),
)
NAMES = st.sampled_from([*(column.name for column in SCHEMA), "unknown"])


def outcome(data: Any, partial: bool) -> pa.RecordBatch | InvalidInputError:
    try:
        return validated_batch(data, SCHEMA, partial=partial)
    except InvalidInputError as error:
        return error


@settings(deadline=None)
@given(
    record=st.fixed_dictionaries({"id": st.text(min_size=1, max_size=4)}, optional={**NULLABLE, "odd": ODD}),
    name=NAMES,
    partial=st.booleans(),
)
def test_one_record_has_one_outcome_whether_it_takes_the_shortcut_or_not(
    record: dict[str, Any], name: str, partial: bool
) -> None:
    if "odd" in record:
        record[name] = record.pop("odd")
    # With a list or an array for its id, a dict is a batch of columns.
    assume(isinstance(record["id"], str | bytes) or not hasattr(record["id"], "__len__"))
    second = dict.fromkeys(record) | {"id": "a second record"}

    alone = outcome(record, partial)
    among = outcome([record, second], partial)

    if isinstance(alone, InvalidInputError) or isinstance(among, InvalidInputError):
        assert type(alone) is type(among)
    else:
        assert pa.concat_batches([among.slice(0, 1)]).equals(alone)
    if one_row(SCHEMA).batch(record, Limits(), partial) is not None:
        assert isinstance(alone, pa.RecordBatch)


@settings(deadline=None)
@given(rows=st.lists(st.dictionaries(NAMES, ODD, max_size=4), max_size=3), partial=st.booleans())
def test_no_record_raises_anything_but_an_input_error(rows: list[dict[str, Any]], partial: bool) -> None:
    found = outcome(rows, partial)

    if not isinstance(found, InvalidInputError):
        found.validate(full=True)
        assert found.num_rows == len(rows)


@settings(deadline=None)
@given(columns=st.dictionaries(NAMES, ODD | st.lists(ODD, max_size=3), max_size=4), partial=st.booleans())
def test_no_columns_raise_anything_but_an_input_error(columns: dict[str, Any], partial: bool) -> None:
    found = outcome(columns, partial)

    if not isinstance(found, InvalidInputError):
        found.validate(full=True)


ARROW = st.sampled_from(
    [
        pa.int8(),
        pa.uint64(),
        pa.float16(),
        pa.float64(),
        pa.bool_(),
        pa.string(),
        pa.binary(),
        pa.list_(pa.uint8(), 2),
        pa.list_(pa.bool_(), 16),
        pa.large_string(),
        pa.date32(),
        pa.date64(),
        pa.timestamp("s"),
        pa.timestamp("ns", tz="UTC"),
        pa.duration("us"),
        pa.time64("us"),
        pa.decimal128(10, 2),
        pa.list_(pa.float32()),
        pa.list_(pa.string()),
        pa.list_(pa.float64(), 3),
        pa.list_(pa.list_(pa.int8())),
        pa.struct([("a", pa.int64()), ("b", pa.list_(pa.float32()))]),
        pa.dictionary(pa.int8(), pa.string()),
        pa.null(),
    ]
)


@settings(deadline=None)
@given(name=NAMES, type_=ARROW, rows=st.integers(0, 3), nulls=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_no_arrow_type_raises_anything_but_an_input_error(
    name: str, type_: pa.DataType, rows: int, nulls: bool, seed: int
) -> None:
    ids = pa.array([f"{row}" for row in range(rows)])
    array = pa.nulls(rows, type_) if nulls else arbitrary(type_, rows, np.random.default_rng(seed))

    found = outcome(pa.table({"id": ids} | {name: array}), partial=False)

    if not isinstance(found, InvalidInputError):
        found.validate(full=True)
        assert found.num_rows == rows


def arbitrary(type_: pa.DataType, rows: int, rng: np.random.Generator) -> pa.Array:
    """Return values of the type made from random bits, so that extreme and odd ones are common."""
    if pa.types.is_null(type_):
        return pa.nulls(rows)
    if pa.types.is_struct(type_):
        fields = [type_.field(place) for place in range(type_.num_fields)]
        return pa.StructArray.from_arrays([arbitrary(field.type, rows, rng) for field in fields], fields=fields)
    if pa.types.is_fixed_size_list(type_):
        return pa.FixedSizeListArray.from_arrays(arbitrary(type_.value_type, rows * type_.list_size, rng), type=type_)
    if pa.types.is_list(type_):
        offsets = np.concatenate([[0], np.cumsum(rng.integers(0, 5, rows))]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), arbitrary(type_.value_type, int(offsets[-1]), rng))
    if pa.types.is_dictionary(type_):
        return arbitrary(type_.value_type, rows, rng).cast(type_)
    if pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_binary(type_):
        words = ["", "a", "1", "null", '{"a": NaN}', "2024-05-01", "ü" * 300, "10000-01-01"]
        return pa.array(rng.choice(words, rows).tolist(), pa.string()).cast(type_)
    if pa.types.is_boolean(type_):
        return pa.array(rng.integers(0, 2, rows).astype(bool))
    width = type_.bit_width // 8
    small = type_ == pa.date64() or rng.integers(0, 2)
    data = rng.integers(0, 100, rows * width // 8 + 1).tobytes() if small else rng.bytes(rows * width)
    return pa.Array.from_buffers(type_, rows, [None, pa.py_buffer(data)])


@settings(deadline=None)
@given(ids=st.lists(st.text(min_size=1, max_size=2), max_size=8), partial=st.booleans())
def test_a_batch_is_refused_exactly_when_an_id_comes_twice(ids: list[str], partial: bool) -> None:
    found = outcome({"id": ids}, partial)

    if len(set(ids)) == len(ids):
        assert isinstance(found, pa.RecordBatch)
    else:
        first = next(row for row, value in enumerate(ids) if value in ids[:row])
        assert isinstance(found, DuplicateIdError)
        assert found.row == first


@settings(deadline=None)
@given(
    rows=st.integers(1, 600),
    dimension=st.integers(1, 9),
    dtype=st.sampled_from(["float32", "float16", "int8"]),
    metric=st.sampled_from(["cosine", "dot", "l2"]),
    bad=st.sampled_from([None, math.nan, math.inf, -math.inf, 0.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_one_bad_vector_anywhere_is_found(
    rows: int, dimension: int, dtype: Any, metric: Any, bad: float | None, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.integers(1, 100, (rows, dimension)).astype(np.float32)
    row = int(rng.integers(rows))
    if bad == 0.0:
        matrix[row] = 0
    elif bad is not None:
        matrix[row, rng.integers(dimension)] = bad
    schema = Schema(id=Id("int64"), v=Vector(dimension, dtype, metric))

    refused = None
    try:
        validated_batch({"id": np.arange(rows), "v": matrix}, schema)
    except InvalidInputError as error:
        refused = error.row

    expected = row if bad is not None and (bad != 0.0 or metric == "cosine") else None
    assert refused == expected


def test_the_oracle_sees_a_difference() -> None:
    batch = validated_batch([{"id": "a", "added": datetime(2024, 5, 1)}], SCHEMA)

    assert read_back(batch) != [oracle({"id": "a", "added": datetime(2024, 5, 2, tzinfo=UTC)})]
