"""What is written is there, whole, for every read that starts afterwards."""

import uuid
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import vecdb
from support import contract
from vecdb.errors import InvalidInputError, NotFoundError, RequestMismatchError, UnknownFieldError
from vecdb.results import WriteResult

NEW = [{"id": f"n{number}", "size": number, "embedding": contract.vector(number)} for number in range(5)]
MATRIX = np.stack([one["embedding"] for one in NEW])
FORMS: dict[str, Any] = {
    "list of dicts": lambda: NEW,
    "dict of lists": lambda: {
        "id": [one["id"] for one in NEW], "size": [one["size"] for one in NEW], "embedding": MATRIX
    },
    "arrow table": lambda: pa.table(
        {"id": [one["id"] for one in NEW], "size": [one["size"] for one in NEW], "embedding": MATRIX.tolist()}
    ),
    "arrow batch": lambda: FORMS["arrow table"]().to_batches()[0],
    "arrow reader": lambda: FORMS["arrow table"]().to_reader(max_chunksize=2),
    "pandas": lambda: pd.DataFrame(
        {"id": [one["id"] for one in NEW], "size": [one["size"] for one in NEW], "embedding": list(MATRIX)}
    ),
    "polars": lambda: pl.DataFrame(
        {"id": [one["id"] for one in NEW], "size": [one["size"] for one in NEW], "embedding": MATRIX}
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_rows_are_stored_in_every_form(docs: Any, form: str) -> None:
    done = docs.upsert(FORMS[form]())

    assert isinstance(done, WriteResult)
    assert (done.rows, done.durable) == (5, True)
    assert docs.count() == contract.ROWS + 5
    found = docs.get("n3")
    assert found["size"] == 3
    assert found["embedding"].tobytes() == contract.vector(3).tobytes()
    assert found["body"] is None


def test_the_rows_of_known_ids_are_replaced_as_a_whole(docs: Any) -> None:
    done = docs.upsert([{"id": "r01", "size": 7}, {"id": "new", "size": 8}])

    assert done.rows == 2
    assert docs.count() == contract.ROWS + 1
    assert (docs.get("r01")["size"], docs.get("r01")["body"]) == (7, None)


def test_later_writes_have_greater_numbers(docs: Any) -> None:
    first, second = docs.upsert({"id": "a"}), docs.upsert({"id": "b"})

    assert second.lsn > first.lsn


@pytest.mark.parametrize("request_id", [b"0123456789abcdef", "load 7, row 3", uuid.UUID(int=7)], ids=str)
def test_a_write_that_is_made_again_under_its_id_happens_once(docs: Any, request_id: Any) -> None:
    first = docs.upsert({"id": "a", "size": 1}, request_id=request_id)
    docs.upsert({"id": "a", "size": 2})

    again = docs.upsert({"id": "a", "size": 1}, request_id=request_id)

    assert (again.lsn, again.rows) == (first.lsn, first.rows)
    assert docs.get("a")["size"] == 2
    with pytest.raises(RequestMismatchError):
        docs.upsert({"id": "b"}, request_id=request_id)


def test_deletes_and_patches_have_request_ids_too(docs: Any) -> None:
    patched = docs.patch({"id": "r01", "size": 5}, request_id="patch")
    deleted = docs.delete(where="size = 20", request_id="delete")
    docs.upsert([{"id": "r01", "size": 6}, {"id": "r02", "size": 20}])

    assert docs.patch({"id": "r01", "size": 5}, request_id="patch").lsn == patched.lsn
    assert docs.delete(where="size = 20", request_id="delete").rows == deleted.rows == 1
    assert (docs.get("r01")["size"], docs.get("r02")["size"]) == (6, 20)


def test_what_is_no_request_id_is_refused(docs: Any) -> None:
    for wrong in (b"short", bytes(16), "", 7):
        with pytest.raises(InvalidInputError, match="request_id is"):
            docs.upsert({"id": "a"}, request_id=wrong)


def test_no_rows_are_stored_as_none(docs: Any) -> None:
    assert docs.upsert([]).rows == 0
    assert docs.patch([]).rows == 0
    assert docs.delete([]).rows == 0
    assert docs.count() == contract.ROWS


def test_many_rows_are_one_atomic_write(docs: Any) -> None:
    many = {"id": [f"m{number}" for number in range(20_000)], "embedding": np.ones((20_000, 4), np.float32)}

    assert docs.upsert(many).rows == 20_000
    assert docs.count() == contract.ROWS + 20_000


def test_a_large_batch_is_stored(docs: Any) -> None:
    text = "honey " * 20_000
    rows = [{"id": f"m{number}", "note": f"{number} {text}"} for number in range(100)]

    assert docs.upsert(rows).rows == 100
    assert docs.get("m99")["note"] == f"99 {text}"


def test_progress_is_told_of_texts_only(docs: Any) -> None:
    heard: list[Any] = []

    docs.upsert({"id": "a", "body": "x"}, progress=lambda *told: heard.append(told))

    assert heard == []


def test_rows_are_deleted_by_id(docs: Any) -> None:
    assert docs.delete("r01").rows == 1
    assert docs.delete(["r02", "nowhere", "r02"]).rows == 1
    assert docs.delete(ids=np.array(["r03"])).rows == 1
    assert docs.get(["r01", "r02", "r03", "nowhere"]) == [None] * 4
    assert docs.count() == contract.ROWS - 3


def test_rows_are_deleted_by_a_filter(docs: Any) -> None:
    assert docs.delete(where="size >= 100").rows == contract.ROWS - 10
    assert docs.delete(where=vecdb.col("size") >= 100).rows == 0
    assert docs.count() == 10


def test_a_patch_changes_the_fields_that_it_names(docs: Any) -> None:
    before = docs.get("r01")

    done = docs.patch([{"id": "r01", "size": 7, "note": None}, {"id": "r02", "size": 8, "note": "x"}])

    assert done.rows == 2
    after = docs.get("r01")
    assert (after.pop("size"), after.pop("note")) == (7, None)
    del before["size"], before["note"]
    assert after.pop("embedding").tolist() == before.pop("embedding").tolist()
    for name in ("small", "half", "bits", "tokens", "coded"):
        assert after.pop(name).tolist() == before.pop(name).tolist()
    assert after == before


def test_a_patch_of_a_missing_row_changes_nothing(docs: Any) -> None:
    with pytest.raises(NotFoundError, match="'nowhere'"):
        docs.patch([{"id": "r01", "size": 7}, {"id": "nowhere", "size": 8}])
    assert docs.get("r01")["size"] == 10


def test_a_bulk_load_is_there_when_its_block_ends(docs: Any) -> None:
    with docs.bulk() as load:
        assert load.add(FORMS["list of dicts"]()) == 5
        assert load.add({"id": "more", "size": 9}) == 1
        assert load.rows == 6

    assert load.rows_committed == 6
    assert docs.count() == contract.ROWS + 6
    assert docs.get("more")["size"] == 9


def test_a_bulk_load_commits_when_it_is_told_to(docs: Any) -> None:
    load = docs.bulk(rows_per_segment=2)
    load.add(FORMS["arrow table"]())

    done = load.commit()

    assert (done.rows, done.durable) == (5, True)
    assert load.rows_committed == 5
    assert docs.count() == contract.ROWS + 5


def test_the_last_row_of_an_id_wins_in_a_bulk_load(docs: Any) -> None:
    with docs.bulk() as load:
        load.add({"id": "a", "size": 1})
        load.add({"id": "a", "size": 2})

    assert docs.get("a")["size"] == 2
    assert docs.count() == contract.ROWS + 1


def test_an_abandoned_bulk_load_stores_nothing(docs: Any) -> None:
    load = docs.bulk()
    load.add({"id": "a", "size": 1})

    load.abandon()

    assert load.rows == load.rows_committed == 0
    assert docs.count() == contract.ROWS


def test_an_error_inside_its_block_abandons_a_bulk_load(docs: Any) -> None:
    def fail() -> None:
        with docs.bulk() as load:
            load.add({"id": "a", "size": 1})
            raise KeyError("the caller's own")

    with pytest.raises(KeyError):
        fail()

    assert docs.count() == contract.ROWS


def test_a_bad_chunk_of_a_bulk_load_leaves_those_before_it(docs: Any) -> None:
    with docs.bulk() as load:
        load.add({"id": "a", "size": 1})
        with pytest.raises(UnknownFieldError):
            load.add({"id": "b", "sizee": 1})
        assert load.rows == 1

    assert docs.count() == contract.ROWS + 1


def test_fields_are_added_renamed_and_dropped(docs: Any) -> None:
    docs.add_column("stars", vecdb.Float64())
    docs.rename_column("note", "remark")
    docs.drop_column("price")

    assert docs.schema["stars"].field == vecdb.Float64()
    assert "note" not in docs.schema
    assert "price" not in docs.schema
    docs.patch({"id": "r01", "stars": 4.5})
    record = docs.get("r01")
    assert (record["stars"], record["remark"]) == (4.5, "note 1")
    assert "price" not in record
    assert docs.count("stars > 4") == 1
    with pytest.raises(UnknownFieldError, match="'note'"):
        docs.upsert({"id": "a", "note": "x"})


def test_a_field_is_searched_in_another_way(docs: Any) -> None:
    docs.set_index("embedding", vecdb.Hnsw(m=8))
    docs.set_index("note", True)

    assert docs.schema["embedding"].field.spec == vecdb.Hnsw(m=8)
    assert docs.search(note="7").ids == []
    assert docs.search(note="note 8", k=1).ids == ["r08"]


def test_two_handles_of_a_collection_see_the_same_fields(docs: Any, database: Any) -> None:
    other = database.collection("docs")
    other.count()

    docs.add_column("stars", vecdb.Float64())
    docs.upsert({"id": "a", "stars": 1.0})

    assert other.upsert({"id": "b", "stars": 2.0}).rows == 1
    assert other.get("b")["stars"] == 2.0
    assert other.schema["stars"].field == vecdb.Float64()


def test_a_handle_searches_fields_that_came_after_it(docs: Any, database: Any) -> None:
    other = database.collection("docs")
    docs.add_column("second", vecdb.Vector(2))
    docs.patch({"id": "r01", "second": [1.0, 0.0]})

    assert other.search(second=[1.0, 0.0], k=1).ids == ["r01"]


def test_a_renamed_field_keeps_its_values_for_older_handles(docs: Any, database: Any) -> None:
    other = database.collection("docs")
    docs.rename_column("note", "remark")

    assert other.get("r01")["remark"] == "note 1"
    assert other.search(embedding=contract.vector(8), k=1, fields=["remark"])[0]["remark"] == "note 8"
