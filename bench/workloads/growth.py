"""How the work of a query grows with the rows at equal recall: time, distances and bytes at recall@10 of .95.

Rows are drawn at random, without repetition, from the largest set asked for, so that every size has the same
distribution; sizes past the real rows are mixtures (bench.mixing). Each size is built once, in set-up. A run opens each
in turn, sweeps the width and interpolates at the recall, as the workload `ann` does: `rows N us_at_95` for one call on
one thread, and `rows N distances_at_95`, `rows N bytes_at_95` where the library tells them. An exponent e, `exponent
us` and so on, is the slope of log figure over log rows: figure ~ rows^e; 1 is a scan.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench import curves, datasets, libraries, truth
from bench.context import Context, Parameter
from bench.records import Ratio
from bench.systems.numpy_exact import prepared
from bench.workloads import Metrics, ann

SYSTEMS = ("vecdb",)
REPEATS = 3
FULL: Mapping[str, Parameter] = {
    "dataset": "debian60k",
    "sizes": "10000,100000",
    "m": 16,
    "ef_construction": 200,
    "threads": 2,
    "queries": 500,
    "passes": 3,
    "budget_s": 2.0,
}
QUICK: Mapping[str, Parameter] = {
    "dataset": "clustered:3000x64",
    "sizes": "1000,3000",
    "ef_construction": 60,
    "queries": 50,
    "passes": 1,
    "budget_s": 0.2,
}
HEADLINES = ("exponent us", "exponent distances", "exponent bytes")
K = 10
_LEVEL = 0.95
_COSTS = ("us", "distances", "bytes")


def prepare(context: Context) -> None:
    """Write the largest set in random order, the queries, and the true answers at each size."""
    sizes = [int(size) for size in context.words("sizes")]
    found = datasets.load(f"{context.text('dataset')}~{max(sizes)}", context.data)
    rows = np.ascontiguousarray(prepared(found.matrix(), found.metric))
    rows = rows[np.random.default_rng(11).permutation(len(rows))]
    queries = np.ascontiguousarray(prepared(found.some_queries(context.integer("queries")), found.metric))
    np.save(context.scratch / "rows.npy", rows)
    np.save(context.scratch / "queries.npy", queries)
    for size in sizes:
        np.save(context.scratch / f"truth-{size}.npy", truth.exact(rows[:size], queries, K, found.metric))
    (context.scratch / "metric").write_text(found.metric)


def setup(context: Context) -> Metrics:
    """Build and save the index of each size."""
    rows = np.load(context.scratch / "rows.npy", mmap_mode="r")
    metric = (context.scratch / "metric").read_text()
    built: Metrics = {}
    shutil.rmtree(context.home, ignore_errors=True)
    for size in context.words("sizes"):
        cost = ann.build(context, np.array(rows[: int(size)]), metric)
        (context.home / "index").rename(context.home / size)
        built |= {f"rows {size} {name}": value for name, value in cost.items()}
    (context.home / "build.json").write_text(json.dumps(built))
    return built


def run(context: Context) -> Metrics:
    queries, metric = np.load(context.scratch / "queries.npy"), (context.scratch / "metric").read_text()
    rows = np.load(context.scratch / "rows.npy", mmap_mode="r")
    metrics: Metrics = dict(json.loads((context.home / "build.json").read_text()))
    at: dict[str, list[tuple[int, float]]] = {name: [] for name in _COSTS}
    for size in context.words("sizes"):
        library = libraries.make(context.system)
        library.load(context.home / size, rows[: int(size)], metric)
        true = np.load(context.scratch / f"truth-{size}.npy")
        points = _sweep(context, library, queries, true)
        library.close()
        for name in _COSTS:
            # at_recall wants higher to be better.
            figures = [(point["recall"], 1 / point[name]) for point in points if name in point]
            best = curves.at_recall(figures, _LEVEL)
            metrics[f"rows {size} {name}_at_95"] = None if best is None else 1 / best
            if best is not None:
                at[name].append((int(size), 1 / best))
    for name, measured in at.items():
        metrics[f"exponent {name}"] = _slope(measured)
    return metrics


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    sizes = sorted(int(size) for size in str(parameters["sizes"]).split(","))
    found = []
    for name in _COSTS:
        above, below = (f"rows {size} {name}_at_95" for size in (sizes[-1], sizes[0]))
        found.append(Ratio(f"{name}_at_95: {sizes[-1]} rows / {sizes[0]}", ("vecdb", above), ("vecdb", below)))
    return found


def _sweep(
    context: Context, library: libraries.Library, queries: np.ndarray, true: np.ndarray
) -> list[dict[str, float]]:
    points: list[dict[str, float]] = []
    for width in library.widths:
        if not isinstance(width, tuple) and curves.is_done([point["recall"] for point in points]):
            break
        library.set_width(width)
        for query in queries[:20]:
            library.one(query, K)
        done = curves.passes(
            lambda query: library.one(query, K), queries, context.integer("passes"), context.number("budget_s")
        )
        answers: list[Any] = [library.numbers(answer) for answer in done.answers]
        told = {name: value for name, value in library.cost(queries, K).items() if name in _COSTS}
        points.append({"recall": truth.recall(answers, true, K), "us": float(done.best_s.mean()) * 1e6, **told})
    return points


def _slope(measured: Sequence[tuple[int, float]]) -> float | None:
    """Return the least-squares slope of log figure over log rows; None with fewer than two sizes."""
    if len(measured) < 2:
        return None
    sizes, figures = np.log(np.asarray(measured, dtype=np.float64)).T
    return float(np.polyfit(sizes, figures, 1)[0])
