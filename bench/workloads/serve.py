"""What a server costs beside the embedded database: the same rows, questions and processors, over loopback.

A server in a process of its own has the store open; the embedded side reads the same files read-only in the client's
process, so both answer from the same mapped pages. Single searches take turns, one thread, one connection: the medians
and their difference. Batches of `batch` queries take turns as well. `searches_per_s` comes from `connections`
connections, each with a thread that asks one search after the other, spread over `clients` processes that share the
processors with the server. `upload_rows_per_s` is a bulk load from Arrow batches through the client into a new
collection, until the last row is committed; `bulk_rows_per_s` the same rows by an embedded bulk load. All of it once as
it is, and once with an older part of gRPC that a variable of the environment switches on.
"""

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import vecdb
import vecdb_client
from bench import datasets, measure
from bench.checkout import ROOT, child_environment
from bench.context import Context, Parameter
from bench.records import Ratio
from bench.workloads import Metrics

OLDER = "vecdb-older-polling"
SYSTEMS = ("vecdb", OLDER)
ENVIRONMENT = {
    OLDER: {"GRPC_EXPERIMENTS": "-event_engine_client,-event_engine_listener,-event_engine_callback_cq"},
}
"""What makes gRPC wait for connections in the threads that ask and answer, on both sides, as its older versions did."""
REPEATS = 3
FULL: Mapping[str, Parameter] = {
    "dataset": "clustered:100000x384",
    "queries": 1000,
    "batch": 1000,
    "rounds": 5,
    "connections": 16,
    "clients": 2,
    "seconds": 5.0,
}
QUICK: Mapping[str, Parameter] = {
    "dataset": "clustered:1500x32",
    "queries": 20,
    "batch": 20,
    "rounds": 2,
    "connections": 2,
    "clients": 1,
    "seconds": 0.3,
}
HEADLINES = ("server p50_ms", "p50_more_ms", "searches_per_s", "upload_rows_per_s")
K = 10
COLLECTION = "rows"


