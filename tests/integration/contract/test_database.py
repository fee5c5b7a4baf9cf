"""Collections come, are found again, and go."""

from pathlib import Path
from typing import Any

import pytest

import vecdb
from support import contract
from vecdb.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError

SCHEMA = vecdb.Schema(id=vecdb.Id("int64"), size=vecdb.Int64())


def test_collections_are_listed_by_name(database: Any) -> None:
    assert database.collections() == []

    database.create_collection("words", SCHEMA)
    database.create_collection("docs", SCHEMA)

    assert database.collections() == ["docs", "words"]
    assert "docs" in database
    assert "papers" not in database


def test_a_new_collection_is_empty_and_has_the_fields(database: Any) -> None:
    made = database.create_collection("docs", contract.schema())

    assert made.name == "docs"
    assert made.schema.fields == contract.schema().fields
    assert made.count() == 0


def test_a_collection_is_found_again(database: Any) -> None:
    database.create_collection("docs", SCHEMA).upsert({"id": 7, "size": 3})

    assert database.collection("docs").get(7) == {"id": 7, "size": 3}
    assert database["docs"].count() == 1


def test_a_name_is_given_once(database: Any) -> None:
    database.create_collection("docs", SCHEMA)

    with pytest.raises(ConflictError, match="docs"):
        database.create_collection("docs", SCHEMA)


def test_a_collection_that_exists_with_the_same_fields_is_taken(database: Any) -> None:
    database.create_collection("docs", SCHEMA).upsert({"id": 1})

    assert database.create_collection("docs", SCHEMA, exist_ok=True).count() == 1
    with pytest.raises(ConflictError, match="other fields"):
        database.create_collection("docs", vecdb.Schema(id=vecdb.Id()), exist_ok=True)


@pytest.mark.parametrize("name", ["", "a/b", "..", "x" * 200, ".hidden", "tab\t"])
def test_a_malformed_name_is_refused(database: Any, name: str) -> None:
    with pytest.raises(InvalidInputError):
        database.create_collection(name, SCHEMA)
    with pytest.raises((InvalidInputError, NotFoundError)):
        database.collection(name)


def test_what_is_no_schema_is_refused(database: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"expected a vecdb\.Schema"):
        database.create_collection("docs", {"id": "text"})


def test_a_missing_collection_is_not_found(database: Any) -> None:
    with pytest.raises(NotFoundError, match="'docs'"):
        database.collection("docs")
    with pytest.raises(NotFoundError, match="'docs'"):
        database.drop_collection("docs")
    with pytest.raises(NotFoundError, match="'docs'"):
        database["docs"]


def test_a_dropped_collection_is_gone(database: Any) -> None:
    database.create_collection("docs", SCHEMA).upsert({"id": 1})

    database.drop_collection("docs")

    assert database.collections() == []
    assert database.create_collection("docs", SCHEMA).count() == 0


def test_statistics_tell_of_every_collection(database: Any) -> None:
    database.create_collection("docs", SCHEMA).upsert({"id": 1})

    told = database.stats()

    assert set(told) == {"path", "read_only", "free_bytes", "collections"}
    assert told["path"] == str(database.path)
    assert told["read_only"] is database.read_only is False
    assert told["collections"]["docs"]["rows"] == 1


def test_an_undamaged_database_passes_its_check(docs: Any, database: Any) -> None:
    docs.flush()
    heard: list[tuple[str, int, int]] = []

    report = database.check(lambda *step: heard.append(step))

    assert report.ok
    assert report.files > 0
    assert report.bytes > 0
    assert report.problems == ()


def test_what_a_closed_database_is_asked_fails(docs: Any, database: Any) -> None:
    database.close()
    database.close()

    for ask in (database.collections, docs.count, lambda: docs.upsert({"id": "a"})):
        with pytest.raises(UnavailableError, match="closed"):
            ask()


def test_a_database_is_closed_by_its_block(database: Any) -> None:
    with database as same:
        assert same.collections() == []

    with pytest.raises(UnavailableError, match="closed"):
        database.collections()


def test_a_backup_holds_the_rows_of_its_moment(docs: Any, database: Any, backup_folder: Any, tmp_path: Path) -> None:
    name, folder = backup_folder

    done = database.backup(name)
    docs.delete("r01")

    assert done["files"] > 0
    assert done["bytes"] > 0
    vecdb.restore(folder, tmp_path / "restored")
    with vecdb.connect(tmp_path / "restored", read_only=True) as restored:
        assert restored.collection("docs").count() == contract.ROWS
        assert restored.collection("docs").count("id = 'r01' and size = 10") == 1
