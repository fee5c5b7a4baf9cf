"""zvec, embedded: HNSW over float32 (or 8-bit codes), inverted indexes on the columns that filters use."""

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from bench.systems.base import Filter, Graph, Record, Shape, System, embeddings

_FILTERED = ("section", "r100", "r1000")
_BATCH_ROWS = 1000


class Zvec(System):
    """One collection. `settle` is its optimize(), which merges what was inserted and builds the graph."""

    name: ClassVar[str] = "zvec"
    codes: ClassVar[str] = "UNDEFINED"

    def __init__(self) -> None:
        self._zvec: Any = importlib.import_module("zvec")
        self._collection: Any = None
        self._columns: tuple[str, ...] = ()

    def create(self, path: Path, shape: Shape) -> None:
        zvec = self._zvec
        self._start(shape)
        path.parent.mkdir(parents=True, exist_ok=True)
        kinds, graph = zvec.DataType, shape.graph or Graph()
        metric = {"cosine": zvec.MetricType.COSINE, "l2": zvec.MetricType.L2, "dot": zvec.MetricType.IP}[shape.metric]
        index = zvec.HnswIndexParam(
            metric_type=metric,
            m=graph.m,
            ef_construction=graph.ef_construction,
            quantize_type=getattr(zvec.QuantizeType, self.codes),
        )
        fields = []
        for name in shape.columns or ("number",):
            options = {}
            if name in _FILTERED:
                options["index_param"] = zvec.InvertIndexParam(enable_range_optimization=not shape.is_text(name))
            kind = kinds.STRING if shape.is_text(name) else kinds.INT64
            fields.append(zvec.FieldSchema(name, kind, **options))
        vector = zvec.VectorSchema("embedding", kinds.VECTOR_FP32, shape.dimension, index)
        self._collection = zvec.create_and_open(
            str(path), zvec.CollectionSchema("rows", fields=fields, vectors=[vector])
        )

    def open(self, path: Path, shape: Shape) -> None:
        self._start(shape)
        self._collection = self._zvec.open(str(path))

    def ingest_batches(self, batches: Iterable[pa.RecordBatch]) -> None:
        doc = self._zvec.Doc
        for whole in batches:
            for start in range(0, whole.num_rows, _BATCH_ROWS):
                batch = whole.slice(start, _BATCH_ROWS)
                vectors, names = embeddings(batch), batch.column("id").to_pylist()
                columns = {name: batch.column(name).to_pylist() for name in self._columns}
                columns = columns or {"number": list(range(batch.num_rows))}
                self._collection.insert(
                    [
                        doc(
                            str(name),
                            vectors={"embedding": vectors[at]},
                            fields={column: values[at] for column, values in columns.items()},
                        )
                        for at, name in enumerate(names)
                    ]
                )

    def sync(self) -> None:
        self._collection.flush()

    def settle(self) -> None:
        self._collection.optimize()
        self._collection.flush()

    def search(self, query: np.ndarray, k: int, where: Filter | None = None) -> list[str]:
        zvec = self._zvec
        width = {} if self.ef is None else {"param": zvec.HnswQueryParam(ef=self.ef)}
        asked = zvec.Query("embedding", vector=query, **width)
        text = None if where is None else str(where)
        return [row.id for row in self._collection.query(asked, topk=k, filter=text, output_fields=[])]

    def search_batch(self, queries: np.ndarray, k: int) -> list[list[str]]:
        return [self.search(query, k) for query in queries]

    def upsert(self, record: Record) -> None:
        plain = {name: value for name, value in record.items() if name not in ("id", "embedding")}
        self._collection.upsert(self._zvec.Doc(record["id"], vectors={"embedding": record["embedding"]}, fields=plain))

    def delete(self, rows: Sequence[str]) -> None:
        for start in range(0, len(rows), _BATCH_ROWS):
            self._collection.delete(list(rows[start : start + _BATCH_ROWS]))

    def count(self) -> int:
        return int(self._collection.stats.doc_count)

    def close(self) -> None:
        if self._collection is not None:
            self._collection.close()
            self._collection = None

    def _start(self, shape: Shape) -> None:
        """One thread a query, as every single search here; building takes the threads of the shape."""
        zvec, graph = self._zvec, shape.graph or Graph()
        zvec.init(log_level=zvec.LogLevel.ERROR, query_threads=1, optimize_threads=graph.threads)
        self._columns = shape.columns


class ZvecInt8(Zvec):
    """The graph over 8-bit codes."""

    name: ClassVar[str] = "zvec-int8"
    codes: ClassVar[str] = "INT8"
