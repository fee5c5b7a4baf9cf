"""What a choice costs, and a query with one: part of the workload `selection`."""

import importlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from bench import datasets, labelled
from bench.context import Context
from bench.systems.base import UnsupportedError
from bench.workloads import Metrics
from bench.workloads.selection.judged import K, methods

SIZES = ((10, 1000), (50, 1000), (10, 256))
_ASKED = ("plain", "coverage", "facility", "mmr", "dpp")
_ROUNDS = 7
_PICKS = "picks.npz"


def prepare(context: Context) -> None:
    """Write the pools: the nearest rows of real queries, and their scores."""
    vectors, asked = rows(context)
    pools = []
    for query in asked[: context.integer("pools")]:
        scores = vectors @ query
        order = np.argsort(-scores, kind="stable")[:1000]
        pools.append((vectors[order], scores[order]))
    near, scores = (np.array(part) for part in zip(*pools, strict=True))
    np.savez(context.scratch / "pools.npz", vectors=near, scores=scores)
    (context.scratch / _PICKS).unlink(missing_ok=True)


def rows(context: Context) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors that are chosen from, and queries for them."""
    name = context.text("rows")
    if name.startswith("known:"):
        found = labelled.load(name, None)
        column = found.rows.column("embedding").to_numpy(zero_copy_only=False)
        return np.stack(column).astype(np.float32), np.stack([one.vector for one in found.questions])
    data = datasets.load(name, context.data)
    return np.ascontiguousarray(data.vectors, np.float32), np.ascontiguousarray(data.queries, np.float32)


def _pools(context: Context, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    with np.load(context.scratch / "pools.npz") as held:
        for vectors, scores in zip(held["vectors"], held["scores"], strict=True):
            yield vectors[:count].copy(), scores[:count].copy()


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    least, found = np.inf, call()
    for _ in range(_ROUNDS):
        begun = time.process_time()
        found = call()
        least = min(least, time.process_time() - begun)
    return 1e3 * least, found


def _measured(
    context: Context, methods: Mapping[str, Callable[[np.ndarray, np.ndarray, int], Any]]
) -> tuple[Metrics, dict[str, np.ndarray]]:
    """Return the time and the value of each method and size, and the picks."""
    metrics: Metrics = {}
    picked: dict[str, np.ndarray] = {}
    for k, count in SIZES:
        for method, choose in methods.items():
            took, values, picks = [], [], []
            for vectors, scores in _pools(context, count):
                ms, found = _timed(
                    lambda choose=choose, vectors=vectors, scores=scores, k=k: choose(vectors, scores, k)
                )
                took.append(ms)
                picks.append(np.asarray(found, np.int64))
                values.append(float(np.maximum(vectors @ vectors[picks[-1]].T, 0).max(axis=1).mean()))
            title = f"{k} of {count} {method}"
            metrics |= {f"{title} ms": float(np.median(took)), f"{title} value": float(np.mean(values))}
            picked[title] = np.array(picks)
    return metrics, picked


def choices(context: Context) -> Metrics:
    """Measure vecdb's choices, and keep them for the peers to be compared with."""
    from vecdb_index.selection.greedy import Rule, select
    from vecdb_index.selection.pool import Pool, scaled, unit

    rules = {
        "facility": Rule("facility", 1.0, 1, 0.0),
        "coverage": Rule("cut", 0.5, 6, "two_thirds"),
        "mmr": Rule("mmr", 0.5),
        "dpp": Rule("dpp", 0.5),
    }

    def choose(rule: Rule) -> Callable[[np.ndarray, np.ndarray, int], Any]:
        raw = rule.name == "mmr"

        def chosen(vectors: np.ndarray, scores: np.ndarray, k: int) -> Any:
            relevance = scores.astype(np.float64) if raw else scaled(scores)
            # All of the pool counts alike, as it does to the others.
            return select(Pool(unit(vectors), relevance, weights=np.ones(len(scores))), rule, k).picks

        return chosen

    metrics, picked = _measured(context, {name: choose(rule) for name, rule in rules.items()})
    np.savez(context.scratch / _PICKS, **picked)  # pyright: ignore[reportArgumentType]
    return metrics


def pyversity(context: Context) -> Metrics:
    """Measure pyversity's choices by the two ways that it has too."""
    try:
        library = importlib.import_module("pyversity")
    except ImportError as error:
        raise UnsupportedError("pyversity is not installed") from error
    strategies = {"mmr": library.Strategy.MMR, "dpp": library.Strategy.DPP}

    def choose(name: str) -> Callable[[np.ndarray, np.ndarray, int], Any]:
        return lambda vectors, scores, k: (
            library.diversify(vectors, scores, k, strategy=strategies[name], diversity=0.5).indices
        )

    metrics, picked = _measured(context, {name: choose(name) for name in strategies})
    path = context.scratch / _PICKS
    if path.exists():
        with np.load(path) as ours:
            for title, picks in picked.items():
                shared = [len(np.intersect1d(*both)) / picks.shape[1] for both in zip(picks, ours[title], strict=True)]
                metrics[f"{title} picks"] = float(np.mean(shared))
    return metrics


def plain(context: Context) -> Metrics:
    """Measure plain greedy facility location, as one writes it in NumPy."""

    def facility(vectors: np.ndarray, scores: np.ndarray, k: int) -> list[int]:
        similar = np.maximum(vectors @ vectors.T, 0)
        cover, picks = np.zeros(len(vectors), np.float32), []
        for _ in range(k):
            picks.append(int(np.maximum(similar - cover[:, None], 0).sum(axis=0).argmax()))
            cover = np.maximum(cover, similar[:, picks[-1]])
        return picks

    return _measured(context, {"facility": facility})[0]


def queries(context: Context) -> Metrics:
    """Measure whole queries."""
    import vecdb

    _, vectors = rows(context)
    asked = {name: value for name, value in methods().items() if name in _ASKED}
    took: dict[str, list[float]] = {name: [] for name in asked}
    with vecdb.connect(context.home / "timed", create=False) as database:
        timed = database.collection("timed")
        for number in range(context.integer("calls") + 5):
            vector = vectors[number % len(vectors)]
            for name, value in asked.items():
                query = vecdb.Query(k=K, fields=()).near("embedding", vector)
                query = query if value is None else query.select(value)
                begun = time.perf_counter()
                timed.run(query).ids  # noqa: B018 - asking for them is what is timed
                if number >= 5:
                    took[name].append(1e3 * (time.perf_counter() - begun))
    return {f"query {name} p50_ms": float(np.median(each)) for name, each in took.items()}
