"""Packed columns: every value comes back, whichever way it is asked for, and damage is an error that names the file."""

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from vecdb.errors import CorruptionError
from vecdb.storage import packed
from vecdb.storage.directory import Writer
from vecdb.storage.packed import Packed


def values(rows: int, length: int, seed: int = 1) -> pa.Array:
    rng = np.random.default_rng(seed)
    words = [f"word{number} " for number in range(50)]
    made: list[str | None] = ["".join(rng.choice(words, rng.integers(0, length))) for _ in range(rows)]
    made[::7] = [None] * len(made[::7])
    return pa.array(made, pa.string())


def stored(array: pa.Array) -> bytes:
    file = io.BytesIO()
    packed.write(cast("Writer", file), "f3", array)
    return file.getvalue()


def column(array: pa.Array) -> Packed:
    return Packed(pa.py_buffer(stored(array)), "a file")


@pytest.mark.parametrize(("rows", "length"), [(0, 1), (1, 3), (16, 400), (17, 4000), (5000, 2), (3000, 60)])
def test_what_was_written_is_read_whole_in_part_and_one_by_one(rows: int, length: int) -> None:
    array = values(rows, length)
    held = column(array)
    chosen = np.random.default_rng(2).integers(0, max(rows, 1), 50 if rows else 0)

    assert len(held) == rows
    assert held.all().equals(array)
    assert held.take(chosen).equals(array.take(pa.array(chosen, pa.int64())))
    assert held.take(np.arange(rows)).equals(array)
    assert [held.value(row) for row in chosen.tolist()] == array.take(pa.array(chosen, pa.int64())).to_pylist()


def test_batches_hold_about_as_many_bytes_as_they_should() -> None:
    for length in (1, 10, 100, 1000):
        array = values(9000, length)
        reader = pa.ipc.open_file(pa.py_buffer(stored(array)))
        rows = reader.get_batch(0).num_rows
        size = array.nbytes / len(array) * rows
        assert rows & (rows - 1) == 0
        assert size <= packed.BATCH_BYTES or rows == packed.LEAST_ROWS
        assert 2 * size >= packed.BATCH_BYTES or rows == packed.MOST_ROWS


def test_it_is_an_ordinary_arrow_file_and_smaller_than_the_values() -> None:
    array = values(4000, 60)
    data = stored(array)

    table = pa.ipc.open_file(pa.py_buffer(data)).read_all()

    assert table.column_names == ["f3"]
    assert table.column(0).combine_chunks().equals(array)
    assert len(data) < 0.7 * array.nbytes


def test_threads_read_at_the_same_time() -> None:
    array = values(4000, 60)
    held = column(array)

    def read(seed: int) -> bool:
        rows = np.random.default_rng(seed).integers(0, len(array), 100)
        return all(held.take(rows).equals(array.take(pa.array(rows))) for _ in range(10))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(8)))


def test_a_file_without_the_number_of_rows_is_refused() -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, pa.schema([("f1", pa.string())])) as writer:
        writer.write_batch(pa.record_batch([pa.array(["a"])], names=["f1"]))

    with pytest.raises(pa.ArrowInvalid, match="how many rows"):
        Packed(sink.getvalue(), "a file")


def test_a_damaged_batch_is_an_error_that_names_the_file() -> None:
    array = values(4000, 60)
    data = bytearray(stored(array))
    data[len(data) // 2 : len(data) // 2 + 64] = b"\xff" * 64
    held = Packed(pa.py_buffer(bytes(data)), "segments/x/text-3.arrow")

    with pytest.raises(CorruptionError, match=r"segments/x/text-3\.arrow is damaged"):
        held.all()


def test_batches_of_other_numbers_of_rows_are_refused() -> None:
    sink = pa.BufferOutputStream()
    schema = pa.schema([("f1", pa.string())], metadata={b"vecdb-rows": b"16"})
    with pa.ipc.new_file(sink, schema) as writer:
        for rows in (16, 15, 16):
            writer.write_batch(pa.record_batch([pa.array(["a"] * rows)], schema=schema))
    held: Any = Packed(sink.getvalue(), "a file")

    with pytest.raises(CorruptionError, match="has not 16 rows"):
        held.all()
