"""Every format gives the same rows, from any row on, and says which row is bad."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vecdb.errors import InvalidInputError
from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.readers import Chunk, open_source

ROWS = 5_000
NAMES = [f"n{number}" for number in range(ROWS)]
MATRIX = np.random.default_rng(7).standard_normal((ROWS, 8)).astype(np.float32)


def table() -> pa.Table:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(MATRIX.reshape(-1)), 8)
    return pa.table({"id": pa.array(range(ROWS)), "name": NAMES, "embedding": vectors})


def write_parquet(path: Path) -> None:
    pq.write_table(table(), path, row_group_size=1_700)


def write_arrow_file(path: Path) -> None:
    with pa.ipc.new_file(str(path), table().schema) as writer:
        writer.write_table(table(), max_chunksize=900)


def write_arrow_stream(path: Path) -> None:
    with pa.ipc.new_stream(str(path), table().schema) as writer:
        writer.write_table(table(), max_chunksize=900)


def json_lines() -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in table().to_pylist())


def write_csv(path: Path) -> None:
    lines = ["id,name,embedding"]
    lines += [f'{row["id"]},{row["name"]},"{json.dumps(row["embedding"])}"' for row in table().to_pylist()]
    path.write_text("\n".join(lines) + "\n")


WRITERS: dict[str, Callable[[Path], object]] = {
    "a.parquet": write_parquet,
    "a.arrow": write_arrow_file,
    "stream.arrow": write_arrow_stream,
    "a.jsonl": lambda path: path.write_bytes(json_lines()),
    "a.jsonl.gz": lambda path: path.write_bytes(gzip.compress(json_lines())),
    "a.csv": write_csv,
    "a.npz": lambda path: np.savez(path, id=np.arange(ROWS), name=np.array(NAMES), embedding=MATRIX),
    "packed.npz": lambda path: np.savez_compressed(path, id=np.arange(ROWS), name=np.array(NAMES), embedding=MATRIX),
}


def rows_of(chunk: Chunk) -> list[dict[str, Any]]:
    return chunk.data if isinstance(chunk.data, list) else chunk.data.to_pylist()


def read_all(path: Path) -> list[Chunk]:
    with open_source(path) as source:
        source.sample()
        return list(source.chunks(0))


def plain(row: dict[str, Any]) -> tuple[int, str, list[float]]:
    """The row without the types that only CSV loses."""
    vector = json.loads(row["embedding"]) if isinstance(row["embedding"], bytes) else row["embedding"]
    name = row["name"].decode() if isinstance(row["name"], bytes) else row["name"]
    return int(row["id"]), name, vector


@pytest.mark.parametrize("start", [0, 1, 1_699, 1_700, 4_999, 5_000])
@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows_from_any_row_on(name: str, start: int, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)

    with open_source(tmp_path / name) as source:
        chunks = list(source.chunks(start))
        columns = source.columns()

    expected = [(number, NAMES[number], MATRIX[number].tolist()) for number in range(start, ROWS)]
    assert columns == ["id", "name", "embedding"]
    assert [plain(row) for chunk in chunks for row in rows_of(chunk)] == expected
    assert [int(number) for chunk in chunks for number in chunk.numbers] == list(range(start, ROWS))
    assert all(chunk.next_row == chunk.numbers[-1] + 1 for chunk in chunks)
    assert not any(chunk.rejected for chunk in chunks)


@pytest.mark.parametrize("name", WRITERS)
def test_reading_can_go_on_at_the_next_row_of_any_chunk(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vecdb_client.cli.readers.PIECE_BYTES", 20_000)
    monkeypatch.setattr("vecdb_client.cli.readers_csv.PIECE_BYTES", 20_000)
    monkeypatch.setattr("vecdb_client.cli.readers_jsonl.TEXT_BYTES", 20_000)
    WRITERS[name](tmp_path / name)

    with open_source(tmp_path / name) as source:
        ends = [chunk.next_row for chunk in source.chunks(0)]
        again = [next(source.chunks(end)).numbers[0] for end in ends[:-1]]

    assert len(ends) > 10
    assert ends[-1] == ROWS
    assert again == ends[:-1]


def test_a_matrix_is_read_in_pieces_whatever_its_order(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", MATRIX)
    np.save(tmp_path / "f.npy", np.asfortranarray(MATRIX))

    for name in ("c.npy", "f.npy"):
        with open_source(tmp_path / name) as source:
            read = [row["embedding"] for chunk in source.chunks(10) for row in rows_of(chunk)]

        assert read == MATRIX[10:].tolist()


def test_bad_json_lines_are_rejected_one_by_one_and_keep_their_line_numbers(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(b'{"id": 1}\nnonsense\n\n[1]\n{"id": "\xff"}\n{"id": 6, "x": NaN}\n{"id": 7}')

    with open_source(path) as source:
        (chunk,) = source.chunks(0)

    assert chunk.data == [{"id": 1}, {"id": 7}]
    assert chunk.numbers.tolist() == [0, 6]
    assert [rejected.row for rejected in chunk.rejected] == [1, 3, 4, 5]
    assert chunk.next_row == 7


@pytest.mark.parametrize("start", [0, 1, 2, 3, 4, 5])
def test_a_csv_row_of_the_wrong_length_is_rejected_and_the_others_keep_their_numbers(
    start: int, tmp_path: Path
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text('id,name\n0,a\n1,b,too,many\n2,"line one\nline two"\n3\n4,""\n')
    names = {0: b"a", 2: b"line one\nline two", 4: b""}

    with open_source(path) as source:
        chunks = list(source.chunks(start))

    good = {int(n): row["name"] for chunk in chunks for n, row in zip(chunk.numbers, rows_of(chunk), strict=True)}
    assert good == {number: name for number, name in names.items() if number >= start}
    assert [r.row for chunk in chunks for r in chunk.rejected] == [number for number in (1, 3) if number >= start]
    assert not chunks or chunks[-1].next_row == 5


def test_csv_numbers_are_right_across_many_blocks_with_bad_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vecdb_client.cli.readers_csv.BLOCK_BYTES", 512)
    lines = [f"{n},x" if n % 7 else f"{n},x,extra" for n in range(2_000)]
    (tmp_path / "bad.csv").write_text("id,name\n" + "\n".join(lines) + "\n")

    for start in (0, 700, 701, 1_999):
        with open_source(tmp_path / "bad.csv") as source:
            chunks = list(source.chunks(start))

        delivered = [(int(n), int(row["id"])) for c in chunks for n, row in zip(c.numbers, rows_of(c), strict=True)]
        rejected = [r.row for chunk in chunks for r in chunk.rejected]
        assert delivered == [(n, n) for n in range(start, 2_000) if n % 7]
        assert rejected == [n for n in range(start, 2_000) if n % 7 == 0]
        for chunk in chunks:
            assert all(r.row < chunk.next_row for r in chunk.rejected)


def test_an_empty_csv_cell_is_null_and_a_quoted_one_is_an_empty_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,name\n1,\n2,""\n')

    with open_source(tmp_path / "a.csv") as source:
        rows = rows_of(next(source.chunks(0)))

    assert [row["name"] for row in rows] == [None, b""]


def test_a_byte_order_mark_is_no_part_of_the_data(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'\xef\xbb\xbf{"id": 1}\n')
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfid,x\r\n1,2\r\n")

    for name in ("a.jsonl", "a.csv"):
        with open_source(tmp_path / name) as source:
            (row,) = rows_of(next(source.chunks(0)))
            assert (source.columns()[0], int(row["id"])) == ("id", 1)


def test_a_format_is_told_by_content_when_the_name_says_nothing(tmp_path: Path) -> None:
    write_parquet(tmp_path / "parquet_data")
    write_arrow_file(tmp_path / "arrow_data")

    for name in ("parquet_data", "arrow_data"):
        with open_source(tmp_path / name) as source:
            assert sum(len(chunk.numbers) for chunk in source.chunks(0)) == ROWS


BAD_FILES = {
    "empty.csv": b"",
    "cut.parquet": b"PAR1" + b"\x00" * 40,
    "cut.arrow": b"ARROW1\x00\x00" + b"\x01" * 40,
    "text.npy": b"hello, this is no array",
    "text.npz": b"hello, this is no archive",
    "cut.jsonl.gz": gzip.compress(json_lines())[:-2_000],
    "array.jsonl": b'[{"id": 1}]',
    "numbers.csv": b"0.5,0.25\n1,2\n",
    "twice.csv": b"id,id\n1,2\n",
    "mystery.xyz": b"what is this",
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_with_its_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(BAD_FILES[name])

    with pytest.raises((CommandError, InvalidInputError), match=str(path)):
        read_all(path)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", id=np.array([{"a": 1}], object))

    for name in ("a.npy", "a.npz"):
        with pytest.raises(CommandError, match=name), open_source(tmp_path / name) as source:
            list(source.chunks(0))


def test_arrays_of_different_lengths_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", id=np.arange(3), embedding=np.zeros((2, 4)))

    with pytest.raises(CommandError, match="different lengths"), open_source(tmp_path / "a.npz"):
        pass
