"""Exact top-10 search, single and in batches, with and without filters, beside the machine's own limits.

A single query is a scan: its rate is the bytes of the vectors over its median time, stated as a share of the memory
read bandwidth measured between the queries. A batch is a matrix product: its rate is 2 x rows x dimension x queries
over its time, top-k included, as a share of OpenBLAS's best product measured between the batches. Answers are checked
against a float64 rescoring: `agreement` is the mean share of the true ten that came back.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from bench import datasets, measure, systems
from bench.context import Context, Parameter
from bench.records import Ratio
from bench.systems.base import Filter, Shape, System
from bench.systems.numpy_exact import column_values
from bench.workloads import Metrics

SYSTEMS = ("vecdb", "numpy", "faiss", "faiss-1t")
REPEATS = 3
FULL: Mapping[str, Parameter] = {
    "dataset": "debian60k@1000000",
    "dtype": "float32",
    "batch": 256,
    "rounds": 8,
    "queries_per_round": 8,
    "read_mib": 512,
}
QUICK: Mapping[str, Parameter] = {
    "dataset": "clustered:4000x384",
    "batch": 32,
    "rounds": 2,
    "queries_per_round": 4,
    "read_mib": 64,
}
HEADLINES = ("single p50_ms", "read_share", "sgemm_share", "filter r100 < 10 p50_ms")
K = 10
_POOL = 50  # candidates by float32 that are rescored in float64
_TESTED = 64


def prepare(context: Context) -> None:
    """Write the queries, the filters and the true answers."""
    found = datasets.load(context.text("dataset"), context.data)
    wanted = max(context.integer("batch"), _TESTED)
    queries = np.resize(found.queries, (wanted, found.dimension)).astype(np.float32)
    filters = _filters(found)
    masks: dict[str, np.ndarray] = {"single": np.ones(found.rows, dtype=bool)}
    masks |= {_label(each): np.empty(found.rows, dtype=bool) for each in filters}
    for start in range(0, found.rows, datasets.BLOCK_ROWS):
        block = found.block(start)
        columns = {name: column_values(block.column(name)) for name in ("section", "r100")}
        for each in filters:
            masks[_label(each)][start : start + block.num_rows] = each.mask(columns)
    vectors = _as_stored(found.matrix(), context.text("dtype"))
    asked = _as_stored(queries[:_TESTED], "int8" if context.text("dtype") == "int8" else "float32")
    truth = _truth(vectors, asked, masks, found.metric)
    np.save(context.scratch / "queries.npy", queries)
    described = {
        "rows": found.rows,
        "dimension": found.dimension,
        "metric": found.metric,
        "filters": [{**asdict(each), "share": float(masks[_label(each)].mean())} for each in filters],
        "truth": {name: rows.tolist() for name, rows in truth.items()},
    }
    (context.scratch / "exact.json").write_text(json.dumps(described))


def setup(context: Context) -> Metrics:
    """Build the system's store once; its runs only open it."""
    found = datasets.load(context.text("dataset"), context.data)
    system = systems.make(context.system)
    with measure.Timer() as timer:
        system.create(context.home, Shape(found.dimension, found.metric, context.text("dtype")))
        system.ingest_batches(found.batches())
    system.close()
    return {"build_s": timer.wall_s}


def run(context: Context) -> Metrics:
    from bench import roofline

    told = json.loads((context.scratch / "exact.json").read_text())
    queries = np.load(context.scratch / "queries.npy")
    dtype = context.text("dtype")
    if dtype == "int8":
        queries = np.round(queries * 127).astype(np.int8)
    system = systems.make(context.system)
    system.open(context.home, Shape(told["dimension"], told["metric"], dtype))
    stored_bytes = told["rows"] * told["dimension"] * np.dtype(dtype).itemsize
    metrics: Metrics = {"single agreement": _agreement(system, queries[:_TESTED], told["truth"]["single"], None)}
    reader = roofline.ReadBandwidth(context.integer("read_mib") * 1024**2)
    metrics |= _single(context, system, queries, stored_bytes, reader)
    for each in told["filters"]:
        where = Filter(each["column"], each["comparison"], each["value"])
        label = _label(where)
        metrics[f"{label} agreement"] = _agreement(system, queries[:_TESTED], told["truth"][label], where)
        metrics[f"{label} share_passing"] = each["share"]
        metrics |= _filtered(context, system, queries, where, label)
    del reader
    operations = 2 * told["rows"] * told["dimension"] * context.integer("batch")
    product = roofline.MatrixProduct(told["dimension"], context.integer("batch"))
    metrics |= _batch(context, system, queries[: context.integer("batch")], operations, product)
    system.close()
    return metrics


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    found = []
    for other in ("numpy", "faiss", "faiss-1t"):
        for metric in ("single p50_ms", "filter r100 < 1 p50_ms", "filter r100 < 10 p50_ms", "batch ms_per_query"):
            # A speed-up: the other's time over ours.
            found.append(Ratio(f"{metric}: {other} / vecdb", (other, metric), ("vecdb", metric)))
    return found


