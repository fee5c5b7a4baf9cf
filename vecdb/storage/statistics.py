"""Counts and sizes of a collection at one moment."""

import contextlib
import os
from dataclasses import asdict
from typing import Any

from vecdb.storage import indexing
from vecdb.storage.background import Worker
from vecdb.storage.reader import Reader
from vecdb.storage.snapshot import State
from vecdb.storage.writer import Writer


def statistics(
    store: Writer | Reader, state: State, workers: dict[str, Worker | None], indexed: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Return what `Collection.stats` shows."""
    manifest = state.located.manifest
    segments = [view.segment.entry for view in state.segments]
    wal_bytes = store.log_bytes() if isinstance(store, Writer) else store.report.wal_bytes
    deleted = sum(len(view.deleted) for view in state.segments)
    return {
        "rows": state.count,
        "segments": len(segments),
        "segment_rows": sum(entry.rows for entry in segments),
        "deleted_rows": deleted,
        "memtable_rows": state.memtable_rows,
        "links": state.links.count,
        "link_segments": len(state.links.segments),
        "memtable_links": sum(view.rows for view in state.links.memtables),
        "version": manifest.version,
        "versions": len(manifest.history) + 1,
        "tags": dict(manifest.tags),
        "lsn": state.lsn,
        "wal_bytes": wal_bytes,
        "disk_bytes": disk_bytes(store),
        "fields": {column.name: repr(column.field) for column in state.schema.columns},
        "indexes": indexing.described(state),
        "indexing": None if indexed is None else {"rows_done": indexed[0], "rows": indexed[1]},
        "writer": "none" if isinstance(store, Reader) else store.stopped or "running",
        "request_ids": store.requests.statistics() if isinstance(store, Writer) else None,
        "background": {name: asdict(worker.statistics()) for name, worker in workers.items() if worker is not None},
        "open_report": asdict(store.report),
    }


def disk_bytes(store: Writer | Reader) -> int:
    """Bytes of all files under the collection's folder, those of older versions included."""
    total = 0
    for folder, _, files in os.walk(store.directory.path(store.base)):  # passes over folders that vanish meanwhile
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(os.path.join(folder, file)).st_size
    return total
