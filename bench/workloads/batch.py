"""Many filtered queries at once: thousands of queries, each with one of a few filters, against one by one.

`batch` is one call with all queries and a filter for each, on the system's own threads; `single` asks some of the
same queries one after the other, in the calls of `exact`. Both are exact, both return ids, both make the filters from
their texts or parts, and they take turns in one process; `speedup` is batch over single queries/s, turn by turn.
`identical` is the share of those queries whose ids come in the same order from both.

Filters: the largest sections, `r100 <` several shares, `r100 >= 97`, and all rows but the largest section. Queries are
those of the data set with a little noise, so that no two are equal, and draw their filters at random.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from bench import datasets, measure, systems
from bench.context import Context, Parameter
from bench.records import Ratio
from bench.systems.base import Filter, Shape
from bench.systems.numpy_exact import column_values
from bench.workloads import Metrics

SYSTEMS = ("vecdb", "numpy")
REPEATS = 3
FULL: Mapping[str, Parameter] = {
    "dataset": "debian60k",
    "queries": 5000,
    "templates": 20,
    "single": 500,
    "rounds": 3,
}
QUICK: Mapping[str, Parameter] = {
    "dataset": "clustered:3000x64",
    "queries": 200,
    "single": 50,
    "rounds": 2,
}
HEADLINES = ("batch queries_per_s", "single queries_per_s", "speedup")
K = 10
_SHARES = (1, 2, 5, 10, 30, 60)
_NOISE = 0.2


def prepare(context: Context) -> None:
    """Write the queries and the filter of each."""
    found = datasets.load(context.text("dataset"), context.data)
    rng = np.random.default_rng(20)
    count = context.integer("queries")
    queries = np.resize(found.queries, (count, found.dimension)).astype(np.float32)
    noise = rng.standard_normal(queries.shape) / np.sqrt(found.dimension)
    queries += _NOISE * np.linalg.norm(queries, axis=1, keepdims=True) * noise
    filters = _templates(found, context.integer("templates"))
    np.save(context.scratch / "queries.npy", queries.astype(np.float32))
    np.save(context.scratch / "drawn.npy", rng.integers(0, len(filters), count))
    told = {"dimension": found.dimension, "metric": found.metric, "filters": [*map(asdict, filters)]}
    (context.scratch / "batch.json").write_text(json.dumps(told))


def setup(context: Context) -> Metrics:
    """Build the system's store once; its runs only open it."""
    found = datasets.load(context.text("dataset"), context.data)
    system = systems.make(context.system)
    with measure.Timer() as timer:
        system.create(context.home, Shape(found.dimension, found.metric))
        system.ingest_batches(found.batches())
    system.close()
    return {"build_s": timer.wall_s}


def run(context: Context) -> Metrics:
    told = json.loads((context.scratch / "batch.json").read_text())
    queries = np.load(context.scratch / "queries.npy")
    filters = [Filter(**each) for each in told["filters"]]
    where = [filters[at] for at in np.load(context.scratch / "drawn.npy")]
    some = context.integer("single")
    system = systems.make(context.system)
    system.open(context.home, Shape(told["dimension"], told["metric"]))
    answers: dict[str, list[list[str]]] = {}

    def single() -> None:
        asked = zip(queries[:some], where[:some], strict=True)
        answers["single"] = [system.search(query, K, one) for query, one in asked]

    def batch() -> None:
        answers["batch"] = system.search_each(queries, K, where)

    taken = measure.interleave({"single": single, "batch": batch}, context.integer("rounds"))
    system.close()
    rates = {
        "single": [some / each.wall_s for each in taken["single"]],
        "batch": [len(queries) / each.wall_s for each in taken["batch"]],
    }
    pairs = zip(answers["single"], answers["batch"][:some], strict=True)
    return {
        "single queries_per_s": measure.median(rates["single"]),
        "single cpu_ms_per_query": measure.median(each.cpu_s for each in taken["single"]) * 1e3 / some,
        "batch queries_per_s": measure.median(rates["batch"]),
        "batch cpu_ms_per_query": measure.median(each.cpu_s for each in taken["batch"]) * 1e3 / len(queries),
        "speedup": measure.median(measure.paired_ratio(rates["batch"], rates["single"])),
        "identical": float(np.mean([one == other for one, other in pairs])),
    }


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    return [
        Ratio("vecdb batch / single", ("vecdb", "batch queries_per_s"), ("vecdb", "single queries_per_s")),
        Ratio("batch vecdb / numpy", ("vecdb", "batch queries_per_s"), ("numpy", "batch queries_per_s")),
    ]


def _templates(found: datasets.Dataset, count: int) -> list[Filter]:
    sections, sizes = np.unique(column_values(found.attributes.column("section")), return_counts=True)
    names = [str(name) for name in sections[np.argsort(-sizes, kind="stable")]]
    fixed = [*(Filter("r100", "<", share) for share in _SHARES), Filter("r100", ">=", 97)]
    fixed.append(Filter("section", "!=", names[0]))
    return [*fixed, *(Filter("section", "=", name) for name in names)][:count]
