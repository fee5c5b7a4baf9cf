"""What a crash test does to a database: streams of operations, each a pure function of a seed.

Every writer owns its ids and works alone on them, so the n-th operation of a writer follows from the seed, n, and
what the n-1 before it left. The supervisor needs no list of what was tried: it counts acknowledgements, and derives
the state they promise and the states that the one operation in flight may have left.
"""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

import vecdb
from support.rows import ANCHOR, DIMENSION, State, Upkeep, fresh, key, record, schema, table, vector
from vecdb.errors import ConflictError, ResourceExhaustedError

COLLECTION = "docs"
SIDE = "side"
SPACE = 100
CHUNKS = 3
SEGMENT_ROWS = 16

WRITES = ("upsert", "one", "stream", "bulk", "delete", "sweep", "patch", "redraw")
WRITE_WEIGHTS = (8, 6, 2, 2, 3, 1, 3, 3)
CHORES = ("flush", "compact", "purge", "add", "fill", "rename", "drop", "tag", "untag", "backup", "found", "raze",
          "index", "link", "unlink", "cut")  # fmt: skip
CHORE_WEIGHTS = (6, 4, 1, 3, 4, 2, 2, 2, 2, 5, 1, 1, 4, 8, 3, 2)
LINKED = 12
"""Ids that links join; none of them has a row."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One write of one writer: all of it happens or nothing.

    Except that a `stream` is stored chunk by chunk, and a `bulk` load segment by segment: where a segment ends is up to
    the engine, so any beginning of it may be there.
    """

    kind: str
    writer: int
    stamp: int
    numbers: tuple[int, ...]

    def outcomes(self, state: State) -> list[State]:
        """Return every state that a crash may leave, from "not begun" to "done"."""
        if self.kind in ("stream", "bulk"):
            states = [state]
            for chunk in self._steps():
                states.append(states[-1] | {number: fresh(number, self.stamp) for number in chunk})
            return states
        return [state, self._applied(state)]

    def _steps(self) -> Iterator[tuple[int, ...]]:
        """Yield the rows that become visible together, or may."""
        return _chunks(self.numbers) if self.kind == "stream" else ((number,) for number in self.numbers)

    def partly(self, state: State, rows: int) -> State | None:
        """Return the state when only that many rows of a bulk load were committed; None when none is such."""
        committed = 0
        for step, after in zip(self._steps(), self.outcomes(state)[1:], strict=True):
            if committed == rows:
                return state
            state, committed = after, committed + len(step)
        return state if committed == rows else None

    def _applied(self, state: State) -> State:
        present = [number for number in self.numbers if number in state]
        if self.kind == "patch":
            return state | {number: state[number]._replace(patched=self.stamp) for number in present}
        if self.kind == "redraw":
            return state | {number: state[number]._replace(drawn=self.stamp) for number in present}
        if self.kind in ("delete", "sweep"):
            return {number: row for number, row in state.items() if number not in self.numbers}
        return state | {number: fresh(number, self.stamp) for number in self.numbers}

    @property
    def request(self) -> str | None:
        """The request id under which it may be made again; every third operation has none."""
        return f"{self.writer}/{self.stamp}" if self.stamp % 3 else None

    def run(self, collection: Any) -> Any:
        """Carry it out and return the WriteResult."""
        writer, stamp, request = self.writer, self.stamp, self.request
        ids = [key(writer, number) for number in self.numbers]
        if self.kind == "one":
            return collection.upsert(record(writer, self.numbers[0], stamp), request_id=request)
        if self.kind == "upsert":
            return collection.upsert(table(writer, self.numbers, stamp), request_id=request)
        if self.kind == "stream":
            return collection.upsert(_reader(writer, self.numbers, stamp), request_id=request)
        if self.kind == "bulk":
            return _bulk(collection, [table(writer, chunk, stamp) for chunk in _chunks(self.numbers)], request)
        if self.kind == "delete":
            return collection.delete(ids, request_id=request)
        if self.kind == "sweep":
            return collection.delete(where=f"writer = {writer} and number < {len(self.numbers)}", request_id=request)
        if self.kind == "patch":
            return collection.patch([{"id": id, "patched": stamp} for id in ids], request_id=request)
        vectors = [vector(writer, number, stamp).tolist() for number in self.numbers]
        return collection.patch(
            pa.table(
                {
                    "id": pa.array(ids),
                    "drawn": pa.array([stamp] * len(ids), pa.int64()),
                    "embedding": pa.array(vectors, pa.list_(pa.float32(), DIMENSION)),
                }
            ),
            request_id=request,
        )

    def affected(self, state: State) -> int:
        """Return the number of rows that the WriteResult must name."""
        if self.kind in ("delete", "sweep"):
            return sum(number in state for number in self.numbers)
        return len(self.numbers)


