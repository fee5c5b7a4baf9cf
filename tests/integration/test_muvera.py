"""An index of multi-vectors through the public methods: built, searched, explained, merged, damaged and replaced."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support.graphs import index_files
from support.unsynced import unsynced
from vecdb import Query
from vecdb.errors import InvalidInputError

SETTINGS = vecdb.Settings(background=False, free_bytes=0, retain_versions=3)
INDEX = vecdb.Muvera(repetitions=10, bits=3, projection=8)
DIMENSION, ROWS = 16, 400


@pytest.fixture(autouse=True)
def _without_syncs() -> Iterator[None]:
    with unsynced():
        yield


@pytest.fixture(autouse=True)
def _codes_are_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """To compare so few rows as a whole would be cheaper."""
    monkeypatch.setattr("vecdb_index.muvera.search.ASKING", 0)
    monkeypatch.setattr("vecdb_index.muvera.search.TOKEN_BYTE", 1000.0)


def rows_of(seed: int, count: int, first: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(first, first + count):
        tokens = rng.standard_normal(DIMENSION) + rng.standard_normal((int(rng.integers(1, 9)), DIMENSION))
        rows.append({"id": number, "even": number % 2 == 0, "tokens": tokens.astype(np.float32)})
    rows[3]["tokens"] = None
    rows[4]["tokens"] = np.empty((0, DIMENSION), np.float32)
    return rows


def create(path: Path, index: Any = INDEX, dtype: Any = "float32") -> vecdb.Database:
    database = vecdb.connect(path, settings=SETTINGS)
    tokens = vecdb.MultiVector(DIMENSION, dtype=dtype, index=index)
    database.create_collection("docs", vecdb.Schema(id=vecdb.Id("int64"), even=vecdb.Bool(), tokens=tokens))
    return database


def asked(rows: list[dict[str, Any]], row: int, **given: Any) -> Query:
    return Query(k=5, **given).gather(vecdb.Tokens("tokens", rows[row]["tokens"]))


def plan_of(docs: Any, query: Query) -> list[str]:
    (step,) = [one for one in docs.explain(query).to_json()["steps"] if one["step"] == "tokens"]
    return [part["plan"] for part in step["parts"]]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "int4", "sign"])
def test_searches_through_the_index_find_rows_by_their_own_tokens_with_exact_scores(tmp_path: Path, dtype: str):
    rows = rows_of(1, ROWS)
    with create(tmp_path / "db", dtype=dtype) as database:
        docs = database.collection("docs")
        docs.upsert(rows)
        docs.flush()
        assert plan_of(docs, asked(rows, 7)) == ["maxsim"]
        assert docs.build_indexes() == 1
        assert plan_of(docs, asked(rows, 7)) == ["muvera"]
        narrow = [asked(rows, row).arms[0] for row in range(10, 40)]
        for row, arm in zip(range(10, 40), narrow, strict=True):
            query = Query(k=5).gather(arm)
            found, exact = docs.run(query), docs.run(query.exactly())
            assert found.ids[0] == exact.ids[0] == row
            true = dict(zip(exact.ids, [hit.score for hit in exact], strict=True))
            assert all(true.get(hit.id, hit.score) == hit.score for hit in found)
        assert docs.stats()["indexes"]["tokens"]["rows"] == {"muvera": ROWS}


def test_an_index_is_used_after_reopening_and_says_what_it_did(tmp_path: Path):
    rows = rows_of(1, ROWS)
    with create(tmp_path / "db") as database:
        docs = database.collection("docs")
        docs.upsert(rows)
        docs.flush()
        docs.build_indexes()
    with vecdb.connect(tmp_path / "db", settings=SETTINGS) as database:
        docs = database.collection("docs")
        docs.upsert(rows_of(2, 30, ROWS))
        query = asked(rows, 9)
        assert plan_of(docs, query) == ["muvera", "maxsim"]
        (step,) = [one for one in docs.explain(query, analyze=True).to_json()["steps"] if one["step"] == "tokens"]
        indexed, rest = step["parts"]
        assert indexed["compared"] == ROWS - 1  # one has no tokens at all
        assert 0 < indexed["scored"] <= indexed["ef"] < ROWS
        assert indexed["code_bytes"] > 0
        assert "instead of maxsim" in indexed["reason"]
        assert rest["scored"] > 0
        assert docs.run(query).ids[0] == 9
        assert plan_of(docs, query.exactly()) == ["maxsim", "maxsim"]


def test_filters_deletes_and_merges_are_obeyed(tmp_path: Path):
    rows = rows_of(1, ROWS)
    with create(tmp_path / "db") as database:
        docs = database.collection("docs")
        for start in (0, ROWS // 2):
            docs.upsert(rows[start : start + ROWS // 2])
            docs.flush()
        docs.build_indexes()
        docs.delete([20, 21])
        for query in (asked(rows, 20), asked(rows, 22, filter="even = false")):
            found = docs.run(query)
            assert len(found.ids) == 5
            assert not {20, 21} & set(found.ids)
        assert all(number % 2 for number in docs.run(asked(rows, 22, filter="even = false")).ids)
        assert len(docs.run(Query(k=1000).gather(vecdb.Tokens("tokens", rows[9]["tokens"]))).ids) == ROWS - 4
        docs.compact()
        docs.build_indexes()
        assert plan_of(docs, asked(rows, 22)) == ["muvera"]
        assert docs.run(asked(rows, 22)).ids[0] == 22
        assert not {20, 21} & set(docs.run(asked(rows, 20)).ids)


def test_recall_compares_the_index_with_all_rows(tmp_path: Path):
    rows = rows_of(1, ROWS)
    with create(tmp_path / "db") as database:
        docs = database.collection("docs")
        docs.upsert(rows)
        docs.flush()
        docs.build_indexes()
        docs.upsert(rows_of(2, 30, ROWS))
        narrow, wide = docs.recall(sample=40, ef=12), docs.recall(sample=40)
        assert narrow.queries == wide.queries == 40
        assert 0.1 < narrow.recall < wide.recall
        assert wide.recall >= 0.95
        (told,) = docs.stats()["indexes"]["tokens"]["encodings"]
        assert (told["rows"], told["repetitions"], told["numbers"]) == (ROWS, 10, 640)
        assert next(iter(told["recall"])) == "16"
        assert list(told["recall"].values())[-1] >= 0.999
        assert narrow.plans == {"muvera": 40, "maxsim": 40}
        assert narrow.short == 0
        own = docs.recall([rows[9]["tokens"], rows[12]["tokens"]], field="tokens", k=1)
        assert (own.queries, own.recall) == (2, 1.0)
        with pytest.raises(InvalidInputError, match="not a list of matrices"):
            docs.recall([], field="tokens")
        with pytest.raises(InvalidInputError, match="matrices, not texts"):
            docs.recall(["words"], field="tokens")


def test_a_damaged_index_is_not_used_and_is_made_again(tmp_path: Path):
    rows = rows_of(1, ROWS)
    with create(tmp_path / "db") as database:
        docs = database.collection("docs")
        docs.upsert(rows)
        docs.flush()
        docs.build_indexes()
    (file,) = index_files(tmp_path / "db")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with vecdb.connect(tmp_path / "db", settings=SETTINGS) as database:
        docs = database.collection("docs")
        assert docs.run(asked(rows, 9)).ids[0] == 9
        assert docs.build_indexes() == 1
        assert docs.run(asked(rows, 9)).ids[0] == 9
        assert docs.stats()["indexes"]["tokens"]["problems"] == []


def test_auto_leaves_few_rows_without_an_index_and_it_can_be_chosen_later(tmp_path: Path):
    with create(tmp_path / "db", "auto") as database:
        docs = database.collection("docs")
        docs.upsert(rows_of(1, ROWS))
        docs.flush()
        assert docs.build_indexes() == 0
        docs.set_index("tokens", INDEX)
        assert docs.build_indexes() == 1
        docs.set_index("tokens", "flat")
        assert docs.stats()["indexes"]["tokens"]["rows"] == {"flat": ROWS}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"repetitions": 0}, "repetitions"),
        ({"bits": 13}, "bits"),
        ({"codes": "3bit"}, "codes"),
        ({"directions": "up"}, "directions"),
        ({"centred": 1}, "centred"),
        ({"seed": -1}, "seed"),
        ({"repetitions": 1, "bits": 1, "projection": 1}, "have 2 numbers"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(given: dict[str, Any], told: str):
    with pytest.raises(InvalidInputError, match=told):
        vecdb.Muvera(**given)


def test_single_vectors_have_no_such_index():
    with pytest.raises(InvalidInputError, match="for multi-vectors"):
        vecdb.Vector(8, index="muvera")
    with pytest.raises(InvalidInputError, match="say 'muvera' or 'flat'"):
        vecdb.MultiVector(8, index="hnsw")
