"""Uploads: what is acknowledged, in which order, and what a stream that breaks off leaves."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import grpc
import pyarrow as pa
import pytest

import vecdb
from integration.server.running import Running, rows, schema
from support.served import Stubs, dialled
from vecdb.schema.records import validated_batch
from vecdb.wire import rows as wire_rows
from vecdb_proto.v1 import record_service_pb2 as pb

Request = pb.UpsertStreamRequest


@pytest.fixture
def docs(running: Running) -> Iterator[vecdb.Collection]:
    made = running.server.served.create("docs.upload", schema(), False)
    yield made
    running.database.drop_collection("docs.upload")
    running.server.served._open.pop("docs.upload", None)


@pytest.fixture
def stubs(running: Running) -> Iterator[Stubs]:
    with dialled(running.target, running.tokens["writer-docs"]) as made:
        yield made


def batch(count: int, start: int = 0) -> pa.RecordBatch:
    """Return rows as a client sends them."""
    return validated_batch(rows(count, start), schema())


def opening(mode: Any, **options: Any) -> Request:
    """Return the first message."""
    return Request(open=Request.Open(collection="docs.upload", mode=mode, **options))


def chunk(sequence: int, data: pa.RecordBatch, request_id: bytes = b"") -> Request:
    """Return rows as a message."""
    message = wire_rows.to_message(data, with_schema=sequence == 1)
    return Request(chunk=Request.Chunk(sequence=sequence, rows=message, request_id=request_id))


def part(sequence: int, number: int, data: pa.RecordBatch, continues: bool = False) -> Request:
    """Return rows of a numbered chunk as a message."""
    message = chunk(sequence, data)
    message.chunk.chunk, message.chunk.continues = number, continues
    return message


FINISH = Request(finish=Request.Finish())


def answered(stubs: Stubs, *messages: Request) -> list[Any]:
    """Return the answers to a stream, each with the name of what it is."""
    told = list(stubs.records.UpsertStream(iter(messages)))
    return [(one.WhichOneof("message"), getattr(one, one.WhichOneof("message"))) for one in told]


def test_each_chunk_is_committed_and_acknowledged_in_order(stubs: Stubs, docs: vecdb.Collection) -> None:
    chunks = [chunk(at + 1, batch(10, 10 * at)) for at in range(3)]

    told = answered(stubs, opening(pb.UPSERT_MODE_CHUNKS), *chunks, FINISH)

    assert [name for name, _ in told] == ["opened", "ack", "ack", "ack", "finished"]
    acks = [one for name, one in told if name == "ack"]
    assert [(one.sequence, one.committed, one.rows, one.rows_committed) for one in acks] == [
        (1, 1, 10, 10), (2, 2, 20, 20), (3, 3, 30, 30),
    ]  # fmt: skip
    assert told[-1][1].rows == 30
    assert docs.count() == 30


def test_what_was_acknowledged_stays_when_the_client_goes_without_finishing(
    stubs: Stubs, docs: vecdb.Collection
) -> None:
    told = answered(stubs, opening(pb.UPSERT_MODE_CHUNKS), chunk(1, batch(10)))

    assert [name for name, _ in told] == ["opened", "ack"]
    assert docs.count() == 10


def test_a_chunk_that_comes_again_under_its_request_id_has_one_effect(stubs: Stubs, docs: vecdb.Collection) -> None:
    request_id = secrets.token_bytes(16)

    first = answered(stubs, opening(pb.UPSERT_MODE_CHUNKS), chunk(1, batch(10), request_id))
    docs.delete("r3")
    again = answered(stubs, opening(pb.UPSERT_MODE_CHUNKS), chunk(1, batch(10), request_id))

    assert again[1][1].result == first[1][1].result
    assert docs.count() == 9


def test_an_atomic_write_is_there_as_a_whole_or_not_at_all(stubs: Stubs, docs: vecdb.Collection) -> None:
    chunks = [chunk(at + 1, batch(10, 10 * at)) for at in range(3)]

    gone = answered(stubs, opening(pb.UPSERT_MODE_ATOMIC), *chunks)
    assert [one.committed for name, one in gone if name == "ack"] == [0, 0, 0]
    assert docs.count() == 0

    told = answered(stubs, opening(pb.UPSERT_MODE_ATOMIC), *chunks, FINISH)
    assert told[-1][0] == "finished"
    assert (told[-1][1].rows, docs.count()) == (30, 30)


def test_a_bulk_load_tells_which_chunks_need_not_be_sent_again(stubs: Stubs, docs: vecdb.Collection) -> None:
    messages = [
        opening(pb.UPSERT_MODE_BULK, rows_per_segment=15),
        chunk(1, batch(10)),
        chunk(2, batch(10, 10)),
        Request(commit=Request.Commit()),
        chunk(3, batch(10, 20)),
        FINISH,
    ]

    told = answered(stubs, *messages)

    assert [name for name, _ in told] == ["opened", "ack", "ack", "committed", "ack", "finished"]
    assert [one.committed for name, one in told if name == "ack"] == [0, 0, 2]
    assert (told[3][1].rows, told[-1][1].rows, docs.count()) == (20, 30, 30)


def test_a_bulk_load_that_is_taken_up_again_leaves_out_what_is_stored(stubs: Stubs, docs: vecdb.Collection) -> None:
    start = opening(pb.UPSERT_MODE_BULK, request_id=secrets.token_bytes(16))
    commit = Request(commit=Request.Commit())

    head, tail, unfinished = batch(10, 10).slice(0, 5), batch(10, 10).slice(5), batch(10, 20).slice(0, 5)
    parts = part(1, 7, batch(10)), part(2, 9, head, True), part(3, 9, tail)
    first = answered(stubs, start, *parts, commit, part(4, 8, unfinished, True))
    again = answered(stubs, start, part(1, 9, batch(10, 10)), part(2, 8, batch(10, 20)), FINISH)

    assert list(first[0][1].stored) == []
    assert [one.committed for name, one in first if name == "ack"] == [0, 0, 0, 3]
    assert list(again[0][1].stored) == [7, 9]
    assert again[-1][0] == "finished"
    assert docs.count() == 30
    assert docs.stored_chunks(start.open.request_id) == [7, 8, 9]


def test_a_chunk_has_a_number_where_its_upload_has_an_id(stubs: Stubs, docs: vecdb.Collection) -> None:
    named, nameless = (opening(pb.UPSERT_MODE_BULK, request_id=one) for one in (secrets.token_bytes(16), b""))
    for messages, told in (
        ([named, chunk(1, batch(10))], "give both or none"),
        ([nameless, part(1, 3, batch(10))], "give both or none"),
        ([named, part(1, 3, batch(10), True), part(2, 4, batch(10))], "chunk 3 continues"),
        ([named, part(1, 3, batch(10), True), FINISH], "chunk 3 is not complete"),
    ):
        with pytest.raises(grpc.RpcError, match=told):
            answered(stubs, *messages)
    assert docs.count() == 0


def test_a_bulk_load_that_breaks_off_leaves_what_was_committed(stubs: Stubs, docs: vecdb.Collection) -> None:
    committed = [opening(pb.UPSERT_MODE_BULK), chunk(1, batch(10)), Request(commit=Request.Commit())]

    answered(stubs, *committed, chunk(2, batch(10, 10)))

    assert docs.count() == 10


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([opening(pb.UPSERT_MODE_CHUNKS), chunk(2, batch(1))], "chunk 2 came, expected chunk 1"),
        ([opening(pb.UPSERT_MODE_CHUNKS), chunk(1, batch(1)), chunk(1, batch(1))], "chunk 1 came, expected chunk 2"),
        ([opening(pb.UPSERT_MODE_CHUNKS), opening(pb.UPSERT_MODE_CHUNKS)], "an upload goes on with open"),
        ([opening(pb.UPSERT_MODE_CHUNKS), Request()], "an upload goes on with an empty message"),
        ([opening(pb.UPSERT_MODE_CHUNKS), Request(commit=Request.Commit())], "only bulk loads have commits"),
        ([opening(pb.UPSERT_MODE_UNSPECIFIED)], "the mode 0 of an upload is unknown"),
        ([opening(99)], "the mode 99 of an upload is unknown"),
        ([FINISH], "needs the permission write on collection ''|no collection ''"),
    ],
)
def test_a_message_that_is_out_of_place_ends_the_stream(
    stubs: Stubs, docs: vecdb.Collection, messages: list[Request], told: str
) -> None:
    with pytest.raises(grpc.RpcError, match=told):
        answered(stubs, *messages)


def test_a_stream_without_messages_ends_quietly(stubs: Stubs) -> None:
    assert answered(stubs) == []


def test_a_bad_row_ends_the_stream_and_names_itself(stubs: Stubs, docs: vecdb.Collection) -> None:
    bad = pa.RecordBatch.from_pylist([{"id": "x", "n": 1, "unknown": 2}])

    with pytest.raises(grpc.RpcError, match="unknown"):
        answered(stubs, opening(pb.UPSERT_MODE_CHUNKS), chunk(1, bad))
    assert docs.count() == 0


def test_a_bomb_of_compressed_rows_is_refused_before_it_unfolds(stubs: Stubs, docs: vecdb.Collection) -> None:
    zeros = pa.record_batch({"id": ["x"], "text": ["\0" * (8 << 20)]})
    message = wire_rows.to_message(zeros, compression="zstd")
    assert len(message.batch) < 10_000

    with pytest.raises(grpc.RpcError, match="the rows are compressed to"):
        answered(stubs, opening(pb.UPSERT_MODE_CHUNKS), Request(chunk=Request.Chunk(sequence=1, rows=message)))
