"""Uploads of many parts under one request id: each part is stored once, and those that are stored are told."""

from typing import Any

import pyarrow as pa
import pytest

from support import contract
from vecdb.errors import InvalidInputError, RequestMismatchError


def part(number: int, rows: int = 10) -> list[dict[str, Any]]:
    """Return the rows of a part."""
    return [{"id": f"p{number}-{at}", "size": at, "embedding": contract.vector(at)} for at in range(rows)]


def test_parts_are_stored_once_whatever_their_order_and_told(docs: Any) -> None:
    for number in (3, 0, 3, 7):
        done = docs.upsert(part(number), request_id="upload 1", chunk=number)
        assert done.rows == 10

    assert docs.stored_chunks("upload 1") == [0, 3, 7]
    assert docs.stored_chunks("upload 2") == []
    assert docs.count("id startswith 'p'") == 30


def test_a_part_of_more_rows_than_a_message_holds_is_one_step(docs: Any) -> None:
    many = pa.table({"id": [f"many{at}" for at in range(12_000)], "size": list(range(12_000))})

    first = docs.upsert(many, request_id="upload 1", chunk=4)

    assert docs.upsert(many, request_id="upload 1", chunk=4) == first
    assert docs.stored_chunks("upload 1") == [4]
    assert docs.count("id startswith 'many'") == 12_000


def test_a_reader_under_a_request_id_is_stored_once(docs: Any) -> None:
    schema = pa.schema([("id", pa.string()), ("size", pa.int64())])

    def reader() -> pa.RecordBatchReader:
        batches = [pa.record_batch({"id": [f"x{at}"], "size": [at]}, schema=schema) for at in range(3)]
        return pa.RecordBatchReader.from_batches(schema, batches)

    first = docs.upsert(reader(), request_id="upload 1")
    docs.delete("x1")
    again = docs.upsert(reader(), request_id="upload 1")

    assert (first.rows, again.rows) == (3, 3)
    assert docs.get("x1") is None
    assert docs.stored_chunks("upload 1") == list(range(len(docs.stored_chunks("upload 1"))))


def test_a_bulk_load_is_taken_up_again_with_what_is_left(docs: Any) -> None:
    load = docs.bulk(request_id="upload 1")
    assert [load.add(part(number), chunk=number) for number in (5, 2)] == [10, 10]
    assert load.pending_chunks == [5, 2]
    load.commit()
    assert load.pending_chunks == []
    load.add(part(9), chunk=9)
    load.abandon()
    assert docs.stored_chunks("upload 1") == [2, 5]
    docs.delete("p5-0")

    with docs.bulk(request_id="upload 1") as load:
        assert [load.add(part(number), chunk=number) for number in (2, 5, 9, 9)] == [0, 0, 10, 0]
        assert (load.rows, load.pending_chunks) == (10, [9])

    assert load.rows_committed == 10
    assert docs.stored_chunks("upload 1") == [2, 5, 9]
    assert docs.count("id startswith 'p'") == 29


def test_a_large_part_of_a_bulk_load_is_one_step(docs: Any) -> None:
    many = pa.table({"id": [f"many{at}" for at in range(25_000)], "size": list(range(25_000))})

    with docs.bulk(rows_per_segment=4_000, request_id="upload 1") as load:
        assert load.add(many, chunk=0) == 25_000

    assert docs.stored_chunks("upload 1") == [0]
    with docs.bulk(request_id="upload 1") as load:
        assert load.add(many, chunk=0) == 0
    assert docs.count("id startswith 'many'") == 25_000


def test_a_part_that_comes_with_other_rows_is_refused_and_the_load_goes_on(docs: Any) -> None:
    docs.upsert(part(1), request_id="upload 1", chunk=1)
    with pytest.raises(RequestMismatchError, match="chunk 1, was used before"):
        docs.upsert(part(2), request_id="upload 1", chunk=1)

    with docs.bulk(request_id="upload 2") as load:
        load.add(part(3), chunk=3)
        with pytest.raises(RequestMismatchError, match="chunk 3, was used before"):
            load.add(part(4), chunk=3)
        load.add(part(5), chunk=5)

    assert docs.stored_chunks("upload 2") == [3, 5]
    assert docs.count("id startswith 'p'") == 30


def test_a_number_and_a_request_id_belong_together(docs: Any) -> None:
    reader = pa.table({"id": ["a"]}).to_reader()
    for call, told in (
        (lambda: docs.upsert(part(1), chunk=1), "chunk 1 belongs to an upload"),
        (lambda: docs.link({"src": "a", "dst": "b"}, chunk=1), "chunk 1 belongs to an upload"),
        (lambda: docs.upsert(part(1), request_id="x", chunk=-1), "chunk is -1"),
        (lambda: docs.upsert(reader, request_id="x", chunk=1), "a reader is stored in chunks of its own"),
        (lambda: docs.bulk().add(part(1), chunk=1), "chunk needs a request_id"),
        (lambda: docs.bulk(request_id="x").add(part(1)), "needs the chunk's number"),
        (lambda: docs.bulk(request_id="x").add(reader, chunk=1), "tables, not readers"),
        (lambda: docs.bulk(request_id=b"short"), "request_id is b'short'"),
        (lambda: docs.stored_chunks(7), "request_id is 7"),
    ):
        with pytest.raises(InvalidInputError, match=told):
            call()
    assert docs.count() == contract.ROWS
