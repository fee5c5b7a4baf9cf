"""The crash tests' own eyes: each kind of harm, done on purpose, must be seen.

Missing syncs have controls of their own in test_power_cut.py.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import vecdb
from support.audit import Audit, audit
from support.damage import Damage, files
from support.damage_child import meet
from support.faults import kind_of
from support.groups import batch, group_schema, look
from support.ledger import Ledger
from support.museum import SETTING, build, tell
from support.rows import observe, record, schema, table
from support.session import Session
from support.supervisor import prepare
from support.workload import COLLECTION


class Rows:
    """A reader of one table."""

    def __init__(self, content: pa.Table) -> None:
        self._content = content

    def scan(self, **_: Any) -> Iterator[pa.RecordBatch]:
        yield from self._content.to_batches()

    def count(self, where: Any = None) -> int:
        return self._content.num_rows


def _audit_after(harm: Callable[[Any, Ledger], object], folder: Path) -> Audit:
    """Let a session do ten writes, do harm behind its back, and audit."""
    path = folder / "library"
    ledger = Ledger(77, prepare(path))
    with vecdb.connect(path, settings=vecdb.Settings(background=False)) as database:
        session = Session(database, ledger, lambda line: None, folder)
        for _ in range(10):
            session.write(0)
        harm(database.collection(COLLECTION), ledger)
    return audit(path, ledger, folder)


def _any_row(ledger: Ledger) -> int:
    """Return the number of a row that the operation in flight does not touch."""
    following = ledger.next_operation(0)
    return min(set(ledger.state(0)) - set(following.numbers if following else ()))


def test_an_audit_of_an_unharmed_database_finds_nothing(memory_path: Path) -> None:
    found = _audit_after(lambda collection, ledger: None, memory_path)

    assert found.ok, found


@pytest.mark.parametrize(
    "harm",
    [
        lambda docs, ledger: docs.delete(f"0-{_any_row(ledger):04d}"),
        lambda docs, ledger: docs.upsert(record(0, _any_row(ledger), 1)),
        lambda docs, ledger: docs.patch({"id": f"0-{_any_row(ledger):04d}", "section": "torn"}),
        lambda docs, ledger: docs.upsert(record(0, 9999, 1)),
        lambda docs, ledger: docs.upsert(record(3, 1, 1)),
        lambda docs, ledger: docs.add_column("late", vecdb.Int64()),
        lambda docs, ledger: docs.tag("stray"),
    ],
    ids=["lost", "older", "torn", "invented", "of nobody", "column", "tag"],
)
def test_an_audit_sees(harm: Callable[[Any, Ledger], object], memory_path: Path) -> None:
    found = _audit_after(harm, memory_path)

    assert not found.ok


def test_a_scan_that_yields_a_row_twice_is_seen() -> None:
    once = table(0, [1, 2], 5)

    seen = observe(Rows(pa.concat_tables([once, once.slice(0, 1)])))

    assert seen.duplicates == 1


def test_a_vector_of_another_row_is_seen() -> None:
    rows = table(0, [1, 2], 6)
    at = schema().arrow_schema().get_field_index("embedding")
    swapped = rows.set_column(at, rows.schema.field(at), rows.column(at).take(pa.array([1, 0])))

    assert observe(Rows(rows)).complaints == []
    assert len(observe(Rows(swapped)).complaints) == 2


@pytest.mark.parametrize(
    "torn", [lambda old, new: [old.slice(0, 5), new.slice(5)], lambda old, new: [new.slice(1)]], ids=["mixed", "short"]
)
def test_half_a_group_is_seen(torn: Callable[[pa.Table, pa.Table], list[pa.Table]], memory_path: Path) -> None:
    with vecdb.connect(memory_path / "library") as database:
        groups = database.create_collection("groups", group_schema())
        groups.upsert(batch(0, 0, 2))
        old = pa.Table.from_batches(list(groups.scan())).sort_by("id")
        groups.upsert(batch(0, 0, 4))
        new = pa.Table.from_batches(list(groups.scan())).sort_by("id")

    assert look(Rows(new)) == ({(0, 0): 4}, [])
    assert len(look(Rows(pa.concat_tables(torn(old, new))))[1]) == 1


def test_without_checksums_damaged_vectors_give_wrong_answers_and_these_are_seen(memory_path: Path) -> None:
    pristine, _ = build(memory_path)
    expected = tell(pristine, read_only=True)
    copy = memory_path / "copy"
    shutil.copytree(pristine, copy)
    sizes = {name: (copy / name).stat().st_size for name in files(copy) if kind_of(name) == "segment-vec"}
    name = max(sizes, key=lambda name: sizes[name])
    middle = sizes[name] // 2
    for byte in range(middle, middle + 400, 4):
        Damage("flip", name, "segment-vec", byte * 8 + 6).apply(copy)

    met = meet(copy, expected, read_only=True, settings=replace(SETTING, verify="never"))

    assert met["wrong"]
