"""Searching over links: how much of what several hops lead to is found, and what a walk costs.

Sets with links and judged answers (`edges.parquet`): `SET METHOD recall@5`, `recall@10` and `all@10` (the share of
questions of which everything is found) through one public query each: by vectors, fused with words ("hybrid"), and with
`.expand()` behind it, nothing set. `SET expand shuffled off recall@K` is what expansion over links whose destinations
were dealt anew finds more than the hybrid: not below 0, because such links are noticed and left out.

`packages`: what a synopsis is about and what that depends on, by `>depends`; `packages gain` is recall@10 over that of
vectors. `metaqa`: the share of questions whose pattern of links leads to exactly the answers, and recall@10 of
questions of two hops when only the entity is known. `metaqa facts recall@10`, where sentence-transformers and the
model's package are there: answers among the entities of facts as a model of embeddings ranks them, alone and with
pooled paths.

`EDGES ppr_ms` and `two_hops_ms`: the p50 of an expansion's own step of `explain`, by PageRank and by best paths of two
links under a filter, in synthetic graphs of so many links whose degrees are as uneven as those of real ones;
`query_ms` is the whole query. `links_per_s`: `link()` of a table, durable. `server_ms`: how much longer the same query
takes through a server on this machine.
"""

import json
from collections.abc import Mapping

from bench.context import Context, Parameter
from bench.records import Ratio
from bench.workloads import Metrics
from bench.workloads.linked import judged, knowledge, walks

SYSTEMS = ("vecdb",)
REPEATS = 1
FULL: Mapping[str, Parameter] = {
    "sets": "hotpot,2wiki",
    "packages": "debian12k",
    "metaqa": 1,
    "edges": "200000,1000000,5000000",
    "rounds": 300,
}
QUICK: Mapping[str, Parameter] = {"sets": "", "packages": "", "metaqa": 0, "edges": "20000", "rounds": 20}
HEADLINES = ("expand recall@5", "expand recall@10", "ppr_ms", "two_hops_ms")


def prepare(context: Context) -> None:
    """Nothing is shared: sets are read where they lie."""


def setup(context: Context) -> None:
    """Make one collection of every set, with its links, and of every size of the synthetic graph."""
    context.home.mkdir(parents=True)
    for name in [*context.words("sets"), *context.words("packages")]:
        judged.setup(context, name)
    if context.integer("metaqa"):
        knowledge.setup(context)
    rates: Metrics = {}
    for count in map(int, context.words("edges")):
        rates |= walks.setup(context, count)
    (context.home / "rates.json").write_text(json.dumps(rates), encoding="utf-8")


def run(context: Context) -> Metrics:
    metrics: Metrics = {}
    for name in context.words("sets"):
        metrics |= judged.several_hops(context, name)
    for name in context.words("packages"):
        metrics |= judged.packages(context, name)
    if context.integer("metaqa"):
        metrics |= knowledge.measured(context)
    metrics |= json.loads((context.home / "rates.json").read_text("utf-8"))
    for count in map(int, context.words("edges")):
        metrics |= walks.measured(context, count)
    return metrics


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    sets = [name for name in str(parameters["sets"]).split(",") if name]
    return [
        Ratio(
            f"{name} {measure}: expand / dense",
            ("vecdb", f"{name} expand {measure}"),
            ("vecdb", f"{name} dense {measure}"),
        )
        for name in sets
        for measure in ("recall@5", "recall@10")
    ]
