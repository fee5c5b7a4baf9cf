"""Does vecdb choose the fastest way to answer a filtered query? Each forced plan against the chosen one, over a grid.

The grid: rows x k x correlation x share of the rows that pass. Queries lie around four anchors (the real queries most
like each). A filter without correlation is a threshold on a uniform column; a positive one passes the rows nearest to
the query's anchor, a negative one the rows farthest from it, both by a column that ranks the rows.

In a cell every query is searched by vecdb's choice and by each plan in turn, in `passes` passes, one call on one
thread, after an untimed call of the same kind (else what the plan before it left in the caches decides: the choice of
`codes` took up to five times as long as `codes`); each counts with its best pass. The other plans that took over four
times as long as the fastest in the first pass run no second one. `at CELL PLAN_ms` is the mean over the queries,
`PLAN_recall` its recall against an exact scan. `chosen_over_best` is the chosen plan's time over that of the fastest
plan with a recall of .95 (of the plan of the best recall, where none has it); the chosen one competes too, so 1 is
perfect. A plan that vecdb refuses for a search is left out of that cell. `worst`, `p95` and `median` are over the
cells.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from bench import datasets, systems, truth
from bench.context import Context, Parameter
from bench.records import Ratio
from bench.systems.base import Filter, Graph, Shape, UnsupportedError
from bench.systems.numpy_exact import prepared
from bench.workloads import Metrics

SYSTEMS = ("vecdb",)
REPEATS = 3
FULL: Mapping[str, Parameter] = {
    "dataset": "debian60k",
    "rows": "5000,60000",
    "k": "10,100",
    "shares": "0.001,0.01,0.05,0.1,0.2,0.5",
    "correlations": "none,positive,negative",
    "plans": "scan,codes,wide,two_hops",
    "m": 16,
    "ef_construction": 200,
    "queries": 32,
    "passes": 3,
    "budget_s": 3.0,
}
QUICK: Mapping[str, Parameter] = {
    "dataset": "clustered:3000x64",
    "rows": "1000,3000",
    "k": "10",
    "shares": "0.01,0.2",
    "ef_construction": 60,
    "queries": 8,
    "passes": 1,
    "budget_s": 0.5,
}
HEADLINES = ("chosen_over_best median", "chosen_over_best p95", "chosen_over_best worst")
_ANCHORS = 4
_UNIFORM = 1_000_000
_COLUMNS = ("uniform", *(f"rank{anchor}" for anchor in range(_ANCHORS)))
_LEVEL = 0.95
_HOPELESS = 4.0
_CHOSEN = "chosen"


@dataclass(frozen=True)
class _Cell:
    rows: int
    k: int
    correlation: str
    share: float

    def __str__(self) -> str:
        return f"rows {self.rows} k {self.k} {self.correlation} {self.share:g}"

    def where(self, anchor: int) -> Filter:
        """Return the filter of the queries around an anchor."""
        if self.correlation == "none":
            return Filter("uniform", "<", int(self.share * _UNIFORM))
        passing = max(1, round(self.share * self.rows))
        if self.correlation == "positive":
            return Filter(f"rank{anchor}", "<", passing)
        return Filter(f"rank{anchor}", ">=", self.rows - passing)


def prepare(context: Context) -> None:
    """Write for each number of rows the vectors and columns, and for each cell the true answers."""
    found = datasets.load(context.text("dataset"), context.data)
    rows = np.ascontiguousarray(prepared(found.matrix(), found.metric))
    every = prepared(found.queries.astype(np.float32), found.metric)
    anchors = every[np.random.default_rng(3).choice(len(every), _ANCHORS, replace=False)]
    around = context.integer("queries") // _ANCHORS
    nearest = np.argsort(-(anchors @ every.T), axis=1)[:, :around]
    queries = np.ascontiguousarray(every[nearest.ravel()])
    np.save(context.scratch / "queries.npy", queries)
    np.save(context.scratch / "anchors.npy", np.repeat(np.arange(_ANCHORS), around))
    (context.scratch / "metric").write_text(found.metric)
    order = np.random.default_rng(5).permutation(len(rows))
    for count in {cell.rows for cell in _cells(context)}:
        part = np.ascontiguousarray(rows[order[:count]])
        columns = {"uniform": np.random.default_rng(9).integers(0, _UNIFORM, count)}
        for anchor, point in enumerate(anchors):
            ranks = np.empty(count, dtype=np.int64)
            ranks[np.argsort(-(part @ point), kind="stable")] = np.arange(count)
            columns[f"rank{anchor}"] = ranks
        arrays: dict[str, Any] = {"vectors": part, **columns}
        np.savez(context.scratch / f"rows-{count}.npz", **arrays)
        answers: dict[str, Any] = {}
        for cell in (cell for cell in _cells(context) if cell.rows == count):
            masks = np.stack([cell.where(anchor).mask(columns) for anchor in range(_ANCHORS)])
            masks = np.repeat(masks, around, axis=0)
            answers[str(cell)] = truth.exact(part, queries, cell.k, found.metric, masks)
        np.savez(context.scratch / f"truth-{count}.npz", **answers)


def setup(context: Context) -> None:
    """Build a store for each number of rows."""
    for count in sorted({cell.rows for cell in _cells(context)}):
        stored = np.load(context.scratch / f"rows-{count}.npz")
        vectors = stored["vectors"]
        system = systems.make(context.system)
        context.home.mkdir(parents=True, exist_ok=True)
        system.create(context.home / str(count), _shape(context, vectors.shape[1]))
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
        names = pa.array([datasets.row_id(row) for row in range(count)])
        plain = {name: pa.array(stored[name]) for name in _COLUMNS}
        system.ingest(pa.table({"id": names, **plain, "embedding": column}))
        system.settle()
        system.close()


def run(context: Context) -> Metrics:
    queries, anchors = (np.load(context.scratch / f"{name}.npy") for name in ("queries", "anchors"))
    metrics: Metrics = {}
    ratios: list[float] = []
    for count in sorted({cell.rows for cell in _cells(context)}):
        true = np.load(context.scratch / f"truth-{count}.npz")
        system = systems.make(context.system)
        system.open(context.home / str(count), _shape(context, queries.shape[1]))
        for cell in (cell for cell in _cells(context) if cell.rows == count):
            told = _measured(context, system, cell, queries, anchors, true[str(cell)])
            metrics |= {f"at {cell} {name}": value for name, value in told.items()}
            ratios.append(told["chosen_over_best"])
        system.close()
    metrics["chosen_over_best median"] = float(np.median(ratios))
    metrics["chosen_over_best p95"] = float(np.percentile(ratios, 95))
    metrics["chosen_over_best worst"] = max(ratios)
    return metrics


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    """Return how the choice compares with always scanning, in the cells without correlation at the largest size."""
    rows = max(int(count) for count in str(parameters["rows"]).split(","))
    k = int(str(parameters["k"]).split(",")[0])
    cells = [_Cell(rows, k, "none", float(share)) for share in str(parameters["shares"]).split(",")]
    return [
        Ratio(f"{cell}: scan / chosen", ("vecdb", f"at {cell} scan_ms"), ("vecdb", f"at {cell} chosen_ms"))
        for cell in cells
    ]


def _measured(
    context: Context, system: Any, cell: _Cell, queries: np.ndarray, anchors: np.ndarray, true: np.ndarray
) -> dict[str, float]:
    filters = [cell.where(anchor) for anchor in range(_ANCHORS)]
    plans = [_CHOSEN]
    for plan in context.words("plans"):
        try:
            _search(system, queries[0], cell.k, filters[0], plan)
            plans.append(plan)
        except UnsupportedError:
            continue
    clock, begun = time.perf_counter, time.perf_counter()
    best = {plan: np.full(len(queries), np.inf) for plan in plans}
    answers: dict[str, list[list[int]]] = {}
    running = plans
    for number in range(context.integer("passes")):
        for at, (query, anchor) in enumerate(zip(queries, anchors, strict=True)):
            for plan in running:
                _search(system, query, cell.k, filters[anchor], plan)
                started = clock()
                ids = _search(system, query, cell.k, filters[anchor], plan)
                best[plan][at] = min(best[plan][at], clock() - started)
                if number == 0:
                    answers.setdefault(plan, []).append([int(row) for row in ids])
        if clock() - begun > context.number("budget_s") and number:
            break
        fastest = min(best[plan].mean() for plan in plans)
        running = [plan for plan in plans if plan == _CHOSEN or best[plan].mean() <= _HOPELESS * fastest]
    told = {f"{plan}_ms": float(best[plan].mean()) * 1e3 for plan in plans}
    recalls = {plan: truth.recall(answers[plan], true, cell.k) for plan in plans}
    level = min(_LEVEL, max(recalls.values()))
    fastest = min(told[f"{plan}_ms"] for plan in plans if recalls[plan] >= level)
    told |= {f"{plan}_recall": recall for plan, recall in recalls.items()}
    return {**told, "chosen_over_best": told["chosen_ms"] / fastest}


def _search(system: Any, query: np.ndarray, k: int, where: Filter, plan: str) -> list[str]:
    """The one place that knows how a plan is forced."""
    return system.search_by_plan(query, k, where, None if plan == _CHOSEN else plan).ids


def _shape(context: Context, dimension: int) -> Shape:
    graph = Graph(context.integer("m"), context.integer("ef_construction"))
    metric = (context.scratch / "metric").read_text()
    return Shape(dimension, metric, columns=_COLUMNS, graph=graph)


def _cells(context: Context) -> Iterator[_Cell]:
    for rows in context.words("rows"):
        for k in context.words("k"):
            for correlation in context.words("correlations"):
                for share in context.words("shares"):
                    yield _Cell(int(rows), int(k), correlation, float(share))
