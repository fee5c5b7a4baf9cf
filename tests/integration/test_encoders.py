"""Collections that make vectors of texts: every way in, every way to ask, and what is refused.

The oracle is a second collection without encoder that is given the vectors.
"""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import vecdb
from support.encoders import DIMENSION, Counting, encoder, vector
from support.unsynced import unsynced
from vecdb.errors import EncoderError, InvalidInputError, SpaceMismatchError

SETTINGS = vecdb.Settings(background=False, free_bytes=0)
RECORDS: list[dict[str, Any]] = [
    {"id": "a", "text": "hello", "size": 1},
    {"id": "b", "text": None, "size": 2},
    {"id": "c", "text": "", "size": 3},
    {"id": "d", "text": "hello", "size": 4},
    {"id": "e", "text": "given", "size": 5, "embedding": [1.0] * DIMENSION},
    {"id": "f", "text": None, "size": 6, "embedding": [2.0] * DIMENSION},
]
GIVEN = [vector("hello"), None, vector(""), vector("hello"), np.ones(DIMENSION), np.full(DIMENSION, 2.0)]


@pytest.fixture(autouse=True)
def without_syncs() -> Iterator[None]:
    with unsynced():
        yield


@pytest.fixture
def function() -> Counting:
    return Counting()


@pytest.fixture
def database() -> Iterator[vecdb.Database]:
    with vecdb.connect(":memory:", settings=SETTINGS) as database:
        yield database


def schema(made: Any, source: str | None = "text", **options: Any) -> vecdb.Schema:
    return vecdb.Schema(
        id=vecdb.Id(),
        text=vecdb.Text(),
        size=vecdb.Int64(),
        embedding=vecdb.Vector(DIMENSION, encoder=made, source=source, **options),
    )


@pytest.fixture
def docs(database: vecdb.Database, function: Counting) -> vecdb.Collection:
    return database.create_collection("docs", schema(encoder(function)))


def stored(docs: vecdb.Collection) -> dict[str, Any]:
    return {row["id"]: row["embedding"] for row in map(dict, _records(docs))}


def _records(docs: vecdb.Collection) -> Iterator[dict[str, Any]]:
    for batch in docs.scan(fields=["embedding"]):
        yield from batch.to_pylist()


def _columns() -> dict[str, list[Any]]:
    names = ("id", "text", "size", "embedding")
    return {name: [record.get(name) for record in RECORDS] for name in names}


def _frame() -> pa.Table:
    columns = _columns()
    embedding = pa.array(columns.pop("embedding"), pa.list_(pa.float32(), DIMENSION))
    return pa.table(columns).append_column("embedding", embedding)


def _one_by_one(docs: vecdb.Collection) -> None:
    for record in RECORDS:
        docs.upsert(dict(record))


def _bulk(docs: vecdb.Collection, data: Any) -> None:
    with docs.bulk() as load:
        load.add(data)


def _patched(docs: vecdb.Collection) -> None:
    docs.upsert([{"id": record["id"], "text": "before"} for record in RECORDS])
    docs.patch([record for record in RECORDS if "embedding" not in record])
    docs.patch([record for record in RECORDS if "embedding" in record])


