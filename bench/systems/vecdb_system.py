"""vecdb, embedded, through its public API and with its default settings, the number of threads apart.

Exact search where the shape has no graph: the workloads about it must not begin to measure an index that vecdb makes of
its own accord.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

import vecdb
from bench.systems.base import Filter, Record, Shape, System, UnsupportedError, embeddings

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
        columns = {name: _column_field(shape, name) for name in shape.columns}
        name = vecdb.Id("int64" if shape.whole_ids else "string")
        schema = vecdb.Schema(id=name, **columns, embedding=_vector_field(shape))
        self._dtype = shape.dtype
        self._db = vecdb.connect(path, settings=self._settings(shape))
        self.collection = self._db.create_collection(COLLECTION, schema)

    def open(self, path: Path, shape: Shape) -> None:
        self._dtype = shape.dtype
        self._db = vecdb.connect(path, create=False, settings=self._settings(shape))
        self.collection = self._db.collection(COLLECTION)

    def _settings(self, shape: Shape) -> vecdb.Settings:
        """Return the defaults with the threads that the peers get too, where a number is asked for."""
        graph = shape.graph
        return vecdb.Settings(threads=self.threads or (None if graph is None else graph.threads))

    def ingest(self, table: pa.Table) -> None:
        with self.collection.bulk() as bulk:
            bulk.add(self._converted(table))

    def ingest_batches(self, batches: Iterable[pa.RecordBatch]) -> None:
        with self.collection.bulk() as bulk:
            for batch in batches:
                bulk.add(self._converted(batch))

    def insert(self, batch: pa.RecordBatch) -> None:
        self.collection.upsert(self._converted(batch))

    def settle(self) -> None:
        self.collection.build_indexes()

    def compact(self) -> None:
        self.collection.flush()
        self.collection.compact()
        self.settle()

    def search(self, query: np.ndarray, k: int, where: Filter | None = None) -> list[str]:
        filter_text = None if where is None else str(where)
        return self.collection.search(embedding=query, k=k, where=filter_text, fields=[], **self._width()).ids

    def search_batch(self, queries: np.ndarray, k: int) -> list[list[str]]:
        found = self.collection.search_batch(embedding=queries, k=k, fields=[], **self._width())
        return [result.ids for result in found]

    def search_each(self, queries: np.ndarray, k: int, where: Sequence[Filter]) -> list[list[str]]:
        texts = [str(one) for one in where]
        found = self.collection.search_batch(embedding=queries, k=k, where=texts, fields=[], **self._width())
        return [result.ids for result in found]

    def search_by_plan(self, query: np.ndarray, k: int, where: Filter | None, plan: str | None) -> Any:
        """Return the result of a search by a forced plan: scan, codes, wide or two_hops; None lets vecdb choose.

        Raises:
            UnsupportedError: vecdb has no plan of that name for this search.

        """
        forced = {} if plan is None else {"plan": plan}
        filter_text = None if where is None else str(where)
        try:
            return self.collection.search(embedding=query, k=k, where=filter_text, fields=[], **self._width(), **forced)
        except vecdb.errors.InvalidInputError as error:
            if plan is None:
                raise
            raise UnsupportedError(f"vecdb refused plan {plan!r}: {error}") from error

    def cost(self, query: np.ndarray, k: int) -> dict[str, float]:
        """Return what a search says that it cost: distances computed and bytes read; empty where it does not say."""
        result = self.collection.search(embedding=query, k=k, fields=[], **self._width())
        read = sum(part["compared"] * part["code_bytes"] for part in result.explain["parts"])
        return {"distances": result.explain["codes_compared"], "bytes": read}

    def _width(self) -> dict[str, int]:
        return {} if self.ef is None else {"ef": self.ef}

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


def _column_field(shape: Shape, column: str) -> Any:
    if not shape.is_text(column):
        return vecdb.Int64()
    return vecdb.Keyword() if column == "section" else vecdb.Text()


def _vector_field(shape: Shape) -> Any:
    # Shape carries plain strings from the command line; vecdb checks them.
    options: dict[str, Any] = {"dtype": shape.dtype, "metric": shape.metric}
    graph = shape.graph
    index = vecdb.Flat() if graph is None else vecdb.Hnsw(m=graph.m, ef_construction=graph.ef_construction)
    return vecdb.Vector(shape.dimension, index=index, **options)
