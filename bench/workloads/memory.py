"""How much memory a bulk load and a compaction take, beyond mapped files.

The rows come from a Parquet file in batches, so nothing but the database decides what is held. Phases: load; delete
of a fifth of the rows by a filter; compact. The system "parquet" only reads the same batches: what reading costs by
itself. Each phase's peak of private memory (RssAnon) is sampled from outside and stands in the record under `phases`;
the load of a quarter of the rows comes first, in the same process, and shows whether the peak grows with the data.
"""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bench import datasets, machine, measure, pagecache, systems
from bench.context import Context, Parameter
from bench.records import Ratio
from bench.systems.base import Shape
from bench.workloads import Metrics

SYSTEMS = ("vecdb", "parquet")
REPEATS = 2
FULL: Mapping[str, Parameter] = {"dataset": "debian60k@2000000", "batch_rows": 8192, "deleted_percent": 20}
QUICK: Mapping[str, Parameter] = {"dataset": "clustered:5000x384", "batch_rows": 1024, "deleted_percent": 20}
HEADLINES = ("peak_private_bytes",)
_ROW_GROUP = 16_384


def prepare(context: Context) -> None:
    """Write the rows as one Parquet file with small row groups, so that a reader need not hold much."""
    found = datasets.load(context.text("dataset"), context.data)
    schema = found.block(0).schema.with_metadata({"metric": found.metric})
    with pq.ParquetWriter(_file(context), schema, compression="none", use_dictionary=False) as writer:
        for batch in found.batches():
            writer.write_batch(batch, row_group_size=_ROW_GROUP)


def setup(context: Context) -> None:
    """Nothing to keep between runs."""


def run(context: Context) -> Metrics:
    schema = pq.read_schema(_file(context))
    shape = Shape(schema.field("embedding").type.list_size, (schema.metadata or {})[b"metric"].decode())
    rows = pq.ParquetFile(_file(context)).metadata.num_rows
    if context.system == "parquet":
        with context.phase("read"), measure.Timer() as timer:
            read = sum(batch.num_rows for batch in _batches(context, rows))
        return {"read_s": timer.wall_s, "rows": float(read)}
    metrics: Metrics = {"start private_bytes": _private()}
    metrics |= _load(context, shape, rows // 4, "quarter load")
    shutil.rmtree(context.home)
    metrics |= _load(context, shape, rows, "load")
    metrics |= _compact(context, shape)
    shutil.rmtree(context.home)
    return metrics


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    whole, quarter = "load peak_private_bytes", "quarter load peak_private_bytes"
    return [
        Ratio("peak of the whole load / a quarter of it", ("vecdb", whole), ("vecdb", quarter)),
        Ratio("peak of the load / of reading alone", ("vecdb", whole), ("parquet", "read peak_private_bytes")),
    ]


def _load(context: Context, shape: Shape, rows: int, phase: str) -> Metrics:
    system = systems.make(context.system)
    context.home.parent.mkdir(parents=True, exist_ok=True)
    system.create(context.home, shape)
    with context.phase(phase), measure.Timer() as timer:
        system.ingest_batches(_batches(context, rows))
    stored = system.count()
    system.close()
    if stored != rows:
        raise ValueError(f"{context.system} stored {stored} of {rows} rows")
    return {f"{phase} s": timer.wall_s, f"{phase} cpu_s": timer.cpu_s, f"{phase} rows": float(rows)}


def _compact(context: Context, shape: Shape) -> Metrics:
    """Delete some rows, so that there is something to rewrite, then compact."""
    system: Any = systems.make(context.system)
    system.open(context.home, shape)
    with context.phase("delete"), measure.Timer() as delete:
        deleted = system.collection.delete(where=f"r100 < {context.integer('deleted_percent')}").rows
    before = system.collection.stats()["segments"]
    with context.phase("compact"), measure.Timer() as compact:
        system.collection.compact()
    after = system.collection.stats()
    system.close()
    return {
        "delete s": delete.wall_s,
        "delete rows": float(deleted),
        "compact s": compact.wall_s,
        "compact cpu_s": compact.cpu_s,
        "compact segments_before": float(before),
        "compact segments_after": float(after["segments"]),
        "compact deleted_rows_left": float(after["deleted_rows"]),
        "disk_bytes": float(pagecache.size_bytes(context.home)),
    }


def _batches(context: Context, rows: int) -> Iterator[pa.RecordBatch]:
    """Yield the first `rows` rows of the file; no read-ahead, so that the reader holds one row group."""
    left = rows
    source = pq.ParquetFile(_file(context), pre_buffer=False)
    for batch in source.iter_batches(batch_size=context.integer("batch_rows"), use_threads=False):
        yield batch.slice(0, left) if batch.num_rows > left else batch
        left -= batch.num_rows
        if left <= 0:
            return


def _private() -> float | None:
    size = machine.memory("RssAnon")
    return None if size is None else float(size)


def _file(context: Context) -> Path:
    return context.scratch / "rows.parquet"
