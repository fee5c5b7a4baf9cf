"""SQLite as a durable row store: WAL journal, synchronous=FULL, vectors as blobs. No vector search."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from bench.systems.base import Record, Shape, System, embeddings

_COLUMNS = ("id", "name", "section", "size", "r100", "text", "embedding")
_UPSERT = f"insert or replace into rows ({', '.join(_COLUMNS)}) values ({', '.join('?' * len(_COLUMNS))})"


class Sqlite(System):
    """One connection behind a lock: SQLite has one writer, and waiting in its busy handler would only cost it time."""

    name: ClassVar[str] = "sqlite"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def create(self, path: Path, shape: Shape) -> None:
        path.mkdir(parents=True)
        self.open(path, shape)
        self._db.execute(
            "create table rows (id text primary key, name text, section text, size integer, r100 integer, "
            "text text, embedding blob) without rowid"
        )

    def open(self, path: Path, shape: Shape) -> None:
        self._connection = sqlite3.connect(path / "rows.sqlite", check_same_thread=False, isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the store is closed")
        return self._connection

    def ingest_batches(self, batches: Iterable[pa.RecordBatch]) -> None:
        self._db.execute("begin immediate")
        for batch in batches:
            self._db.executemany(_UPSERT, _tuples(batch))
        self._db.execute("commit")

    def upsert(self, record: Record) -> None:
        values = [record[name] for name in _COLUMNS[:-1]]
        with self._lock:
            self._db.execute(_UPSERT, [*values, record["embedding"].tobytes()])

    def get(self, row: str) -> object | None:
        with self._lock:
            return self._db.execute("select * from rows where id = ?", [row]).fetchone()

    def delete(self, rows: Sequence[str]) -> None:
        with self._lock:
            self._db.execute("begin immediate")
            self._db.executemany("delete from rows where id = ?", [(row,) for row in rows])
            self._db.execute("commit")

    def count(self) -> int:
        with self._lock:
            return self._db.execute("select count(*) from rows").fetchone()[0]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _tuples(batch: pa.RecordBatch) -> Iterator[tuple[object, ...]]:
    columns = [batch.column(name).to_pylist() for name in _COLUMNS[:-1]]
    vectors = embeddings(batch)
    return zip(*columns, (vector.tobytes() for vector in vectors), strict=True)
