"""Filtered top-10 of embedded databases with an approximate index: recall among the rows that pass, and latency.

The store has id, name, section, size, r100, text, one more column r1000 (uniform 0..999, independent of the vectors)
and the vector; it is built and settled once. The plain query is searched at growing widths first; the first width with
recall@10 of .99 is `plain ef`, and its time the plain query's. Every filter then runs at that width: a system's own
planner decides what to do with it. Timed is one call that returns ids, the filter made from its text or parts included,
on one thread, in `passes` passes over the queries; p50 and p95 are over the queries' best passes.

Filters: random rows (0.1, 1, 10 and 50 %); section games and python, which go with the text, so most queries lie far
from the rows that pass; `far section`: the section of at least 0.2 % of the rows whose mean vector is least like the
query; `not own section`: all rows but the section that most of the query's true top ten have, so that the query's
neighbourhood is what does not pass. `recall` is against an exact scan of the rows that pass, ties counted;
`short_answers` counts answers with fewer than ten rows though ten pass.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from bench import curves, datasets, machine, measure, systems, truth
from bench.context import Context, Parameter
from bench.records import Ratio
from bench.systems.base import Filter, Graph, Shape, System
from bench.systems.numpy_exact import column_values, prepared
from bench.workloads import Metrics

SYSTEMS = ("vecdb", "zvec", "qdrant-edge")
REPEATS = 3
FULL: Mapping[str, Parameter] = {
    "dataset": "debian60k",
    "m": 16,
    "ef_construction": 200,
    "widths": "16,32,48,64,96,128,192,256,384,512",
    "queries": 300,
    "passes": 3,
    "budget_s": 5.0,
}
QUICK: Mapping[str, Parameter] = {
    "dataset": "clustered:3000x64",
    "ef_construction": 60,
    "widths": "32,128,512",
    "queries": 20,
    "passes": 1,
    "budget_s": 0.5,
}
HEADLINES = ("plain p50_ms", "r1000 < 1 p50_ms", "r100 < 10 p50_ms", "far section p50_ms", "not own section p50_ms")
K = 10
COLUMNS = (*datasets.ATTRIBUTES, "r1000")
_LEVEL = 0.99
_WANTED_SECTIONS = ("games", "python")
_SECTION_SHARE = 0.002
_WARM = 10


def prepare(context: Context) -> None:
    """Write the queries, each query's filters, and the true answers under them."""
    found = datasets.load(context.text("dataset"), context.data)
    rows = np.ascontiguousarray(prepared(found.matrix(), found.metric))
    queries = np.ascontiguousarray(prepared(found.some_queries(context.integer("queries")), found.metric))
    columns = _columns(found)
    plain = truth.exact(rows, queries, K, found.metric)
    described: dict[str, Any] = {"dimension": found.dimension, "metric": found.metric, "filters": {}}
    np.save(context.scratch / "queries.npy", queries)
    np.save(context.scratch / "truth-plain.npy", plain)
    for number, (label, filters) in enumerate(_filters(rows, queries, columns, plain[:, :K]).items()):
        masks = {each: each.mask(columns) for each in set(filters)}
        if len(masks) == 1:
            true = truth.exact(rows, queries, K, found.metric, masks[filters[0]])
        else:
            each_row = np.stack([masks[each] for each in filters])
            true = truth.exact(rows, queries, K, found.metric, each_row)
        np.save(context.scratch / f"truth-{number}.npy", true)
        share = float(np.mean([masks[each].mean() for each in filters]))
        described["filters"][label] = {"file": f"truth-{number}.npy", "share": share, "each": [*map(asdict, filters)]}
    (context.scratch / "filtered.json").write_text(json.dumps(described))


def setup(context: Context) -> Metrics:
    """Build the store and its index once; the runs only open it."""
    found = datasets.load(context.text("dataset"), context.data)
    system = systems.make(context.system)
    with measure.Timer() as timer:
        system.create(context.home, _shape(context, found.dimension, found.metric))
        system.ingest_batches(_with_r1000(found))
        system.settle()
    system.sync()
    system.close()
    return {"build_s": timer.wall_s, "build_cpu_s": timer.cpu_s}


