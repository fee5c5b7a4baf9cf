"""Frames: which writes share one."""

import pyarrow as pa
import pytest

from support.store import rows, small_schema
from vecdb.schema.records import validated_batch
from vecdb.storage import wal
from vecdb.storage.frames import frames_of
from vecdb.storage.group_commit import Write
from vecdb.storage.writes import delete_write, upsert_write

SCHEMA = small_schema()


def one(number: int) -> Write:
    return upsert_write(SCHEMA, validated_batch(rows([number]), SCHEMA))


def test_rows_keep_their_order_in_a_shared_frame() -> None:
    writes = [one(number) for number in (3, 1, 2)]

    (frame,) = frames_of(writes, SCHEMA, 7, 0.0)

    assert (frame.lsn, frame.kind, frame.writes) == (8, wal.UPSERT, writes)
    assert [write.lsn for write in writes] == [8, 8, 8]
    assert frame.upserted is not None
    assert frame.upserted.ids == ["r3", "r1", "r2"]
    batch = pa.ipc.read_record_batch(pa.py_buffer(frame.payload), SCHEMA.storage_schema())
    assert batch.column(0).to_pylist() == ["r3", "r1", "r2"]
    assert batch.equals(frame.upserted.batch)


def test_a_frame_ends_when_it_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    room = 1 << 15
    monkeypatch.setattr("vecdb.storage.frames.SHARED_BYTES", room)
    size = one(0).batch
    assert size is not None
    count = 2 * room // size.get_total_buffer_size()

    frames = frames_of([one(number) for number in range(count + 2)], SCHEMA, 0, 0.0)

    assert len(frames) == 3
    assert [write.ids[0] for frame in frames for write in frame.writes] == [f"r{n}" for n in range(count + 2)]
    assert [frame.lsn for frame in frames] == [1, 2, 3]


def test_other_writes_have_a_frame_of_their_own() -> None:
    deletes = [delete_write(SCHEMA, ["r1"], None) for _ in range(2)]
    many = upsert_write(SCHEMA, validated_batch(rows([4, 5]), SCHEMA))

    frames = frames_of([deletes[0], deletes[1], one(1), many, one(2)], SCHEMA, 0, 0.0)

    assert [len(frame.writes) for frame in frames] == [1, 1, 1, 1, 1]
    assert [frame.lsn for frame in frames] == [1, 2, 3, 4, 5]
