"""Index files: any arrays in any order come back as they were, aligned, in the memory of the file itself."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from vecdb.storage import index_file
from vecdb.storage.arrow_file import ALIGNMENT
from vecdb.storage.directory import LocalDirectory

SHAPES = [(1,), (7,), (64,), (3, 5), (100, 32), (17, 1, 3), (1, 1)]
DTYPES = ["uint8", "int8", "uint16", "int32", "uint32", "int64", "float16", "float32", "float64"]


def written(folder: Path, arrays: dict[str, np.ndarray], kind: str = "hnsw", **settings: object) -> pa.Buffer:
    directory = LocalDirectory(folder)
    file = directory.create("index.arrow")
    index_file.write(file, kind, arrays, settings)
    file.close()
    return directory.map("index.arrow")


def some(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 100, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_and_settings_come_back_as_they_were(tmp_path: Path, dtype: str) -> None:
    arrays = {f"a{number}": some(shape, dtype) for number, shape in enumerate(SHAPES)}
    settings = {"metric": "cosine", "dimension": 5, "scale": 0.1, "none": None, "list": [1, 2]}

    kind, found, told = index_file.read(written(tmp_path, arrays, "some kind", **settings))

    assert (kind, told) == ("some kind", settings)
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


@pytest.mark.parametrize("name", ["n", "codes", "a rather long name of an array, as long as a line of text"])
def test_every_array_begins_at_a_cache_line_of_the_file(tmp_path: Path, name: str) -> None:
    arrays = {f"{name}{number}": some(shape, dtype) for number, (shape, dtype) in enumerate(zip(SHAPES, DTYPES))}  # noqa: B905

    buffer = written(tmp_path, arrays, **{"setting": "x" * len(name)})

    _, found, _ = index_file.read(buffer)
    places = [array.ctypes.data - buffer.address for array in found.values()]
    assert [place % ALIGNMENT for place in places] == [0] * len(arrays)
    assert buffer.address % ALIGNMENT == 0, "a mapping begins at a page"


def test_arrays_lie_in_the_mapped_file_and_cannot_be_changed(tmp_path: Path) -> None:
    buffer = written(tmp_path, {"codes": some((100, 32), "uint8"), "links": some((100, 8), "int32")})

    _, found, _ = index_file.read(buffer)

    for array in found.values():
        assert buffer.address <= array.ctypes.data < buffer.address + buffer.size
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_an_index_file_is_an_ordinary_arrow_file(tmp_path: Path) -> None:
    links = some((4, 3), "int32")

    written(tmp_path, {"links": links}, dimension=3)

    with pa.ipc.open_file(tmp_path / "index.arrow") as reader:
        batch = reader.get_batch(0)
        assert (reader.num_record_batches, batch.num_rows) == (1, 1)
        assert batch.column("links").to_pylist() == [links.tolist()]
        batch.validate(full=True)


def test_arrays_that_are_not_contiguous_come_back_too(tmp_path: Path) -> None:
    array = some((6, 8), "float32")

    _, found, _ = index_file.read(written(tmp_path, {"turned": array.T, "some": array[:, ::2]}))

    assert np.array_equal(found["turned"], array.T)
    assert np.array_equal(found["some"], array[:, ::2])


def _arrow(metadata: dict[bytes, bytes] | None, batches: int = 1) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    batch = pa.record_batch([pa.array([1])], schema=pa.schema([pa.field("a", pa.int64())], metadata))
    with pa.ipc.new_file(sink, batch.schema) as writer:
        for _ in range(batches):
            writer.write_batch(batch)
    return sink.getvalue()


@pytest.mark.parametrize(
    "foreign",
    [
        pa.py_buffer(b""),
        pa.py_buffer(b"not Arrow at all"),
        pa.py_buffer(bytes(4096)),
        _arrow(None),
        _arrow({b"vecdb": b"vectors"}),
        _arrow({b"vecdb-index": b"{"}),
        _arrow({b"vecdb-index": b"[1]"}),
        _arrow({b"vecdb-index": b'{"kind": "hnsw"}'}),
        _arrow({b"vecdb-index": b'{"kind": "hnsw", "settings": 3}'}),
        _arrow({b"vecdb-index": b'{"kind": "hnsw", "settings": {}}'}, batches=2),
        _arrow({b"vecdb-index": b'{"kind": "hnsw", "settings": {}}'}, batches=0),
    ],
)
def test_files_that_are_no_index_are_refused(foreign: pa.Buffer) -> None:
    with pytest.raises(pa.ArrowInvalid):
        index_file.read(foreign)


def test_a_file_that_was_cut_anywhere_is_refused(tmp_path: Path) -> None:
    arrays = {"codes": some((20, 8), "uint8"), "links": some((20, 4), "int32")}
    content = written(tmp_path, arrays).to_pybytes()

    for size in range(len(content)):
        with pytest.raises((pa.ArrowInvalid, OSError)):
            index_file.read(pa.py_buffer(content[:size]))
