"""Search by words agrees with dictionaries, and does not depend on where rows are, to the last bit of a score."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vecdb
from support.graphs import small_graphs
from support.splits import WAYS
from support.unsynced import unsynced
from support.words import VOCABULARY, Texts, agree, sentence
from vecdb import Query

SETTINGS = vecdb.Settings(background=False, free_bytes=0)
QUESTIONS = (
    "chess",
    "chess engine game",
    "the chess of naïve games",
    '"chess engine"',
    '"chess of the engine" board',
    "+knight chess -game",
    "prog*",
    "+prog* chess engine*",
    'e-mail -"chess board"',
    "pawn 2026 rook queen zug opening",
    "-chess",
    "nothing such",
)
BOTH = {"title": 2.0, "body": 1.0}


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with unsynced(), small_graphs(2):
        yield


def records(count: int, seed: int = 3) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    # Few different texts, so that there are ties.
    texts = [sentence(rng) for _ in range(max(1, count // 2))]
    return [
        {"id": number, "title": texts[int(rng.integers(len(texts)))], "body": texts[int(rng.integers(len(texts)))]}
        for number in range(count)
    ]


def made(path: Path, spec: vecdb.FullText | bool = True) -> tuple[vecdb.Database, vecdb.Collection]:
    database = vecdb.connect(path, settings=SETTINGS)
    schema = vecdb.Schema(id=vecdb.Id("int64"), title=vecdb.Text(search=spec), body=vecdb.Text(search=spec))
    return database, database.create_collection("docs", schema)


def of_fields(docs: Any, boosts: dict[str, float], question: str, k: int, exact: bool = False) -> Any:
    """Search several fields."""
    query = Query(k=k).match(boosts, question)
    return docs.run(query.exactly() if exact else query)


def told(docs: Any, k: int) -> list[Any]:
    """Return every answer, with the bits of its scores."""
    answers = []
    for question in QUESTIONS:
        for exact in (False, True):
            one = docs.search(body=question, k=k, exact=exact)
            both = of_fields(docs, BOTH, question, k, exact)
            answers.append([one.ids, one.scores.tobytes(), both.ids, both.scores.tobytes()])
    return answers


# -- ten ways to split the same rows -----------------------------------------------------------------------------------


OTHER: dict[str, Any] = {"title": "chess chess", "body": "chess engine knight"}


@pytest.mark.parametrize("k", [3, 40])
def test_the_same_rows_split_in_ten_ways_give_the_same_ids_and_the_same_bits(tmp_path: Path, k: int) -> None:
    rows = records(180)
    true = Texts({row["id"]: {"title": row["title"], "body": row["body"]} for row in rows}, vecdb.FullText())
    answers = {}

    for way in WAYS:
        database, docs = made(tmp_path / way.__name__)
        with database:
            way(docs, rows, OTHER, lambda docs: docs.search(body="chess engine"))
            answers[way.__name__] = told(docs, k)
            for question in QUESTIONS:
                agree(docs.search(body=question, k=k), true.scores({"body": 1.0}, question), k)
                agree(of_fields(docs, BOTH, question, k), true.scores(BOTH, question), k)

    first = answers.pop(WAYS[0].__name__)
    assert all(first[at] == first[at + 1] for at in range(0, len(first), 2)), "pruning changed an answer"
    assert any(ids for ids, *_ in first)
    for name, answer in answers.items():
        assert answer == first, name


# -- random operations -------------------------------------------------------------------------------------------------

_texts = st.one_of(st.none(), st.lists(st.sampled_from(VOCABULARY), max_size=8).map(" ".join))
_rows = st.lists(st.tuples(st.integers(0, 30), _texts, _texts), min_size=1, max_size=12)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("upsert"), _rows),
        st.tuples(st.just("delete"), st.lists(st.integers(0, 30), min_size=1, max_size=6)),
        st.sampled_from([("flush", None), ("build", None), ("compact", None), ("ask", None), ("reopen", None)]),
    ),
    min_size=1,
    max_size=12,
)
_specs = st.sampled_from(
    [
        vecdb.FullText(),
        vecdb.FullText(language=None, stop_words=False, k1=0.9, b=0.4),
        vecdb.FullText(language="german", stop_words=["chess"], shortest=3),
    ]
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps, spec=_specs, k=st.integers(1, 12))
def test_whatever_is_done_to_rows_searches_find_what_dictionaries_find(
    tmp_path_factory: pytest.TempPathFactory, steps: Any, spec: vecdb.FullText, k: int
) -> None:
    path = tmp_path_factory.mktemp("text") / "db"
    database, docs = made(path, spec)
    rows: dict[int, dict[str, str | None]] = {}
    for name, given_ in steps:
        if name == "upsert":
            batch = {key: {"title": title, "body": body} for key, title, body in given_}
            docs.upsert([{"id": key, **row} for key, row in batch.items()])
            rows |= batch
        elif name == "delete":
            docs.delete(given_)
            rows = {key: row for key, row in rows.items() if key not in given_}
        elif name == "reopen":
            database.close()
            database = vecdb.connect(path, settings=SETTINGS)
            docs = database.collection("docs")
        elif name == "ask":
            _ask(docs, Texts(rows, spec), k)
        else:
            {"flush": docs.flush, "build": docs.build_indexes, "compact": docs.compact}[name]()

    _ask(docs, Texts(rows, spec), k)
    database.close()


def _ask(docs: Any, true: Texts, k: int) -> None:
    for question in QUESTIONS:
        agree(docs.search(body=question, k=k), true.scores({"body": 1.0}, question), k)
        agree(of_fields(docs, BOTH, question, k), true.scores(BOTH, question), k)
