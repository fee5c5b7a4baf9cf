"""Rows come and go: recall@10 of an approximate index over rounds of deleting and inserting, and after compaction.

The store begins with `live` of the set's rows, indexed. Each round deletes `share` of the live rows, drawn at random,
and inserts as many rows of the set that were never there, through the API; then every query is searched ("before", with
whatever indexes and unindexed rows there are), the store is compacted and settled, and the queries are searched again
("after"). Recall is against an exact scan of the rows that are live in that moment, ties counted; p50 is over one call
a query at width `ef`. `compact_s` and `compact_cpu_s` are compaction and building the index again.
"""

import shutil
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from bench import datasets, measure, systems, truth
from bench.context import Context, Parameter
from bench.records import Ratio
from bench.systems.base import Graph, Shape, System
from bench.systems.numpy_exact import prepared
from bench.workloads import Metrics

SYSTEMS = ("vecdb",)
REPEATS = 1
FULL: Mapping[str, Parameter] = {
    "dataset": "debian60k",
    "live": 30000,
    "turns": 10,
    "share": 0.1,
    "ef": 64,
    "m": 16,
    "ef_construction": 200,
    "queries": 300,
}
QUICK: Mapping[str, Parameter] = {
    "dataset": "clustered:3000x64",
    "live": 2000,
    "turns": 2,
    "ef_construction": 60,
    "queries": 20,
}
HEADLINES = ("worst_recall_before", "worst_recall_after")
K = 10


def prepare(context: Context) -> None:
    """Nothing is shared: the true answers change with every round."""


def setup(context: Context) -> None:
    """Nothing to keep between runs."""


def run(context: Context) -> Metrics:
    found = datasets.load(context.text("dataset"), context.data)
    rows = np.ascontiguousarray(prepared(found.matrix(), found.metric))
    queries = np.ascontiguousarray(prepared(found.some_queries(context.integer("queries")), found.metric))
    table = found.table()
    system = systems.make(context.system)
    shutil.rmtree(context.home, ignore_errors=True)
    context.home.parent.mkdir(parents=True, exist_ok=True)
    graph = Graph(context.integer("m"), context.integer("ef_construction"))
    system.create(context.home, Shape(found.dimension, found.metric, graph=graph))
    system.ef = context.integer("ef")
    rng = np.random.default_rng(7)
    order = rng.permutation(found.rows)
    live = np.zeros(found.rows, dtype=bool)
    live[order[: context.integer("live")]] = True
    unused = order[context.integer("live") :]
    system.ingest(table.take(pa.array(np.flatnonzero(live))))
    system.settle()
    metrics = _searched("start", system, rows, queries, live, found.metric)
    for turn in range(1, context.integer("turns") + 1):
        count = min(int(context.number("share") * live.sum()), len(unused))
        gone = rng.choice(np.flatnonzero(live), count, replace=False)
        come, unused = unused[:count], unused[count:]
        system.delete([datasets.row_id(int(row)) for row in gone])
        system.insert(table.take(pa.array(come)).combine_chunks().to_batches()[0])
        live[gone], live[come] = False, True
        metrics |= _searched(f"round {turn} before", system, rows, queries, live, found.metric)
        with measure.Timer() as timer:
            system.compact()
        metrics[f"round {turn} compact_s"] = timer.wall_s
        metrics[f"round {turn} compact_cpu_s"] = timer.cpu_s
        metrics |= _searched(f"round {turn} after", system, rows, queries, live, found.metric)
    stored = system.count()
    metrics["lost_rows"] = float(live.sum() - stored)
    system.close()
    shutil.rmtree(context.home)
    for when in ("before", "after"):
        recalls = [value for name, value in metrics.items() if name.endswith(f"{when} recall")]
        metrics[f"worst_recall_{when}"] = min(value for value in recalls if value is not None)
    return metrics


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    last = f"round {parameters['turns']} after"
    return [
        Ratio(f"{metric}: last round / start", ("vecdb", f"{last} {metric}"), ("vecdb", f"start {metric}"))
        for metric in ("recall", "p50_ms")
    ]


def _searched(
    label: str, system: System, rows: np.ndarray, queries: np.ndarray, live: np.ndarray, metric: str
) -> Metrics:
    answers: list[list[int]] = []

    def ask(query: np.ndarray) -> None:
        answers.append([int(row) for row in system.search(query, K)])

    seconds = measure.latencies(ask, queries)
    true = truth.exact(rows, queries, K, metric, live)
    deleted = sum(not live[row] for answer in answers for row in answer)
    if deleted:
        raise ValueError(f"{system.name} returned {deleted} deleted rows")
    return {
        f"{label} recall": truth.recall(answers, true, K),
        f"{label} short_answers": float(truth.short(answers, true, K)),
        f"{label} p50_ms": measure.percentiles(seconds)["p50_ms"],
    }
