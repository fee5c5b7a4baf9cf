"""A collection under random operations agrees with a dict and a brute-force search after each of them.

Three machines: everything in the calling thread, the same with more steps, and one with flushes and merges in the
background. Nothing is synced: what a power cut leaves is not the subject here, what a killed process leaves is.
"""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import vecdb
from support import strategies as draw
from support.graphs import small_graphs
from support.model import ID, INTEGER_IDS, STRING_IDS, Model, Row, where_number
from support.oracle import compare, compare_rows
from support.scale import MODEL_SCALE
from support.unsynced import unsynced
from vecdb.errors import InvalidInputError, NotFoundError, RequestMismatchError
from vecdb.schema.fields import Field, Vector
from vecdb.storage.compaction import compact_once

NAME = "docs"
CHECK_EVERY = 8


class Made(NamedTuple):
    """A write that has a request id: the fields that there were, how it is made, and what came of it."""

    request: str
    columns: dict[str, Field]
    make: Callable[[vecdb.Collection], vecdb.WriteResult]
    result: vecdb.WriteResult

    def fits(self, columns: dict[str, Field]) -> bool:
        return all(columns.get(name) == field for name, field in self.columns.items())


class CollectionMachine(RuleBasedStateMachine):
    """One database folder, one writer, one reader beside it, and what both must hold."""

    background = False

    def __init__(self) -> None:
        super().__init__()
        self.cleanup = ExitStack()
        self.cleanup.enter_context(unsynced())
        self.cleanup.enter_context(small_graphs(2))
        self.root = Path(tempfile.mkdtemp(prefix="vecdb-model-"))
        self.folders = 0
        self.step = 0
        self.held: list[tuple[Any, Model]] = []
        self.tags: dict[str, Model] = {}
        self.versions: dict[int, Model] = {}
        self.version = 0
        self.lsn = 0
        self.requests = 0
        self.made: list[Made] = []

    # -- opening and closing ---------------------------------------------------------------------------------------

    @initialize(
        strings=st.booleans(),
        first=draw.vectors,
        second=draw.vectors,
        options=draw.settings,
        durability=st.sampled_from(["none", "sync"]),
    )
    def create(self, strings: bool, first: Field, second: Field, options: dict[str, Any], durability: Any) -> None:
        columns: dict[str, Field] = {
            "n": vecdb.Int64(),
            "v": first,
            "section": vecdb.Keyword(),
            "w": second,
            "labels": vecdb.Keyword(many=True),
        }
        self.model = Model(STRING_IDS if strings else INTEGER_IDS, columns)
        self.settings = vecdb.Settings(
            **options, durability=durability, background=self.background, free_bytes=0, threads=1
        )
        self.path = self.folder()
        database = self.connect()
        schema = vecdb.Schema(**{ID: vecdb.Id("string" if strings else "int64"), **columns})
        self.opened(database, database.create_collection(NAME, schema))

    def folder(self) -> Path:
        self.folders += 1
        return self.root / str(self.folders)

    def connect(self, path: Path | None = None, read_only: bool = False) -> vecdb.Database:
        options = vecdb.Settings(refresh_interval=0) if read_only else self.settings
        return vecdb.connect(path or self.path, settings=options, read_only=read_only)

    def opened(self, database: vecdb.Database, collection: vecdb.Collection) -> None:
        self.database, self.collection = database, collection
        self.reading = self.connect(read_only=True)
        self.reader = self.reading.collection(NAME)
        self.held = []

    def closed(self) -> None:
        self.reading.close()
        self.database.close()

    def teardown(self) -> None:
        with self.cleanup:
            self.cleanup.callback(shutil.rmtree, self.root)
            if hasattr(self, "collection"):
                self.cleanup.callback(self.closed)
                self.look_at_everything_held()
                self.nothing_is_damaged()

    # -- writes ----------------------------------------------------------------------------------------------------

    def rows_of(self, pairs: list[tuple[int, int]]) -> list[Row]:
        return [self.model.row(number, seed) for number, seed in pairs]

    def before_a_write(self) -> Model:
        """Return the rows that a version holds which this write makes by filling the memtable."""
        return self.model.frozen()

    def wrote(self, result: vecdb.WriteResult, before: Model | None) -> None:
        assert result.durable is (self.settings.durability == "sync")
        assert result.lsn >= self.lsn
        self.lsn = result.lsn
        self.note_version(before)

    def note_version(self, content: Model | None) -> None:
        """Remember what the version in force holds, if it is new; None when that cannot be known."""
        version = self.collection.snapshot().version
        if version != self.version and content is not None and not self.background:
            self.versions[version] = content.frozen()
        self.version = version

    def named(self, make: Callable[[vecdb.Collection, str | None], vecdb.WriteResult]) -> vecdb.WriteResult:
        """Make a write, two of three with a request id of their own."""
        self.requests += 1
        request = f"request {self.requests}" if self.requests % 3 else None
        result = make(self.collection, request)
        if request is not None:
            made = Made(request, dict(self.model.columns), lambda collection: make(collection, request), result)
            self.made = [*self.made[-9:], made]
        return result

    @precondition(lambda self: self.made)
    @rule(at=st.integers(0, 9))
    def make_again(self, at: int) -> None:
        made = self.made[at % len(self.made)]
        if made.fits(self.model.columns):
            assert made.make(self.collection) == made.result

    @precondition(lambda self: self.made)
    @rule(at=st.integers(0, 9))
    def use_a_request_id_for_something_else(self, at: int) -> None:
        request = self.made[at % len(self.made)].request
        if not self.collection.stored_chunks(request):  # of a reader each chunk is a write
            with pytest.raises(RequestMismatchError):
                self.collection.delete(where=f"{ID} is null", request_id=request)

    @rule(pairs=draw.batches, form=draw.forms)
    def upsert(self, pairs: list[tuple[int, int]], form: str) -> None:
        before, rows = self.before_a_write(), self.rows_of(pairs)
        schema = self.collection.schema
        result = self.named(
            lambda collection, request: collection.upsert(draw.as_input(rows, form, schema), request_id=request)
        )
        assert result.rows == len(rows)
        self.model.upsert(rows)
        self.wrote(result, None if form == "reader" else before)

    @rule(numbers=draw.numbers)
    def delete_by_id(self, numbers: list[int]) -> None:
        before, ids = self.before_a_write(), [self.model.ids[number] for number in numbers]
        result = self.named(lambda collection, request: collection.delete(ids, request_id=request))
        assert result.rows == self.model.delete(ids)
        self.wrote(result, before)

    @rule(number=st.integers(0, 99))
    def delete_where(self, number: int) -> None:
        before, where = self.before_a_write(), where_number(number, self.model.columns, self.model.ids)
        result = self.named(lambda collection, request: collection.delete(where=where.text, request_id=request))
        assert result.rows == self.model.delete([row[ID] for row in self.model.matching(where)])
        self.wrote(result, before)

    @precondition(lambda self: self.model.rows)
    @rule(pairs=draw.batches, mask=st.integers(1, 15))
    def patch(self, pairs: list[tuple[int, int]], mask: int) -> None:
        names = [name for at, name in enumerate(self.model.columns) if mask >> at % 4 & 1]
        rows = [
            {ID: row[ID], **{name: row[name] for name in names}}
            for row in self.rows_of(pairs)
            if row[ID] in self.model.rows
        ]
        before = self.before_a_write()
        if rows:
            result = self.named(lambda collection, request: collection.patch(rows, request_id=request))
            assert result.rows == len(rows)
            self.model.patch(rows)
            self.wrote(result, before)

    @rule(adds=st.lists(draw.batches, max_size=3), rows_per_segment=st.sampled_from([None, 1, 3]), fails=st.booleans())
    def bulk_load(self, adds: list[list[tuple[int, int]]], rows_per_segment: int | None, fails: bool) -> None:
        load = self.collection.bulk(rows_per_segment)
        added = [self.rows_of(pairs) for pairs in adds]
        for rows in added:
            assert load.add(draw.as_table(rows, self.collection.schema)) == len(rows)
        self.model.upsert([row for rows in added for row in rows][: load.rows_committed])
        if fails:
            load.abandon()
            assert load.rows == load.rows_committed
            self.note_version(None)
            return
        result = load.commit()
        assert result.rows == sum(map(len, added))
        self.model.upsert(row for rows in added for row in rows)
        self.wrote(result, self.model)

    @rule(pairs=draw.batches, fault=st.sampled_from(["duplicate", "unknown", "dimension", "absent"]))
    def refuse(self, pairs: list[tuple[int, int]], fault: str) -> None:
        rows = self.rows_of(pairs)
        if fault == "duplicate":
            rows.append(rows[0])
        elif fault == "unknown":
            rows[-1] = {**rows[-1], "stranger": 1}
        elif fault == "dimension":
            names = self.model.vectors()
            rows[-1] = {**rows[-1], (names or ["stranger"])[0]: [1, 2]}
        gone = next((value for value in self.model.ids if value not in self.model.rows), None)
        if fault != "absent":
            with pytest.raises(InvalidInputError):
                self.collection.upsert(rows)
        elif gone is not None:
            present = [{ID: value} for value in self.model.rows]
            with pytest.raises(NotFoundError):
                self.collection.patch([*present, {ID: gone}])

    # -- upkeep ----------------------------------------------------------------------------------------------------

    @rule()
    def flush(self) -> None:
        self.collection.flush()
        self.note_version(self.model)

    @rule(purge=st.booleans())
    def compact(self, purge: bool) -> None:
        self.collection.compact(purge=purge)
        self.note_version(self.model)
        if purge and not self.background:
            reachable = [entry["version"] for entry in self.collection.versions()]
            assert set(reachable) == {*self.collection.tags().values(), self.collection.snapshot().version}

    @rule()
    def merge_some(self) -> None:
        before = self.collection.snapshot().version
        compact_once(self.collection._writable())
        self.note_version(self.versions.get(before))

    @rule(new=draw.new_columns)
    def add_column(self, new: tuple[str, Field]) -> None:
        name, field = new
        if name in self.model.columns:
            with pytest.raises(InvalidInputError):
                self.collection.add_column(name, field)
            return
        self.collection.add_column(name, field)
        self.model.add_column(name, field)
        self.note_version(self.model)

    @precondition(lambda self: len(self.model.columns) > 2)
    @rule(at=st.integers(0, 9))
    def drop_column(self, at: int) -> None:
        name = list(self.model.columns)[at % len(self.model.columns)]
        self.collection.drop_column(name)
        self.model.drop_column(name)
        self.note_version(self.model)

    @precondition(lambda self: self.model.columns)
    @rule(at=st.integers(0, 9), new=st.sampled_from(["n", "v", "renamed"]))
    def rename_column(self, at: int, new: str) -> None:
        old = list(self.model.columns)[at % len(self.model.columns)]
        if new not in self.model.columns:
            self.collection.rename_column(old, new)
            self.model.rename_column(old, new)
            self.note_version(self.model)

    # -- indexes ---------------------------------------------------------------------------------------------------

    @rule()
    def build_indexes(self) -> None:
        self.collection.build_indexes()
        self.note_version(self.model)
        assert not any(told["pending_rows"] for told in self.collection.stats()["indexes"].values())

    @precondition(lambda self: self.model.vectors())
    @rule(at=st.integers(0, 9), index=draw.indexes)
    def set_index(self, at: int, index: Any) -> None:
        name = self.model.vectors()[at % len(self.model.vectors())]
        if cast("Vector", self.model.columns[name]).dtype == "binary" and index not in ("flat", "auto"):
            with pytest.raises(InvalidInputError, match="binary"):
                self.collection.set_index(name, index)
            return
        self.collection.set_index(name, index)
        self.model.columns[name] = replace(self.model.columns[name], index=index)  # type: ignore[call-arg]
        self.note_version(self.model)

    @precondition(lambda self: self.model.vectors())
    @rule(at=st.integers(0, 9), keep=st.booleans(), reset=st.booleans())
    def measure(self, at: int, keep: bool, reset: bool) -> None:
        name = self.model.vectors()[at % len(self.model.vectors())]
        rows = sum(row[name] is not None for row in self.model.rows.values())
        if rows == 0:
            with pytest.raises(InvalidInputError, match="nothing to ask"):
                self.collection.recall(field=name)
            return
        report = self.collection.recall(field=name, sample=5, k=3)
        assert report.short == 0
        assert 0 <= report.worst <= report.recall <= 1
        if keep and not reset and rows < 3:
            with pytest.raises(InvalidInputError, match=r"has no index yet|rows have a vector"):
                self.collection.tune(field=name, sample=5, k=3)
        elif keep and (reset or report.plans.keys() & {"graph", "codes", "wide", "two_hops", "lists"}):
            assert (self.collection.tune(field=name, sample=5, k=3, reset=reset) is None) is reset
            self.note_version(self.model)

    # -- time ------------------------------------------------------------------------------------------------------

    @rule()
    def take_snapshot(self) -> None:
        self.held = [*self.held[-2:], (self.collection.snapshot(), self.model.frozen())]

    @rule()
    def look_at_everything_held(self) -> None:
        for snapshot, model in self.held:
            compare(snapshot, model, self.step)
        assert self.collection.tags().keys() == self.tags.keys()
        for name, model in self.tags.items():
            compare_rows(self.collection.at(tag=name), model)
            compare(self.reader.at(tag=name), model, self.step)

    @precondition(lambda self: len(self.tags) < 3)
    @rule(name=st.sampled_from(["one", "two"]))
    def tag(self, name: str) -> None:
        if name not in self.tags:
            number = self.collection.tag(name)
            self.tags[name] = self.model.frozen()
            self.note_version(self.model)
            assert self.collection.tags()[name] == number

    @precondition(lambda self: self.tags)
    @rule()
    def untag(self) -> None:
        name = min(self.tags)
        self.collection.untag(name)
        del self.tags[name]
        self.note_version(self.model)

    @rule(at=st.integers(0, 9))
    def travel(self, at: int) -> None:
        entries = self.collection.versions()
        entry = entries[at % len(entries)]
        if not self.background:
            known = self.versions.get(entry["version"])
            with self.collection.at(version=entry["version"]) as snapshot:
                assert snapshot.count() == entry["rows"]
                if known is not None:
                    compare(snapshot, known, self.step)

    # -- other folders ---------------------------------------------------------------------------------------------

    @rule()
    def reopen(self) -> None:
        self.closed()
        database = self.connect()
        self.opened(database, database.collection(NAME))

    @rule()
    def kill_and_reopen(self) -> None:
        """Open a copy of the folder as it is at this moment: what a killed process leaves."""
        target = self.folder()
        with self.collection._writable()._maintenance:  # no file is half copied while the background replaces it
            shutil.copytree(self.path, target, ignore=_unfinished)
        self.closed()
        shutil.rmtree(self.path)
        self.path = target
        database = self.connect()
        self.opened(database, database.collection(NAME))
        assert self.collection.stats()["open_report"]["wal_tail_cut_bytes"] == 0

    @rule(again=st.booleans())
    def back_up_and_restore(self, again: bool) -> None:
        saved, restored = self.folder(), self.folder()
        self.database.backup(saved)
        self.note_version(self.model)
        if again:
            self.upsert([(1, self.step % 200)], "records")
            self.database.backup(saved)
            self.note_version(self.model)
        assert vecdb.restore(saved, restored).ok
        for folder in (saved, restored):
            with self.connect(folder) as database:
                compare(database.collection(NAME), self.model, self.step)
                for made in self.made:
                    if made.fits(self.model.columns):
                        assert made.make(database.collection(NAME)) == made.result
                compare(database.collection(NAME), self.model, self.step)
            shutil.rmtree(folder)

    # -- what holds after each step --------------------------------------------------------------------------------

    @invariant()
    def the_writer_agrees(self) -> None:
        self.step += 1
        compare(self.collection, self.model, self.step)
        assert self.collection.schema.fields.keys() == {ID, *self.model.columns}

    @invariant()
    def the_reader_agrees(self) -> None:
        compare(self.reader.snapshot(), self.model, self.step + 1)

    @invariant()
    def now_and_then_nothing_is_damaged(self) -> None:
        if self.step % CHECK_EVERY == 0:
            self.nothing_is_damaged()

    def nothing_is_damaged(self) -> None:
        report = self.database.check()
        assert report.ok, report.problems
        statistics = self.collection.stats()
        assert statistics["rows"] == len(self.model.rows)
        assert all(worker["last_error"] is None for worker in statistics["background"].values())


def _unfinished(folder: Any, names: list[str]) -> list[str]:
    """Leave out what is being built: opening removes it anyhow."""
    return names if Path(folder).name == "tmp" else []


class BackgroundMachine(CollectionMachine):
    background = True


_COMMON = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], print_blob=True
)

TestQuick = CollectionMachine.TestCase
TestQuick.settings = settings(_COMMON, max_examples=10, stateful_step_count=20)


@pytest.mark.slow
class TestThorough(CollectionMachine.TestCase):
    settings = settings(_COMMON, max_examples=70 * MODEL_SCALE, stateful_step_count=50)


@pytest.mark.slow
class TestBackground(BackgroundMachine.TestCase):
    settings = settings(_COMMON, max_examples=30 * MODEL_SCALE, stateful_step_count=50)
