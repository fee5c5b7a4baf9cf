"""Approximate top-10 as a library user sees it: recall against queries a second, cost of the build, memory, disk.

Build (once for each system, two threads): from the matrix in memory to an index that could answer; `build wall_s` and
`build cpu_s` are that, writing it to files is `save_s`. Peers build an index over the matrix; vecdb, zvec and
qdrant-edge build a collection of id and vector and are timed from its first row until every row is indexed. Before
anything is measured, each process builds and searches a small index, so that code is loaded and compiled.

Each round opens the saved index in a fresh process and sweeps its width. At each width: one call a query, from one
thread, in up to `passes` passes, each query with its best (`at W single_qps` is 1 / mean of those), then `rounds` calls
with all queries and `threads` threads (`at W batch_qps` by the best, `batch_median_qps` by the median; a database
without such a call loops). `cpu_qps` is queries over CPU seconds of all threads, of the best pass or call: on a machine
full of other work it is what still holds, and it shows a single call that takes several threads. What is timed ends
when the caller has ids. `qps_at_95` interpolates log queries/s over recall on the Pareto front.

Recall is against an exact scan done once, ties counted. `disk bytes_per_row`: all files, as allocated on disk (Qdrant's
have holes). `index bytes_per_row`: the same less one copy of the raw float32 vectors, where the files hold one: what an
index needs in memory beside mapped raw vectors. `private bytes_per_row`: growth of RssAnon (heap, no mapped files) from
before opening until after the sweep; `resident bytes_per_row` counts mapped pages too.
"""

import json
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np

from bench import curves, datasets, libraries, machine, measure, pagecache, truth
from bench.context import Context, Parameter
from bench.libraries import Library
from bench.libraries.base import Width
from bench.records import Ratio
from bench.systems.base import Graph
from bench.systems.numpy_exact import prepared
from bench.workloads import Metrics

SYSTEMS = (
    *("vecdb", "svs", "faiss-hnsw", "faiss-hnsw-sq8", "faiss-ivfpqfs", "hnswlib"),
    *("usearch", "voyager", "zvec", "qdrant-edge"),
)
REPEATS = 3
FULL: Mapping[str, Parameter] = {
    "dataset": "debian60k",
    "m": 16,
    "ef_construction": 200,
    "threads": 2,
    "queries": 1000,
    "passes": 4,
    "budget_s": 4.0,
    "rounds": 5,
    "batch_budget_s": 3.0,
}
QUICK: Mapping[str, Parameter] = {
    "dataset": "clustered:3000x64",
    "ef_construction": 60,
    "queries": 100,
    "passes": 2,
    "budget_s": 0.2,
    "rounds": 2,
    "batch_budget_s": 0.2,
}
HEADLINES = (
    *("single qps_at_90", "single qps_at_95", "single qps_at_99", "single cpu_qps_at_95", "batch qps_at_95"),
    *("build cpu_s", "index bytes_per_row"),
)
K = 10
_WARM = 20
_WARM_ROWS = 3000
_WARM_CONSTRUCTION = 40


def prepare(context: Context) -> None:
    """Write the rows, the queries and the true answers."""
    found = datasets.load(context.text("dataset"), context.data)
    rows = np.ascontiguousarray(prepared(found.matrix(), found.metric))
    queries = np.ascontiguousarray(prepared(found.some_queries(context.integer("queries")), found.metric))
    np.save(context.scratch / "rows.npy", rows)
    np.save(context.scratch / "queries.npy", queries)
    np.save(context.scratch / "truth.npy", truth.exact(rows, queries, K, found.metric))
    (context.scratch / "metric").write_text(found.metric)


def setup(context: Context) -> Metrics:
    """Build and save the index; the figures stand in each run's metrics."""
    metrics = build(context, np.load(context.scratch / "rows.npy"), (context.scratch / "metric").read_text())
    (context.home / "build.json").write_text(json.dumps(metrics))
    return metrics


def run(context: Context) -> Metrics:
    queries, true = np.load(context.scratch / "queries.npy"), np.load(context.scratch / "truth.npy")
    metric = (context.scratch / "metric").read_text()
    library = libraries.make(context.system)
    rows = np.load(context.scratch / "rows.npy", mmap_mode="r")
    warm_up(context, rows, metric)
    before = {name: machine.memory(name) for name in ("RssAnon", "VmRSS")}
    library.threads = context.integer("threads")
    with measure.Timer() as loading:
        library.load(context.home / "index", rows, metric)
    metrics: Metrics = dict(json.loads((context.home / "build.json").read_text()))
    metrics["load_s"] = loading.wall_s
    metrics |= sweep(context, library, queries, true)
    for name, kind in (("private", "RssAnon"), ("resident", "VmRSS")):
        then, now = before[kind], machine.memory(kind)
        metrics[f"{name} bytes_per_row"] = None if then is None or now is None else (now - then) / len(rows)
    library.close()
    return metrics


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    found = []
    for other in SYSTEMS[1:]:
        for metric in HEADLINES[:5]:
            found.append(Ratio(f"{metric}: vecdb / {other}", ("vecdb", metric), (other, metric)))
        for metric in ("build cpu_s", "index bytes_per_row"):
            found.append(Ratio(f"{metric}: {other} / vecdb", (other, metric), ("vecdb", metric)))
    return found