WAYS: dict[str, Callable[[vecdb.Collection], Any]] = {
    "records": lambda docs: docs.upsert(RECORDS),
    "one by one": _one_by_one,
    "columns": lambda docs: docs.upsert(_columns()),
    "table": lambda docs: docs.upsert(_frame()),
    "reader": lambda docs: docs.upsert(_frame().to_reader(max_chunksize=2)),
    "pandas": lambda docs: docs.upsert(pd.DataFrame(_columns())),
    "polars": lambda docs: docs.upsert(pl.from_arrow(_frame())),
    "bulk": lambda docs: _bulk(docs, _frame()),
    "bulk reader": lambda docs: _bulk(docs, _frame().to_reader(max_chunksize=4)),
    "patch": _patched,
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_in_stores_what_a_caller_would_have_stored_who_encodes_himself(
    docs: vecdb.Collection, database: vecdb.Database, way: str
) -> None:
    plain = database.create_collection("plain", schema(None, None))
    plain.upsert([{**record, "embedding": made} for record, made in zip(RECORDS, GIVEN, strict=True)])

    WAYS[way](docs)

    assert stored(docs) == stored(plain)
    query = np.arange(1.0, DIMENSION + 1)
    assert docs.search(embedding=query).to_list() == plain.search(embedding=query).to_list()


def test_a_text_that_comes_twice_is_encoded_once_and_a_vector_that_is_given_never(
    docs: vecdb.Collection, function: Counting
) -> None:
    docs.upsert(RECORDS)

    assert function.texts == ["hello", ""]


def test_large_batches_that_go_straight_to_a_segment_are_encoded_too(
    docs: vecdb.Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vecdb.row_writes.DIRECT_BYTES", 100)

    docs.upsert(_frame())

    assert docs.stats()["segments"] == 1
    np.testing.assert_array_equal(stored(docs)["a"], vector("hello"))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_vectors_are_held_as_the_field_holds_those_that_are_given(database: vecdb.Database, dtype: Any) -> None:
    docs = database.create_collection("docs", schema(encoder(), dtype=dtype))

    docs.upsert([{"id": "a", "text": "x"}, {"id": "b", "embedding": vector("x")}])

    both = stored(docs)
    assert both["a"] == both["b"]


def test_text_asks_as_its_vector_does(docs: vecdb.Collection, function: Counting) -> None:
    docs.upsert(RECORDS)
    texts = ["hello", "there", "hello"]
    vectors = np.array([vector(text) for text in texts])

    answers = [
        docs.search(embedding="hello").to_list(),
        [hit.to_list() for hit in docs.search_batch(embedding=texts)],
        [hit.to_list() for hit in docs.search_batch(embedding=np.array(texts))],
        [hit.to_list() for hit in docs.search_batch(embedding=pa.array(texts))],
        [hit.to_list() for hit in docs.search_batch(embedding=pl.Series(texts))],
        [hit.to_list() for hit in docs.search_batch(embedding=tuple(texts))],
        [page.to_list() for page in docs.search_iter(2, embedding="hello")],
        docs.snapshot().search(embedding="hello", k=2, where="size > 2").to_list(),
    ]

    batch = [hit.to_list() for hit in docs.search_batch(embedding=vectors)]
    assert answers == [
        docs.search(embedding=vector("hello")).to_list(),
        *[batch] * 5,
        [page.to_list() for page in docs.search_iter(2, embedding=vector("hello"))],
        docs.search(embedding=vector("hello"), k=2, where="size > 2").to_list(),
    ]
    assert function.texts.count("there") == 1
    assert docs.recall(["hello", "there"]).queries == 2


def test_a_query_value_may_hold_text_for_a_vector(docs: vecdb.Collection) -> None:
    docs.upsert(RECORDS)

    found = docs.run(vecdb.Query(k=3).near("embedding", "hello").where("size > 1"))

    assert found.to_list() == docs.search(k=3, embedding=vector("hello"), where="size > 1").to_list()


def test_an_older_version_is_asked_in_text_too(docs: vecdb.Collection) -> None:
    docs.upsert(RECORDS)
    version = docs.tag("then")
    docs.delete("a")

    assert [hit.id for hit in docs.at(version).search(embedding="hello", k=2)] == ["a", "d"]


def test_a_patch_of_the_text_takes_the_vector_along_and_of_nothing_else(
    docs: vecdb.Collection, function: Counting
) -> None:
    docs.upsert([{"id": name, "text": name} for name in "abcd"])
    function.calls.clear()

    docs.patch({"id": "a", "text": "new"})
    docs.patch({"id": "b", "text": None})
    docs.patch([{"id": "c", "text": "with its own", "embedding": np.ones(DIMENSION)}])
    docs.patch({"id": "d", "size": 5})

    now = stored(docs)
    np.testing.assert_array_equal(now["a"], vector("new"))
    assert now["b"] is None
    np.testing.assert_array_equal(now["c"], np.ones(DIMENSION))
    np.testing.assert_array_equal(now["d"], vector("d"))
    docs.patch({"id": "d", "embedding": None})
    assert stored(docs)["d"] is None
    assert function.texts == ["new"]


def test_nothing_is_stored_when_the_encoder_fails(database: vecdb.Database) -> None:
    def fails(texts: list[str]) -> np.ndarray:
        if "bad" in texts:
            raise ValueError("no")
        return np.array([vector(text) for text in texts])

    docs = database.create_collection("docs", schema(encoder(fails)))
    docs.upsert({"id": "a", "text": "good"})
    before = docs.snapshot().lsn

    for write in (docs.upsert, docs.patch):
        with pytest.raises(EncoderError, match="'hash' failed on 1 texts: ValueError: no"):
            write({"id": "a", "text": "bad"})
    with pytest.raises(EncoderError), docs.bulk() as load:
        load.add([{"id": "b", "text": "good"}, {"id": "c", "text": "bad"}])

    assert docs.snapshot().lsn == before
    np.testing.assert_array_equal(stored(docs)["a"], vector("good"))
    assert docs.count() == 1


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (np.zeros(DIMENSION), "zeros"),
        (np.ones(DIMENSION + 1), "has 17 values, the field has dimension 16"),
        (np.full(DIMENSION, 1e300), "too large|float32"),
    ],
)
def test_what_the_field_cannot_hold_is_the_encoders_error_and_names_the_text(
    database: vecdb.Database, made: np.ndarray, message: str
) -> None:
    docs = database.create_collection("docs", schema(encoder(lambda texts: np.array([made] * len(texts)))))

    with pytest.raises(EncoderError, match=message) as caught:
        docs.upsert({"id": "a", "text": "some text"})

    assert "'some text'" in str(caught.value)
    assert docs.count() == 0


