"""The data of the workloads: real sets from a data folder, ann-benchmarks files, synthetic sets; any size of each.

A set is named by a string: a folder of the data directory ("debian60k"), an HDF5 file in the ann-benchmarks layout
("glove-25-angular.hdf5"), "gaussian:ROWSxDIM" or "clustered:ROWSxDIM"; "@ROWS" behind any of them takes its first rows,
or goes round it again with perturbed copies until there are so many; "~ROWS" goes round it with mixtures of near
neighbours instead (bench.mixing), which is what approximate search is measured on. Everything is deterministic: the
same name gives the same rows on every machine.

Row r of every set has the id f"{r:09d}", so that a system which knows rows only by number can answer in ids.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench import mixing

BLOCK_ROWS = 10_000
ATTRIBUTES = ("name", "section", "size", "r100", "text")
# Of unit length, so a copy keeps a cosine of about 0.98 with its original: near, but no duplicate.
_PERTURBATION = 0.2
_SEED = 20_240_601


@dataclass(frozen=True)
class Dataset:
    """Vectors with attributes, and queries.

    Attributes:
        vectors: float32 (base rows, d), C-contiguous.
        queries: float32 (q, d).
        attributes: a table of the base rows with the columns ATTRIBUTES; r100 is uniform in 0..99 and independent
            of the vectors, so `r100 < p` passes p percent of the rows.
        rows: how many rows the set has; those past the base rows are perturbed copies, or mixtures.
        mixes: whether they are mixtures.

    """

    name: str
    metric: str
    vectors: np.ndarray
    queries: np.ndarray
    attributes: pa.Table
    rows: int
    mixes: bool = False

    @property
    def dimension(self) -> int:
        return self.vectors.shape[1]

    def some_queries(self, count: int) -> np.ndarray:
        """Return `count` queries, or all where there are fewer, evenly spaced: neighbours in a file may be alike."""
        chosen = np.linspace(0, len(self.queries) - 1, min(count, len(self.queries))).round().astype(np.int64)
        return self.queries[chosen].astype(np.float32)

    @cached_property
    def _near(self) -> np.ndarray:
        return mixing.neighbours(self.vectors, _SEED)

    def block(self, start: int) -> pa.RecordBatch:
        """Return rows start .. start + BLOCK_ROWS (fewer at the end) as id, ATTRIBUTES, embedding."""
        stop = min(start + BLOCK_ROWS, self.rows)
        numbers = np.arange(start, stop)
        source = numbers % len(self.vectors)
        attributes = self.attributes.take(pa.array(source)).combine_chunks()
        columns: dict[str, pa.Array] = {"id": pa.array([row_id(row) for row in range(start, stop)])}
        columns |= {name: _one_chunk(attributes.column(name)) for name in ATTRIBUTES}
        # Copies differ from their originals in r100 too, else a filter would keep whole families.
        columns["r100"] = pa.array(_uniform_0_99(numbers))
        columns["embedding"] = _vector_array(self.block_vectors(start))
        return pa.RecordBatch.from_pydict(columns)

    def block_vectors(self, start: int) -> np.ndarray:
        """Return the vectors of the block at `start`, a multiple of BLOCK_ROWS: float32 (rows, d)."""
        numbers = np.arange(start, min(start + BLOCK_ROWS, self.rows))
        vectors = self.vectors[numbers % len(self.vectors)]
        copies = numbers >= len(self.vectors)
        if copies.any() and self.mixes:
            rng = np.random.default_rng([_SEED, start])
            source = numbers[copies] % len(self.vectors)
            vectors[copies] = mixing.mixed(self.vectors, self._near, source, rng, self.metric == "cosine")
        elif copies.any():
            noise = np.random.default_rng([_SEED, start]).standard_normal(vectors.shape, dtype=np.float32)
            length = np.linalg.norm(vectors[copies], axis=1, keepdims=True)
            vectors[copies] += noise[copies] * (_PERTURBATION * length / np.sqrt(np.float32(self.dimension)))
            if self.metric == "cosine":
                vectors[copies] /= np.linalg.norm(vectors[copies], axis=1, keepdims=True)
        return vectors

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the set block by block, in bounded memory."""
        for start in range(0, self.rows, BLOCK_ROWS):
            yield self.block(start)

    def table(self) -> pa.Table:
        """Return the whole set as one table of one chunk: id, ATTRIBUTES, embedding (fixed-size list of float32)."""
        return pa.Table.from_batches(list(self.batches())).combine_chunks()

    def matrix(self) -> np.ndarray:
        """Return the vectors of the whole set: float32 (rows, d)."""
        whole = np.empty((self.rows, self.dimension), dtype=np.float32)
        for start in range(0, self.rows, BLOCK_ROWS):
            whole[start : start + BLOCK_ROWS] = self.block_vectors(start)
        return whole


def row_id(row: int) -> str:
    """Return the id of row number `row`."""
    return f"{row:09d}"


def load(name: str, data: Path | None) -> Dataset:
    """Return the set called `name`; real sets and HDF5 files are looked up in the folder `data`.

    Raises:
        FileNotFoundError: no data folder was given, or it has no such set.
        ValueError: the rows of a name are not a number.

    """
    mixes = "~" in name
    base_name, _, rows = name.partition("~" if mixes else "@")
    if base_name.startswith(("gaussian:", "clustered:")):
        found = _synthetic(base_name)
    elif data is None:
        raise FileNotFoundError(
            f"{base_name!r} needs a data folder: give --data or VECDB_BENCH_DATA, "
            "or choose a synthetic set such as --set dataset=clustered:60000x384"
        )
    elif base_name.endswith((".hdf5", ".h5")):
        found = _hdf5(data / base_name)
    else:
        found = _folder(data / base_name)
    wanted = int(rows) if rows else found.rows
    return Dataset(name, found.metric, found.vectors, found.queries, found.attributes, wanted, mixes)


