"""Sparse vectors through the public methods: stored, searched, fused, explained, repaired, asked in words."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse as sp

import vecdb
from support.graphs import index_files, plans_of, small_graphs
from support.unsynced import unsynced
from vecdb import Query
from vecdb.errors import EncoderError, InvalidInputError, SpaceMismatchError
from vecdb.storage import format as names
from vecdb.storage import sparse_index

SETTINGS = vecdb.Settings(background=False, free_bytes=0, retain_versions=3)
ROWS: list[dict[str, Any]] = [
    {"id": 0, "n": 0, "body": "chess engine", "terms": {1: 2.0, 5: 1.0}},
    {"id": 1, "n": 1, "body": "chess board", "terms": {1: 1.0}},
    {"id": 2, "n": 0, "body": "quiet rooms", "terms": {7: 3.0}},
    {"id": 3, "n": 1, "body": "an engine", "terms": None},
    {"id": 4, "n": 1, "body": "nothing", "terms": {}},
]


@pytest.fixture(autouse=True)
def _without_syncs() -> Iterator[None]:
    with unsynced(), small_graphs(4):
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "db"


def create(path: Path, field: vecdb.Sparse | None = None) -> tuple[vecdb.Database, vecdb.Collection]:
    database = vecdb.connect(path, settings=SETTINGS)
    schema = vecdb.Schema(
        id=vecdb.Id("int64"), n=vecdb.Int64(), body=vecdb.Text(search=True), terms=field or vecdb.Sparse()
    )
    docs = database.create_collection("docs", schema)
    docs.upsert(ROWS)
    return database, docs


def test_rows_come_back_as_they_were_written(path: Path) -> None:
    database, docs = create(path)
    with database:
        for _ in range(2):
            assert [row["terms"] for row in docs.get([0, 2, 3, 4]) if row] == [{1: 2, 5: 1}, {7: 3}, None, {}]
            assert docs.search(terms={1: 1})[0].fields.keys() == {"n", "body"}
            assert docs.search(terms={1: 1}, fields=["terms"])[0]["terms"] == {1: 2.0, 5: 1.0}
            (batch,) = docs.scan(fields=["terms"])
            assert batch.schema.field("terms").type == vecdb.Sparse().arrow_type
            copy = database.create_collection(f"copy{_}", docs.schema)
            copy.upsert(pa.Table.from_batches(docs.scan()))
            assert copy.get([0]) == docs.get([0])
            docs.flush()


def test_rows_are_found_by_products_at_once_and_after_a_flush(path: Path) -> None:
    database, docs = create(path)
    with database:
        for _ in range(3):
            found = docs.search(terms={1: 0.5, 5: 4.0})
            assert (found.ids, found.scores.tolist()) == ([0, 1], [5.0, 0.5])
            assert docs.search(terms={8: 1.0}).ids == docs.search(terms={}).ids == []
            assert docs.search(terms=([7, 1], [1.0, 1.0]), where="n = 1").ids == [1]
            assert docs.search(terms=sp.csr_array(([1.0], ([0], [7])), (1, 9))).ids == [2]
            docs.flush()
            docs.build_indexes()
        assert plans_of(docs.search(terms={1: 0.5})) == ["terms"]
        docs.upsert({"id": 9, "terms": {1: 100.0}})
        docs.delete([0])
        assert docs.search(terms={1: 1}).ids == [9, 1]
        assert docs.search(terms={1: 1}, exact=True).ids == [9, 1]
        docs.patch({"id": 9, "terms": None})
        assert docs.search(terms={1: 1}).ids == [1]
        assert docs.count(where="terms is null") == 2


def test_a_column_that_came_later_has_nothing_in_older_rows(path: Path) -> None:
    database, docs = create(path)
    with database:
        docs.flush()
        docs.add_column("more", vecdb.Sparse(10))
        docs.upsert({"id": 10, "more": {3: 1.0}})

        assert docs.search(more={3: 2.0}).ids == [10]
        assert [row["more"] for row in docs.get([1]) if row] == [None]
        docs.compact()
        docs.rename_column("more", "most")
        assert docs.search(most={3: 2.0}, exact=True).ids == [10]


def test_terms_words_and_filters_go_together(path: Path) -> None:
    database, docs = create(path)
    with database:
        both = docs.search(terms={1: 1.0}, body="engine", k=5)
        assert set(both.ids) == {0, 1, 3}
        assert both.ids[0] == 0
        assert both[0].arms.keys() == {"terms", "body"}

        query = Query(k=2).terms("terms", {1: 1.0}, where="n = 1", fetch=5).match("body", "engine").fuse("interleave")
        assert Query.from_json(json.dumps(query.to_json())) == query
        assert docs.run(query).ids == docs.run(Query.from_json(query.to_json())).ids == [1, 3]


def test_many_queries_are_a_matrix_or_a_list(path: Path) -> None:
    database, docs = create(path, vecdb.Sparse(9))
    with database:
        asked: list[dict[int, float]] = [{1: 1.0}, {7: 2.0}, {}, {1: 1.0, 7: 1.0}]
        matrix = sp.csr_array(([1.0, 2.0, 1.0, 1.0], ([0, 1, 3, 3], [1, 7, 1, 7])), (4, 9))
        filters = [None, None, "n = 0", "n = 1"]
        alone = [docs.search(terms=one, where=where).ids for one, where in zip(asked, filters, strict=True)]

        assert alone == [[0, 1], [2], [], [1]]
        assert [one.ids for one in docs.search_batch(terms=asked, where=filters)] == alone
        assert [one.ids for one in docs.search_batch(terms=matrix, where=filters, exact=True)] == alone
        with pytest.raises(InvalidInputError, match="expected a list"):
            docs.search_batch(terms=5)


def test_explain_says_how_each_part_was_searched(path: Path) -> None:
    database, docs = create(path)
    with database:
        docs.flush()
        docs.upsert({"id": 9, "terms": {1: 100.0}})
        query = Query().terms("terms", {1: 1.0})

        plans = [part["plan"] for part in docs.explain(query, analyze=True).steps[0].told["parts"]]

        assert plans == ["terms in memory", "terms in memory"]
        docs.build_indexes()
        assert plans_of(docs.run(query)) == ["terms", "terms in memory"]
        assert plans_of(docs.run(query.exactly())) == ["scan", "scan"]
        assert plans_of(docs.run(query.where("n = 77"))) == ["skip", "skip"]
        assert "terms, the best 10" in str(docs.explain(query))


WRONG: list[tuple[Any, str]] = [
    (Query().terms("body", {1: 1}), "'body' is text, not sparse (there are: 'terms')"),
    (Query().terms("terms", {99: 1}), "term 99, which is not from 0 to 49"),
    (Query().terms("terms", "chess"), "no encoder is at hand"),
    (Query().match("terms", "x"), "words are matched in texts"),
    (Query().near("terms", [1]), "not a vector"),
]


@pytest.mark.parametrize(("query", "told"), WRONG)
def test_a_query_that_does_not_fit_is_refused(path: Path, query: Query, told: str) -> None:
    database, docs = create(path, vecdb.Sparse(50))
    with database, pytest.raises(InvalidInputError) as caught:
        docs.run(query)

    assert told in str(caught.value)


def test_filters_know_nothing_of_terms_but_whether_there_are_any(path: Path) -> None:
    database, docs = create(path)
    with database:
        with pytest.raises(InvalidInputError, match="sparse vectors"):
            docs.count(where="terms = 3")
        assert docs.count(where="terms is not null") == 4


def test_an_older_vecdb_refuses_the_database_by_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create(path)[0].close()
    monkeypatch.setattr(names, "FEATURES", ("arrow-segments", "roaring-deletes", "binary-vectors"))

    with pytest.raises(InvalidInputError, match="sparse-vectors"):
        vecdb.connect(path, settings=SETTINGS)


# -- the index ---------------------------------------------------------------------------------------------------------


def large(docs: Any, rows: int = 400) -> np.ndarray:
    rng = np.random.default_rng(2)
    dense = (rng.exponential(1, (rows, 90)) * (rng.random((rows, 90)) < 0.2)).astype(np.float32)
    docs.upsert({"id": np.arange(100, 100 + rows), "terms": sp.csr_array(dense)})
    return dense


def test_an_index_is_built_told_of_merged_and_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, docs = create(path)
    with database:
        dense = large(docs)
        docs.flush()
        assert docs.stats()["indexes"]["terms"]["pending_rows"] == 405
        assert docs.build_indexes() == 2
        docs.upsert({"id": 700, "terms": {3: 0.5}})
        docs.flush()
        asked = dict.fromkeys(range(0, 90, 4), 1.0)
        # Merging puts postings together, and reads no vector that an index knows.
        read: list[int] = []
        original = sparse_index.of_rows
        monkeypatch.setattr(sparse_index, "of_rows", lambda some: read.append(len(some.starts) - 1) or original(some))
        right = docs.search(terms=asked, k=30, exact=True)
        docs.compact()

        assert read == [1]
        told = docs.stats()["indexes"]["terms"]
        assert (told["index"], told["rows"], told["problems"]) == ("sparse", {"sparse": 406}, [])
        found = docs.search(terms=asked, k=30)
        assert plans_of(found) == ["terms"]
        assert (found.ids, found.scores.tobytes()) == (right.ids, right.scores.tobytes())
        exact = dense[:, ::4].astype(np.float64).sum(axis=1)
        np.testing.assert_allclose(found.scores, np.sort(exact)[::-1][:30], rtol=1e-6)
        assert read == [1]


def test_a_large_column_is_indexed_in_pieces(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_index, "BUILT", 500)
    database, docs = create(path)
    with database:
        large(docs)
        docs.flush()
        docs.build_indexes()

        for asked in ({3: 1.0, 8: 2.0}, dict.fromkeys(range(90), 1.0)):
            found, right = docs.search(terms=asked, k=50), docs.search(terms=asked, k=50, exact=True)
            assert plans_of(found) == ["terms"]
            assert (found.ids, found.scores.tobytes()) == (right.ids, right.scores.tobytes())


def test_a_damaged_index_changes_no_answer_and_is_repaired(path: Path) -> None:
    database, docs = create(path)
    with database:
        large(docs)
        docs.flush()
        docs.drop_column("body")
        docs.build_indexes()
        right = docs.search(terms={3: 1.0, 9: 0.5}, k=40)
    (file,) = index_files(path)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(bytes(data))

    with vecdb.connect(path, settings=SETTINGS, read_only=True) as database:
        found = database.collection("docs").search(terms={3: 1.0, 9: 0.5}, k=40)
        assert plans_of(found) == ["terms in memory"]
        assert (found.ids, found.scores.tobytes()) == (right.ids, right.scores.tobytes())

    assert not vecdb.check(path).ok
    vecdb.repair(path)
    assert vecdb.check(path).ok
    with vecdb.connect(path, settings=SETTINGS) as database:
        assert plans_of(database.collection("docs").search(terms={3: 1.0})) == ["terms"]


def test_damaged_vectors_are_an_error_or_left_out(path: Path) -> None:
    database, docs = create(path)
    with database:
        docs.flush()
        uuid = docs.snapshot()._state.segments[0].uuid
    (file,) = path.glob("collections/*/segments/*/sparse-3.arrow")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(bytes(data))

    with vecdb.connect(path, settings=SETTINGS) as database:
        docs = database.collection("docs")
        with pytest.raises(vecdb.errors.CorruptionError, match="sparse-3"):
            docs.search(terms={1: 1.0})
        found = docs.search(terms={1: 1.0}, allow_partial=True)
        assert (found.ids, list(found.missing)) == ([], [uuid])


# -- questions in words ------------------------------------------------------------------------------------------------

VOCABULARY = {"chess": 1, "board": 5, "rooms": 7, "unused": 9}


def tokens(text: str) -> list[int]:
    return [VOCABULARY[word] for word in text.split() if word in VOCABULARY]


def test_a_table_makes_terms_of_questions_and_repeats_add(path: Path) -> None:
    table = vecdb.LookupSparse({1: 0.5, 5: 2.0, 7: 0.0}, tokens, name="small")
    database, docs = create(path, vecdb.Sparse(50, encoder=table))
    with database:
        found = docs.search(terms="chess chess board rooms")

        assert (found.ids, found.scores.tolist()) == ([0, 1], [4.0, 1.0])
        assert docs.search(terms="").ids == docs.search(terms="rooms").ids == docs.search(terms="strange").ids == []
        assert docs.run(Query().terms("terms", "chess chess board")).ids == [0, 1]
    same = vecdb.LookupSparse(np.array([0, 0.5, 0, 0, 0, 2]), tokens, name="another name")
    other = vecdb.LookupSparse({1: 0.5, 5: 2.5}, tokens, name="small")
    with vecdb.connect(path, settings=SETTINGS, encoders=[same]) as database:
        assert database.collection("docs").search(terms="chess board").scores.tolist() == [3.0, 0.5]
        with pytest.raises(SpaceMismatchError, match="differ in weights"):
            database.collection("docs", encoders={"terms": other})
    with vecdb.connect(path, settings=SETTINGS) as database, pytest.raises(InvalidInputError, match="LookupSparse"):
        database.collection("docs").search(terms="chess")


def test_without_a_table_rare_terms_count_more(path: Path) -> None:
    database, docs = create(path)
    with database:
        docs.set_encoder("terms", vecdb.LookupSparse(None, tokens, name="idf"))
        rows = 3  # that have any term

        for _ in range(3):
            found = docs.search(terms="chess board unused")
            rare, frequent = np.log1p((rows - 1 + 0.5) / 1.5), np.log1p((rows - 2 + 0.5) / 2.5)
            assert found.ids == [0, 1]
            np.testing.assert_allclose(found.scores, [2 * frequent + rare, frequent], rtol=1e-6)
            docs.flush()
            docs.build_indexes()
        docs.delete([1])
        assert docs.search(terms="chess").scores.tolist() == [np.float32(2 * np.float32(np.log1p(1.5 / 1.5)))]


class Encoding:
    def __init__(self, ids: list[int]) -> None:
        self.ids = ids


class Tokenizer:
    """As the tokenizers package has it."""

    def encode(self, text: str, add_special_tokens: bool = True) -> Encoding:
        return Encoding([101, *tokens(text), 102] if add_special_tokens else tokens(text))


def test_a_tokenizer_of_the_usual_kind_is_taken_without_its_special_tokens(path: Path) -> None:
    database, docs = create(path, vecdb.Sparse(encoder=vecdb.LookupSparse([0, 1, 0, 0, 0, 3], Tokenizer())))
    with database:
        assert docs.search(terms="board chess").scores.tolist() == [5.0, 1.0]


@pytest.mark.parametrize(
    ("table", "tokenizer", "told"),
    [
        ({1: -1.0}, tokens, "weight -1.0"),
        ({-1: 1.0}, tokens, "not from 0"),
        ({1: float("nan")}, tokens, "weight nan"),
        ("x", tokens, "expected weights of terms"),
        ([[1.0]], tokens, "expected weights of terms"),
        ({1: 1.0}, None, "tokenizer is None"),
        ({99: 1.0}, tokens, "term 99"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(table: Any, tokenizer: Any, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        vecdb.Sparse(50, encoder=vecdb.LookupSparse(table, tokenizer))


@pytest.mark.parametrize("made", [[50], [-1], ["a"], [1.5], [[1]], 5])
def test_what_a_tokenizer_makes_is_checked(path: Path, made: Any) -> None:
    database, docs = create(path, vecdb.Sparse(50, encoder=vecdb.LookupSparse([1.0], lambda _: made)))
    with database, pytest.raises(EncoderError, match="tokenizer"):
        docs.search(terms="chess")
