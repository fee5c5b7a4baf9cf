"""The shortcut takes plain records, and leaves every other to the general way."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

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
    validated_batch,
)
from vecdb.schema.one_row import one_row

SCHEMA = Schema(
    embedding=Vector(3),
    id=Id(),
    title=Text(),
    tags=Keyword(many=True),
    draft=Bool(),
    size=Int64(),
    price=Float64(),
    added=Timestamp(),
    extra=Json(),
    place=Geo(),
    half=Vector(3, "float16", "dot"),
    code=Vector(3, "int8", "l2"),
    bits=Vector(24, "binary"),
    terms=Sparse(),
)
RECORD: dict[str, Any] = {
    "id": "a",
    "title": "ü",
    "tags": ["x", "y"],
    "draft": False,
    "size": -5,
    "price": 0.25,
    "added": datetime(2024, 5, 1, 12, tzinfo=UTC),
    "extra": {"b": [1, None], "a": "x"},
    "place": (52.5, 13.4),
    "embedding": np.array([1, 2, 3], np.float32),
    "half": np.array([0, 0, 0], np.float16),
    "code": np.array([0, -128, 127], np.int8),
    "bits": bytes([0, 128, 255]),
    "terms": {7: 0.5, 3: 1.25, 4: 0.0},
}


def general(record: dict[str, Any], schema: Schema = SCHEMA, partial: bool = False) -> pa.RecordBatch:
    """Add a second record and take it away again: two records never take the shortcut."""
    other = dict.fromkeys(record) | {"id": "another"}
    both = validated_batch([record, other], schema, partial=partial)
    return pa.concat_batches([both.slice(0, 1)])


def test_a_plain_record_gives_the_same_batch_as_the_general_way() -> None:
    batch = one_row(SCHEMA).batch(RECORD, Limits())

    assert batch is not None
    batch.validate(full=True)
    assert batch.schema == SCHEMA.arrow_schema()
    assert batch.equals(general(RECORD))
    assert all(column.offset == 0 for column in batch.columns)


@pytest.mark.parametrize("name", [name for name in RECORD if name != "id"])
@pytest.mark.parametrize("drop", [False, True])
def test_a_missing_or_null_value_gives_the_same_batch_as_the_general_way(name: str, drop: bool) -> None:
    record = {key: value for key, value in RECORD.items() if key != name} if drop else {**RECORD, name: None}

    batch = one_row(SCHEMA).batch(record, Limits())

    assert batch is not None
    assert batch.equals(general(record))
    assert batch.column(name).null_count == 1


PLAIN: list[dict[str, Any]] = [
    {"embedding": [1.0, 2.0, 3]},
    {"embedding": np.array([1.0, 2.0, 1e-300])},
    {"embedding": np.array([9, 1, 9, 2, 9, 3], np.float32)[1::2]},
    {"title": ""},
    {"title": "x" * 100_000},
    {"tags": []},
    {"extra": '{"b": 1}'},
    {"extra": "null"},
    {"added": datetime(2024, 5, 1)},
    {"size": 2**63 - 1},
    {"price": -0.0},
]


@pytest.mark.parametrize("values", PLAIN)
def test_other_plain_values_take_the_shortcut_too(values: dict[str, Any]) -> None:
    record = {"id": "a", **values}

    batch = one_row(SCHEMA).batch(record, Limits())

    assert batch is not None
    batch.validate(full=True)
    assert batch.equals(general(record))


@pytest.mark.parametrize(
    "values",
    [
        {"id": None},
        {"id": ""},
        {"id": "x" * 513},
        {"id": 5},
        {"id": ["a"]},
        {"id": "\ud800"},
        {"title": b"x"},
        {"title": "\ud800"},
        {"title": "x" * 2**20},
        {"tags": "x"},
        {"tags": [5]},
        {"tags": ("x",)},
        {"draft": 1},
        {"size": True},
        {"size": 2**63},
        {"size": np.int64(5)},
        {"price": 1},
        {"price": float("nan")},
        {"added": "2024-05-01"},
        {"extra": "hello"},
        {"extra": float("nan")},
        {"embedding": [1.0, 2.0]},
        {"embedding": [1.0, 2.0, True]},
        {"embedding": [0.0, 0.0, 0.0]},
        {"embedding": [1.0, 2.0, float("nan")]},
        {"embedding": [1.0, 2.0, 10**400]},
        {"embedding": np.array([1e300, 0, 0])},
        {"embedding": np.array([1e38, 0, 0], np.float32)},
        {"embedding": np.array([1e19, 0, 0], np.float32)},
        {"embedding": np.array([1e-30, 0, 0], np.float32)},
        {"embedding": np.array([1, 2, np.inf], np.float32)},
        {"embedding": np.ma.masked_array([1, 2, 3], [True, False, False], np.float32)},
        {"half": np.array([1, np.nan, 0], np.float16)},
        {"half": np.array([1, 2, 3], np.float32)},
        {"code": np.array([1, 2, 3], np.int16)},
        {"unknown": 5},
    ],
)
def test_any_doubt_is_left_to_the_general_way(values: dict[str, Any]) -> None:
    assert one_row(SCHEMA).batch({"id": "a", **values}, Limits()) is None


@pytest.mark.parametrize(
    ("dtype", "metric", "taken"),
    [("float16", "cosine", False), ("float16", "l2", True), ("int8", "cosine", False), ("int8", "dot", True)],
)
def test_a_zero_vector_is_left_to_the_general_way_by_cosine(dtype: Any, metric: Any, taken: bool) -> None:
    writer = one_row(Schema(id=Id("int64"), v=Vector(2, dtype, metric)))

    assert (writer.batch({"id": 1, "v": np.zeros(2, dtype)}, Limits()) is not None) == taken


@pytest.mark.parametrize("wrap", [lambda record: record, lambda record: [record]])
def test_the_public_function_takes_the_shortcut_for_one_record(
    wrap: Callable[[dict[str, Any]], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import vecdb.schema.ingest

    monkeypatch.delattr(vecdb.schema.ingest, "whole")

    assert validated_batch(wrap(RECORD), SCHEMA).num_rows == 1
    assert validated_batch(wrap({"id": "a", "size": 1}), SCHEMA, partial=True).num_rows == 1


def test_a_patch_of_one_record_has_the_id_first_and_only_what_was_given() -> None:
    record = {"size": 5, "extra": None, "id": "a", "embedding": RECORD["embedding"]}

    batch = one_row(SCHEMA).batch(record, Limits(), partial=True)

    assert batch is not None
    assert batch.schema.names == ["id", "embedding", "size", "extra"]
    assert batch.equals(general(record, partial=True))


def test_the_limit_of_a_row_counts_all_its_text() -> None:
    record = {"id": "a" * 10, "title": "ü" * 10, "tags": ["x" * 5, "y" * 5], "extra": ["z"]}

    assert one_row(SCHEMA).batch(record, Limits(row_bytes=45)) is not None
    assert one_row(SCHEMA).batch(record, Limits(row_bytes=44)) is None


def test_equal_schemas_share_a_writer() -> None:
    assert one_row(Schema(id=Id())) is one_row(Schema(id=Id()))
