"""What a user writes by hand: the matrix in one .npy file, the columns in another, brute force with BLAS."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from bench.datasets import row_id
from bench.systems.base import Filter, Shape, System, embeddings

FILTERED = ("section", "r100")
_BLOCK_ROWS = 65_536


class NumpyExact(System):
    """Exact search over rows of unit length (cosine), raw rows (dot) or raw rows with half norms (l2)."""

    name: ClassVar[str] = "numpy"

    def create(self, path: Path, shape: Shape) -> None:
        path.mkdir(parents=True)
        self._path, self._shape = path, shape

    def ingest_batches(self, batches: Iterable[pa.RecordBatch]) -> None:
        parts, columns = [], []
        for batch in batches:
            parts.append(prepared(embeddings(batch), self._shape.metric))
            columns.append(batch.select(list(FILTERED)))
        np.save(self._path / "vectors.npy", np.concatenate(parts))
        table = pa.Table.from_batches(columns)
        for name in FILTERED:
            np.save(self._path / f"{name}.npy", column_values(table.column(name)))
        self.open(self._path, self._shape)

    def open(self, path: Path, shape: Shape) -> None:
        self._path, self._shape = path, shape
        self._rows = np.load(path / "vectors.npy")
        self._columns = {name: np.load(path / f"{name}.npy") for name in FILTERED}
        self._half = 0.5 * np.einsum("ij,ij->i", self._rows, self._rows) if shape.metric == "l2" else None

    def search(self, query: np.ndarray, k: int, where: Filter | None = None) -> list[str]:
        allowed = None if where is None else np.flatnonzero(where.mask(self._columns))
        rows = self._rows if allowed is None else self._rows[allowed]
        scores = rows @ query
        if self._half is not None:
            scores -= self._half if allowed is None else self._half[allowed]
        best = _best(scores, k)
        return [row_id(row) for row in (best if allowed is None else allowed[best])]

    def search_batch(self, queries: np.ndarray, k: int) -> list[list[str]]:
        # In blocks of rows: all scores of a million rows by 256 queries would be a gigabyte.
        kept_rows, kept_scores = [], []
        for start in range(0, len(self._rows), _BLOCK_ROWS):
            scores = queries @ self._rows[start : start + _BLOCK_ROWS].T
            if self._half is not None:
                scores -= self._half[start : start + _BLOCK_ROWS]
            top = np.argpartition(scores, -min(k, scores.shape[1]), axis=1)[:, -k:]
            kept_rows.append(top + start)
            kept_scores.append(np.take_along_axis(scores, top, axis=1))
        rows, scores = np.hstack(kept_rows), np.hstack(kept_scores)
        order = np.argsort(-scores, axis=1)[:, :k]
        return [[row_id(row) for row in found] for found in np.take_along_axis(rows, order, axis=1)]

    def search_each(self, queries: np.ndarray, k: int, where: Sequence[Filter]) -> list[list[str]]:
        answers: list[list[str]] = [[]] * len(queries)
        for each in set(where):
            at = [number for number, one in enumerate(where) if one == each]
            allowed = np.flatnonzero(each.mask(self._columns))
            scores = queries[at] @ self._rows[allowed].T
            if self._half is not None:
                scores -= self._half[allowed]
            for number, line in zip(at, scores, strict=True):
                answers[number] = [row_id(row) for row in allowed[_best(line, k)]]
        return answers

    def count(self) -> int:
        return len(self._rows)


def prepared(vectors: np.ndarray, metric: str) -> np.ndarray:
    """Return rows of unit length for cosine, the rows themselves otherwise."""
    if metric != "cosine":
        return vectors
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def column_values(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Return a column as int64 or fixed-width Unicode, which .npy files can hold."""
    values = np.asarray(column.to_numpy(zero_copy_only=False))
    return values if values.dtype.kind == "i" else values.astype(np.str_)


def _best(scores: np.ndarray, k: int) -> np.ndarray:
    k = min(k, len(scores))
    top = np.argpartition(scores, -k)[-k:] if k else np.empty(0, dtype=np.int64)
    return top[np.argsort(-scores[top])]
