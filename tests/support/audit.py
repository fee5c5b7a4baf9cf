"""Reopens a database after a crash and compares it with what was promised.

An audit collects findings and does not raise: a negative control passes when its audit is *not* ok.
"""

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import vecdb
from support.graphs import small_graphs, strays
from support.ledger import Ledger
from support.rows import ANCHOR, Observation, State, Upkeep, key, observe, schema, vector
from support.workload import COLLECTION, SIDE

SHOWN = 8
AGAIN = 4
"""Acknowledged writes of each writer that are made again."""


@dataclass
class Audit:
    """What a reopened database shows.

    Attributes:
        seconds: time that opening took.
        lost: acknowledged rows (or deletes) that are not there as acknowledged.
        error: why the database could not be opened or read, empty if it could.
        findings: sentences; none when all is well.
        seen: what is there, the base of the next round.

    """

    seconds: float = 0.0
    lost: int = 0
    duplicates: int = 0
    error: str = ""
    findings: list[str] = field(default_factory=list)
    seen: Observation = field(default_factory=Observation)

    @property
    def ok(self) -> bool:
        """Nothing is lost, torn, invented, damaged or unreadable."""
        return not (self.error or self.findings or self.lost or self.duplicates)

    def __str__(self) -> str:
        shown = "\n  ".join(self.findings[:SHOWN])
        more = f"\n  and {len(self.findings) - SHOWN} more" if len(self.findings) > SHOWN else ""
        return f"lost {self.lost}, duplicates {self.duplicates}, error {self.error or 'none'}\n  {shown}{more}"


def audit(
    path: Path, ledger: Ledger, scratch: Path, *, created: bool = True, again: bool = True, indexes: bool = True
) -> Audit:
    """Open, check, read everything, compare; close; and with `again` do it once more, read-only, after the clean close.

    Args:
        path: the database.
        ledger: what was promised.
        scratch: folder for restored backups.
        created: whether the collection was acknowledged; if not it may be absent.
        again: whether to look a second time.
        indexes: whether to build those that are missing, and make writes again, which writes; and look for files that
            nothing names.

    """
    found = Audit()
    found.findings.extend(f"the child says: {text}" for text in ledger.wrong)
    started = time.perf_counter()
    try:
        database = vecdb.connect(path, settings=vecdb.Settings(background=False))
    except Exception as error:
        found.error = f"connect: {type(error).__name__}: {error}"
        return found
    try:
        with database:
            if COLLECTION in database.collections():
                database.collection(COLLECTION)  # replays the log
            found.seconds = time.perf_counter() - started
            found.seen = _examine(database, ledger, found, created, indexes)
            _compare_backups(ledger, found, scratch)
        if again:
            with vecdb.connect(path, read_only=True) as database:
                if observe_database(database) != found.seen:
                    found.findings.append("a second, read-only open shows something else than the first")
    except Exception as error:
        found.error = f"{type(error).__name__}: {error}"
    return found


def observe_database(database: Any) -> Observation:
    """Read everything that the workload can have written."""
    names = database.collections()
    if COLLECTION not in names:
        return Observation(upkeep=Upkeep(side=SIDE in names))
    collection = database.collection(COLLECTION)
    seen = observe(collection)
    anchor = collection.get(ANCHOR)
    added = [column.name for column in collection.schema if column.name not in schema()]
    seen.upkeep = Upkeep(
        planted=anchor is not None,
        columns=tuple((name, None if anchor is None else anchor[name]) for name in added),
        tags=frozenset(collection.tags()),
        side=SIDE in names,
        links=_links(collection, seen),
    )
    return seen


def _links(collection: Any, seen: Observation) -> frozenset[tuple[str, str, int]]:
    """Return the links that there are, and note what the graph has otherwise."""
    rows = [row for batch in collection.links() for row in batch.to_pylist()]
    found = frozenset((row["src"], row["dst"], int(row["weight"])) for row in rows)
    if len({(src, dst) for src, dst, _ in found}) < len(rows):
        seen.complaints.append("a link is there twice")
    graph = collection.snapshot()._state.links.graph
    for adjacency, near, far in ((graph.out, 0, 1), (graph.incoming, 1, 0)):
        walked = {
            (value, other, int(weight))
            for node, value in enumerate(graph.ids(np.arange(graph.nodes)))
            for other, weight in zip(*_row(graph, adjacency, node), strict=True)
        }
        if walked != {(link[near], link[far], link[2]) for link in found}:
            seen.complaints.append("the graph of the links is not that of the links")
    return found


def _row(graph: Any, adjacency: Any, node: int) -> tuple[list[Any], list[float]]:
    targets, weights, _ = adjacency.row(node)
    return graph.ids(targets), weights.tolist()


def _examine(database: Any, ledger: Ledger, found: Audit, created: bool, indexes: bool) -> Observation:
    report = database.check()
    if not report.ok:
        found.findings.extend(f"check: {problem}" for problem in report.problems)
    if COLLECTION not in database.collections():
        if created:
            found.error = "the collection is gone"
            found.lost = sum(len(ledger.state(writer)) for writer in ledger.base.writers)
        return observe_database(database)
    seen = observe_database(database)
    found.findings.extend(seen.complaints)
    found.duplicates = seen.duplicates
    for writer in sorted({*seen.writers, *ledger.base.writers, *ledger.writers()}):
        _compare(writer, seen.writers.get(writer, {}), ledger.allowed(writer), found)
    if not any(_same_upkeep(seen.upkeep, allowed) for allowed in ledger.allowed_upkeep()):
        found.lost += 1
        found.findings.append(f"upkeep is {seen.upkeep}, allowed are {ledger.allowed_upkeep()}")
    collection = database.collection(COLLECTION)
    _compare_search(collection, seen, found)
    if indexes:
        found.findings.extend(f"left behind: {name}" for name in strays(database.path))
        with small_graphs():
            collection.build_indexes()
            waiting = collection.stats()["indexes"]["embedding"]["pending_rows"]
        if waiting:
            found.findings.append(f"{waiting} rows have no index although all were built")
        _compare_search(collection, seen, found)
        seen = _made_again(database, ledger, seen, found)
    return seen


