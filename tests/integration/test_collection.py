"""Databases and collections as a user sees them: what goes in comes out, whichever way it went in."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import vecdb
from support.unsynced import unsynced
from vecdb.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError

SCHEMA = vecdb.Schema(
    id=vecdb.Id(),
    title=vecdb.Text(),
    section=vecdb.Keyword(),
    tags=vecdb.Keyword(many=True),
    size=vecdb.Int64(),
    price=vecdb.Float64(),
    archived=vecdb.Bool(),
    added=vecdb.Timestamp(),
    embedding=vecdb.Vector(3),
)
MOMENT = datetime(2024, 5, 1, 12, tzinfo=UTC)
FIRST: dict[str, Any] = {
    "id": "a",
    "title": "It's \u00e9 😀",
    "section": "games",
    "tags": ["x", "y"],
    "size": 2**62,
    "price": 1.5,
    "archived": True,
    "added": MOMENT,
    "embedding": [1.0, 2.0, 3.0],
}
SECOND: dict[str, Any] = {**dict.fromkeys(FIRST), "id": "b"}


@pytest.fixture(autouse=True)
def without_syncs() -> Iterator[None]:
    with unsynced():
        yield


@pytest.fixture
def database() -> Iterator[vecdb.Database]:
    with vecdb.connect(":memory:", settings=vecdb.Settings(background=False, free_bytes=0)) as database:
        yield database


@pytest.fixture
def docs(database: vecdb.Database) -> vecdb.Collection:
    return database.create_collection("docs", SCHEMA)


def plain(record: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a record with its vector as a list."""
    if record is None:
        return None
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in record.items()}


