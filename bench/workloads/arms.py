"""What the arms of a query cost: learned sparse vectors beside words, and a query of two arms beside its kernels.

The rows are those of a set with judged answers (its texts, its vectors, and its `docs_splade.npz`), `copies` times: in
each copy words and terms are left out and numbers disturbed, the same ones every time. Synthetic sets have the words of
a text as its terms. Every question is asked in `passes` passes on one thread, each with its best.

`p50_us` is wall time until the caller has ids. `beside_us` is CPU time of the calling thread without what the compiled
kernels of the arms took: reading the arguments, planning, handing over, putting ties in order, fusing. `query_us` is
CPU time where what the arms gather is known from before: reading, planning, fusing and handing over alone. A kernel
that reads much leaves the caches cold for what follows it, so `beside_us` is the larger one by more than the arms' own
share. `filtered` is under a filter that 10 % of the rows pass; `fetched` has the arms gather k candidates, not 200.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from bench import curves, labelled, measure
from bench.context import Context
from bench.records import Ratio
from bench.workloads import Metrics
from bench.workloads.text import plain

SYSTEMS = ("vecdb",)
REPEATS = 3
FULL = {"set": "hotpot", "copies": 20, "passes": 8, "budget_s": 20.0}
QUICK = {"set": "known:300x16", "copies": 2, "passes": 2, "budget_s": 0.5}
HEADLINES = ("words p50_us", "sparse p50_us", "hybrid query_us", "hybrid beside_us")
K = 10
WHERE = "part < 10"
_LEFT_OUT = 0.2
_NOISE = 0.1
_WORD = re.compile(r"\d+")


class _Terms(NamedTuple):
    """Sparse vectors, row after row."""

    indices: np.ndarray
    weights: np.ndarray
    starts: np.ndarray

    def row(self, at: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(self.starts[at], self.starts[at + 1])
        return self.indices[part].astype(np.int64), self.weights[part]


def prepare(context: Context) -> None:
    """Nothing is shared: rows are read, or made, by each job."""


def setup(context: Context) -> Metrics:
    """Load the copies into a database with all its indexes."""
    import vecdb

    held = labelled.load(context.text("set"), context.data)
    schema = vecdb.Schema(
        id=vecdb.Id("int64"),
        text=vecdb.Text(search=True),
        terms=vecdb.Sparse(),
        embedding=vecdb.Vector(held.dimension),
        part=vecdb.Int64(),
    )
    context.home.mkdir(parents=True, exist_ok=True)
    with measure.Timer() as timer, vecdb.connect(context.home / "db", settings=_settings()) as database:
        rows = database.create_collection("rows", schema)
        with rows.bulk() as load:
            for table in _copies(held, _terms(context, held, "docs"), context.integer("copies")):
                load.add(table)
        rows.compact()
        rows.build_indexes()
    return {"build cpu_s": timer.cpu_s}


def run(context: Context) -> Metrics:
    import vecdb

    held = labelled.load(context.text("set"), context.data)
    asked = _terms(context, held, "queries")
    rows = vecdb.connect(context.home / "db", read_only=True).collection("rows")
    texts = [plain(question.text) for question in held.questions]
    vectors = [question.vector for question in held.questions]
    terms = [dict(zip(*(part.tolist() for part in asked.row(at)), strict=True)) for at in range(len(texts))]
    calls: dict[str, Callable[[Any], Any]] = {
        "words": lambda at: rows.search(K, text=texts[at], fields=[]).ids,
        "sparse": lambda at: rows.search(K, terms=terms[at], fields=[]).ids,
        "vector": lambda at: rows.search(K, embedding=vectors[at], fields=[]).ids,
        "hybrid": lambda at: rows.search(K, text=texts[at], embedding=vectors[at], fields=[]).ids,
        "hybrid filtered": lambda at: rows.search(K, text=texts[at], embedding=vectors[at], fields=[], where=WHERE).ids,
        "hybrid fetched": lambda at: rows.search(K, text=texts[at], embedding=vectors[at], fields=[], fetch=K).ids,
    }
    numbers = np.arange(len(texts))
    metrics: Metrics = {}
    for name, call in calls.items():
        call(0)
        done = curves.passes(call, numbers, context.integer("passes"), context.number("budget_s"))
        metrics[f"{name} p50_us"] = measure.percentiles(done.best_s, "us")["p50_us"]
    kernels, count, passes = _Kernels(), len(texts), context.integer("passes")
    kernels.watch(rows)
    for name, call in calls.items():
        metrics[f"{name} beside_us"] = _cpu_us(call, count, passes, kernels)
    for name in ("hybrid", "hybrid filtered"):
        with _remembered() as begin:
            metrics[f"{name} query_us"] = _cpu_us(calls[name], count, passes, kernels, begin)
    return metrics


def ratios(parameters: Any) -> list[Ratio]:
    return [Ratio("p50: sparse / words", ("vecdb", "sparse p50_us"), ("vecdb", "words p50_us"))]


class _Kernels:
    """CPU nanoseconds that the kernels of arms took on this thread."""

    def __init__(self) -> None:
        self.taken = 0

    def watch(self, rows: Any) -> None:
        """Stand in front of the kernels that searches of this collection call."""
        from vecdb_index.kernels import inverted, sparse

        inverted.best = self._watched(inverted.best)
        sparse.products = self._watched(sparse.products)
        for part in rows.snapshot()._state.parts:
            for target in part.targets.values():
                if target.searcher is not None:
                    target.searcher._kernel = self._watched(target.searcher._kernel)

    def _watched(self, kernel: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any) -> Any:
            begun = time.thread_time_ns()
            result = kernel(*arguments)
            self.taken += time.thread_time_ns() - begun
            return result

        return watched


@contextmanager
def _remembered() -> Iterator[Callable[[int], None]]:
    """Have arms gather once for each question, and then what they did before; say which question comes."""
    from vecdb.planner import run

    gathered, known, question = run.gathered, {}, [0]

    def remembered(context: Any, bound: Any, depth: int) -> Any:
        key = question[0], bound.label
        if key not in known:
            known[key] = gathered(context, bound, depth)
        return known[key]

    def begin(at: int) -> None:
        question[0] = at

    run.gathered = remembered
    try:
        yield begin
    finally:
        run.gathered = gathered


def _cpu_us(
    call: Callable[[int], Any],
    count: int,
    passes: int,
    kernels: _Kernels,
    begin: Callable[[int], None] = lambda at: None,
) -> float:
    """Return the median over questions of the least CPU microseconds beside the kernels."""
    least = np.full(count, np.inf)
    for _ in range(passes):
        for at in range(count):
            begin(at)
            kernels.taken, begun = 0, time.thread_time_ns()
            call(at)
            least[at] = min(least[at], time.thread_time_ns() - begun - kernels.taken)
    return float(np.median(least)) / 1e3


def _settings() -> Any:
    import vecdb

    return vecdb.Settings(background=False)


def _terms(context: Context, held: labelled.Labelled, which: str) -> _Terms:
    """Return the sparse vectors of the documents or the questions."""
    folder = None if context.data is None else Path(context.data) / context.text("set")
    if folder is not None and (folder / f"{which}_splade.npz").exists():
        found = np.load(folder / f"{which}_splade.npz")
        return _Terms(found["indices"], found["data"], found["indptr"])
    texts = held.rows["text"].to_pylist() if which == "docs" else [question.text for question in held.questions]
    lines = [sorted({int(word) for word in _WORD.findall(text)}) for text in texts]
    flat = np.array([number for line in lines for number in line], np.int32)
    return _Terms(flat, np.ones(len(flat), np.float32), np.cumsum([0, *map(len, lines)]))


def _copies(held: labelled.Labelled, terms: _Terms, copies: int) -> Iterator[pa.Table]:
    """Yield one table for each copy, of which the first is the set itself."""
    rng = np.random.default_rng(5)
    texts = held.rows["text"].to_pylist()
    vectors = np.array(held.rows["embedding"].to_pylist(), np.float32)
    for copy in range(copies):
        left_out, noise = (_LEFT_OUT, _NOISE) if copy else (0.0, 0.0)
        lines, weights = [], []
        for at, text in enumerate(texts):
            words = text.split()
            kept = rng.random(len(words)) >= left_out
            lines.append(" ".join(word for word, there in zip(words, kept.tolist(), strict=True) if there))
            indices, values = terms.row(at)
            here = rng.random(len(indices)) >= left_out
            values = values[here] * rng.uniform(1 - noise, 1 + noise, int(here.sum())).astype(np.float32)
            weights.append({"indices": indices[here].tolist(), "values": values.tolist()})
        yield pa.table(
            {
                "id": np.arange(copy * len(texts), (copy + 1) * len(texts)),
                "text": lines,
                "terms": weights,
                "embedding": list(vectors + noise * rng.standard_normal(vectors.shape).astype(np.float32)),
                "part": rng.integers(0, 100, len(texts)),
            }
        )
