"""Every mistake is answered with a typed error that names field, row and value, and changes nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import vecdb
from vecdb.errors import (
    ConflictError,
    DimensionMismatchError,
    DuplicateIdError,
    FilterSyntaxError,
    InvalidInputError,
    NotFoundError,
    UnknownFieldError,
    VecdbError,
)

NAN, INF = float("nan"), float("inf")
Call = Callable[[vecdb.Collection], Any]


@pytest.fixture
def database() -> Iterator[vecdb.Database]:
    with vecdb.connect(":memory:", settings=vecdb.Settings(background=False, free_bytes=0)) as database:
        yield database


@pytest.fixture
def docs(database: vecdb.Database) -> vecdb.Collection:
    """A collection of one row."""
    collection = database.create_collection(
        "docs",
        vecdb.Schema(
            id=vecdb.Id(),
            n=vecdb.Int64(),
            price=vecdb.Float64(),
            section=vecdb.Keyword(),
            tags=vecdb.Keyword(many=True),
            flag=vecdb.Bool(),
            added=vecdb.Timestamp(),
            extra=vecdb.Json(),
            v=vecdb.Vector(3),
            w=vecdb.Vector(2, dtype="int8", metric="l2"),
            h=vecdb.Vector(2, dtype="float16", metric="dot"),
        ),
    )
    collection.upsert({"id": "a", "n": 1, "v": [1, 0, 0], "w": [1, 2]})
    return collection


@pytest.fixture
def numbers(database: vecdb.Database) -> vecdb.Collection:
    """A collection with whole numbers as ids: 1, 2, 3."""
    collection = database.create_collection("numbers", vecdb.Schema(id=vecdb.Id("int64"), v=vecdb.Vector(2)))
    collection.upsert([{"id": number, "v": [number, 1]} for number in (1, 2, 3)])
    return collection


# -- writes ------------------------------------------------------------------------------------------------------------

BAD_ROWS: dict[str, tuple[dict[str, Any], type[InvalidInputError], str, Any]] = {
    "number as text": ({"n": "three"}, InvalidInputError, "n", "three"),
    "fraction": ({"n": 1.5}, InvalidInputError, "n", 1.5),
    "too large": ({"n": 2**63}, InvalidInputError, "n", 2**63),
    "infinite": ({"price": INF}, InvalidInputError, "price", INF),
    "text as list": ({"section": ["x"]}, InvalidInputError, "section", ["x"]),
    "number in a list of words": ({"tags": ["x", 3]}, InvalidInputError, "tags", ...),
    "number as bool": ({"flag": 1}, InvalidInputError, "flag", 1),
    "no moment": ({"added": "yesterday"}, InvalidInputError, "added", "yesterday"),
    "no json": ({"extra": "{"}, InvalidInputError, "extra", "{"),
    "unknown field": ({"sectoin": "x"}, UnknownFieldError, "sectoin", ...),
    "short vector": ({"v": [1, 2]}, DimensionMismatchError, "v", 2),
    "long vector": ({"v": [1, 2, 3, 4]}, DimensionMismatchError, "v", 4),
    "nan in a vector": ({"v": [1, NAN, 2]}, InvalidInputError, "v", ...),
    "infinity in a vector": ({"v": [INF, 1, 2]}, InvalidInputError, "v", INF),
    "null in a vector": ({"v": [1, None, 2]}, InvalidInputError, "v", ...),
    "zeros under cosine": ({"v": [0, 0, 0]}, InvalidInputError, "v", ...),
    "int8 too large": ({"w": [0, 128]}, InvalidInputError, "w", 128),
    "int8 fraction": ({"w": [0, 0.5]}, InvalidInputError, "w", 0.5),
    "float16 overflow": ({"h": [0, 1e6]}, InvalidInputError, "h", 1e6),
    "text as vector": ({"v": "abc"}, InvalidInputError, "v", ...),
}


@pytest.mark.parametrize("name", BAD_ROWS)
@pytest.mark.parametrize("row", [0, 2])
def test_a_bad_value_is_named_with_field_row_and_value(docs: vecdb.Collection, name: str, row: int) -> None:
    fields, kind, field, value = BAD_ROWS[name]
    records = [{"id": f"r{number}"} for number in range(4)]
    records[row] = {**records[row], **fields}

    with pytest.raises(kind) as caught:
        docs.upsert(records)

    assert (caught.value.field, caught.value.row) == (field, row)
    if value is not ...:
        assert caught.value.value == value
    assert repr(field) in str(caught.value)
    assert docs.count() == 1


@pytest.mark.parametrize(
    ("ids", "kind", "row"),
    [
        (["x", "y", "x"], DuplicateIdError, 2),
        (["x", None], InvalidInputError, 1),
        (["x", ""], InvalidInputError, 1),
        (["x", "y" * 513], InvalidInputError, 1),
        (["x", 7], InvalidInputError, 1),
        (["x", "\ud800"], InvalidInputError, 1),
    ],
    ids=["twice", "null", "empty", "long", "number", "surrogate"],
)
@pytest.mark.parametrize("write", ["upsert", "bulk"])
def test_a_bad_id_is_named_with_its_row(
    docs: vecdb.Collection, ids: list[Any], kind: type[InvalidInputError], row: int, write: str
) -> None:
    records = [{"id": value} for value in ids]

    store = docs.upsert if write == "upsert" else docs.bulk().add

    with pytest.raises(kind) as caught:
        store(records)

    assert (caught.value.field, caught.value.row) == ("id", row)
    assert docs.count() == 1


def test_a_close_name_is_suggested(docs: vecdb.Collection) -> None:
    with pytest.raises(UnknownFieldError, match="did you mean 'section'"):
        docs.upsert({"id": "b", "sectoin": "x"})
    with pytest.raises(UnknownFieldError, match="did you mean 'section'"):
        docs.count("sectoin = 'x'")


@pytest.mark.parametrize("data", [None, 3, "x", b"x", [1], [None], ["x"], {}, {"n": 1}, [{"n": 1}]], ids=repr)
def test_what_holds_no_records_is_refused(docs: vecdb.Collection, data: Any) -> None:
    for write in (docs.upsert, docs.patch, docs.bulk().add):
        with pytest.raises(InvalidInputError):
            write(data)
    assert docs.count() == 1


def test_no_records_are_fine_and_change_nothing(docs: vecdb.Collection) -> None:
    before = docs.stats()["lsn"]

    assert docs.upsert([]).rows == docs.patch([]).rows == docs.delete([]).rows == docs.bulk().add([]) == 0
    assert docs.upsert(docs.schema.arrow_schema().empty_table()).rows == 0
    assert docs.stats()["lsn"] == before


# -- ids ---------------------------------------------------------------------------------------------------------------

ID_LISTS: dict[str, Callable[[list[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "numpy": np.array,
    "list of numpy": lambda values: [np.int64(value) for value in values],
    "int32": lambda values: np.array(values, np.int32),
    "arrow": pa.array,
    "pandas": pd.Series,
    "range": lambda values: range(values[0], values[-1] + 1),
    "dict keys": lambda values: dict.fromkeys(values).keys(),
}


@pytest.mark.parametrize("form", ID_LISTS)
def test_ids_come_in_any_kind_of_list(numbers: vecdb.Collection, form: str) -> None:
    assert [record and record["id"] for record in numbers.get(ID_LISTS[form]([1, 2]))] == [1, 2]
    assert numbers.delete(ID_LISTS[form]([2, 3])).rows == 2
    assert numbers.count() == 1


@pytest.mark.parametrize("form", ["numpy", "arrow", "pandas"])
def test_ids_of_text_come_in_any_kind_of_list(docs: vecdb.Collection, form: str) -> None:
    assert [record and record["id"] for record in docs.get(ID_LISTS[form](["a", "b"]))] == ["a", None]
    assert docs.delete(ID_LISTS[form](["a", "b"])).rows == 1


def test_a_numpy_number_is_an_id(numbers: vecdb.Collection) -> None:
    number: Any = np.int64(2)
    assert (numbers.get(number) or {})["id"] == 2
    assert numbers.delete(np.uint8(2)).rows == 1


@pytest.mark.parametrize("value", ["1", 1.0, None, True, b"1", 2**63, [1], {}], ids=repr)
def test_what_is_no_id_of_this_collection_is_refused(numbers: vecdb.Collection, value: Any) -> None:
    calls = [lambda: numbers.get([value]), lambda: numbers.delete([value])]
    if not isinstance(value, list | dict):
        calls += [lambda: numbers.get(value)]
    for call in calls:
        with pytest.raises(InvalidInputError):
            call()
    assert numbers.count() == 3


def test_text_that_is_no_unicode_is_no_id(docs: vecdb.Collection) -> None:
    for call in (lambda: docs.get("\ud800"), lambda: docs.delete("\ud800"), lambda: docs.get(["a", "\ud800"])):
        with pytest.raises(InvalidInputError):
            call()


def test_delete_wants_exactly_one_of_ids_and_where(docs: vecdb.Collection) -> None:
    both: dict[str, Any] = {"ids": "a", "where": "n = 1"}
    for options in ({}, both):
        with pytest.raises(InvalidInputError, match="either ids or where"):
            docs.delete(**options)
    assert docs.count() == 1


# -- searches ----------------------------------------------------------------------------------------------------------

BAD_SEARCHES: dict[str, tuple[Call, type[InvalidInputError], str | None]] = {
    "no query": (lambda docs: docs.search(), InvalidInputError, None),
    "unknown field": (lambda docs: docs.search(vv=[1, 0, 0]), UnknownFieldError, "vv"),
    "no vector field": (lambda docs: docs.search(n=[1, 0, 0]), InvalidInputError, "n"),
    "short": (lambda docs: docs.search(v=[1, 0]), DimensionMismatchError, "v"),
    "empty": (lambda docs: docs.search(v=[]), DimensionMismatchError, "v"),
    "empty rows": (lambda docs: docs.search_batch(v=np.zeros((2, 0))), DimensionMismatchError, "v"),
    "matrix": (lambda docs: docs.search(v=[[1, 0, 0]]), InvalidInputError, "v"),
    "vector for a batch": (lambda docs: docs.search_batch(v=[1, 0, 0]), InvalidInputError, "v"),
    "ragged": (lambda docs: docs.search_batch(v=[[1, 0, 0], [1]]), InvalidInputError, "v"),
    "text": (lambda docs: docs.search(v="abc"), InvalidInputError, "v"),
    "none": (lambda docs: docs.search(v=None), InvalidInputError, "v"),
    "complex": (lambda docs: docs.search(v=[1j, 1, 0]), InvalidInputError, "v"),
    "nan": (lambda docs: docs.search(v=[1, NAN, 0]), InvalidInputError, "v"),
    "infinite": (lambda docs: docs.search(v=[1, INF, 0]), InvalidInputError, "v"),
    "too large for float32": (lambda docs: docs.search(v=[1e39, 0, 0]), InvalidInputError, "v"),
    "zeros under cosine": (lambda docs: docs.search(v=[0, 0, 0]), InvalidInputError, "v"),
    "int8 too large": (lambda docs: docs.search(w=[128, 0]), InvalidInputError, "w"),
    "int8 fraction": (lambda docs: docs.search(w=[0.5, 0]), InvalidInputError, "w"),
    "k is 0": (lambda docs: docs.search(k=0, v=[1, 0, 0]), InvalidInputError, "k"),
    "k is negative": (lambda docs: docs.search(k=-1, v=[1, 0, 0]), InvalidInputError, "k"),
    "k is a fraction": (lambda docs: docs.search(k=1.5, v=[1, 0, 0]), InvalidInputError, "k"),  # pyright: ignore[reportArgumentType]
    "k is true": (lambda docs: docs.search(k=True, v=[1, 0, 0]), InvalidInputError, "k"),
    "fields is text": (lambda docs: docs.search(v=[1, 0, 0], fields="n"), InvalidInputError, "fields"),
    "unknown result field": (lambda docs: docs.search(v=[1, 0, 0], fields=["m"]), UnknownFieldError, "m"),
    "where is a number": (lambda docs: docs.search(v=[1, 0, 0], where=3), InvalidInputError, None),  # pyright: ignore[reportArgumentType]
    "where is malformed": (lambda docs: docs.search(v=[1, 0, 0], where="n ="), FilterSyntaxError, None),
    "where is empty": (lambda docs: docs.count(where=""), FilterSyntaxError, None),
    "where on an unknown field": (lambda docs: docs.count(where="m = 1"), UnknownFieldError, "m"),
    "where of another type": (lambda docs: docs.count(where="n = 'x'"), InvalidInputError, "n"),
    "where on a vector": (lambda docs: docs.count(where="v = 1"), InvalidInputError, "v"),
    "scan of no rows": (lambda docs: docs.scan(batch_rows=0), InvalidInputError, "batch_rows"),
    "scan of an unknown field": (lambda docs: docs.scan(fields=["m"]), UnknownFieldError, "m"),
    "scan with a malformed filter": (lambda docs: docs.scan(where="n ="), FilterSyntaxError, None),
}


@pytest.mark.parametrize("name", BAD_SEARCHES)
@pytest.mark.parametrize("rows", [0, 1])
def test_a_wrong_question_is_refused_at_the_call(docs: vecdb.Collection, name: str, rows: int) -> None:
    call, kind, field = BAD_SEARCHES[name]
    if rows == 0:
        docs.delete("a")

    with pytest.raises(kind) as caught:
        call(docs)

    if field is not None:
        assert caught.value.field == field


def test_the_bad_query_of_a_batch_is_named(docs: vecdb.Collection) -> None:
    with pytest.raises(InvalidInputError) as caught:
        docs.search_batch(v=[[1, 0, 0], [1, 1, 1], [1, NAN, 0]])

    assert (caught.value.field, caught.value.row) == ("v", 2)


def test_numpy_numbers_are_numbers(docs: vecdb.Collection) -> None:
    assert len(docs.search(k=np.int64(1), v=[1, 0, 0])) == 1  # pyright: ignore[reportArgumentType]


# -- everything else ---------------------------------------------------------------------------------------------------

BAD_CALLS: dict[str, tuple[Call, type[VecdbError]]] = {
    "bulk of no rows": (lambda docs: docs.bulk(0), InvalidInputError),
    "bulk of text": (lambda docs: docs.bulk("x"), InvalidInputError),  # pyright: ignore[reportArgumentType]
    "column that exists": (lambda docs: docs.add_column("n", vecdb.Int64()), InvalidInputError),
    "second id": (lambda docs: docs.add_column("key", vecdb.Id()), InvalidInputError),
    "column of no kind": (lambda docs: docs.add_column("m", vecdb.Int64), InvalidInputError),  # pyright: ignore[reportArgumentType]
    "malformed column": (lambda docs: docs.add_column("a b", vecdb.Int64()), InvalidInputError),
    "reserved column": (lambda docs: docs.add_column("where", vecdb.Int64()), InvalidInputError),
    "dropped id": (lambda docs: docs.drop_column("id"), InvalidInputError),
    "dropped unknown column": (lambda docs: docs.drop_column("m"), UnknownFieldError),
    "renamed to a taken name": (lambda docs: docs.rename_column("n", "v"), InvalidInputError),
    "renamed unknown column": (lambda docs: docs.rename_column("m", "l"), UnknownFieldError),
    "absent version": (lambda docs: docs.at(version=99), NotFoundError),
    "version as text": (lambda docs: docs.at(version="1"), InvalidInputError),  # pyright: ignore[reportArgumentType]
    "moment as text": (lambda docs: docs.at(timestamp="2024"), InvalidInputError),  # pyright: ignore[reportArgumentType]
    "absent tag": (lambda docs: docs.at(tag="x"), NotFoundError),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_a_wrong_call_is_refused_and_changes_nothing(docs: vecdb.Collection, name: str) -> None:
    call, kind = BAD_CALLS[name]
    before = docs.schema, docs.versions()

    with pytest.raises(kind):
        call(docs)

    assert (docs.schema, docs.count()) == (before[0], 1)
    docs.upsert({"id": "b"})
    assert docs.count() == 2


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".a", "-a", "a b", "ü", "x" * 129, "a\n", None, 3], ids=repr)
def test_a_malformed_collection_name_is_refused(database: vecdb.Database, name: Any) -> None:
    for exist_ok in (False, True):
        with pytest.raises(InvalidInputError):
            database.create_collection(name, vecdb.Schema(id=vecdb.Id()), exist_ok=exist_ok)
    assert database.collections() == []


@pytest.mark.parametrize("schema", [None, {"id": vecdb.Id()}, vecdb.Schema, "id"], ids=repr)
def test_what_is_no_schema_is_refused(database: vecdb.Database, schema: Any) -> None:
    with pytest.raises(InvalidInputError):
        database.create_collection("docs", schema)


def test_an_unknown_collection_names_the_known_ones(database: vecdb.Database, docs: vecdb.Collection) -> None:
    for call in (database.collection, database.drop_collection):
        with pytest.raises(NotFoundError, match=r"'dosc' \(there are: docs\)"):
            call("dosc")


@pytest.mark.parametrize(
    "options",
    [
        {"durability": "maybe"},
        {"verify": "sometimes"},
        {"memtable_bytes": 1},
        {"memtable_bytes": "64 MiB"},
        {"segment_bytes": 0},
        {"retain_versions": 0},
        {"retain_versions": 2.5},
        {"retain_days": -1},
        {"retain_days": NAN},
        {"refresh_interval": -0.1},
        {"merge_fan_in": 1},
        {"threads": 0},
        {"threads": -1},
        {"free_bytes": -1},
        {"background": "no"},
    ],
    ids=str,
)
def test_a_senseless_setting_is_refused_by_its_name(options: dict[str, Any]) -> None:
    (name,) = options

    with pytest.raises(InvalidInputError, match=name) as caught:
        vecdb.Settings(**options)

    assert caught.value.field == name


@pytest.mark.parametrize("path", ["s3://bucket/x", "http://localhost", 3, None], ids=repr)
def test_what_is_no_folder_cannot_be_opened(path: Any) -> None:
    with pytest.raises(InvalidInputError):
        vecdb.connect(path)


def test_a_memory_database_cannot_be_read_only() -> None:
    with pytest.raises(InvalidInputError):
        vecdb.connect(":memory:", read_only=True)


def test_only_an_empty_folder_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.jpg").write_bytes(b"x")
    (tmp_path / "file").write_bytes(b"x")

    with pytest.raises(ConflictError, match=r"photo\.jpg"):
        vecdb.connect(tmp_path / "full")
    with pytest.raises(ConflictError, match="is a file"):
        vecdb.connect(tmp_path / "file")
    with pytest.raises(NotFoundError):
        vecdb.connect(tmp_path / "absent", create=False)
    with pytest.raises(NotFoundError):
        vecdb.connect(tmp_path / "absent", read_only=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["photo.jpg"]