def test_a_record_that_is_wrong_is_refused_before_anything_is_encoded(
    docs: vecdb.Collection, function: Counting
) -> None:
    with pytest.raises(InvalidInputError, match="size"):
        docs.upsert([{"id": "a", "text": "x"}, {"id": "b", "text": "y", "size": "many"}])

    assert function.calls == []


def test_a_schema_change_during_a_write_encodes_nothing_twice(docs: vecdb.Collection, function: Counting) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(done: int, total: int) -> None:
        begun.set()
        go_on.wait(30)

    writer = threading.Thread(target=lambda: docs.upsert(RECORDS, progress=slow))
    writer.start()
    begun.wait(30)
    docs.add_column("note", vecdb.Text())
    go_on.set()
    writer.join()

    assert docs.count() == len(RECORDS)
    assert function.texts == ["hello", ""]


def test_progress_is_told_in_steps_and_may_stop_the_write(database: vecdb.Database) -> None:
    docs = database.create_collection("docs", schema(encoder(batch_size=2)))
    records = [{"id": str(number), "text": str(number)} for number in range(40)]
    told: list[tuple[int, int]] = []

    docs.upsert(records, progress=lambda done, total: told.append((done, total)))

    assert told == [(16, 40), (32, 40), (40, 40)]
    docs.upsert(records, progress=True)
    docs.delete(where="id >= ''")

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        docs.upsert(records, progress=stop)
    with pytest.raises(InvalidInputError, match="progress is 3"):
        docs.upsert(records, progress=3)  # pyright: ignore[reportArgumentType]
    assert docs.count() == 0


# -- opening again ---------------------------------------------------------------------------------------------------


@pytest.fixture
def library(tmp_path: Path) -> Path:
    with vecdb.connect(tmp_path / "library", settings=SETTINGS) as database:
        docs = database.create_collection("docs", schema(encoder(version="1")))
        docs.upsert({"id": "a", "text": "hello"})
    return tmp_path / "library"


