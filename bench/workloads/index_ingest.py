"""From the first row to all rows indexed and searchable: embedded databases with their index, in a new store each run.

Each process loads a small store first, so that code is loaded and compiled. Rows come from memory with id, name,
section, size, r100, text and the vector. The clock starts before the first batch is handed over and stops when `settle`
has returned (vecdb's build_indexes, the optimize of zvec and Qdrant) and the store is synced: `rows_per_s`, and CPU
seconds of all threads of the process. `ingest_rows_per_s` is the part until the last batch is accepted. `disk_bytes` is
what the store's files take on disk after it was closed, `file_bytes` the sum of their sizes (Qdrant's have holes).
`private_bytes` and `resident_bytes` are what the process has at the end beyond what it had before (RssAnon; and with
mapped files); the peak stands beside them. `recall` at the system's own width shows that the rows are there.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from bench import datasets, machine, measure, pagecache, systems, truth
from bench.context import Context, Parameter
from bench.records import Ratio
from bench.systems.base import Graph, Shape
from bench.systems.numpy_exact import prepared
from bench.workloads import Metrics

SYSTEMS = ("vecdb", "zvec", "qdrant-edge")
REPEATS = 3
FULL: Mapping[str, Parameter] = {"dataset": "debian60k", "m": 16, "ef_construction": 200, "threads": 2, "queries": 200}
QUICK: Mapping[str, Parameter] = {"dataset": "clustered:3000x64", "ef_construction": 60, "queries": 20}
HEADLINES = ("rows_per_s", "cpu_s", "disk_bytes")
K = 10
_WARM_ROWS = 3000
_WARM_CONSTRUCTION = 40


def prepare(context: Context) -> None:
    """Keep the rows as an Arrow file, so that a job's read is a plain copy, and the true answers to a few queries."""
    found = datasets.load(context.text("dataset"), context.data)
    schema = found.block(0).schema.with_metadata({"metric": found.metric})
    with pa.OSFile(str(context.scratch / "rows.arrow"), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        for batch in found.batches():
            writer.write_batch(batch)
    rows = np.ascontiguousarray(prepared(found.matrix(), found.metric))
    queries = np.ascontiguousarray(prepared(found.some_queries(context.integer("queries")), found.metric))
    np.save(context.scratch / "queries.npy", queries)
    np.save(context.scratch / "truth.npy", truth.exact(rows, queries, K, found.metric))


def setup(context: Context) -> None:
    """Nothing to keep between runs."""


def run(context: Context) -> Metrics:
    with pa.OSFile(str(context.scratch / "rows.arrow"), "rb") as source:
        table = pa.ipc.open_file(source).read_all()
    queries, true = np.load(context.scratch / "queries.npy"), np.load(context.scratch / "truth.npy")
    graph = Graph(context.integer("m"), context.integer("ef_construction"), context.integer("threads"))
    metric = (table.schema.metadata or {})[b"metric"].decode()
    shape = Shape(queries.shape[1], metric, graph=graph)
    batches = table.replace_schema_metadata(None).to_batches()
    _warm_up(context, shape, batches, queries)
    system = systems.make(context.system)
    system.create(context.home, shape)
    # What earlier jobs left unwritten would be charged to this one's sync.
    os.sync()
    before = {name: machine.memory(name) or 0 for name in ("RssAnon", "VmRSS")}
    with context.phase("index"), measure.Timer() as whole:
        with measure.Timer() as ingest:
            system.ingest_batches(batches)
        system.settle()
        system.sync()
    rows = table.num_rows
    stored = system.count()
    if stored != rows:
        raise ValueError(f"{context.system} stored {stored} of {rows} rows")
    found = [[int(row) for row in system.search(query, K)] for query in queries]
    grown = {name: (machine.memory(name) or 0) - size for name, size in before.items()}
    system.close()
    disk, size = pagecache.allocated_bytes(context.home), pagecache.size_bytes(context.home)
    shutil.rmtree(context.home)
    return {
        "rows_per_s": rows / whole.wall_s,
        "rows_per_cpu_s": rows / whole.cpu_s,
        "ingest_rows_per_s": rows / ingest.wall_s,
        "cpu_s": whole.cpu_s,
        "seconds": whole.wall_s,
        "recall": truth.recall(found, true, K),
        "disk_bytes": disk,
        "file_bytes": size,
        "private_bytes": grown["RssAnon"],
        "resident_bytes": grown["VmRSS"],
    }


def _warm_up(context: Context, shape: Shape, batches: list[pa.RecordBatch], queries: np.ndarray) -> None:
    """Load and compile what the system needs, by a small store that is removed again."""
    shutil.rmtree(context.home, ignore_errors=True)
    context.home.parent.mkdir(parents=True, exist_ok=True)
    system = systems.make(context.system)
    # With the same threads: zvec takes their number once a process.
    graph = Graph(context.integer("m"), _WARM_CONSTRUCTION, context.integer("threads"))
    system.create(context.home, replace(shape, graph=graph))
    system.ingest_batches([batches[0].slice(0, _WARM_ROWS)])
    system.settle()
    system.search(queries[0], K)
    system.close()
    shutil.rmtree(context.home)


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    found = []
    for other in SYSTEMS[1:]:
        found.append(Ratio(f"rows_per_s: vecdb / {other}", ("vecdb", "rows_per_s"), (other, "rows_per_s")))
        for metric in ("cpu_s", "disk_bytes", "private_bytes"):
            found.append(Ratio(f"{metric}: {other} / vecdb", (other, metric), ("vecdb", metric)))
    return found
