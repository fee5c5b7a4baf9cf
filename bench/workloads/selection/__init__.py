"""Answers as sets: how good they are on judged sets, how they trade relevance for coverage, and what they take.

`SET METHOD MEASURE@10` is a mean over the set's questions, asked through `Collection.run`: `distinct` sources (of a set
that names its redundant questions), `hit` (any relevant row), `all` (every relevant row), `alpha_nDCG` (of senses).
Sets after `fused` are asked by vectors and words at once. `SET x5 METHOD distinct@10` has every row five times.
`curve METHOD BALANCE relevance` and `coverage` are the mean score of the answer, and the mean cosine of the 100 best
rows to the closest of its rows, over the redundant questions of `curve`.

`10 of 1000 METHOD ms` is the least CPU time of some calls, on one thread, of a choice from the nearest rows of real
queries, the median over the queries; each system makes unit vectors of them itself. `value` is the mean similarity of
the pool to the closest chosen one. `picks` is how much of vecdb's choice a peer shares.
`late SET` are of the 1,000 nearest passages by vectors, scored by MaxSim over tokens in float32: by all of it (`full
ms`, the median of a call), or by a cascade of their cosine, 8-bit tokens and these (`ms`); `share of scoring` is the
cascade's share of that time, less what gathering takes; `same` is the share of questions with the same ten in the same
order, `scored` the share of passages that were scored in float32.

`query METHOD p50_ms` is one call of `Collection.run` for ten rows with ids, the median of `calls` calls.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from bench.context import Context, Parameter
from bench.records import Ratio
from bench.systems.base import UnsupportedError
from bench.workloads import Metrics

SYSTEMS = ("vecdb", "numpy", "pyversity")
REPEATS = 3
FULL: Mapping[str, Parameter] = {
    "sets": "debian12k,wordnet24k",
    "fused": "hotpot,2wiki",
    "curve": "debian12k",
    "late": "hotpot,scifact-test",
    "late_queries": 100,
    "rows": "debian60k",
    "pools": 8,
    "calls": 300,
}
QUICK: Mapping[str, Parameter] = {
    "sets": "known:300x16",
    "fused": "known:300x16",
    "curve": "known:300x16",
    "late": "known:300x16",
    "late_queries": 5,
    "rows": "known:2000x16",
    "pools": 2,
    "calls": 10,
}
HEADLINES = ("10 of 1000 facility ms", "10 of 1000 mmr ms", "10 of 1000 dpp ms", "query coverage p50_ms")
K = 10
COPIES = 5
SIZES = ((10, 1000), (50, 1000), (10, 256))
_BALANCES = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
_ROUNDS = 7


def prepare(context: Context) -> None:
    """Write the pools that all systems choose from: the nearest rows of real queries, and their scores."""
    from bench import labelled

    vectors, queries = _rows(context, labelled)
    pools = []
    for query in queries[: context.integer("pools")]:
        scores = vectors @ query
        order = np.argsort(-scores, kind="stable")[:1000]
        pools.append((vectors[order], scores[order]))
    np.savez(
        context.scratch / "pools.npz", vectors=np.array([p[0] for p in pools]), scores=np.array([p[1] for p in pools])
    )
    if context.scratch.joinpath("picks.npz").exists():
        context.scratch.joinpath("picks.npz").unlink()


def setup(context: Context) -> None:
    """Load one collection of every set."""
    if context.system != "vecdb":
        return
    import vecdb
    from bench import labelled, late, sets

    context.home.mkdir(parents=True)
    for name in dict.fromkeys([*context.words("sets"), *context.words("fused"), *context.words("curve")]):
        found = labelled.load(name, context.data)
        schema = vecdb.Schema(id=vecdb.Id(), text=vecdb.Text(search=True), embedding=vecdb.Vector(found.dimension))
        rows = found.rows.select(["id", "text", "embedding"])
        # Quality is asked exactly: no index is built for it.
        with vecdb.connect(context.home / _file(name), settings=vecdb.Settings(background=False)) as database:
            for title, table in (("documents", rows), ("copies", sets.times(rows, COPIES))):
                if title == "documents" or name in context.words("sets"):
                    made = database.create_collection(title, schema)
                    made.upsert(table)
                    made.flush()
    for name in context.words("late"):
        late.store(context, name)
    vectors, _ = _rows(context, labelled)
    with vecdb.connect(context.home / "timed") as database:
        schema = vecdb.Schema(id=vecdb.Id("int64"), embedding=vecdb.Vector(vectors.shape[1]))
        timed = database.create_collection("timed", schema)
        timed.upsert({"id": np.arange(len(vectors)), "embedding": vectors})
        timed.flush()
        timed.build_indexes()


def run(context: Context) -> Metrics:
    from bench import late as bench_late

    if context.system == "vecdb":
        late = bench_late.measured(context, context.words("late"))
        curves = _curves(context) if context.words("curve") else {}
        return {**_quality(context), **curves, **late, **_choices(context), **_queries(context)}
    if context.system == "pyversity":
        return _peer(context)
    return _plain(context)


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    told = [
        Ratio(
            f"{k} of {n} {method}: pyversity / vecdb",
            ("pyversity", f"{k} of {n} {method} ms"),
            ("vecdb", f"{k} of {n} {method} ms"),
        )
        for k, n in SIZES
        for method in ("mmr", "dpp")
    ]
    told += [
        Ratio(
            f"{k} of {n} facility: numpy / vecdb",
            ("numpy", f"{k} of {n} facility ms"),
            ("vecdb", f"{k} of {n} facility ms"),
        )
        for k, n in SIZES
    ]
    return [
        *told,
        *(
            Ratio(f"late {name}: cascade / full", ("vecdb", f"late {name} ms"), ("vecdb", f"late {name} full ms"))
            for name in str(parameters["late"]).split(",")
            if name
        ),
        Ratio("query: coverage / plain", ("vecdb", "query coverage p50_ms"), ("vecdb", "query plain p50_ms")),
    ]


# -- quality -----------------------------------------------------------------------------------------------------------


def _methods() -> dict[str, Any]:
    import vecdb

    return {
        "plain": None,
        "coverage": vecdb.Coverage(),
        "facility": vecdb.Coverage(0.5, "facility_location"),
        "saturated": vecdb.Coverage(0.5, "saturated"),
        "words": vecdb.Coverage(0.2, "words"),
        "mmr": vecdb.Mmr(),
        "dpp": vecdb.Dpp(),
        "dispersion": vecdb.Dispersion(),
    }


def _quality(context: Context) -> Metrics:
    import vecdb
    from bench import sets
    from bench.workloads.quality import plain

    metrics: Metrics = {}
    asked_sets = [(name, False) for name in context.words("sets")] + [(name, True) for name in context.words("fused")]
    for name, fused in asked_sets:
        judged = sets.load(name, context.data)
        with vecdb.connect(context.home / _file(name), read_only=True) as database:
            for method, value in _methods().items():
                if method == "words" and not fused:
                    continue
                measured: dict[str, list[float]] = {measure: [] for measure in judged.measures}
                copies: list[float] = []
                for asked in judged.questions:
                    query = vecdb.Query(k=K, fields=()).near("embedding", asked.vector)
                    if fused:
                        query = query.match("text", plain(asked.text))
                    query = (query if value is None else query.select(value)).exactly()
                    ids = database.collection("documents").run(query).ids
                    for measure, of in judged.measures.items():
                        measured[measure].append(of(asked, ids))
                    if not fused:
                        found = database.collection("copies").run(query).ids
                        copies.append(float(len({one.rpartition("#")[0] for one in found})))
                metrics |= {f"{name} {method} {measure}@10": sets.mean(each) for measure, each in measured.items()}
                if copies:
                    metrics[f"{name} x5 {method} distinct@10"] = sets.mean(copies)
    return metrics


def _curves(context: Context) -> Metrics:
    import vecdb
    from bench import sets

    judged = sets.load(context.text("curve"), context.data)
    units = np.stack(judged.found.rows.column("embedding").to_numpy(zero_copy_only=False)).astype(np.float32)
    place = {id_: at for at, id_ in enumerate(judged.found.rows.column("id").to_pylist())}
    kinds: dict[str, Callable[[float], Any]] = {
        "coverage": vecdb.Coverage,
        "facility": lambda balance: vecdb.Coverage(balance, "facility_location"),
        "saturated": lambda balance: vecdb.Coverage(balance, "saturated"),
        "mmr": vecdb.Mmr,
        "dpp": vecdb.Dpp,
        "dispersion": vecdb.Dispersion,
    }
    metrics: Metrics = {}
    with vecdb.connect(context.home / _file(context.text("curve")), read_only=True) as database:
        documents = database.collection("documents")
        nearest = [np.argsort(-(units @ one.vector), kind="stable")[:100] for one in judged.questions]
        for kind, make in kinds.items():
            for balance in _BALANCES:
                relevance, covered = [], []
                for asked, near in zip(judged.questions, nearest, strict=True):
                    query = vecdb.Query(k=K, fields=()).near("embedding", asked.vector).select(make(balance), pool=100)
                    found = documents.run(query)
                    relevance.append(float(found.scores.mean()))
                    chosen = units[[place[id_] for id_ in found.ids]]
                    covered.append(float((units[near] @ chosen.T).max(axis=1).mean()))
                metrics[f"curve {kind} {balance} relevance"] = sets.mean(relevance)
                metrics[f"curve {kind} {balance} coverage"] = sets.mean(covered)
    return metrics


# -- speed -------------------------------------------------------------------------------------------------------------


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


def _choices(context: Context) -> Metrics:
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
    np.savez(context.scratch / "picks.npz", **picked)  # pyright: ignore[reportArgumentType]
    return metrics


def _peer(context: Context) -> Metrics:
    try:
        import pyversity  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UnsupportedError("pyversity is not installed") from error
    strategies = {"mmr": pyversity.Strategy.MMR, "dpp": pyversity.Strategy.DPP}

    def choose(name: str) -> Callable[[np.ndarray, np.ndarray, int], Any]:
        return lambda vectors, scores, k: (
            pyversity.diversify(vectors, scores, k, strategy=strategies[name], diversity=0.5).indices
        )

    metrics, picked = _measured(context, {name: choose(name) for name in strategies})
    path = context.scratch / "picks.npz"
    if path.exists():
        with np.load(path) as ours:
            for title, picks in picked.items():
                shared = [len(np.intersect1d(*both)) / picks.shape[1] for both in zip(picks, ours[title], strict=True)]
                metrics[f"{title} picks"] = float(np.mean(shared))
    return metrics


def _plain(context: Context) -> Metrics:
    """Measure plain greedy facility location, as one writes it in NumPy."""

    def facility(vectors: np.ndarray, scores: np.ndarray, k: int) -> list[int]:
        similar = np.maximum(vectors @ vectors.T, 0)
        cover, picks = np.zeros(len(vectors), np.float32), []
        for _ in range(k):
            picks.append(int(np.maximum(similar - cover[:, None], 0).sum(axis=0).argmax()))
            cover = np.maximum(cover, similar[:, picks[-1]])
        return picks

    return _measured(context, {"facility": facility})[0]


def _queries(context: Context) -> Metrics:
    import vecdb
    from bench import labelled

    _, queries = _rows(context, labelled)
    methods = {
        name: value for name, value in _methods().items() if name in ("plain", "coverage", "facility", "mmr", "dpp")
    }
    took: dict[str, list[float]] = {name: [] for name in methods}
    with vecdb.connect(context.home / "timed", create=False) as database:
        timed = database.collection("timed")
        for number in range(context.integer("calls") + 5):
            vector = queries[number % len(queries)]
            for name, value in methods.items():
                query = vecdb.Query(k=K, fields=()).near("embedding", vector)
                query = query if value is None else query.select(value)
                begun = time.perf_counter()
                timed.run(query).ids  # noqa: B018 - asking for them is what is timed
                if number >= 5:
                    took[name].append(1e3 * (time.perf_counter() - begun))
    return {f"query {name} p50_ms": float(np.median(each)) for name, each in took.items()}


def _rows(context: Context, labelled: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors that are chosen from, and queries for them."""
    name = context.text("rows")
    if name.startswith("known:"):
        found = labelled.load(name, None)
        column = found.rows.column("embedding").to_numpy(zero_copy_only=False)
        return np.stack(column).astype(np.float32), np.stack([one.vector for one in found.questions])
    from bench import datasets

    data = datasets.load(name, context.data)
    return np.ascontiguousarray(data.vectors, np.float32), np.ascontiguousarray(data.queries, np.float32)


def _file(name: str) -> str:
    return name.replace(":", "-")