OPENINGS: dict[str, Callable[[Path, Any], vecdb.Database]] = {
    "connect": lambda path, made: vecdb.connect(path, encoders=[made]),
    "read-only": lambda path, made: vecdb.connect(path, encoders=iter([encoder(), made]), read_only=True),
    "by field": lambda path, made: _given(path, {"embedding": made}),
    "by space": lambda path, made: _given(path, [made]),
    "later": lambda path, made: _given(path, (), {"embedding": made}),
}


def _given(path: Path, *encoders: Any) -> vecdb.Database:
    database = vecdb.connect(path)
    for some in encoders:
        database.collection("docs", encoders=some)
    return database


@pytest.mark.parametrize("opening", OPENINGS)
def test_an_encoder_is_given_again_when_a_database_is_opened(library: Path, opening: str) -> None:
    with OPENINGS[opening](library, encoder(version="1")) as database:
        (hit,) = database["docs"].search(embedding="hello")

        assert hit.id == "a"
        assert hit.score == pytest.approx(1)


def test_without_its_encoder_a_collection_says_how_to_get_one(library: Path) -> None:
    with vecdb.connect(library) as database:
        docs = database["docs"]
        asks: list[Callable[[], Any]] = [
            lambda: docs.search(embedding="hello"),
            lambda: docs.search_batch(embedding=["hello"]),
            lambda: docs.upsert({"id": "b", "text": "there"}),
            lambda: docs.patch({"id": "a", "text": "there"}),
        ]
        for ask in asks:
            with pytest.raises(InvalidInputError, match=r"encoders=\{'embedding': vecdb.Encoder") as caught:
                ask()
            assert "'hash' (version '1', 16 values)" in str(caught.value)

        docs.upsert([{"id": "b", "text": "x", "embedding": vector("x")}, {"id": "c", "text": None}])
        docs.patch([{"id": "a", "text": None}, {"id": "b", "text": None}])
        docs.patch([{"id": "b", "size": 3}])
        assert stored(docs) == {"a": None, "b": None, "c": None}


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (encoder(version="2"), "version"),
        (encoder(version="1", normalize=True), "normalized"),
        (encoder(version="1", prompts={"query": "q: "}), "query prompt"),
        (encoder(version="1", truncate=8), "dimension"),
        (vecdb.Encoder(Counting(), "another", version="1"), "model"),
    ],
)
def test_an_encoder_of_another_space_is_refused_and_both_are_named(
    library: Path, other: vecdb.Encoder, difference: str
) -> None:
    with vecdb.connect(library) as database:
        with pytest.raises(SpaceMismatchError, match=f"differ in {difference}$") as caught:
            database.collection("docs", encoders={"embedding": other})
        assert str(other.described(DIMENSION)) in str(caught.value)
        assert "'hash' (version '1', 16 values)" in str(caught.value)
        with pytest.raises(SpaceMismatchError, match="of no space of 'docs'"):
            database.collection("docs", encoders=[other])
        with pytest.raises(SpaceMismatchError):
            database["docs"].set_encoder("embedding", other) if difference != "dimension" else database.collection(
                "docs", encoders={"embedding": other}
            )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"embedding": Counting()}, "the encoder of 'embedding' is"),
        ({"text": encoder()}, "field 'text' does not say"),
        ("remote", "encoders is 'remote'"),
        ({"nothing": encoder()}, "no field 'nothing'"),
    ],
)
def test_what_is_no_encoder_of_a_field_is_refused(library: Path, given: Any, message: str) -> None:
    with vecdb.connect(library) as database, pytest.raises(InvalidInputError, match=message):
        database.collection("docs", encoders=given)