def stored_vectors(path: Path) -> np.ndarray:
    """Return the column vec of a Parquet file: float32 (rows, d)."""
    column = _one_chunk(pq.read_table(path, columns=["vec"]).column("vec"))
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(flat.reshape(len(column), -1), dtype=np.float32)


def _folder(folder: Path) -> Dataset:
    """A folder with docs_dense.parquet (column vec) and docs.parquet in the same order, or with MNIST images."""
    if (folder / "docs_dense.parquet").exists():
        vectors = stored_vectors(folder / "docs_dense.parquet")
        queries = stored_vectors(_query_file(folder))
        attributes = _attributes_of(pq.read_table(folder / "docs.parquet"))
        return Dataset(folder.name, "cosine", vectors, queries, attributes, len(vectors))
    images = sorted(folder.glob("train-images*ubyte*"))
    if images:
        vectors, queries = _images(images[0]), _images(sorted(folder.glob("t10k-images*ubyte*"))[0])
        return Dataset(folder.name, "l2", vectors, queries, _synthetic_attributes(len(vectors)), len(vectors))
    raise FileNotFoundError(f"the data folder has no set {folder.name!r} with docs_dense.parquet or image files")


def _query_file(folder: Path) -> Path:
    preferred = [folder / "queries_dense.parquet", folder / "queries_test_dense.parquet"]
    existing = [path for path in [*preferred, *sorted(folder.glob("*queries*_dense.parquet"))] if path.exists()]
    if not existing:
        raise FileNotFoundError(f"the set {folder.name!r} has no *queries*_dense.parquet")
    return existing[0]


def _attributes_of(docs: pa.Table) -> pa.Table:
    """Map a set's own columns to ATTRIBUTES: the first that exists of several spellings, else something plain."""

    def first(*names: str) -> pa.ChunkedArray | None:
        return next((docs.column(name) for name in names if name in docs.column_names), None)

    text = first("text", "gloss")
    text = text.cast(pa.string()) if text is not None else pa.chunked_array([pa.array([""] * len(docs))])
    size = first("size", "installed_kb")
    name, section = first("name", "title", "id"), first("section", "lexname", "pos")
    return pa.table(
        {
            "name": name.cast(pa.string()) if name is not None else text,
            "section": section.cast(pa.string()) if section is not None else pa.array(["none"] * len(docs)),
            "size": size.cast(pa.int64()) if size is not None else pa.array([len(t or "") for t in text.to_pylist()]),
            "r100": _uniform_0_99(np.arange(len(docs))),
            "text": text,
        }
    )


def _hdf5(path: Path) -> Dataset:
    """The ann-benchmarks layout: train, test, and the attribute `distance`."""
    import h5py

    if not path.exists():
        raise FileNotFoundError(f"the data folder has no file {path.name!r}")
    with h5py.File(path, "r") as file:
        arrays = [np.ascontiguousarray(np.asarray(file[key]), dtype=np.float32) for key in ("train", "test")]
        metric = {"angular": "cosine", "euclidean": "l2", "dot": "dot"}[str(file.attrs["distance"])]
    return Dataset(path.stem, metric, arrays[0], arrays[1], _synthetic_attributes(len(arrays[0])), len(arrays[0]))


def _synthetic(name: str) -> Dataset:
    """gaussian: independent normals. clustered: about one centre a thousand rows, 0.3 of its length of noise."""
    kind, _, shape = name.partition(":")
    rows, dimension = (int(part) for part in shape.split("x"))
    rng = np.random.default_rng([_SEED, rows, dimension])
    count = 1000
    points = rng.standard_normal((rows + count, dimension), dtype=np.float32)
    if kind == "clustered":
        centres = rng.standard_normal((max(16, rows // 1000), dimension), dtype=np.float32)
        points = centres[rng.integers(0, len(centres), rows + count)] + np.float32(0.3) * points
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    attributes = _synthetic_attributes(rows)
    return Dataset(name, "cosine", points[:rows].copy(), points[rows:].copy(), attributes, rows)


def _synthetic_attributes(rows: int) -> pa.Table:
    rng = np.random.default_rng([_SEED, rows])
    words = [f"word{number}" for number in range(2000)]
    texts = [" ".join(words[i] for i in rng.integers(0, len(words), 30)) for _ in range(500)]
    sections = pa.array([f"section{number}" for number in range(20)])
    return pa.table(
        {
            "name": [f"row {number}" for number in range(rows)],
            "section": sections.take(pa.array(np.minimum(rng.zipf(1.5, rows) - 1, 19))),
            "size": rng.lognormal(8, 2, rows).astype(np.int64),
            "r100": _uniform_0_99(np.arange(rows)),
            "text": pa.array(texts).take(pa.array(rng.integers(0, len(texts), rows))),
        }
    )


def _uniform_0_99(rows: np.ndarray) -> np.ndarray:
    """Return int64 values in 0..99 that depend on the row number alone (a multiplicative hash)."""
    mixed = rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    return ((mixed >> np.uint64(32)) % np.uint64(100)).astype(np.int64)


def _vector_array(vectors: np.ndarray) -> pa.FixedSizeListArray:
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    chunks = column.combine_chunks()
    return chunks.chunk(0) if isinstance(chunks, pa.ChunkedArray) else chunks


def _images(path: Path) -> np.ndarray:
    """Read an IDX file of images, gzipped or not, as float32 (images, pixels)."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        header = np.frombuffer(file.read(16), dtype=">i4")
        pixels = np.frombuffer(file.read(), dtype=np.uint8)
    return pixels.reshape(int(header[1]), -1).astype(np.float32)
