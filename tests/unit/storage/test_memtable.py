"""Views of a memtable stay exact while rows are appended, replaced and deleted, and while its arrays grow."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vecdb
from vecdb.schema.records import validated_batch
from vecdb.storage.keys import Id
from vecdb.storage.memtable import Memtable, MemtableView, Rows

SCHEMA = vecdb.Schema(id=vecdb.Id(), n=vecdb.Int64(), tag=vecdb.Keyword(), v=vecdb.Vector(2), w=vecdb.Vector(3, "int8"))


def record(value: str, stamp: int) -> dict[str, object]:
    """Return a row whose fields all follow from its id and a stamp; every third row has no vector."""
    number = int(value[1:])
    return {
        "id": value,
        "n": stamp if stamp % 4 else None,
        "tag": f"{value}-{stamp}",
        "v": None if stamp % 3 == 0 else [number + 1, stamp],
        "w": [number % 100, stamp % 100, 1],
    }


def as_batch(records: list[dict[str, object]]) -> pa.RecordBatch:
    batch = validated_batch(records, SCHEMA)
    return pa.RecordBatch.from_arrays(batch.columns, schema=SCHEMA.storage_schema())


class Table:
    """A memtable driven as the engine drives it, and what it must hold."""

    def __init__(self) -> None:
        self.memtable = Memtable(SCHEMA)
        self.lsn = 0
        self.rows: dict[Id, dict[str, object]] = {}

    def upsert(self, ids: list[str]) -> None:
        self.lsn += 1
        records = [record(value, self.lsn) for value in ids]
        for value in ids:
            self.memtable.kill(value, self.lsn)
        self.memtable.append(Rows.of(as_batch(records), SCHEMA, 64 * len(records)), self.lsn)
        self.rows.update(zip(ids, records, strict=True))

    def delete(self, ids: list[str]) -> None:
        self.lsn += 1
        for value in ids:
            assert self.memtable.kill(value, self.lsn) is (self.rows.pop(value, None) is not None)

    def view(self) -> "Seen":
        return Seen(self.memtable.view(self.lsn), dict(self.rows))


@dataclass
class Seen:
    """A view, and the rows that were alive when it was taken."""

    view: MemtableView
    rows: dict[Id, dict[str, object]]

    def check(self, ids: list[str]) -> None:
        view, live = self.view, self.view.live()
        mask = np.ones(view.rows, bool) if live is None else live
        assert len(mask) == view.rows
        assert view.live_rows().tolist() == np.flatnonzero(mask).tolist()
        columns = {name: view.column(SCHEMA[name]).to_pylist() for name in ("id", "n", "tag")}
        seen = {}
        for row in view.live_rows().tolist():
            value = {name: values[row] for name, values in columns.items()}
            assert {name: view.value(SCHEMA[name], row) for name in columns} == value
            value.update({name: self._vector(name, row) for name in ("v", "w")})
            assert value["id"] not in seen, "an id is alive twice"
            seen[value["id"]] = value
            assert view.find(value["id"], 0) == row
        assert seen == self.rows
        assert [value for value in ids if view.find(value, 0) >= 0] == [value for value in ids if value in self.rows]

    def _vector(self, name: str, row: int) -> list[float] | None:
        held = self.view.vectors(SCHEMA[name])
        assert held is not None
        matrix, present, norms = held
        assert len(matrix) == len(norms) == self.view.rows
        if present is not None and not present[row]:
            return None
        assert norms[row] == pytest.approx(np.linalg.norm(matrix[row].astype(np.float64)), rel=1e-6)
        return matrix[row].tolist()


IDS = [f"r{number}" for number in range(8)]
steps = st.lists(
    st.tuples(st.sampled_from(["upsert", "upsert", "delete", "view"]), st.lists(st.sampled_from(IDS), unique=True)),
    max_size=30,
)


@given(steps)
def test_views_stay_exact_under_any_operations(operations: list[tuple[str, list[str]]]) -> None:
    table = Table()
    taken = [table.view()]

    for name, ids in operations:
        if name == "view":
            taken.append(table.view())
        elif ids:
            getattr(table, name)(ids)

    for seen in [*taken, table.view()]:
        seen.check(IDS)


def test_views_stay_exact_while_the_arrays_grow() -> None:
    table = Table()
    ids = [f"r{number}" for number in range(400)]
    taken: list[Seen] = []

    for start in range(0, 2000, 50):
        chosen = [ids[(start + at) % len(ids)] for at in range(50)]
        taken.append(table.view())
        table.upsert(chosen)
        table.delete(chosen[::7])

    for seen in taken:
        seen.check(ids)


def test_a_row_killed_after_the_arrays_grew_is_still_alive_in_an_older_view() -> None:
    table = Table()
    table.upsert(["r0", "r1"])
    seen = table.view()

    table.upsert([f"r{number}" for number in range(2, 600)])
    table.delete(["r0"])

    seen.check(["r0", "r1", "r2"])
    assert seen.view.died_since(np.array([0, 1])).tolist() == [0]


def test_a_replaced_row_is_found_at_its_old_place_in_an_older_view() -> None:
    table = Table()
    table.upsert(["r0"])
    seen = table.view()

    for _ in range(3):
        table.upsert(["r0"])

    assert seen.view.find("r0", 0) == 0
    assert table.view().view.find("r0", 0) == 3


def test_a_deleted_row_that_came_back_is_not_seen_by_a_view_between() -> None:
    table = Table()
    table.upsert(["r0"])
    table.delete(["r0"])
    between = table.view()

    table.upsert(["r0"])

    assert between.view.find("r0", 0) == -1
    between.check(["r0"])
    table.view().check(["r0"])


def test_single_rows_and_reads_in_turn_give_every_row_once() -> None:
    table = Table()
    for number in range(300):
        table.upsert([f"r{number}"])
        assert table.view().view.column(SCHEMA["tag"]).to_pylist()[-1] == f"r{number}-{number + 1}"

    table.view().check([f"r{number}" for number in range(300)])


def test_reads_copy_each_row_a_logarithmic_number_of_times() -> None:
    table = Table()
    for number in range(1000):
        table.upsert([f"r{number}"])
        table.memtable.value(SCHEMA["n"].storage_name, number)

    # A binary counter: the numbers of rows of the chunks at least halve from one to the next.
    sizes = [chunk.num_rows for chunk in table.memtable._chunks]
    assert sum(sizes) == 1000
    assert len(sizes) <= 11


def test_bytes_grow_with_every_row() -> None:
    table = Table()
    sizes = []
    for number in range(5):
        table.upsert([f"r{number}"])
        sizes.append(table.memtable.bytes)

    assert all(later > earlier for earlier, later in pairwise(sizes))
    assert (table.memtable.first_lsn, table.memtable.last_lsn) == (1, 5)


def test_a_row_number_behind_the_end_has_no_value() -> None:
    table = Table()
    table.upsert(["r0"])

    with pytest.raises(IndexError):
        table.memtable.value(SCHEMA["n"].storage_name, 1)


def test_a_view_finds_a_row_at_any_moment_while_it_is_deleted() -> None:
    table = Table()
    table.upsert(["r1", "r2"])
    view, found = table.memtable.view(table.lsn), []

    class Watched(dict[Id, int]):
        """Looks for the row whenever an id has gone."""

        def pop(self, value: Id, default: int | None = None) -> int | None:  # pyright: ignore[reportIncompatibleMethodOverride]
            row = super().pop(value, default)
            found.append(view.find("r1", 0))
            return row

        def __delitem__(self, value: Id) -> None:
            super().__delitem__(value)
            found.append(view.find("r1", 0))

    table.memtable.index = Watched(table.memtable.index)
    table.delete(["r1"])

    assert found == [0]
    assert table.memtable.view(table.lsn).find("r1", 0) == -1
