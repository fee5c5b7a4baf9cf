"""The log: what is written comes back; a torn end is cut and counted; anything else is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecdb.errors import CorruptionError
from vecdb.storage import wal
from vecdb.storage.directory import LocalDirectory

NAME = "c/wal/0000000003-00000000000000000007.wal"
PAYLOADS = [b"first", b"", b"x" * 100, b"last one"]


def log_bytes(payloads: list[bytes], first_lsn: int = 7) -> bytes:
    """Return a log file's bytes without LogWriter: a header frame, then one frame per payload."""
    header = wal.encode(first_lsn - 1, wal.FILE, 0, b'{"collection":"c","epoch":3,"first_lsn":%d}' % first_lsn)
    return header + b"".join(
        wal.encode(lsn, wal.UPSERT, 42, payload) for lsn, payload in enumerate(payloads, first_lsn)
    )


def start_of(number: int, payloads: list[bytes] = PAYLOADS) -> int:
    """Return the position of a frame, counted from 0 behind the header."""
    return len(log_bytes(payloads[:number]))


@pytest.fixture
def directory(tmp_path: Path) -> LocalDirectory:
    directory = LocalDirectory(tmp_path)
    directory.make("c/wal")
    directory.make("c/tmp")
    return directory


@given(st.lists(st.binary(max_size=300), max_size=12), st.integers(1, 2**62))
def test_scan_returns_what_was_encoded(payloads: list[bytes], first_lsn: int) -> None:
    data = log_bytes(payloads, first_lsn)

    found = wal.scan(data, "log")

    assert [bytes(frame.payload) for frame in found.frames] == payloads
    assert [frame.lsn for frame in found.frames] == list(range(first_lsn, first_lsn + len(payloads)))
    assert {(frame.type, frame.schema_id) for frame in found.frames} <= {(wal.UPSERT, 42)}
    assert (found.first_lsn, found.end, found.cut) == (first_lsn, len(data), 0)
    assert len(data) % 8 == 0


def test_an_open_log_ends_with_zeros_and_a_closed_one_with_its_last_frame(directory: LocalDirectory) -> None:
    log = wal.LogWriter(directory, NAME, "c", 3, 7)
    for lsn, payload in enumerate(PAYLOADS, 7):
        log.append(wal.encode(lsn, wal.UPSERT, 42, payload))
        log.sync()

    while_open = directory.read(NAME)
    log.close()
    closed = directory.read(NAME)

    assert closed == log_bytes(PAYLOADS)
    assert while_open.rstrip(b"\0") == closed.rstrip(b"\0")
    assert len(while_open) > len(closed)
    assert wal.scan(while_open, NAME) == wal.scan(closed, NAME)


def test_a_log_has_its_name_only_once_its_header_is_written(
    directory: LocalDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "rename", lambda old, new: pytest.fail(f"{new} would appear with {old}"))
    names: list[list[str]] = []
    monkeypatch.setattr(wal.LogWriter, "sync", lambda self: names.append(directory.list("c/wal")))

    with pytest.raises(pytest.fail.Exception):
        wal.LogWriter(directory, NAME, "c", 3, 7)

    assert names == [[]]