def _made_again(database: Any, ledger: Ledger, seen: Observation, found: Audit) -> Observation:
    """Make again, under their request ids, what was acknowledged last and what was in flight; return what is there.

    The former must change nothing and tell what it told, the latter leave its rows as one that was not broken off.
    """
    collection = database.collection(COLLECTION)
    for writer in ledger.writers():
        for made, before in ledger.acknowledged_operations(writer)[-AGAIN:]:
            if made.request is not None and made.kind != "bulk":  # a load that finds all chunks stored has no rows
                rows, expected = made.run(collection).rows, made.affected(before)
                if rows != expected:
                    found.findings.append(f"{made.kind} made again reports {rows} rows, {expected} the first time")
            elif made.request is not None:
                made.run(collection)
    after = observe_database(database)
    for writer in ledger.writers():
        if after.writers.get(writer, {}) != seen.writers.get(writer, {}):
            found.findings.append(f"writer {writer}: what was acknowledged changed rows when it was made again")
        following = ledger.next_operation(writer)
        if following is not None and following.request is not None:
            following.run(collection)
            wanted = following.outcomes(ledger.state(writer))[-1]
            _compare(writer, observe_database(database).writers.get(writer, {}), [wanted], found, "made again: ")
    return observe_database(database)


def _same_upkeep(left: Upkeep, right: Upkeep) -> bool:
    return left._replace(columns=()) == right._replace(columns=()) and dict(left.columns) == dict(right.columns)


def _compare(writer: int, seen: State, allowed: list[State], found: Audit, where: str = "") -> None:
    """Name every row in which the nearest allowed state differs."""

    def differences(state: State) -> list[int]:
        return [number for number in sorted(seen.keys() | state.keys()) if seen.get(number) != state.get(number)]

    nearest = min(allowed, key=lambda state: len(differences(state)))
    for number in differences(nearest):
        found.lost += 1
        found.findings.append(
            f"{where}row {key(writer, number)} is {seen.get(number)}, promised was {nearest.get(number)}"
        )


def _compare_search(collection: Any, seen: Observation, found: Audit) -> None:
    """An exact search must find what a scan finds: the oracle is a cosine over the rows' formulas."""
    rows = [
        (writer, number, row.drawn)
        for writer, state in seen.writers.items()
        for number, row in state.items()
        if row.drawn is not None
    ]
    if not rows:
        return
    ids = np.array([key(writer, number) for writer, number, _ in rows])
    matrix = np.stack([vector(*row) for row in rows]).astype(np.float64)
    query = vector(1, 2, 3)
    scores = matrix @ query / np.linalg.norm(matrix, axis=1) / np.linalg.norm(query.astype(np.float64))
    result = collection.search(embedding=query, k=10, exact=True)
    expected = np.sort(scores)[::-1][:10]
    by_id = dict(zip(ids.tolist(), scores.tolist(), strict=True))
    got = np.array([by_id.get(id, -2.0) for id in result.ids])
    if len(got) != len(expected) or not np.allclose(got, expected, atol=1e-5):
        found.findings.append(f"search finds {result.ids} with {got.tolist()}, expected scores {expected.tolist()}")
    # Through an index about the best come, and what comes is real: alive, once, with its own score, best first.
    near = collection.search(embedding=query, k=10)
    true = np.array([by_id.get(id, -2.0) for id in near.ids])
    if (
        len(set(near.ids)) != len(expected)
        or not np.allclose(near.scores, true, atol=1e-5)
        or (np.diff(near.scores) > 0).any()
        or (np.diff(true) > 1e-5).any()  # true ones are float64: two that are equal in float32 may stand either way
    ):
        found.findings.append(f"a search through indexes finds {near.ids} with {near.scores.tolist()}, not {true}")


def _compare_backups(ledger: Ledger, found: Audit, scratch: Path) -> None:
    for backup in ledger.backups:
        target = scratch / f"restored-{backup.name}"
        vecdb.restore(scratch / backup.name, target)
        with vecdb.connect(target, settings=vecdb.Settings(background=False)) as database:
            report = database.check()
            if not report.ok:
                found.findings.extend(f"backup {backup.name}: {problem}" for problem in report.problems)
            seen = observe_database(database)
        found.findings.extend(f"backup {backup.name}: {text}" for text in seen.complaints)
        for writer in sorted({*seen.writers, *backup.least}):
            allowed = ledger.allowed_in(backup, writer)
            _compare(writer, seen.writers.get(writer, {}), allowed, found, f"backup {backup.name}: ")
        if dict(seen.upkeep.columns) != dict(backup.upkeep.columns) or seen.upkeep.links != backup.upkeep.links:
            found.findings.append(f"backup {backup.name} has columns {seen.upkeep}, expected {backup.upkeep}")
        shutil.rmtree(target)
        shutil.rmtree(scratch / backup.name)
