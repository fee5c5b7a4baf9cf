"""Durable single-row upserts: every call returns only when its row would survive a power cut.

Threads draw ids at random from `keys` rows, so calls insert at first and replace later. The yardsticks are SQLite
(WAL, synchronous=FULL) and the disk itself: the same bytes appended to a file with fdatasync. After each measurement
the store is opened again, and every acknowledged id must be there.
"""

import itertools
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench import datasets, measure, systems
from bench.context import Context, Parameter
from bench.records import Ratio
from bench.systems.base import Shape, System, UnsupportedError, embeddings
from bench.workloads import Metrics

SYSTEMS = ("log", "vecdb", "sqlite", "log-zeroed")
REPEATS = 5
FULL: Mapping[str, Parameter] = {"dataset": "debian60k", "keys": 20_000, "threads": "1,64", "seconds": 5.0}
QUICK: Mapping[str, Parameter] = {"dataset": "clustered:1000x384", "keys": 500, "threads": "1,8", "seconds": 0.3}
HEADLINES = ("upserts_per_s", "p50_ms")
_WARM_CALLS = 50


def prepare(context: Context) -> None:
    """Nothing to share: every job reads the rows itself."""


def setup(context: Context) -> None:
    """Nothing to keep between runs."""


def run(context: Context) -> Metrics:
    found = datasets.load(context.text("dataset"), context.data)
    shape = Shape(found.dimension, found.metric)
    records = _records(found, context.integer("keys"))
    metrics: Metrics = {}
    for threads in context.words("threads"):
        measured = _measure(context, shape, records, int(threads))
        metrics |= {f"{threads} threads {key}": value for key, value in measured.items()}
    return metrics


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    found = []
    for threads in str(parameters["threads"]).split(","):
        metric = f"{threads} threads upserts_per_s"
        for other in ("sqlite", "log", "log-zeroed"):
            found.append(Ratio(f"{threads} threads: vecdb / {other}", ("vecdb", metric), (other, metric)))
    return found


def _measure(context: Context, shape: Shape, records: Sequence[dict[str, Any]], threads: int) -> dict[str, float]:
    system = systems.make(context.system)
    context.home.parent.mkdir(parents=True, exist_ok=True)
    system.create(context.home, shape)
    for record in itertools.islice(itertools.cycle(records), _WARM_CALLS):
        system.upsert(record)
    seconds, wall, cpu, acknowledged = _hammer(system, records, threads, context.number("seconds"))
    system.close()
    lost = _lost(context, shape, acknowledged | {record["id"] for record in records[:_WARM_CALLS]})
    shutil.rmtree(context.home)
    return {
        "upserts_per_s": len(seconds) / wall,
        **measure.percentiles(seconds),
        "cpu_ms_per_upsert": cpu * 1e3 / len(seconds),
        **({} if lost is None else {"lost_rows": float(lost)}),
    }


def _hammer(
    system: System, records: Sequence[dict[str, Any]], threads: int, duration_s: float
) -> tuple[np.ndarray, float, float, set[str]]:
    """Return the seconds of every call, wall and CPU seconds of the whole, and the acknowledged ids."""
    start = threading.Barrier(threads + 1)
    latencies: list[list[float]] = [[] for _ in range(threads)]
    acknowledged: list[set[str]] = [set() for _ in range(threads)]
    failures: list[BaseException] = []

    def work(number: int) -> None:
        draws = np.random.default_rng([11, number]).integers(0, len(records), 100_000).tolist()
        mine, done = latencies[number], acknowledged[number]
        start.wait()
        deadline = time.perf_counter() + duration_s
        try:
            for draw in itertools.cycle(draws):
                begun = time.perf_counter()
                if begun >= deadline:
                    break
                system.upsert(records[draw])
                mine.append(time.perf_counter() - begun)
                done.add(records[draw]["id"])
        except BaseException as error:
            failures.append(error)
            raise

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    start.wait()
    with measure.Timer() as timer:
        for worker in workers:
            worker.join()
    if failures:
        raise failures[0]
    seconds = np.concatenate([np.asarray(part) for part in latencies])
    return seconds, timer.wall_s, timer.cpu_s, set().union(*acknowledged)


def _lost(context: Context, shape: Shape, acknowledged: set[str]) -> int | None:
    """Open the store again and count acknowledged ids that it does not hold; None for a store that cannot be read."""
    system = systems.make(context.system)
    try:
        system.open(context.home, shape)
    except UnsupportedError:
        return None
    missing = sum(system.get(row) is None for row in sorted(acknowledged))
    stored = system.count()
    system.close()
    return missing + max(0, len(acknowledged) - stored)


def _records(found: datasets.Dataset, keys: int) -> list[dict[str, Any]]:
    """Return `keys` rows as dicts of plain values, each with its vector as a float32 array."""
    records: list[dict[str, Any]] = []
    for batch in found.batches():
        plain = batch.drop_columns(["embedding"]).to_pylist()
        vectors = embeddings(batch)
        records.extend({**row, "embedding": vectors[number].copy()} for number, row in enumerate(plain))
        if len(records) >= keys:
            break
    return records[:keys]
