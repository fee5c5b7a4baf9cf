"""Bulk load of an Arrow table that is already in memory, against writing the same table as a Parquet file.

rows_per_s ends when the rows would survive a power cut: vecdb's commit promises that, a Parquet file is synced
after writing (file and folder). unsynced_rows_per_s is the file as pyarrow leaves it, still in the page cache, which
is how the file is usually written, and the harder yardstick. Every process loads a thousand rows before it times.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from bench import datasets, measure, pagecache, systems
from bench.context import Context, Parameter
from bench.records import Ratio
from bench.systems.base import Shape
from bench.workloads import Metrics

SYSTEMS = ("parquet", "vecdb", "parquet-plain")
REPEATS = 5
FULL: Mapping[str, Parameter] = {"datasets": "debian60k,debian60k@1000000"}
QUICK: Mapping[str, Parameter] = {"datasets": "clustered:3000x384"}
HEADLINES = ("rows_per_s",)
_WARM_ROWS = 1000


def prepare(context: Context) -> None:
    """Keep each set as an uncompressed Arrow file, so that a job's read is a plain copy."""
    for number, name in enumerate(context.words("datasets")):
        found = datasets.load(name, context.data)
        first = found.block(0)
        schema = first.schema.with_metadata({"metric": found.metric})
        with pa.OSFile(str(_file(context, number)), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for batch in found.batches():
                writer.write_batch(batch)


def setup(context: Context) -> None:
    """Nothing to keep between runs."""


def run(context: Context) -> Metrics:
    metrics: Metrics = {}
    for number, name in enumerate(context.words("datasets")):
        with pa.OSFile(str(_file(context, number)), "rb") as source:
            table = pa.ipc.open_file(source).read_all().combine_chunks()
        metadata = table.schema.metadata or {}
        dimension = table.schema.field("embedding").type.list_size
        shape = Shape(dimension, metadata[b"metric"].decode())
        table = table.replace_schema_metadata(None)
        _load_once(context, table.slice(0, _WARM_ROWS), shape)
        measured = _load_once(context, table, shape)
        metrics |= {f"{name} {key}": value for key, value in measured.items()}
        del table
    return metrics


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    found = []
    for name in str(parameters["datasets"]).split(","):
        ours = ("vecdb", f"{name} rows_per_s")
        for other in ("parquet", "parquet-plain"):
            for yardstick in ("rows_per_s", "unsynced_rows_per_s"):
                label = f"{name}: vecdb durable / {other} {'synced' if yardstick == 'rows_per_s' else 'not synced'}"
                found.append(Ratio(label, ours, (other, f"{name} {yardstick}")))
    return found


def _load_once(context: Context, table: pa.Table, shape: Shape) -> dict[str, float]:
    system = systems.make(context.system)
    context.home.parent.mkdir(parents=True, exist_ok=True)
    system.create(context.home, shape)
    # What earlier jobs left unwritten would be charged to this one's sync.
    os.sync()
    with measure.Timer() as ingest:
        system.ingest(table)
    with measure.Timer() as sync:
        system.sync()
    disk = pagecache.size_bytes(context.home)
    stored = system.count()
    system.close()
    shutil.rmtree(context.home)
    rows = table.num_rows
    if stored != rows:
        raise ValueError(f"{context.system} stored {stored} of {rows} rows")
    return {
        "rows_per_s": rows / (ingest.wall_s + sync.wall_s),
        "unsynced_rows_per_s": rows / ingest.wall_s,
        "seconds": ingest.wall_s + sync.wall_s,
        "cpu_s": ingest.cpu_s + sync.cpu_s,
        "disk_bytes_per_row": disk / rows,
    }


def _file(context: Context, number: int) -> Path:
    return context.scratch / f"input-{number}.arrow"
