"""vecdb, embedded, through its public API and with its default settings."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

import vecdb
from bench.systems.base import Filter, Record, Shape, System, embeddings

COLLECTION = "rows"


class VecdbSystem(System):
    """One collection with the columns of bench.datasets.

    A search asks for ids only (fields=[]), as the other systems answer.
    """

    name: ClassVar[str] = "vecdb"

    def __init__(self) -> None:
        self._db: Any = None
        self.collection: Any = None
        self._dtype = "float32"

    def create(self, path: Path, shape: Shape) -> None:
        schema = vecdb.Schema(
            id=vecdb.Id("string"),
            name=vecdb.Text(),
            section=vecdb.Keyword(),
            size=vecdb.Int64(),
            r100=vecdb.Int64(),
            text=vecdb.Text(),
            embedding=_vector_field(shape),
        )
        self._dtype = shape.dtype
        self._db = vecdb.connect(path)
        self.collection = self._db.create_collection(COLLECTION, schema)

    def open(self, path: Path, shape: Shape) -> None:
        self._dtype = shape.dtype
        self._db = vecdb.connect(path, create=False)
        self.collection = self._db.collection(COLLECTION)

    def ingest(self, table: pa.Table) -> None:
        with self.collection.bulk() as bulk:
            bulk.add(self._converted(table))

    def ingest_batches(self, batches: Iterable[pa.RecordBatch]) -> None:
        with self.collection.bulk() as bulk:
            for batch in batches:
                bulk.add(self._converted(batch))

    def search(self, query: np.ndarray, k: int, where: Filter | None = None) -> list[str]:
        filter_text = None if where is None else str(where)
        return self.collection.search(embedding=query, k=k, where=filter_text, fields=[]).ids

    def search_batch(self, queries: np.ndarray, k: int) -> list[list[str]]:
        return [result.ids for result in self.collection.search_batch(embedding=queries, k=k, fields=[])]

    def upsert(self, record: Record) -> None:
        self.collection.upsert(record)

    def get(self, row: str) -> object | None:
        return self.collection.get(row)

    def delete(self, rows: Sequence[str]) -> None:
        self.collection.delete(ids=list(rows))

    def count(self) -> int:
        return self.collection.count()

    def close(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def _converted(self, rows: pa.Table | pa.RecordBatch) -> pa.Table | pa.RecordBatch:
        """int8 collections take whole numbers, so unit vectors are scaled by 127 for them."""
        if self._dtype != "int8":
            return rows
        parts = [_as_int8(batch) for batch in (rows.to_batches() if isinstance(rows, pa.Table) else [rows])]
        return pa.Table.from_batches(parts)


def quantized(vectors: np.ndarray) -> np.ndarray:
    """Return unit vectors as int8: round(127 x)."""
    return np.round(vectors * 127).astype(np.int8)


def _as_int8(batch: pa.RecordBatch) -> pa.RecordBatch:
    codes = quantized(embeddings(batch))
    column = pa.FixedSizeListArray.from_arrays(pa.array(codes.ravel()), codes.shape[1])
    names = batch.schema.names
    return pa.RecordBatch.from_arrays(
        [column if name == "embedding" else batch.column(name) for name in names], names=names
    )


def _vector_field(shape: Shape) -> Any:
    # Shape carries plain strings from the command line; vecdb checks them.
    options: dict[str, Any] = {"dtype": shape.dtype, "metric": shape.metric}
    return vecdb.Vector(shape.dimension, **options)