def as_table(records: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(records, schema=SCHEMA.arrow_schema())


class _Stream:
    """Anything with the Arrow C stream protocol."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


FORMS: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "list of dicts": lambda records: records,
    "dict of lists": lambda records: {name: [record[name] for record in records] for name in records[0]},
    "arrow table": as_table,
    "arrow batch": lambda records: as_table(records).to_batches()[0],
    "arrow reader": lambda records: as_table(records).to_reader(max_chunksize=1),
    "chunked table": lambda records: pa.concat_tables([as_table([record]) for record in records]),
    "arrow stream": lambda records: _Stream(as_table(records)),
    "pandas": lambda records: as_table(records).to_pandas(types_mapper=pd.ArrowDtype),
    "polars": lambda records: pl.from_arrow(as_table(records)),
}


# -- databases ---------------------------------------------------------------------------------------------------------


def test_a_database_is_created_found_again_and_lists_its_collections(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "library"
    with vecdb.connect(path) as database:
        database.create_collection("b", SCHEMA).upsert(FIRST)
        database.create_collection("a", vecdb.Schema(key=vecdb.Id("int64")))

    with vecdb.connect(str(path), create=False) as database:
        assert database.collections() == ["a", "b"]
        assert "a" in database
        assert "c" not in database
        assert database["b"].schema == SCHEMA
        assert plain(database.collection("b").get("a")) == FIRST
        assert database.path == path


def test_a_collection_is_opened_once(database: vecdb.Database, docs: vecdb.Collection) -> None:
    assert database.collection("docs") is docs
    assert database["docs"] is docs


def test_exist_ok_returns_the_collection_or_says_that_its_fields_differ(database: vecdb.Database) -> None:
    made = database.create_collection("docs", SCHEMA)

    assert database.create_collection("docs", SCHEMA, exist_ok=True) is made
    with pytest.raises(ConflictError, match="already"):
        database.create_collection("docs", SCHEMA)
    with pytest.raises(ConflictError, match="other fields"):
        database.create_collection("docs", vecdb.Schema(id=vecdb.Id()), exist_ok=True)


def test_a_dropped_collection_is_gone_with_its_files_and_the_name_is_free(tmp_path: Path) -> None:
    with vecdb.connect(tmp_path) as database:
        database.create_collection("docs", SCHEMA).upsert(FIRST)

        database.drop_collection("docs")

        assert database.collections() == []
        assert list((tmp_path / "collections").iterdir()) == []
        with pytest.raises(NotFoundError):
            database.collection("docs")
        assert database.create_collection("docs", SCHEMA).count() == 0


def test_writing_to_a_dropped_collection_is_refused(database: vecdb.Database, docs: vecdb.Collection) -> None:
    database.drop_collection("docs")

    with pytest.raises(NotFoundError, match="'docs' was dropped"):
        docs.upsert(FIRST)


def test_a_memory_database_leaves_nothing_behind() -> None:
    database = vecdb.connect(":memory:")
    collection = database.create_collection("docs", SCHEMA)
    collection.upsert(FIRST)
    path = database.path
    assert path.exists()

    database.close()

    assert not path.exists()


def test_two_memory_databases_know_nothing_of_each_other() -> None:
    with vecdb.connect(":memory:") as one, vecdb.connect(":memory:") as other:
        one.create_collection("docs", SCHEMA)

        assert other.collections() == []


def test_closing_twice_is_fine_and_writing_afterwards_is_refused(tmp_path: Path) -> None:
    database = vecdb.connect(tmp_path)
    collection = database.create_collection("docs", SCHEMA)
    database.close()
    database.close()

    for call in (
        lambda: database.collections(),
        lambda: database.collection("docs"),
        lambda: database.stats(),
        lambda: "docs" in database,
        lambda: collection.upsert(FIRST),
        lambda: collection.delete("a"),
        lambda: collection.flush(),
        lambda: collection.compact(),
        lambda: collection.tag("x"),
        lambda: collection.add_column("more", vecdb.Text()),
        lambda: collection.bulk().add(FIRST),
    ):
        with pytest.raises(UnavailableError, match="closed"):
            call()


def test_an_exception_in_the_block_closes_the_database(tmp_path: Path) -> None:
    def interrupted() -> None:
        with vecdb.connect(tmp_path) as database:
            database.create_collection("docs", SCHEMA).upsert(FIRST)
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()

    with vecdb.connect(tmp_path) as database:
        assert database.collection("docs").count() == 1


def test_collections_do_not_mix(database: vecdb.Database) -> None:
    first, second = (database.create_collection(name, SCHEMA) for name in ("first", "second"))
    first.upsert(FIRST)

    assert (first.count(), second.count()) == (1, 0)
    assert second.get("a") is None


# -- upsert and get ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("where", ["memory", "segment", "reopened"])
def test_every_form_of_input_comes_back_equal(tmp_path: Path, form: str, where: str) -> None:
    database = vecdb.connect(tmp_path)
    collection = database.create_collection("docs", SCHEMA)

    result = collection.upsert(FORMS[form]([FIRST, SECOND]))

    assert result.rows == 2
    if where != "memory":
        collection.flush()
    if where == "reopened":
        database.close()
        database = vecdb.connect(tmp_path)
        collection = database.collection("docs")
    assert [plain(record) for record in collection.get(["a", "b"])] == [FIRST, SECOND]
    assert collection.count() == 2
    database.close()


def test_one_record_is_a_dict(docs: vecdb.Collection) -> None:
    docs.upsert({"id": "a", "embedding": np.array([1, 2, 3], np.float32)})

    assert plain(docs.get("a")) == {**dict.fromkeys(FIRST), "id": "a", "embedding": [1, 2, 3]}


def test_arrays_of_numpy_are_columns(docs: vecdb.Collection) -> None:
    matrix = np.arange(12, dtype=np.float64).reshape(4, 3) + 1
    docs.upsert({"id": list("abcd"), "size": np.arange(4), "embedding": matrix})

    found = docs.get(list("abcd"), fields=["size", "embedding"])

    assert [plain(record) for record in found] == [
        {"id": value, "size": at, "embedding": matrix[at].tolist()} for at, value in enumerate("abcd")
    ]


def test_an_upsert_replaces_the_whole_row(docs: vecdb.Collection) -> None:
    docs.upsert(FIRST)
    docs.upsert({"id": "a", "size": 7})

    assert docs.get("a") == {**dict.fromkeys(FIRST), "id": "a", "size": 7}
    assert docs.count() == 1


def test_a_refused_batch_stores_nothing(docs: vecdb.Collection) -> None:
    docs.upsert(FIRST)

    with pytest.raises(InvalidInputError):
        docs.upsert([{"id": "a", "size": 1}, {"id": "b", "size": 2}, {"id": "c", "size": "three"}])

    assert plain(docs.get("a")) == FIRST
    assert docs.count() == 1


def test_a_reader_is_stored_chunk_by_chunk_up_to_the_bad_one(docs: vecdb.Collection) -> None:
    good = as_table([{"id": f"r{number}", "size": number} for number in range(6)])
    bad = as_table([{"id": "bad", "embedding": [0.0, 0.0, 0.0]}])
    reader = pa.RecordBatchReader.from_batches(
        good.schema, [*good.to_batches(max_chunksize=2), *bad.to_batches(), *good.slice(0, 1).to_batches()]
    )

    with pytest.raises(InvalidInputError) as caught:
        docs.upsert(reader)

    assert (caught.value.field, caught.value.row) == ("embedding", 6)
    assert docs.count() == 6


def test_get_answers_in_the_order_asked(docs: vecdb.Collection) -> None:
    docs.upsert([{"id": value} for value in "abc"])

    found = docs.get(["c", "x", "a", "a"])

    assert [record and record["id"] for record in found] == ["c", None, "a", "a"]
    assert docs.get([]) == []
    assert docs.get("x") is None


def test_get_returns_the_fields_asked_for(docs: vecdb.Collection) -> None:
    docs.upsert(FIRST)

    assert docs.get("a", fields=["size", "section"]) == {"id": "a", "size": 2**62, "section": "games"}
    assert docs.get("a", fields=[]) == {"id": "a"}
    assert docs.get(["a"], fields=["id", "id"]) == [{"id": "a"}]


def test_a_vector_that_was_handed_out_can_be_changed_without_harm(docs: vecdb.Collection) -> None:
    docs.upsert(FIRST)
    for _ in range(2):
        vector = (docs.get("a") or {})["embedding"]
        assert vector.tolist() == [1, 2, 3]
        vector[:] = 9
        docs.flush()


def test_input_arrays_can_be_changed_after_the_call(docs: vecdb.Collection) -> None:
    matrix = np.ones((2, 3), np.float32)
    docs.upsert({"id": ["a", "b"], "embedding": matrix})
    matrix[:] = 7

    assert [plain(record) for record in docs.get(["a", "b"], fields=["embedding"])] == [
        {"id": value, "embedding": [1, 1, 1]} for value in "ab"
    ]
    assert docs.search(embedding=[1, 1, 1]).scores.tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63)])
def test_whole_numbers_can_be_ids(database: vecdb.Database, value: int) -> None:
    collection = database.create_collection("numbers", vecdb.Schema(key=vecdb.Id("int64"), n=vecdb.Int64()))
    from_numpy: Any = [np.int64(5)]
    collection.upsert([{"key": value, "n": 1}, {"key": 5, "n": 2}])
    collection.flush()

    assert collection.get(value) == {"key": value, "n": 1}
    assert collection.get(from_numpy) == [{"key": 5, "n": 2}]
    assert collection.delete(value).rows == 1
    assert collection.get(value) is None


def test_a_batch_above_the_direct_size_is_stored_at_once_and_outside_the_log(
    docs: vecdb.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vecdb.row_writes.DIRECT_BYTES", 100)
    docs.upsert([{"id": "a", "size": -1}, {"id": "z", "size": -1}])
    rows = [{"id": f"r{number}", "size": number} for number in range(50)] + [{"id": "a", "size": 5}]

    result = docs.upsert(rows)

    assert result.rows == 51
    assert docs.stats()["memtable_rows"] == 0 or docs.stats()["segments"] >= 1
    assert docs.get("a", fields=["size"]) == {"id": "a", "size": 5}
    assert docs.count() == 52
    with pytest.raises(InvalidInputError):
        docs.upsert([*rows, {"id": "bad", "size": 1.5}])
    assert docs.count() == 52


# -- delete and patch --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flushed", [False, True])
def test_delete_says_how_many_were_there(docs: vecdb.Collection, flushed: bool) -> None:
    docs.upsert([{"id": value, "size": at} for at, value in enumerate("abcdef")])
    if flushed:
        docs.flush()

    assert docs.delete("a").rows == 1
    assert docs.delete(["a", "b", "b", "x"]).rows == 1
    assert docs.delete(ids=[]).rows == 0
    assert docs.delete(where="size >= 4").rows == 2
    assert docs.delete(where=vecdb.col("size") > 100).rows == 0
    assert sorted(batch.column(0)[0].as_py() for batch in docs.scan(batch_rows=1)) == ["c", "d"]


def test_a_deleted_id_can_come_back(docs: vecdb.Collection) -> None:
    for stamp in range(4):
        docs.upsert({"id": "a", "size": stamp})
        assert docs.get("a", fields=["size"]) == {"id": "a", "size": stamp}
        docs.delete("a")
        assert docs.get("a") is None
        docs.flush()
    assert docs.count() == 0


def test_a_patch_changes_the_fields_it_names_and_null_clears_them(docs: vecdb.Collection) -> None:
    docs.upsert([FIRST, SECOND])
    docs.flush()

    docs.patch([{"id": "a", "size": 5, "embedding": None}, {"id": "b", "size": None, "embedding": [1, 1, 1]}])

    assert plain(docs.get("a")) == {**FIRST, "size": 5, "embedding": None}
    assert plain(docs.get("b")) == {**SECOND, "embedding": [1, 1, 1]}


def test_a_patch_of_dicts_with_one_field_each_leaves_the_others(docs: vecdb.Collection) -> None:
    docs.upsert([FIRST, {**FIRST, "id": "b"}])

    docs.patch({"id": "a", "size": 5})
    docs.patch({"id": ["a", "b"], "section": ["x", None]})

    assert plain(docs.get("a")) == {**FIRST, "size": 5, "section": "x"}
    assert plain(docs.get("b")) == {**FIRST, "id": "b", "section": None}


def test_a_patch_of_an_unknown_id_changes_nothing(docs: vecdb.Collection) -> None:
    docs.upsert(FIRST)

    with pytest.raises(NotFoundError, match="'x'"):
        docs.patch([{"id": "a", "size": 1}, {"id": "x", "size": 2}])

    assert plain(docs.get("a")) == FIRST
    assert docs.count() == 1


def test_patches_of_different_fields_from_two_threads_both_hold(docs: vecdb.Collection) -> None:
    docs.upsert({"id": "a", "size": 0, "price": 0.0})
    turns = 40
    failures: list[BaseException] = []

    def work(name: str, kind: type) -> None:
        try:
            for turn in range(1, turns + 1):
                docs.patch({"id": "a", name: kind(turn)})
                assert (docs.get("a") or {})[name] == turn, "nobody else writes this field"
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in (("size", int), ("price", float))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert docs.get("a", fields=["size", "price"]) == {"id": "a", "size": turns, "price": float(turns)}