def prepare(context: Context) -> None:
    """Keep the rows as an Arrow file."""
    found = datasets.load(context.text("dataset"), context.data)
    schema = found.block(0).schema.with_metadata({"metric": found.metric})
    with pa.OSFile(str(context.scratch / "rows.arrow"), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in found.batches():
            writer.write_batch(batch)
    np.save(context.scratch / "queries.npy", found.some_queries(context.integer("queries")).astype(np.float32))


def setup(context: Context) -> None:
    """Build the store with its indexes."""
    schema, batches = _rows(context)
    with vecdb.connect(context.home / "store") as database:
        rows = database.create_collection(COLLECTION, schema)
        with rows.bulk() as load:
            for batch in batches:
                load.add(batch)
        rows.compact()
        rows.build_indexes()


def run(context: Context) -> Metrics:
    queries = np.load(context.scratch / "queries.npy")
    with served(context.home / "store") as address, vecdb.connect(context.home / "store", read_only=True) as here:
        with vecdb.connect(address) as there:
            sides = {"embedded": here[COLLECTION], "server": there[COLLECTION]}
            metrics = _single(sides, queries, context.integer("rounds"))
            metrics |= _batches(sides, np.resize(queries, (context.integer("batch"), queries.shape[1])), context)
        metrics["searches_per_s"] = _many(context, address, queries)
    return metrics | _loads(context)


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    return [
        Ratio("batch: server / embedded", ("vecdb", "server batch_per_s"), ("vecdb", "embedded batch_per_s")),
        Ratio("load: upload / bulk", ("vecdb", "upload_rows_per_s"), ("vecdb", "bulk_rows_per_s")),
        Ratio("p50: server / embedded", ("vecdb", "server p50_ms"), ("vecdb", "embedded p50_ms")),
        Ratio("searches/s: as it is / older polling", ("vecdb", "searches_per_s"), (OLDER, "searches_per_s")),
    ]


def _rows(context: Context) -> tuple[vecdb.Schema, list[pa.RecordBatch]]:
    with pa.OSFile(str(context.scratch / "rows.arrow"), "rb") as source:
        table = pa.ipc.open_file(source).read_all()
    metric: Any = (table.schema.metadata or {})[b"metric"].decode()
    names = table.schema.names
    numbers = [name for name in names if pa.types.is_integer(table.schema.field(name).type)]
    fields: dict[str, Any] = {
        name: vecdb.Int64() if name in numbers else vecdb.Text() for name in names if name not in ("id", "embedding")
    }
    dimension = table.schema.field("embedding").type.list_size
    schema = vecdb.Schema(id=vecdb.Id(), **fields, embedding=vecdb.Vector(dimension, metric=metric))
    return schema, table.replace_schema_metadata(None).to_batches()


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a database from a process of its own, to nobody but this machine."""
    command = [sys.executable, "-m", "vecdb_server.main", "serve", str(folder), "--port", "0", "--log-level", "error"]
    process = subprocess.Popen(command, cwd=ROOT, env=child_environment(), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.communicate()


def _single(sides: Mapping[str, Any], queries: np.ndarray, rounds: int) -> Metrics:
    taken: dict[str, list[np.ndarray]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        order = list(sides) if turn % 2 else list(sides)[::-1]
        for name in order:
            ask = sides[name].search
            seconds = measure.latencies(lambda query, ask=ask: ask(embedding=query, k=K, fields=[]).ids, queries)
            if turn:  # the first round maps pages and compiles
                taken[name].append(seconds)
    metrics: Metrics = {}
    for name, parts in taken.items():
        metrics |= {f"{name} {key}": value for key, value in measure.percentiles(np.concatenate(parts)).items()}
    medians = {name: np.median(np.concatenate(parts)) * 1e3 for name, parts in taken.items()}
    return metrics | {"p50_more_ms": float(medians["server"] - medians["embedded"])}


def _batches(sides: Mapping[str, Any], queries: np.ndarray, context: Context) -> Metrics:
    def subject(side: Any) -> Any:
        return lambda: [result.ids for result in side.search_batch(embedding=queries, k=K, fields=[])]

    samples = measure.interleave({name: subject(side) for name, side in sides.items()}, context.integer("rounds"))
    return {
        f"{name} batch_per_s": len(queries) / float(np.median([one.wall_s for one in taken]))
        for name, taken in samples.items()
    }


def _many(context: Context, address: str, queries: np.ndarray) -> float:
    """Return how many searches a second all connections together get answered."""
    clients, connections = context.integer("clients"), context.integer("connections")
    with ProcessPoolExecutor(clients, mp_context=get_context("spawn")) as pool:
        each = [connections // clients + (number < connections % clients) for number in range(clients)]
        asked = [pool.submit(_ask, address, queries, threads, context.number("seconds")) for threads in each]
        return sum(one.result() for one in asked)


def _ask(address: str, queries: np.ndarray, threads: int, seconds: float) -> float:
    """Return the searches a second of some connections of one process, each with a thread of its own."""
    counts = [0] * threads
    begin = threading.Barrier(threads)

    def work(number: int) -> None:
        with vecdb_client.connect(address, settings=vecdb_client.Settings(connections=1)) as database:
            rows = database.collection(COLLECTION)
            asked = itertools.cycle(np.roll(queries, number * 17, axis=0))
            rows.search(embedding=next(asked), k=K, fields=[])
            begin.wait()
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                _ = rows.search(embedding=next(asked), k=K, fields=[]).ids
                counts[number] += 1

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / seconds


def _loads(context: Context) -> Metrics:
    schema, batches = _rows(context)
    count = sum(batch.num_rows for batch in batches)
    with vecdb.connect(context.home / "bulk") as database:
        bulk = _load(database, schema, batches)
    with served(context.home / "upload") as address, vecdb.connect(address) as database:
        upload = _load(database, schema, batches)
    return {"bulk_rows_per_s": count / bulk, "upload_rows_per_s": count / upload}


def _load(database: Any, schema: vecdb.Schema, batches: Sequence[pa.RecordBatch]) -> float:
    """Return the seconds that a bulk load takes, after a small one that loads what it needs."""
    for name, some in (("warm", batches[0].slice(0, 100)), (COLLECTION, None)):
        rows = database.create_collection(f"{name}-{time.monotonic_ns()}", schema)
        with measure.Timer() as timer, rows.bulk() as load:
            for batch in batches if some is None else [some]:
                load.add(batch)
    stored = rows.count()
    expected = sum(batch.num_rows for batch in batches)
    if stored != expected:
        raise ValueError(f"{stored} of {expected} rows are stored")
    return timer.wall_s