class PartlyStoredError(Exception):
    """A bulk load that met a change of the fields, or a full disk: what it had committed stays."""

    def __init__(self, rows: int) -> None:
        super().__init__(f"{rows} rows were committed")
        self.rows = rows


def _bulk(collection: Any, tables: list[pa.Table], request: str | None) -> Any:
    with collection.bulk(rows_per_segment=SEGMENT_ROWS, request_id=request) as load:
        try:
            for number, chunk in enumerate(tables):
                load.add(chunk, None if request is None else number)
            return load.commit()
        except (ConflictError, ResourceExhaustedError):
            load.abandon()
            raise PartlyStoredError(load.rows_committed) from None


def _chunks(numbers: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    size = max(1, -(-len(numbers) // CHUNKS))
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]


def _reader(writer: int, numbers: tuple[int, ...], stamp: int) -> pa.RecordBatchReader:
    def batches() -> Iterable[pa.RecordBatch]:
        for chunk in _chunks(numbers):
            yield from table(writer, chunk, stamp).combine_chunks().to_batches()

    return pa.RecordBatchReader.from_batches(schema().arrow_schema(), batches())


def operation(seed: int, writer: int, turn: int, state: State, kind: str | None = None) -> Operation:
    """Return what the writer does next, given the state that its acknowledged operations left."""
    rng = random.Random(f"{seed}/{writer}/{turn}")
    kind = rng.choices(WRITES, WRITE_WEIGHTS)[0] if kind is None else kind
    stamp = seed * 10_000 + turn
    present = sorted(state)
    if kind in ("patch", "redraw", "delete") and not present:
        kind = "upsert"
    if kind == "one":
        numbers = [rng.randrange(SPACE)]
    elif kind == "sweep":
        numbers = list(range(rng.randrange(1, SPACE // 5)))
    elif kind == "delete":
        numbers = sorted({*rng.sample(present, min(len(present), rng.randrange(1, 9))), rng.randrange(SPACE)})
    elif kind in ("patch", "redraw"):
        numbers = sorted(rng.sample(present, min(len(present), rng.randrange(1, 7))))
    else:
        numbers = rng.sample(range(SPACE), rng.randrange(30, 61) if kind == "bulk" else rng.randrange(3, 21))
    return Operation(kind, writer, stamp, tuple(numbers))


@dataclass(frozen=True, slots=True)
class Chore:
    """One act of upkeep: schema changes, versions, and what moves rows around without changing them."""

    kind: str
    name: str
    value: int

    def outcomes(self, upkeep: Upkeep) -> list[Upkeep]:
        """Return the state before and the state after."""
        return [upkeep, _EFFECTS.get(self.kind, _unchanged)(upkeep, self)]

    def run(self, database: Any, collection: Any, outside: Path) -> None:
        """Carry it out; a backup goes to a folder of its own in `outside`."""
        column, _, other = self.name.partition(">")
        acts: dict[str, Callable[[], Any]] = {
            "flush": collection.flush,
            "compact": collection.compact,
            "purge": lambda: collection.compact(purge=True),
            "plant": lambda: collection.upsert({"id": ANCHOR, "writer": -1}),
            "add": lambda: collection.add_column(self.name, vecdb.Int64()),
            "fill": lambda: collection.patch({"id": ANCHOR, self.name: self.value}),
            "rename": lambda: collection.rename_column(column, other),
            "drop": lambda: collection.drop_column(self.name),
            "tag": lambda: collection.tag(self.name),
            "untag": lambda: collection.untag(self.name),
            "backup": lambda: database.backup(outside / self.name),
            "found": lambda: database.create_collection(SIDE, schema()),
            "raze": lambda: database.drop_collection(SIDE),
            "index": lambda: _index(collection, self.value),
            "link": lambda: collection.link(
                [{"src": src, "dst": dst, "weight": weight} for src, dst, weight in drawn(self.value)]
            ),
            "unlink": lambda: collection.unlink([{"src": src, "dst": dst} for src, dst, _ in drawn(self.value)]),
            "cut": lambda: collection.delete(drawn(self.value)[0][0], cascade=True),
        }
        acts[self.kind]()


def drawn(value: int) -> list[tuple[str, str, int]]:
    """Return the links that an act of upkeep is about: ends, and the weight that it gives them."""
    rng = random.Random(f"links/{value}")
    ends = {(f"link-{rng.randrange(LINKED)}", f"link-{rng.randrange(LINKED)}") for _ in range(rng.randrange(1, 30))}
    return [(src, dst, value % 1000) for src, dst in sorted(ends)]


def _index(collection: Any, value: int) -> None:
    """Build what indexes are missing; every third time say first what they shall be from now on."""
    if value % 3 == 0:
        collection.set_index("embedding", ("auto", "hnsw", vecdb.Hnsw(m=8))[value // 3 % 3])
    collection.build_indexes()


def _unchanged(upkeep: Upkeep, chore: Chore) -> Upkeep:
    return upkeep


def _filled(upkeep: Upkeep, chore: Chore) -> Upkeep:
    columns = tuple((name, chore.value if name == chore.name else value) for name, value in upkeep.columns)
    return upkeep._replace(columns=columns)


def _renamed(upkeep: Upkeep, chore: Chore) -> Upkeep:
    old, _, new = chore.name.partition(">")
    return upkeep._replace(columns=tuple((new if name == old else name, value) for name, value in upkeep.columns))


def _linked(upkeep: Upkeep, chore: Chore) -> Upkeep:
    links = drawn(chore.value)
    return upkeep._replace(links=_without(upkeep, links) | (frozenset(links) if chore.kind == "link" else frozenset()))


def _without(upkeep: Upkeep, links: list[tuple[str, str, int]]) -> frozenset[tuple[str, str, int]]:
    ends = {link[:2] for link in links}
    return frozenset(link for link in upkeep.links if link[:2] not in ends)


def _cut(upkeep: Upkeep, chore: Chore) -> Upkeep:
    node = drawn(chore.value)[0][0]
    return upkeep._replace(links=frozenset(link for link in upkeep.links if node not in link[:2]))


_EFFECTS: dict[str, Callable[[Upkeep, Chore], Upkeep]] = {
    "plant": lambda upkeep, chore: upkeep._replace(planted=True, columns=tuple((n, None) for n, _ in upkeep.columns)),
    "add": lambda upkeep, chore: upkeep._replace(columns=(*upkeep.columns, (chore.name, None))),
    "fill": _filled,
    "rename": _renamed,
    "drop": lambda upkeep, chore: upkeep._replace(columns=tuple(c for c in upkeep.columns if c[0] != chore.name)),
    "tag": lambda upkeep, chore: upkeep._replace(tags=upkeep.tags | {chore.name}),
    "untag": lambda upkeep, chore: upkeep._replace(tags=upkeep.tags - {chore.name}),
    "found": lambda upkeep, chore: upkeep._replace(side=True),
    "link": _linked,
    "unlink": _linked,
    "cut": _cut,
    "raze": lambda upkeep, chore: upkeep._replace(side=False),
}


def _sensible(kind: str, upkeep: Upkeep) -> str:
    """Return an act of upkeep that can be done now in the place of one that cannot."""
    if kind in ("found", "raze"):
        return "raze" if upkeep.side else "found"
    if kind in ("tag", "untag"):
        return {0: "tag", 2: "untag"}.get(len(upkeep.tags), kind)
    if kind == "fill" and not upkeep.planted:
        return "plant"  # it was refused when the disk was full
    if kind in ("add", "fill", "rename", "drop"):
        return {0: "add", 3: "drop" if kind == "add" else kind}.get(len(upkeep.columns), kind)
    return kind


def chore(seed: int, turn: int, upkeep: Upkeep, kind: str | None = None) -> Chore:
    """Return the next act of upkeep."""
    rng = random.Random(f"{seed}/upkeep/{turn}")
    kind = _sensible(rng.choices(CHORES, CHORE_WEIGHTS)[0] if kind is None else kind, upkeep)
    columns = [name for name, _ in upkeep.columns]
    stamp = seed * 10_000 + turn
    name = f"{kind}_{stamp}"
    if kind in ("fill", "drop"):
        name = rng.choice(columns)
    elif kind == "rename":
        name = f"{rng.choice(columns)}>{name}"
    elif kind == "untag":
        name = rng.choice(sorted(upkeep.tags))
    elif kind == "add":
        # The same few names again and again: a column that returns must not bring back its old values.
        name = next(name for name in ("red", "green", "blue", "grey") if name not in columns)
    return Chore(kind, name, stamp)
