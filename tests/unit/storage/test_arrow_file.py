"""Vector files: ordinary Arrow files, aligned for kernels, and the same bytes however they were written."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather

from vecdb.storage import arrow_file
from vecdb.storage.directory import LocalDirectory

TYPES = {"float32": pa.float32(), "float16": pa.float16(), "int8": pa.int8()}
EVERY_SHAPE = pytest.mark.parametrize(
    ("rows", "dimension"), [(1, 1), (2, 3), (7, 5), (8, 16), (64, 1), (129, 17), (1000, 100), (3, 1025)]
)
EVERY_DTYPE = pytest.mark.parametrize("dtype", TYPES)


def some_matrix(rows: int, dimension: int, dtype: str) -> np.ndarray:
    return np.random.default_rng(rows * dimension).integers(-100, 100, (rows, dimension)).astype(dtype)


def some_mask(rows: int) -> np.ndarray:
    return np.arange(rows) % 3 != 1


def written(tmp_path: Path, matrix: np.ndarray, present: np.ndarray, steps: int) -> Path:
    """Write a vector file in some steps and return its path."""
    directory = LocalDirectory(tmp_path)
    name = f"steps-{steps}.arrow"
    list_type = pa.list_(TYPES[str(matrix.dtype)], matrix.shape[1])
    vectors = arrow_file.VectorFile(directory.create(name), list_type)
    for part, mask in zip(np.array_split(matrix, steps), np.array_split(present, steps), strict=True):
        vectors.append(np.ascontiguousarray(part), mask)
    vectors.finish()
    vectors.file.close()
    return tmp_path / name


@EVERY_DTYPE
@EVERY_SHAPE
def test_pyarrow_reads_what_was_streamed(tmp_path: Path, rows: int, dimension: int, dtype: str) -> None:
    matrix, present = some_matrix(rows, dimension, dtype), some_mask(rows)

    path = written(tmp_path, matrix, present, steps=3)

    table = feather.read_table(path, memory_map=False)
    table.validate(full=True)
    assert table.column_names == ["values", "present"]
    assert table.column("values").to_pylist() == matrix.tolist()
    assert table.column("present").to_pylist() == present.tolist()
    with pa.ipc.open_file(path) as reader:
        assert reader.num_record_batches == 1


@EVERY_DTYPE
@EVERY_SHAPE
def test_streamed_bytes_equal_those_of_one_write(tmp_path: Path, rows: int, dimension: int, dtype: str) -> None:
    matrix, present = some_matrix(rows, dimension, dtype), some_mask(rows)

    streamed = written(tmp_path, matrix, present, steps=4).read_bytes()

    with pa.ipc.open_file(streamed) as reader:
        schema = reader.schema
    lists = pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), dimension)
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.record_batch([lists, pa.array(present)], schema=schema))
    assert streamed == sink.getvalue()


@EVERY_DTYPE
@EVERY_SHAPE
def test_the_number_of_steps_does_not_show(tmp_path: Path, rows: int, dimension: int, dtype: str) -> None:
    matrix, present = some_matrix(rows, dimension, dtype), some_mask(rows)

    files = {written(tmp_path, matrix, present, steps).read_bytes() for steps in (1, 2, 5)}

    assert len(files) == 1


@EVERY_DTYPE
@EVERY_SHAPE
def test_values_begin_at_a_multiple_of_64_in_file_and_memory(
    tmp_path: Path, rows: int, dimension: int, dtype: str
) -> None:
    matrix, present = some_matrix(rows, dimension, dtype), some_mask(rows)
    path = written(tmp_path, matrix, present, steps=2)

    buffer = LocalDirectory(tmp_path).map(path.name)
    values = arrow_file.matrix_of(arrow_file.read_batch(buffer))

    assert (values.ctypes.data - buffer.address) % arrow_file.ALIGNMENT == 0
    assert values.ctypes.data % arrow_file.ALIGNMENT == 0
    assert not values.flags.writeable
    np.testing.assert_array_equal(values, matrix)
    start = values.ctypes.data - buffer.address
    assert path.read_bytes()[start : start + matrix.nbytes] == matrix.tobytes()


def test_a_mapped_file_is_read_without_copying(tmp_path: Path) -> None:
    path = written(tmp_path, some_matrix(2000, 100, "float32"), np.ones(2000, bool), steps=1)
    before = pa.total_allocated_bytes()

    buffer = LocalDirectory(tmp_path).map(path.name)
    batch = arrow_file.read_batch(buffer)

    assert arrow_file.matrix_of(batch).shape == (2000, 100)
    assert pa.total_allocated_bytes() - before < 10_000


def test_the_matrix_outlives_the_name_of_its_file(tmp_path: Path) -> None:
    expected = some_matrix(50, 8, "float32")
    path = written(tmp_path, expected, np.ones(50, bool), steps=1)
    values = arrow_file.matrix_of(arrow_file.read_batch(LocalDirectory(tmp_path).map(path.name)))

    path.unlink()

    np.testing.assert_array_equal(values, expected)


def test_the_header_is_as_long_for_few_rows_as_for_many() -> None:
    list_type = pa.list_(pa.float32(), 5)

    lengths = {len(arrow_file.vector_frame(list_type, np.ones(rows, bool))[0]) for rows in (1, 2, 100, 70_000)}

    assert len(lengths) == 1
    assert lengths.pop() % arrow_file.ALIGNMENT == 0


def test_bytes_counts_the_values_only(tmp_path: Path) -> None:
    file = LocalDirectory(tmp_path).create("v.arrow")
    vectors = arrow_file.VectorFile(file, pa.list_(pa.float16(), 6))

    vectors.append(some_matrix(5, 6, "float16"), np.ones(5, bool))
    file.close()

    assert vectors.bytes == 5 * 6 * 2


def test_a_file_of_two_batches_is_refused() -> None:
    batch = pa.record_batch([pa.array([1])], names=["n"])
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
        writer.write_batch(batch)

    with pytest.raises(pa.ArrowInvalid, match="found 2"):
        arrow_file.read_batch(pa.py_buffer(sink.getvalue()))


def test_a_whole_batch_comes_back_equal(tmp_path: Path) -> None:
    batch = pa.record_batch(
        [pa.array(["a", None, "ü"]), pa.array([1, None, 3]), pa.array([["x"], None, []], pa.list_(pa.string()))],
        names=["t", "n", "l"],
    )
    directory = LocalDirectory(tmp_path)
    file = directory.create("data.arrow")

    arrow_file.write_batch(file, batch)
    file.close()

    assert arrow_file.read_batch(directory.map("data.arrow")).equals(batch)