def test_frames_that_outgrow_the_zeros_ahead_extend_the_file(directory: LocalDirectory) -> None:
    log = wal.LogWriter(directory, NAME, "c", 3, 7)
    payloads = [bytes([65 + at]) * (wal.EXTEND // 2 + at) for at in range(5)]
    for lsn, payload in enumerate(payloads, 7):
        log.append(wal.encode(lsn, wal.UPSERT, 42, payload))

    found = wal.scan(directory.read(NAME), NAME)

    assert [bytes(frame.payload) for frame in found.frames] == payloads
    assert found.end == log.size()


@pytest.mark.parametrize("tail", [b"", bytes(1), bytes(4096)])
def test_zeros_behind_the_last_frame_are_not_a_torn_tail(tail: bytes) -> None:
    found = wal.scan(log_bytes(PAYLOADS) + tail, "log")

    assert len(found.frames) == len(PAYLOADS)
    assert found.cut == 0


@pytest.mark.parametrize("zeros", [0, 64])
def test_a_last_frame_cut_anywhere_is_a_torn_tail_and_is_counted(zeros: int) -> None:
    data = log_bytes(PAYLOADS)
    start = start_of(3)
    last = len(data.rstrip(b"\0"))

    for end in range(start, last):
        torn = data[:end] + bytes(zeros)
        found = wal.scan(torn, "log")

        assert [bytes(frame.payload) for frame in found.frames] == PAYLOADS[:3], end
        assert found.end == start
        assert found.cut == len(data[start:end].rstrip(b"\0")), end


def test_every_flipped_bit_of_the_last_frame_makes_a_torn_tail() -> None:
    data = log_bytes(PAYLOADS)
    start, length = start_of(3), wal.PREFIX + len(PAYLOADS[3])

    for position in range(start, start + length):
        for bit in range(8):
            found = wal.scan(_flipped(data, position, bit), "log")
            assert len(found.frames) == 3, (position, bit)
            assert found.cut > 0


def test_every_flipped_bit_before_a_readable_frame_is_damage_that_names_the_writes() -> None:
    data = log_bytes(PAYLOADS)
    start, length = start_of(1), wal.PREFIX + len(PAYLOADS[1])

    for position in range(start, start + length):
        for bit in range(8):
            with pytest.raises(CorruptionError, match="writes 8 to 8 cannot be read, write 9 can") as caught:
                wal.scan(_flipped(data, position, bit), "c/wal/x")
            assert caught.value.path == "c/wal/x"


def test_two_damaged_frames_in_the_middle_are_named_as_a_range() -> None:
    data = log_bytes(PAYLOADS)
    damaged = _flipped(_flipped(data, start_of(0) + 40, 0), start_of(2) + 60, 3)

    with pytest.raises(CorruptionError, match="writes 7 to 7 cannot be read, write 8 can"):
        wal.scan(_flipped(data, start_of(0) + 41, 0), "log")
    with pytest.raises(CorruptionError, match="writes 7 to 7"):
        wal.scan(damaged, "log")
    with pytest.raises(CorruptionError, match="writes 8 to 9 cannot be read, write 10 can"):
        wal.scan(data[: start_of(1)] + bytes(start_of(3) - start_of(1)) + data[start_of(3) :], "log")


def test_a_zeroed_page_in_the_middle_is_damage() -> None:
    payloads = [bytes([at]) * 3000 for at in range(1, 9)]
    data = log_bytes(payloads)

    with pytest.raises(CorruptionError, match="cannot be read"):
        wal.scan(data[:4096] + bytes(4096) + data[8192:], "log")


@pytest.mark.parametrize("lsns", [[8], [7, 9], [7, 7], [7, 8, 7]], ids=str)
def test_frames_whose_numbers_do_not_follow_each_other_are_damage(lsns: list[int]) -> None:
    data = log_bytes([]) + b"".join(wal.encode(lsn, wal.UPSERT, 0, b"x") for lsn in lsns)

    with pytest.raises(CorruptionError, match=r"write \d+ stands where \d+ belongs"):
        wal.scan(data, "log")


@pytest.mark.parametrize(
    "data",
    [b"", bytes(64), b"no log at all", wal.encode(7, wal.UPSERT, 0, b"x"), log_bytes(PAYLOADS)[8:]],
    ids=["empty", "zeros", "text", "no header", "shifted"],
)
def test_a_file_without_a_header_frame_is_damage(data: bytes) -> None:
    with pytest.raises(CorruptionError, match="does not begin with a log header"):
        wal.scan(data, "log")


def test_reading_on_from_a_position_yields_only_what_came_behind_it() -> None:
    data = log_bytes(PAYLOADS)
    position = start_of(2)

    found = list(wal.frames(data[position:]))

    assert [bytes(frame.payload) for frame, _ in found] == PAYLOADS[2:]
    assert found[-1][1] == len(data) - position


def test_a_frame_whose_length_points_behind_the_file_is_not_read() -> None:
    frame = bytearray(wal.encode(7, wal.UPSERT, 0, b"payload"))
    frame[4:8] = (2**32 - 1).to_bytes(4, "little")

    assert list(wal.frames(bytes(frame) * 3)) == []


def _flipped(data: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 1 << bit
    return bytes(changed)


# -- groups: frames that were written together and synced once ---------------------------------------------------------


def grouped(sizes: list[int]) -> tuple[bytes, list[tuple[int, int]], list[int]]:
    """Return a log of groups of so many frames, where each frame lies, and the number of each frame's group."""
    data, places, groups = log_bytes([]), [], []
    for group, size in enumerate(sizes):
        for before in range(size):
            frame = wal.encode(7 + len(places), wal.UPSERT, 42, bytes([65 + len(places)]) * 90, unsynced=before)
            places.append((len(data), len(data) + len(frame)))
            groups.append(group)
            data += frame
    return data, places, groups


@pytest.mark.parametrize("sizes", [[1], [3], [1, 4], [2, 1, 3], [1, 1, 1]], ids=str)
def test_a_lost_frame_is_a_torn_tail_in_the_last_group_and_damage_before_it(sizes: list[int]) -> None:
    data, places, groups = grouped(sizes)

    for lost, (start, end) in enumerate(places):
        torn = data[:start] + bytes(end - start) + data[end:]
        if groups[lost] == len(sizes) - 1:
            found = wal.scan(torn, "log")
            assert [frame.lsn for frame in found.frames] == list(range(7, 7 + lost))
            assert found.end == start
        else:
            with pytest.raises(CorruptionError, match=f"writes {7 + lost} to "):
                wal.scan(torn, "log")


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_whatever_is_lost_of_the_last_group_the_groups_before_it_are_read(
    sizes: list[int], data: st.DataObject
) -> None:
    content, places, groups = grouped(sizes)
    last = [place for place, group in zip(places, groups, strict=True) if group == len(sizes) - 1]
    lost = data.draw(st.sets(st.sampled_from(last), min_size=1))
    for start, end in lost:
        content = content[:start] + bytes(end - start) + content[end:]

    found = wal.scan(content, "log")

    assert len(found.frames) == places.index(min(lost))
    assert len(found.frames) >= len(places) - len(last)


def test_a_session_without_syncs_is_one_long_group() -> None:
    frames = [wal.encode(7 + number, wal.UPSERT, 42, b"x" * 40, unsynced=number) for number in range(70_000)]
    header = log_bytes([])
    content = header + b"".join(frames)
    length = len(frames[0])

    for lost in (0, 1, 66_000):
        start = len(header) + lost * length
        found = wal.scan(content[:start] + bytes(length) + content[start + length :], "log")
        assert len(found.frames) == lost


def test_a_writer_counts_frames_since_its_last_sync(directory: LocalDirectory) -> None:
    log = wal.LogWriter(directory, NAME, "c", 3, 7)
    assert log.unsynced == 0
    log.unsynced += 3
    log.sync()
    assert log.unsynced == 0
