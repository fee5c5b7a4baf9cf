"""A store of many rows, opened by fresh processes: how soon it answers, what it copies, how fast it finds an id.

Each run launches bench/probe.py twice: with the store's files dropped from the page cache, then with all of them in
it. cached_share says how cold "cold" was. open_ms includes what a system imports only then; reopen_ms is opening again
in the same process. copied_vector_bytes is the growth of private memory from before the store
was opened until after two answers, less the same growth over a store of a thousand rows (libraries and kernels load
in both), so it is 0 for a store that only maps its vectors.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench import datasets, launch, pagecache, systems
from bench.context import Context, Parameter
from bench.records import Ratio
from bench.systems.base import Shape
from bench.workloads import Metrics

SYSTEMS = ("vecdb", "numpy", "faiss", "sqlite")
REPEATS = 5
FULL: Mapping[str, Parameter] = {"dataset": "debian60k@1000000", "gets": 5000}
QUICK: Mapping[str, Parameter] = {"dataset": "clustered:4000x384", "gets": 200}
HEADLINES = ("reopen_ms", "first_answer_ms", "get_p50_us", "copied_vector_bytes")
_SMALL_ROWS = 1000


def prepare(context: Context) -> None:
    """Write two queries."""
    found = datasets.load(context.text("dataset"), context.data)
    np.save(context.scratch / "queries.npy", np.resize(found.queries, (2, found.dimension)).astype(np.float32))


def setup(context: Context) -> None:
    """Build the large store, and a small one for the baseline of its memory."""
    name = context.text("dataset").partition("@")[0]
    for folder, wanted in ((_large(context), context.text("dataset")), (_small(context), f"{name}@{_SMALL_ROWS}")):
        found = datasets.load(wanted, context.data)
        folder.parent.mkdir(parents=True, exist_ok=True)
        system = systems.make(context.system)
        system.create(folder, Shape(found.dimension, found.metric))
        system.ingest_batches(found.batches())
        system.sync()
        system.close()


def run(context: Context) -> Metrics:
    rows = datasets.load(context.text("dataset"), context.data).rows
    small = _probe(context, _small(context), _SMALL_ROWS, 0)
    large = _large(context)
    metrics: Metrics = {}
    pagecache.evict(large)
    metrics["cold cached_share"] = pagecache.cached_share(large)
    metrics |= _named("cold", _probe(context, large, rows, 0))
    pagecache.load(large)
    metrics["warm cached_share"] = pagecache.cached_share(large)
    warm = _probe(context, large, rows, context.integer("gets"))
    metrics |= _named("warm", warm) | warm["metrics"]
    grown, grown_small = _growth(warm), _growth(small)
    if grown is not None and grown_small is not None:
        metrics["private_growth_bytes"] = float(grown)
        metrics["copied_vector_bytes"] = float(max(0, grown - grown_small))
    metrics["disk_bytes"] = float(pagecache.size_bytes(large))
    return metrics


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    found = []
    for other in ("numpy", "faiss"):
        for metric in ("cold first_answer_ms", "warm first_answer_ms"):
            found.append(Ratio(f"{metric}: vecdb / {other}", ("vecdb", metric), (other, metric)))
    found.append(Ratio("get_p50_us: vecdb / sqlite", ("vecdb", "get_p50_us"), ("sqlite", "get_p50_us")))
    return found


def _probe(context: Context, store: Path, rows: int, gets: int) -> dict[str, Any]:
    queries = context.scratch / "queries.npy"
    return launch.probe([context.system, str(store), str(queries), str(gets), str(rows)])


def _named(state: str, told: dict[str, Any]) -> Metrics:
    """first_answer_ms counts from the start of the process; the other times are differences of neighbouring marks."""
    marks = told["marks"]
    named: Metrics = {
        f"{state} import_ms": (marks["imported"] - marks["started"]) * 1e3,
        f"{state} open_ms": (marks["opened"] - marks["imported"]) * 1e3,
        f"{state} first_answer_ms": marks["answered"] * 1e3,
        f"{state} cpu_s": told["cpu_s"],
    }
    if "again" in marks:
        named[f"{state} second_query_ms"] = (marks["again"] - marks["answered"]) * 1e3
    return named


def _growth(told: dict[str, Any]) -> int | None:
    sizes = told["private_bytes"]
    last = sizes.get("again") or sizes.get("answered")
    return None if last is None or sizes["imported"] is None else last - sizes["imported"]


def _large(context: Context) -> Path:
    return context.home / "large"


def _small(context: Context) -> Path:
    return context.home / "small"
