"""Graph indexes as libraries: the matrix in memory, one thread, no database around any of them.

Each builds its graph over the same unit rows, then answers the same queries at growing widths of the search (ef), in
one call for all of them and in one call each. From the sweep come the queries a second at recall@10 of .95 and .99, by
linear interpolation between the two widths around it; a recall that no width reached is left empty. The truth is an
exact scan of the same rows.
"""

import importlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bench import datasets, measure
from bench.context import Context, Parameter
from bench.records import Ratio
from bench.systems.numpy_exact import prepared
from bench.workloads import Metrics

SYSTEMS = ("vecdb", "faiss-hnsw", "faiss-hnsw-sq8")
REPEATS = 3
FULL: Mapping[str, Parameter] = {
    "dataset": "debian60k",
    "m": 16,
    "ef_construction": 200,
    "widths": "16,24,32,48,64,96,128,192,256,384",
    "rounds": 5,
    "single": 300,
}
QUICK: Mapping[str, Parameter] = {
    "dataset": "clustered:3000x64",
    "ef_construction": 60,
    "widths": "16,64,256",
    "rounds": 1,
    "single": 20,
}
HEADLINES = ("batch qps_at_95", "batch qps_at_99", "single qps_at_95", "single qps_at_99", "build cpu_s")
K = 10
LEVELS = {"95": 0.95, "99": 0.99}


def prepare(context: Context) -> None:
    """Write the rows, the queries and the true answers."""
    from vecdb_index.dense import flat

    found = datasets.load(context.text("dataset"), context.data)
    rows = np.ascontiguousarray(prepared(found.matrix(), "cosine"))
    queries = np.ascontiguousarray(prepared(found.queries.astype(np.float32), "cosine"))
    truth = [answer.rows for answer in flat.search_batch(rows, queries, K, "dot")]
    np.save(context.scratch / "rows.npy", rows)
    np.save(context.scratch / "queries.npy", queries)
    np.save(context.scratch / "truth.npy", np.stack(truth))


def setup(context: Context) -> None:
    """Nothing to keep between runs: building is measured too."""


def run(context: Context) -> Metrics:
    rows, queries, truth = (np.load(context.scratch / f"{name}.npy") for name in ("rows", "queries", "truth"))
    search, metrics = _BUILDERS[context.system](context, rows)
    few = queries[: context.integer("single")]
    sweep: list[tuple[float, float, float]] = []
    for width in context.words("widths"):
        ef = int(width)
        found = search(queries, ef)
        recall = float(np.mean([len(set(mine) & set(true)) / K for mine, true in zip(found, truth, strict=True)]))
        batches = []
        for _ in range(context.integer("rounds")):
            begun = time.perf_counter()
            search(queries, ef)
            batches.append(time.perf_counter() - begun)
        singles = measure.latencies(lambda query, ef=ef: search(query[None], ef), few)
        sweep.append((recall, len(queries) / float(np.median(batches)), 1 / float(np.median(singles))))
        metrics |= {
            f"ef {ef} recall": recall,
            f"ef {ef} batch qps": sweep[-1][1],
            f"ef {ef} single qps": sweep[-1][2],
        }
    for label, level in LEVELS.items():
        metrics[f"batch qps_at_{label}"] = _at(level, [(recall, batch) for recall, batch, _ in sweep])
        metrics[f"single qps_at_{label}"] = _at(level, [(recall, single) for recall, _, single in sweep])
    return metrics


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    found = []
    for other in SYSTEMS[1:]:
        for metric in HEADLINES[:4]:
            found.append(Ratio(f"{metric}: vecdb / {other}", ("vecdb", metric), (other, metric)))
        found.append(Ratio(f"build cpu_s: {other} / vecdb", (other, "build cpu_s"), ("vecdb", "build cpu_s")))
    return found


def _at(level: float, curve: list[tuple[float, float]]) -> float | None:
    """Return the rate at a recall, between the two points around it; None when no point reaches it."""
    for (below, fast), (above, slow) in zip([curve[0], *curve], curve, strict=False):
        if above >= level:
            share = 1.0 if above == below else (level - below) / (above - below)
            return fast + max(0.0, share) * (slow - fast)
    return None


Search = Callable[[np.ndarray, int], Any]


def _vecdb(context: Context, rows: np.ndarray) -> tuple[Search, Metrics]:
    from vecdb_index.dense import flat
    from vecdb_index.dense.hnsw import search as hnsw
    from vecdb_index.dense.hnsw.build import build
    from vecdb_index.kernels import graph as _  # noqa: F401 - compiled before the clock starts

    norms = flat.norms(rows)
    with measure.Timer() as timer:
        m, ef = context.integer("m"), context.integer("ef_construction")
        graph = build(rows, "cosine", norms, m=m, ef_construction=ef)

    def search(queries: np.ndarray, ef: int) -> Any:
        return [found.rows for found in hnsw.search_batch(graph, rows, queries, K, "cosine", ef=ef, norms=norms)]

    search(rows[:5], 16)
    return search, {"build cpu_s": timer.cpu_s, "bytes_per_row": graph.bytes / len(rows)}


def _faiss(codes: bool) -> Callable[[Context, np.ndarray], tuple[Search, Metrics]]:
    def build(context: Context, rows: np.ndarray) -> tuple[Search, Metrics]:
        faiss: Any = importlib.import_module("faiss")
        faiss.omp_set_num_threads(1)
        dimension, m = rows.shape[1], context.integer("m")
        inner = faiss.METRIC_INNER_PRODUCT
        if codes:
            index = faiss.IndexHNSWSQ(dimension, faiss.ScalarQuantizer.QT_8bit, m, inner)
        else:
            index = faiss.IndexHNSWFlat(dimension, m, inner)
        index.hnsw.efConstruction = context.integer("ef_construction")
        with measure.Timer() as timer:
            index.train(rows)
            index.add(rows)

        def search(queries: np.ndarray, ef: int) -> Any:
            index.hnsw.efSearch = ef
            return index.search(queries, K)[1]

        return search, {"build cpu_s": timer.cpu_s}

    return build


_BUILDERS: dict[str, Callable[[Context, np.ndarray], tuple[Search, Metrics]]] = {
    "vecdb": _vecdb,
    "faiss-hnsw": _faiss(codes=False),
    "faiss-hnsw-sq8": _faiss(codes=True),
}
