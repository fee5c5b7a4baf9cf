"""Deletion bitmaps come back equal, and no damaged byte of one is accepted."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from vecdb.errors import CorruptionError
from vecdb.storage import format as names
from vecdb.storage import tombstones
from vecdb.storage.directory import LocalDirectory

ROWS = [0, 1, 5, 1000, 70_000, 2**32 - 1]


@pytest.fixture
def directory(tmp_path: Path) -> LocalDirectory:
    directory = LocalDirectory(tmp_path)
    directory.make("segment")
    return directory


@given(st.sets(st.integers(0, 2**32 - 1)))
def test_a_bitmap_comes_back_equal(tmp_path_factory: pytest.TempPathFactory, rows: set[int]) -> None:
    directory = LocalDirectory(tmp_path_factory.mktemp("bitmaps"))

    entry = tombstones.publish(directory, ".", BitMap(rows), 7)

    assert set(tombstones.read(directory, ".", entry)) == rows
    assert entry.count == len(rows)
    assert entry.bytes == directory.size(entry.name)


def test_its_name_says_the_write_and_is_never_reused(directory: LocalDirectory) -> None:
    entries = [tombstones.publish(directory, "segment", BitMap(ROWS), 42) for _ in range(5)]

    assert len({entry.name for entry in entries}) == 5
    for entry in entries:
        match = names.DELETES_NAME.fullmatch(entry.name)
        assert match is not None
        assert int(match[1]) == 42
    assert directory.list("segment") == sorted(entry.name for entry in entries)


def test_every_flipped_bit_is_found(directory: LocalDirectory) -> None:
    entry = tombstones.publish(directory, "segment", BitMap(ROWS), 1)
    path = directory.path(f"segment/{entry.name}")
    good = path.read_bytes()

    for position in range(len(good)):
        for bit in range(8):
            bad = bytearray(good)
            bad[position] ^= 1 << bit
            path.write_bytes(bad)
            with pytest.raises(CorruptionError) as caught:
                tombstones.read(directory, "segment", entry)
            assert caught.value.path == f"segment/{entry.name}"


@pytest.mark.parametrize("content", [b"", b"VDBD", bytes(12), b"x" * 1000], ids=["empty", "short", "zeros", "long"])
def test_another_size_is_found(directory: LocalDirectory, content: bytes) -> None:
    entry = tombstones.publish(directory, "segment", BitMap(ROWS), 1)
    directory.path(f"segment/{entry.name}").write_bytes(content)

    with pytest.raises(CorruptionError, match="damaged"):
        tombstones.read(directory, "segment", entry)


def test_the_file_of_another_bitmap_is_not_accepted(directory: LocalDirectory) -> None:
    entry = tombstones.publish(directory, "segment", BitMap([1, 2, 3]), 1)
    other = tombstones.publish(directory, "segment", BitMap([4, 5, 6]), 1)
    directory.path(f"segment/{entry.name}").write_bytes(directory.read(f"segment/{other.name}"))

    with pytest.raises(CorruptionError):
        tombstones.read(directory, "segment", entry)


def test_a_missing_file_is_named(directory: LocalDirectory) -> None:
    entry = tombstones.publish(directory, "segment", BitMap(ROWS), 1)
    directory.unlink(f"segment/{entry.name}")

    with pytest.raises(CorruptionError, match="is missing") as caught:
        tombstones.read(directory, "segment", entry)

    assert caught.value.path == f"segment/{entry.name}"