def run(context: Context) -> Metrics:
    told = json.loads((context.scratch / "filtered.json").read_text())
    queries = np.load(context.scratch / "queries.npy")
    system = systems.make(context.system)
    system.open(context.home, _shape(context, told["dimension"], told["metric"]))
    metrics = _plain(context, system, queries, np.load(context.scratch / "truth-plain.npy"))
    for label, each in told["filters"].items():
        true = np.load(context.scratch / each["file"])
        where = {query.tobytes(): Filter(**one) for query, one in zip(queries, each["each"], strict=True)}
        measured = _measured(context, queries, true, lambda query, w=where: system.search(query, K, w[query.tobytes()]))
        metrics |= {f"{label} {name}": value for name, value in measured.items()}
        metrics[f"{label} share_passing"] = each["share"]
    metrics["private_bytes"] = machine.memory("RssAnon")
    metrics["resident_bytes"] = machine.memory("VmRSS")
    system.close()
    return metrics


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    found = []
    for other in SYSTEMS[1:]:
        for label in ("plain", *(f"r100 < {percent}" for percent in (1, 10, 50)), "far section", "not own section"):
            metric = f"{label} p50_ms"
            found.append(Ratio(f"{metric}: {other} / vecdb", (other, metric), ("vecdb", metric)))
    return found


def _plain(context: Context, system: System, queries: np.ndarray, true: np.ndarray) -> Metrics:
    """Find the first width that reaches the level (else keep the widest) and leave the system at it."""
    metrics: Metrics = {}
    for width in context.words("widths"):
        system.ef = int(width)
        measured = _measured(context, queries, true, lambda query: system.search(query, K))
        metrics[f"at {width} recall"] = measured["recall"]
        metrics[f"at {width} single_qps"] = measured["qps"]
        metrics |= {"plain ef": float(width), **{f"plain {name}": value for name, value in measured.items()}}
        if measured["recall"] >= _LEVEL:
            break
    return metrics


def _measured(
    context: Context, queries: np.ndarray, true: np.ndarray, call: Callable[[np.ndarray], list[str]]
) -> dict[str, float]:
    for query in queries[:_WARM]:
        call(query)
    done = curves.passes(call, queries, context.integer("passes"), context.number("budget_s"))
    found = [[int(row) for row in answer] for answer in done.answers]
    told = measure.percentiles(done.best_s)
    return {
        "recall": truth.recall(found, true, K),
        "short_answers": float(truth.short(found, true, K)),
        "p50_ms": told["p50_ms"],
        "p95_ms": told["p95_ms"],
        "qps": 1 / float(done.best_s.mean()),
        "cpu_ms": done.cpu_s * 1e3,
    }


def _filters(
    rows: np.ndarray, queries: np.ndarray, columns: Mapping[str, np.ndarray], plain: np.ndarray
) -> dict[str, list[Filter]]:
    """Return label -> one filter for each query."""
    sections, numbers = np.unique(columns["section"], return_inverse=True)
    counts = np.bincount(numbers)
    fixed = [Filter("r1000", "<", 1), *(Filter("r100", "<", percent) for percent in (1, 10, 50))]
    by_size = [str(sections[at]) for at in np.argsort(np.abs(counts / len(rows) - 0.02), kind="stable")]
    named = [name for name in _WANTED_SECTIONS if name in sections] or by_size[:2]
    fixed += [Filter("section", "=", name) for name in named]
    found = {f"{each.column} {each.comparison} {each.value}": [each] * len(queries) for each in fixed}
    large = np.flatnonzero(counts >= max(K, _SECTION_SHARE * len(rows)))
    means = np.stack([rows[numbers == section].mean(axis=0) for section in large])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    far = large[np.argmin(queries @ means.T, axis=1)]
    own = [np.bincount(numbers[near[near >= 0]]).argmax() for near in plain]
    found["far section"] = [Filter("section", "=", str(sections[section])) for section in far]
    found["not own section"] = [Filter("section", "!=", str(sections[section])) for section in own]
    return found


def _shape(context: Context, dimension: int, metric: str) -> Shape:
    graph = Graph(context.integer("m"), context.integer("ef_construction"))
    return Shape(dimension, metric, columns=COLUMNS, graph=graph)


def _columns(found: datasets.Dataset) -> dict[str, np.ndarray]:
    blocks = list(_with_r1000(found))
    wanted = ("section", "r100", "r1000")
    return {name: np.concatenate([column_values(block.column(name)) for block in blocks]) for name in wanted}


def _with_r1000(found: datasets.Dataset) -> Iterator[pa.RecordBatch]:
    """Yield the set's batches with the column r1000."""
    for number, batch in enumerate(found.batches()):
        uniform = np.random.default_rng([1000, number]).integers(0, 1000, batch.num_rows)
        yield batch.append_column("r1000", pa.array(uniform))
