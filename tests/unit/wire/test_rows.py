import random
import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import vecdb
from vecdb.errors import InvalidInputError
from vecdb.schema.records import validated_batch
from vecdb.wire import results, rows
from vecdb.wire.rows import Bounds
from vecdb_proto.v1 import values_pb2 as pb

SCHEMA = vecdb.Schema(
    id=vecdb.Id(),
    text=vecdb.Text(),
    tags=vecdb.Keyword(many=True),
    known=vecdb.Bool(),
    size=vecdb.Int64(),
    added=vecdb.Timestamp(),
    extra=vecdb.Json(),
    place=vecdb.Geo(),
    a=vecdb.Vector(4),
    terms=vecdb.Sparse(),
)
BATCH = validated_batch(
    [
        {
            "id": f"r{at}",
            "text": "text " * at,
            "tags": ["a", "bb"],
            "known": at % 2 == 0,
            "size": at,
            "added": "2024-01-01",
            "extra": {"a": [at]},
            "place": (1.0, 2.0),
            "a": [1, 2, 3, at],
            "terms": {1: 0.5, at + 2: 1.0},
        }
        for at in range(7)
    ]
    + [{"id": "nothing else"}],
    SCHEMA,
)


def message_of(batch: pa.RecordBatch, **options: Any) -> pb.Rows:
    return pb.Rows.FromString(rows.to_message(batch, **options).SerializeToString())


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_damaged_rows_are_rows_or_an_input_error(seed: int, compression: str | None) -> None:
    """Whatever is let through can be looked at whole, and a collection takes it or says what is wrong with it."""
    rng = random.Random(seed)
    whole = rows.to_message(BATCH, SCHEMA.columns, compression=compression)
    for _ in range(25):
        schema, batch = bytearray(whole.schema), bytearray(whole.batch)
        for _ in range(rng.randint(1, 3)):
            content = batch if rng.random() < 0.8 else schema
            at = rng.randrange(len(content) - 8)
            if rng.random() < 0.6:
                content[at] = rng.randrange(256)
            else:
                number = rng.choice([-1, 0, 1, 2**31, 2**40, 2**62, -(2**62), rng.randrange(5000)])
                content[at - at % 4 : at - at % 4 + 8] = struct.pack("<q", number)
        if rng.random() < 0.1:
            del batch[rng.randrange(len(batch)) :]
        message = pb.Rows(schema=bytes(schema), batch=bytes(batch), kinds=whole.kinds)
        try:
            found = rows.from_message(message)
            kinds = rows.kinds_from_message(message, found.num_columns)
            results.python_columns(found, kinds)
            validated_batch(found, SCHEMA)
        except InvalidInputError:
            continue


def test_a_buffer_that_claims_to_hold_more_than_it_may_is_refused_before_memory_is_taken() -> None:
    message = message_of(pa.record_batch({"a": pa.array(np.arange(1000))}), compression="zstd")
    claimed = message.batch.replace(struct.pack("<q", 8000), struct.pack("<q", 1 << 40), 1)
    assert claimed != message.batch

    with pytest.raises(InvalidInputError, match="200 times as many"):
        rows.from_message(pb.Rows(schema=message.schema, batch=claimed))


def test_rows_that_hold_far_more_than_they_are_compressed_to_are_refused() -> None:
    message = message_of(pa.record_batch({"a": pa.array(np.zeros(1 << 20))}), compression="zstd")
    assert len(message.batch) < (8 << 20) / 200

    with pytest.raises(InvalidInputError, match="compressed to"):
        rows.from_message(message)
    assert rows.from_message(message, bounds=Bounds(ratio=100_000)).num_rows == 1 << 20


def test_a_small_batch_may_be_compressed_as_far_as_it_can_be() -> None:
    batch = pa.record_batch({"a": pa.array(np.zeros(1 << 16))})

    assert rows.from_message(message_of(batch, compression="zstd")).equals(batch)


@pytest.mark.parametrize("compression", [None, "lz4"])
def test_more_rows_than_may_be_are_refused(compression: str | None) -> None:
    batch = pa.record_batch({"a": pa.array(range(11))})

    with pytest.raises(InvalidInputError, match="11 rows, at most 10"):
        rows.from_message(message_of(batch, compression=compression), bounds=Bounds(rows=10))
    assert rows.from_message(message_of(batch, compression=compression), bounds=Bounds(rows=11)).num_rows == 11


def test_rows_without_any_bytes_are_counted_too() -> None:
    message = message_of(pa.record_batch({"a": pa.nulls(4711)}))
    message.batch = message.batch.replace(struct.pack("<q", 4711), struct.pack("<q", 1 << 40))

    with pytest.raises(InvalidInputError, match="1099511627776 rows"):
        rows.from_message(message)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (pb.Rows(), "without a schema"),
        (pb.Rows(schema=b"x", batch=b"y"), "no valid Arrow schema"),
        (pb.Rows(schema=message_of(BATCH).schema), "no valid Arrow record batch"),
        (pb.Rows(schema=message_of(BATCH).schema, batch=message_of(BATCH).schema), "are a schema"),
        (pb.Rows(schema=message_of(BATCH).batch, batch=message_of(BATCH).batch), "no valid Arrow schema"),
        (
            message_of(pa.record_batch({f"c{at}": pa.array([1]) for at in range(4097)})),
            "4097 columns, at most 4096",
        ),
    ],
)
def test_what_is_no_rows_is_refused(message: pb.Rows, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        rows.from_message(message)


def test_dictionaries_are_refused() -> None:
    batch = pa.record_batch({"a": pa.array(["x", "y"]).dictionary_encode()})

    with pytest.raises(InvalidInputError, match="no valid Arrow record batch"):
        rows.from_message(message_of(batch))


def test_texts_that_are_no_utf8_are_refused() -> None:
    broken = pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())

    with pytest.raises(InvalidInputError, match="UTF8"):
        rows.from_message(message_of(pa.record_batch({"a": broken})))


def test_offsets_that_lead_outside_are_refused() -> None:
    offsets, data = pa.array([0, 1_000_000, 3], pa.int32()), pa.py_buffer(b"abc")
    outside = pa.StringArray.from_buffers(2, offsets.buffers()[1], data)  # this looks at the last one only

    with pytest.raises(InvalidInputError, match="no valid Arrow record batch"):
        rows.from_message(message_of(pa.record_batch([outside], ["a"])))


def test_there_are_as_many_kinds_as_columns_or_none() -> None:
    with pytest.raises(InvalidInputError, match="2 columns and 1 kinds"):
        rows.kinds_from_message(pb.Rows(kinds=[pb.COLUMN_KIND_JSON]), 2)
    assert rows.kinds_from_message(pb.Rows(), 2) == ["plain", "plain"]


def test_a_value_that_is_not_what_its_kind_says_is_an_input_error() -> None:
    batch = pa.record_batch({"a": ["{"]})

    for kind in ("json", "vector", "sparse"):
        with pytest.raises(InvalidInputError, match="cannot be read"):
            results.python_columns(batch, [kind])