def build(context: Context, rows: np.ndarray, metric: str) -> Metrics:
    """Build the system's index over `rows` in context.home / "index" and return what that cost."""
    warm_up(context, rows, metric)
    folder = context.home / "index"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    library = libraries.make(context.system)
    graph = Graph(context.integer("m"), context.integer("ef_construction"), context.integer("threads"))
    with measure.Timer() as building:
        library.build(rows, metric, graph, folder)
    with measure.Timer() as saving:
        library.save(folder)
    metrics: Metrics = {
        "build wall_s": building.wall_s,
        "build cpu_s": building.cpu_s,
        "build rows_per_s": len(rows) / building.wall_s,
        "save_s": saving.wall_s,
        "disk bytes_per_row": pagecache.allocated_bytes(folder) / len(rows),
        "index bytes_per_row": library.index_bytes(folder, rows) / len(rows),
    }
    library.close()
    return metrics


def warm_up(context: Context, rows: np.ndarray, metric: str) -> None:
    """Build and search a small index, so that imports and compiled code are there before anything is measured."""
    library, folder = libraries.make(context.system), context.home / "warm"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    few = np.array(rows[:_WARM_ROWS])  # some take no array that cannot be written, as mapped ones are
    library.build(few, metric, Graph(context.integer("m"), _WARM_CONSTRUCTION, context.integer("threads")), folder)
    library.save(folder)
    library.close()
    library = libraries.make(context.system)
    library.load(folder, few, metric)
    library.set_width(library.widths[0])
    library.one(few[0], K)
    library.batch(few[:2], K, context.integer("threads"))
    library.close()
    shutil.rmtree(folder)


def sweep(context: Context, library: Library, queries: np.ndarray, true: np.ndarray) -> Metrics:
    """Measure every width until the recall is certain, and interpolate between them."""
    metrics: Metrics = {}
    points: list[dict[str, Any]] = []
    for width in library.widths:
        if not isinstance(width, tuple) and curves.is_done([point["recall"] for point in points]):
            break
        point = _point(context, library, width, queries, true)
        points.append(point)
        metrics |= {f"at {_label(width)} {name}": value for name, value in point.items()}
    for name in ("single qps", "single cpu_qps", "batch qps", "batch median_qps", "batch cpu_qps"):
        figure = name.replace(" ", "_")
        for label, level in curves.LEVELS.items():
            metrics[f"{name}_at_{label}"] = curves.at_recall([(one["recall"], one[figure]) for one in points], level)
    metrics["best_recall"] = max(point["recall"] for point in points)
    return metrics


def _point(context: Context, library: Library, width: Width, queries: np.ndarray, true: np.ndarray) -> dict[str, float]:
    library.set_width(width)
    for query in queries[:_WARM]:
        library.one(query, K)
    single = curves.passes(
        lambda query: library.one(query, K), queries, context.integer("passes"), context.number("budget_s")
    )
    threads = context.integer("threads")
    library.batch(queries[:_WARM], K, threads)
    call = {"batch": lambda: library.batch(queries, K, threads)}
    budget = context.number("batch_budget_s")
    taken = measure.interleave(call, context.integer("rounds"), warmup=0, budget_s=budget)["batch"]
    walls = [sample.wall_s for sample in taken]
    return {
        "recall": truth.recall([library.numbers(answer) for answer in single.answers], true, K),
        "batch_recall": truth.recall(
            [library.numbers(answer) for answer in library.batch(queries, K, threads)], true, K
        ),
        "single_qps": 1 / float(single.best_s.mean()),
        "single_cpu_qps": 1 / max(single.cpu_s, 1e-9),
        **measure.percentiles(single.best_s, "us"),
        "batch_qps": len(queries) / min(walls),
        "batch_median_qps": len(queries) / measure.median(walls),
        "batch_cpu_qps": len(queries) / max(min(sample.cpu_s for sample in taken), 1e-9),
        **library.cost(queries, K),
    }


def _label(width: Width) -> str:
    return "/".join(str(part) for part in width) if isinstance(width, tuple) else str(width)
