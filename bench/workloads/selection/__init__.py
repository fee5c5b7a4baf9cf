"""Answers as sets: how good they are on judged sets, how they trade relevance for coverage, and what they take.

`SET METHOD MEASURE@10` is a mean over the set's questions, asked through `Collection.run`: `distinct` sources (of a set
that names its redundant questions), `hit` (any relevant row), `all` (every relevant row), `alpha_nDCG` (of senses).
Sets after `fused` are asked by vectors and words at once. `SET x5 METHOD distinct@10` has every row five times.
`curve METHOD BALANCE relevance` and `coverage` are the mean score of the answer, and the mean cosine of the 100 best
rows to the closest of its rows, over the redundant questions of `curve`.

`10 of 1000 METHOD ms` is the least CPU time of some calls of a choice from the nearest rows of real queries, the median
over the queries; each system makes unit vectors of them itself. `value` is the mean similarity of the pool to the
closest chosen one. `picks` is how much of vecdb's choice a peer shares.
`late SET` are of the 1,000 nearest passages by vectors, scored by MaxSim over tokens in float32: by all of it (`full
ms`, the median over the questions of the best of some calls), or by a cascade of signs of tokens and these
(`ms`); `share of scoring` is the cascade's share of that time, less what gathering takes; `same` is the share of
questions with the same ten in the same order, `scored` the share of passages that were scored in float32.

`query METHOD p50_ms` is one call of `Collection.run` for ten rows with ids, the median of `calls` calls.

BLAS has one thread in every process: CPU time would count the others of its threads while they wait in a loop.
"""

from collections.abc import Mapping

import numpy as np

from bench import labelled
from bench.context import Context, Parameter
from bench.records import Ratio
from bench.workloads import Metrics
from bench.workloads.selection import judged, late, sets, speed
from bench.workloads.selection.speed import SIZES

SYSTEMS = ("vecdb", "numpy", "pyversity")
ENVIRONMENT = {name: {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} for name in SYSTEMS}
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
COPIES = 5


def prepare(context: Context) -> None:
    """Write the pools that all systems choose from: the nearest rows of real queries, and their scores."""
    speed.prepare(context)


def setup(context: Context) -> None:
    """Load one collection of every set."""
    if context.system != "vecdb":
        return
    import vecdb

    context.home.mkdir(parents=True)
    for name in dict.fromkeys([*context.words("sets"), *context.words("fused"), *context.words("curve")]):
        found = labelled.load(name, context.data)
        schema = vecdb.Schema(id=vecdb.Id(), text=vecdb.Text(search=True), embedding=vecdb.Vector(found.dimension))
        rows = found.rows.select(["id", "text", "embedding"])
        # Quality is asked exactly: no index is built for it.
        with vecdb.connect(judged.store(context, name), settings=vecdb.Settings(background=False)) as database:
            for title, table in (("documents", rows), ("copies", sets.times(rows, COPIES))):
                if title == "documents" or name in context.words("sets"):
                    made = database.create_collection(title, schema)
                    made.upsert(table)
                    made.flush()
    for name in context.words("late"):
        late.setup(context, name)
    vectors, _ = speed.rows(context)
    with vecdb.connect(context.home / "timed") as database:
        schema = vecdb.Schema(id=vecdb.Id("int64"), embedding=vecdb.Vector(vectors.shape[1]))
        timed = database.create_collection("timed", schema)
        timed.upsert({"id": np.arange(len(vectors)), "embedding": vectors})
        timed.flush()
        timed.build_indexes()


def run(context: Context) -> Metrics:
    if context.system == "pyversity":
        return speed.pyversity(context)
    if context.system == "numpy":
        return speed.plain(context)
    curves = judged.curves(context) if context.words("curve") else {}
    return {
        **judged.quality(context),
        **curves,
        **late.measured(context, context.words("late")),
        **speed.choices(context),
        **speed.queries(context),
    }


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
