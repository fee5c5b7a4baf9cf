"""The rows that crash tests write: every field is a function of who wrote the row, and when.

A row is told apart by (writer, number) and described by a `Row` of three stamps; all its fields follow from these.
So whatever comes back from a damaged disk can be judged without a copy of what was written: a field that does not
fit its row's stamps is torn, a row whose stamps were never written is invented.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

import vecdb

DIMENSION = 8
ANCHOR = "anchor"


class Row(NamedTuple):
    """What a row contains: the stamps of the upsert, of the last patch, and of the vector's writer (if any)."""

    stamp: int
    patched: int | None
    drawn: int | None


State = dict[int, Row]


class Upkeep(NamedTuple):
    """Everything besides the writers' rows: the anchor's columns, tags, links, whether collection `side` exists.

    A link is its ends and its weight; each pair of ends is there once.
    """

    planted: bool = False
    columns: tuple[tuple[str, int | None], ...] = ()
    tags: frozenset[str] = frozenset()
    side: bool = False
    links: frozenset[tuple[str, str, int]] = frozenset()


@dataclass
class Observation:
    """What a database really holds."""

    writers: dict[int, State] = field(default_factory=dict)
    upkeep: Upkeep = field(default_factory=Upkeep)
    duplicates: int = 0
    complaints: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows of all writers."""
        return sum(len(state) for state in self.writers.values())


class Readable(Protocol):
    """What a collection and a snapshot have in common here."""

    def scan(self, **options: Any) -> Iterator[pa.RecordBatch]: ...
    def count(self, where: Any = None) -> int: ...


def schema() -> vecdb.Schema:
    """Return the schema of the collection under test."""
    return vecdb.Schema(
        id=vecdb.Id("string"),
        writer=vecdb.Int64(),
        number=vecdb.Int64(),
        stamp=vecdb.Int64(),
        patched=vecdb.Int64(),
        drawn=vecdb.Int64(),
        section=vecdb.Keyword(),
        tags=vecdb.Keyword(many=True),
        note=vecdb.Text(),
        embedding=vecdb.Vector(DIMENSION, dtype="float32", metric="cosine", index="hnsw"),
    )


def key(writer: int, number: int) -> str:
    """Return the id of a row."""
    return f"{writer}-{number:04d}"


def vector(writer: int, number: int, drawn: int) -> np.ndarray:
    """Return a row's vector, (DIMENSION,) float32; no two of a test are equal."""
    start = writer * 1009.0 + number * 31.0 + drawn * 0.0173
    return np.sin(start + np.arange(DIMENSION)).astype(np.float32)


def has_vector(number: int, stamp: int) -> bool:
    """Tell whether an upsert gives the row a vector: every fifth has none."""
    return (number + stamp) % 5 != 0


def fresh(number: int, stamp: int) -> Row:
    """Return the row that an upsert leaves."""
    return Row(stamp, None, stamp if has_vector(number, stamp) else None)


def _scalars(writer: int, number: int, row: Row) -> dict[str, Any]:
    return {
        "id": key(writer, number),
        "writer": writer,
        "number": number,
        "stamp": row.stamp,
        "patched": row.patched,
        "drawn": row.drawn,
        "section": f"s{row.stamp % 7}",
        "tags": [f"t{row.stamp % 3}", f"w{writer}"],
        "note": f"{key(writer, number)} at {row.stamp} " + "." * (row.stamp % 40),
    }


def record(writer: int, number: int, stamp: int) -> dict[str, Any]:
    """Return one row as an upsert takes it."""
    row = fresh(number, stamp)
    values = _scalars(writer, number, row)
    return {**values, "embedding": None if row.drawn is None else vector(writer, number, row.drawn)}


def table(writer: int, numbers: Iterable[int], stamp: int) -> pa.Table:
    """Return rows as an Arrow table."""
    records = [record(writer, number, stamp) for number in numbers]
    for entry in records:
        entry["embedding"] = None if entry["embedding"] is None else entry["embedding"].tolist()
    return pa.Table.from_pylist(records, schema=schema().arrow_schema())


def observe(reader: Readable) -> Observation:
    """Read every row and judge each; the anchor and its columns are left to the caller.

    Wrong content is told in `complaints`, one sentence a row.
    """
    seen = Observation()
    total = 0
    for batch in reader.scan():
        records = batch.to_pylist()
        total += len(records)
        for found in records:
            if found["id"] != ANCHOR:
                _take(seen, found)
    counted = reader.count()
    if counted != total:
        seen.complaints.append(f"count() is {counted}, scan() yields {total} rows")
    return seen


def _take(seen: Observation, found: dict[str, Any]) -> None:
    writer, number = found["writer"], found["number"]
    row = Row(found["stamp"], found["patched"], found["drawn"])
    expected = _scalars(writer, number, row)
    for name, value in expected.items():
        if found[name] != value:
            seen.complaints.append(f"row {found['id']}: {name} is {found[name]!r}, its stamps {row} say {value!r}")
    # Columns that come and go belong to the anchor; in every other row they are empty.
    for name in found.keys() - expected.keys() - {"embedding"}:
        if found[name] is not None:
            seen.complaints.append(f"row {found['id']}: {name} is {found[name]!r}, nobody wrote it")
    embedding = found["embedding"]
    wanted = None if row.drawn is None else vector(writer, number, row.drawn)
    if (embedding is None) != (wanted is None):
        seen.complaints.append(f"row {found['id']}: vector is {embedding!r}, its stamps {row} say {wanted!r}")
    elif wanted is not None and not np.array_equal(np.asarray(embedding, np.float32), wanted):
        seen.complaints.append(f"row {found['id']}: vector does not fit its stamps {row}")
    state = seen.writers.setdefault(writer, {})
    if number in state:
        seen.duplicates += 1
        seen.complaints.append(f"row {found['id']} is there twice: {state[number]} and {row}")
    state[number] = row
