"""vecdb's server beside those of other databases: the same rows, questions and processors, over loopback.

Each system's own server and client, with the index that it makes by default; `bench/peers/served.py` says how. `p50_ms`
is of one search after the other over one connection; `searches_per_s` comes from `connections` connections, spread over
`clients` processes that share the processors with the server; `recall` is the share of the true ten best by cosine.
"""

import json
import subprocess
import sys
from collections.abc import Mapping

import numpy as np

from bench import datasets
from bench.checkout import ROOT, child_environment
from bench.context import Context, Parameter
from bench.records import Ratio
from bench.workloads import Metrics

SYSTEMS = ("vecdb", "milvus-lite", "chromadb")
REPEATS = 2
FULL: Mapping[str, Parameter] = {
    "dataset": "clustered:100000x384",
    "queries": 500,
    "connections": 16,
    "clients": 2,
    "seconds": 5.0,
}
QUICK: Mapping[str, Parameter] = {
    "dataset": "clustered:1500x32",
    "queries": 20,
    "connections": 2,
    "clients": 1,
    "seconds": 0.3,
}
HEADLINES = ("searches_per_s", "p50_ms", "recall")


def prepare(context: Context) -> None:
    """Keep the rows and the questions as arrays."""
    found = datasets.load(context.text("dataset"), context.data)
    queries = found.some_queries(context.integer("queries")).astype(np.float32)
    np.save(context.scratch / "rows.npy", found.matrix().astype(np.float32))
    np.save(context.scratch / "queries.npy", queries)


def setup(context: Context) -> None:
    """Do nothing: each run serves a database of its own."""


def run(context: Context) -> Metrics:
    """Measure one server."""
    command = [sys.executable, str(ROOT / "bench" / "peers" / "served.py"), context.system]
    for name, value in {
        "rows": context.scratch / "rows.npy",
        "queries": context.scratch / "queries.npy",
        "seconds": context.number("seconds"),
        "connections": context.integer("connections"),
        "clients": context.integer("clients"),
    }.items():
        command += [f"--{name}", str(value)]
    done = subprocess.run(command, cwd=ROOT, env=child_environment(), stdout=subprocess.PIPE, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    return {
        "p50_ms": told["p50_ms"],
        "searches_per_s": told["searches_per_s"],
        "recall": told["recall"],
        "load_s": told["load_s"],
    }


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    """Return how many times as many searches a second vecdb answers, and how many times as fast one is."""
    return [
        ratio
        for peer in SYSTEMS[1:]
        for ratio in (
            Ratio(f"searches/s: vecdb / {peer}", ("vecdb", "searches_per_s"), (peer, "searches_per_s")),
            Ratio(f"p50: {peer} / vecdb", (peer, "p50_ms"), ("vecdb", "p50_ms")),
        )
    ]