def _single(
    context: Context, system: System, queries: np.ndarray, stored_bytes: int, reader: Any
) -> dict[str, float | None]:
    per_round = context.integer("queries_per_round")
    seconds: list[np.ndarray] = []
    shares, bandwidths = [], []
    for turn in range(context.integer("rounds")):
        chosen = np.take(queries, range(turn * per_round, (turn + 1) * per_round), axis=0, mode="wrap")
        bandwidth = reader.sample()
        taken = measure.latencies(lambda query: system.search(query, K), chosen)
        seconds.append(taken)
        bandwidths.append(bandwidth)
        shares.append(stored_bytes / float(np.median(taken)) / 1e9 / bandwidth)
    every = np.concatenate(seconds)
    rates: dict[str, float | None] = {
        "single gb_per_s": stored_bytes / float(np.median(every)) / 1e9,
        "single machine_read_gb_per_s": measure.median(bandwidths),
        "single read_share": measure.median(shares),
    }
    return {f"single {key}": value for key, value in measure.percentiles(every).items()} | rates


def _filtered(
    context: Context, system: System, queries: np.ndarray, where: Filter, label: str
) -> dict[str, float | None]:
    count = context.integer("rounds") * context.integer("queries_per_round")
    chosen = np.take(queries, range(count), axis=0, mode="wrap")
    seconds = measure.latencies(lambda query: system.search(query, K, where), chosen)
    return {f"{label} {key}": value for key, value in measure.percentiles(seconds).items()}


def _batch(
    context: Context, system: System, queries: np.ndarray, operations: int, product: Any
) -> dict[str, float | None]:
    walls, cpus, shares, peaks, shaped = [], [], [], [], []
    system.search_batch(queries, K)
    for _ in range(max(2, context.integer("rounds") // 2)):
        peak = product.sample()
        taken = measure.timed(lambda: system.search_batch(queries, K))
        walls.append(taken.wall_s)
        cpus.append(taken.cpu_s)
        peaks.append(peak)
        shaped.append(product.sample_batch_shape())
        shares.append(operations / taken.wall_s / 1e9 / peak)
    return {
        "batch ms_per_query": measure.median(walls) * 1e3 / len(queries),
        "batch cpu_ms_per_query": measure.median(cpus) * 1e3 / len(queries),
        "batch gflop_per_s": operations / measure.median(walls) / 1e9,
        "batch machine_sgemm_gflop_per_s": measure.median(peaks),
        "batch machine_sgemm_same_shape_gflop_per_s": measure.median(shaped),
        "batch sgemm_share": measure.median(shares),
    }


def _agreement(system: System, queries: np.ndarray, truth: Sequence[Sequence[int]], where: Filter | None) -> float:
    shares = []
    for query, rows in zip(queries, truth, strict=True):
        true = {datasets.row_id(row) for row in rows}
        shares.append(len(true & set(system.search(query, K, where))) / max(len(true), 1))
    return float(np.mean(shares))


def _filters(found: datasets.Dataset) -> list[Filter]:
    """Return three filters on r100, which is independent of the vectors, and the section nearest to 2 % of the rows."""
    sections, counts = np.unique(column_values(found.attributes.column("section")), return_counts=True)
    section = str(sections[np.argmin(np.abs(counts / counts.sum() - 0.02))])
    return [*(Filter("r100", "<", percent) for percent in (1, 10, 50)), Filter("section", "=", section)]


def _label(where: Filter) -> str:
    return f"filter {where}" if where.column == "r100" else f"filter {where.column}"


def _as_stored(vectors: np.ndarray, dtype: str) -> np.ndarray:
    """Return float32 vectors with the values that a store of `dtype` keeps."""
    if dtype == "int8":
        return np.round(vectors * 127)
    return vectors if dtype == "float32" else vectors.astype(dtype).astype(np.float32)


def _truth(
    vectors: np.ndarray, queries: np.ndarray, masks: Mapping[str, np.ndarray], metric: str
) -> dict[str, np.ndarray]:
    """Return mask name -> int64 (queries, K or the number of rows that pass), best first."""
    lengths = np.linalg.norm(vectors, axis=1)
    scores = queries @ vectors.T
    if metric == "cosine":
        scores /= lengths
    elif metric == "l2":
        scores -= 0.5 * lengths**2
    found = {}
    for name, mask in masks.items():
        rows = np.flatnonzero(mask)
        pool = min(_POOL, len(rows))
        best = np.empty((len(queries), min(K, len(rows))), dtype=np.int64)
        for number, query in enumerate(queries.astype(np.float64)):
            near = rows[np.argpartition(-scores[number, rows], pool - 1)[:pool]] if pool else rows
            exact = vectors[near].astype(np.float64) @ query
            if metric == "cosine":
                exact /= np.linalg.norm(vectors[near].astype(np.float64), axis=1)
            elif metric == "l2":
                exact -= 0.5 * np.einsum("ij,ij->i", vectors[near], vectors[near], dtype=np.float64)
            best[number] = near[np.argsort(-exact, kind="stable")[: best.shape[1]]]
        found[name] = best
    return found
