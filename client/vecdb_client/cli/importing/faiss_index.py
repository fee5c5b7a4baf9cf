"""A faiss index as it was written by `faiss.write_index`: vectors and their numbers, which is all that it holds."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vecdb_client.cli.errors import NOT_FOUND, CommandError
from vecdb_client.cli.importing.peer import ID, VECTOR, package
from vecdb_client.cli.readers import SAMPLE_ROWS, Chunk, rows_per_piece

_LOSSY = ("PQ", "ScalarQuantizer", "SQ", "RaBitQ", "FastScan", "Refine", "Residual", "LSH", "Panorama")


class FaissIndex:
    """One index; flat, graphs and inverted lists, with or without ids of their own."""

    unit = "row"
    typed = True
    only_vectors = False

    def __init__(self, path: Path, name: str | None, stack: contextlib.ExitStack) -> None:
        """Read the index.

        Raises:
            CommandError: no such file, faiss cannot read it, or it cannot give its vectors back.

        """
        if name is not None:
            raise CommandError("a file holds one index: leave --from out")
        if not path.is_file():
            raise CommandError(f"no such file: {path}", NOT_FOUND)
        self.path = path
        self._faiss = package("faiss", "faiss")
        self._index, self._binary = self._opened()
        kinds = {self._faiss.METRIC_INNER_PRODUCT: "dot", self._faiss.METRIC_L2: "l2"}
        self.metric = "hamming" if self._binary else kinds.get(self._index.metric_type)
        if self.metric is None:
            raise CommandError(f"{path} has a metric of faiss (number {self._index.metric_type}) that vecdb has not")
        self._ids, self._vectors = self._parts()
        self.total_rows: int | None = len(self._ids)
        status = path.stat()
        self.identity = (str(path.resolve()), status.st_size, status.st_mtime_ns)
        self.fields: dict[str, Any] = {}
        kind = type(self._inner).__name__
        self.lost = [
            "texts and attributes: a faiss index holds none; `Collection.patch` adds them by id",
            f"the index itself, {kind}: vecdb makes its own (`vecdb index`)",
        ]
        if any(word in kind for word in _LOSSY):
            self.lost.append(f"the original vectors: {kind} keeps codes, and gives back what is near them")
        if self.metric == "dot":
            self.lost.append("inner products of unit vectors are cosines: --metric cosine says so, if they are")
        self._read = 0

    def _opened(self) -> tuple[Any, bool]:
        # faiss frees what was read with the object that it came as; the one of the right class only points to it.
        try:
            self._owner = self._faiss.read_index(str(self.path))
            return self._faiss.downcast_index(self._owner), False
        except RuntimeError as error:
            with contextlib.suppress(RuntimeError):
                self._owner = self._faiss.read_index_binary(str(self.path))
                return self._faiss.downcast_IndexBinary(self._owner), True
            raise CommandError(f"faiss cannot read {self.path}: {str(error).splitlines()[0]:.200}") from None

    def _parts(self) -> tuple[np.ndarray, Any]:
        """Return the ids, and a function from a range of rows to their vectors."""
        faiss, index = self._faiss, self._index
        ids = np.arange(index.ntotal, dtype=np.int64)
        if hasattr(index, "id_map"):
            ids = faiss.vector_to_array(index.id_map).copy()
            down = faiss.downcast_IndexBinary if self._binary else faiss.downcast_index
            index = down(index.index)
        self._inner = index
        lists = faiss.try_extract_index_ivf(index) if not self._binary else None
        if lists is None:
            return ids, lambda begin, end: index.reconstruct_n(begin, end - begin)
        stored = np.concatenate(
            [
                faiss.rev_swig_ptr(lists.invlists.get_ids(at), lists.invlists.list_size(at)).copy()
                for at in range(lists.nlist)
                if lists.invlists.list_size(at)
            ]
            or [np.empty(0, np.int64)]
        )
        lists.set_direct_map_type(faiss.DirectMap.Hashtable)
        # With an IndexIDMap around it, lists hold places among its ids.
        own = ids[stored] if hasattr(self._index, "id_map") else stored
        return own, lambda begin, end: np.stack([index.reconstruct(int(one)) for one in stored[begin:end]])

    def columns(self) -> list[str]:
        """Return the two names."""
        return [ID, VECTOR]

    def _batch(self, begin: int, end: int) -> pa.RecordBatch:
        try:
            values = self._vectors(begin, end) if end > begin else np.empty((0, self._index.d), np.float32)
        except RuntimeError as error:
            kind = type(self._inner).__name__
            raise CommandError(f"{self.path}: {kind} cannot give its vectors back: {str(error)[:200]}") from None
        if self._binary:
            rows = pa.array([row.tobytes() for row in values], pa.binary(self._index.d // 8))
        else:
            rows = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).ravel()), values.shape[1])
        return pa.RecordBatch.from_arrays([pa.array(self._ids[begin:end]), rows], names=[ID, VECTOR])

    def sample(self) -> pa.RecordBatch:
        """Return the first rows."""
        return self._batch(0, min(SAMPLE_ROWS, len(self._ids)))

    def chunks(self, start: int) -> Iterator[Chunk]:
        """Read from row start."""
        size = rows_per_piece(4 * self._index.d)
        for begin in range(start, len(self._ids), size):
            self._read = min(begin + size, len(self._ids))
            yield Chunk(self._batch(begin, self._read), np.arange(begin, self._read), self._read)

    def fraction(self) -> float:
        """Return rows read over rows."""
        return self._read / max(1, len(self._ids))