def test_models_on_this_machine_are_looked_for_only_when_asked_and_their_absence_is_no_error(library: Path) -> None:
    with vecdb.connect(library, encoders="local") as database, pytest.raises(InvalidInputError, match="opened without"):
        database["docs"].search(embedding="hello")


def test_what_is_stored_is_a_description_without_code_or_path(library: Path) -> None:
    with vecdb.connect(library) as database:
        field = database["docs"].schema["embedding"].field

    assert isinstance(field, vecdb.Vector)
    assert field.encoder is None
    assert field.to_json()["space"] == {"model": "hash", "version": "1", "dimension": DIMENSION}


def test_a_collection_that_exists_takes_the_encoder_of_the_schema_that_asks_for_it(library: Path) -> None:
    with vecdb.connect(library) as database:
        docs = database.create_collection("docs", schema(encoder(version="1")), exist_ok=True)
        assert docs.search(embedding="hello")[0].id == "a"
        with pytest.raises(vecdb.errors.ConflictError, match="exists with other fields"):
            database.create_collection("docs", schema(encoder(version="2")), exist_ok=True)


# -- fields that change ----------------------------------------------------------------------------------------------


def test_an_encoder_can_be_set_where_vectors_were_there_first(database: vecdb.Database) -> None:
    docs = database.create_collection("docs", schema(None, None))
    docs.upsert({"id": "a", "text": "hello", "embedding": vector("hello")})
    with pytest.raises(InvalidInputError, match=r"set_encoder\('embedding'"):
        docs.search(embedding="hello")

    docs.set_encoder("embedding", encoder(), source="text")
    docs.upsert({"id": "b", "text": "there"})

    assert [hit.id for hit in docs.search(embedding="there")] == ["b", "a"]
    for name, made, message in (
        ("text", encoder(), "only vectors have an encoder"),
        ("embedding", len, "expected vecdb"),
        ("embedding", encoder(truncate=4), "makes 4 values"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            docs.set_encoder(name, made)  # pyright: ignore[reportArgumentType]


def test_fields_may_be_added_renamed_and_dropped_around_an_encoder(docs: vecdb.Collection, function: Counting) -> None:
    docs.upsert({"id": "a", "text": "hello"})
    docs.add_column("second", vecdb.Vector(DIMENSION, encoder=encoder(normalize=True), source="text"))

    docs.rename_column("text", "body")
    docs.rename_column("embedding", "meaning")
    docs.upsert({"id": "b", "body": "there"})

    row = docs.get("b")
    assert row is not None
    np.testing.assert_array_equal(row["meaning"], vector("there"))
    np.testing.assert_allclose(row["second"], vector("there") / np.linalg.norm(vector("there")), rtol=1e-6)
    docs.drop_column("body")
    docs.upsert({"id": "c"})
    assert docs.search(meaning="there")[0].id == "b"
    assert function.texts == ["hello", "there", "there"]


# -- Arrow -----------------------------------------------------------------------------------------------------------


def test_arrow_data_says_its_space_on_the_way_out_and_is_held_to_it_on_the_way_in(
    docs: vecdb.Collection, database: vecdb.Database
) -> None:
    docs.upsert(RECORDS)
    same = database.create_collection("same", schema(encoder()))
    other = database.create_collection("other", schema(encoder(version="2")))
    unsaid = database.create_collection("unsaid", schema(None, None))
    table = pa.Table.from_batches(docs.scan())
    hits = docs.search(embedding="hello", fields=["text", "size", "embedding"]).to_arrow().drop(["score", "distance"])

    for data in (table, hits, next(docs.scan()), table.to_reader(), pl.from_arrow(table)):
        same.upsert(data)
    for data in (table, hits, next(docs.scan()), table.to_reader()):
        with pytest.raises(SpaceMismatchError, match="the Arrow data has those of 'hash'"):
            other.upsert(data)
    unsaid.upsert(table)

    assert b"vecdb.space" in table.schema.field("embedding").metadata
    assert stored(same) == stored(docs) == stored(unsaid)
    assert other.count() == 0
