"""Qdrant Edge, embedded: one shard, HNSW, payload indexes on the columns that filters use."""

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from bench.datasets import row_id
from bench.systems.base import Filter, Record, Shape, System, embeddings

_FILTERED = ("section", "r100", "r1000")
_BATCH_ROWS = 1000


class QdrantEdge(System):
    """Points are called by the row's number. `settle` is its optimize(), which builds the graph."""

    name: ClassVar[str] = "qdrant-edge"

    def __init__(self) -> None:
        self._edge: Any = importlib.import_module("qdrant_edge")
        self._shard: Any = None
        self._columns: tuple[str, ...] = ()

    def create(self, path: Path, shape: Shape) -> None:
        edge = self._edge
        self._columns = shape.columns
        path.mkdir(parents=True)
        distance = {"cosine": edge.Distance.Cosine, "l2": edge.Distance.Euclid, "dot": edge.Distance.Dot}
        vectors = edge.EdgeVectorParams(size=shape.dimension, distance=distance[shape.metric])
        options = {}
        if shape.graph is not None:
            options["hnsw_config"] = edge.HnswIndexConfig(
                m=shape.graph.m,
                ef_construct=shape.graph.ef_construction,
                full_scan_threshold=10_000,
                max_indexing_threads=shape.graph.threads,
            )
        self._shard = edge.EdgeShard.create(str(path), edge.EdgeConfig(vectors=vectors, **options))
        for name in shape.columns:
            if name in _FILTERED:
                kind = edge.PayloadSchemaType.Keyword if shape.is_text(name) else edge.PayloadSchemaType.Integer
                self._shard.update(edge.UpdateOperation.create_field_index(name, kind))

    def open(self, path: Path, shape: Shape) -> None:
        self._columns = shape.columns
        self._shard = self._edge.EdgeShard.load(str(path))

    def ingest_batches(self, batches: Iterable[pa.RecordBatch]) -> None:
        edge = self._edge
        for whole in batches:
            for start in range(0, whole.num_rows, _BATCH_ROWS):
                batch = whole.slice(start, _BATCH_ROWS)
                vectors, names = embeddings(batch).tolist(), batch.column("id").to_pylist()
                columns = {name: batch.column(name).to_pylist() for name in self._columns}
                points = [
                    edge.Point(int(name), vectors[at], {column: values[at] for column, values in columns.items()})
                    for at, name in enumerate(names)
                ]
                self._shard.update(edge.UpdateOperation.upsert_points(points))

    def sync(self) -> None:
        self._shard.flush()

    def settle(self) -> None:
        self._shard.optimize()
        self._shard.flush()

    def search(self, query: np.ndarray, k: int, where: Filter | None = None) -> list[str]:
        return [row_id(point.id) for point in self._shard.query(self._request(query, k, where))]

    def search_batch(self, queries: np.ndarray, k: int) -> list[list[str]]:
        asked = self._edge.QueryBatchRequest([self._request(query, k, None) for query in queries])
        found = self._shard.query_batch(asked)
        return [[row_id(point.id) for point in points] for points in found]

    def upsert(self, record: Record) -> None:
        edge = self._edge
        plain = {name: value for name, value in record.items() if name not in ("id", "embedding")}
        point = edge.Point(int(record["id"]), np.asarray(record["embedding"]).tolist(), plain)
        self._shard.update(edge.UpdateOperation.upsert_points([point]))

    def delete(self, rows: Sequence[str]) -> None:
        self._shard.update(self._edge.UpdateOperation.delete_points([int(row) for row in rows]))

    def count(self) -> int:
        return int(self._shard.count(self._edge.CountRequest(exact=True)))

    def close(self) -> None:
        if self._shard is not None:
            self._shard.close()
            self._shard = None

    def _request(self, query: np.ndarray, k: int, where: Filter | None) -> Any:
        edge = self._edge
        options = {} if self.ef is None else {"params": edge.SearchParams(hnsw_ef=self.ef)}
        nearest = edge.Query.Nearest(query.tolist())
        return edge.QueryRequest(limit=k, query=nearest, filter=self._filter(where), **options)

    def _filter(self, where: Filter | None) -> Any:
        edge = self._edge
        if where is None:
            return None
        if where.comparison in ("<", ">="):
            bound = {"lt" if where.comparison == "<" else "gte": float(where.value)}
            return edge.Filter(must=[edge.FieldCondition(where.column, range=edge.RangeFloat(**bound))])
        condition = edge.FieldCondition(where.column, match=edge.MatchValue(where.value))
        return edge.Filter(**{"must" if where.comparison == "=" else "must_not": [condition]})
