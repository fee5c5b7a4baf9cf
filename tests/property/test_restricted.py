"""A restricted view answers every question as a collection does that holds only the rows that pass the filter."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vecdb
from support.graphs import small_graphs
from support.unsynced import unsynced
from vecdb import Query, formula
from vecdb.errors import NotFoundError, PermissionDeniedError

SCHEMA = vecdb.Schema(
    id=vecdb.Id("int64"),
    n=vecdb.Int64(),
    section=vecdb.Keyword(),
    tags=vecdb.Keyword(many=True),
    body=vecdb.Text(search=True),
    extra=vecdb.Json(),
    terms=vecdb.Sparse(),
    v=vecdb.Vector(3, metric="l2"),
)
SETTINGS = vecdb.Settings(background=False, free_bytes=0, durability="none", threads=1)
FILTERS = (
    "n < 3",
    "not (n < 3)",
    "n is null",
    "section = 'a'",
    "section = 'a' or n > 2",
    "tags contains 'x'",
    "body matches 'chess'",
    "extra.k = 1",
    "v is not null and n != 1",
    "id < 0",
    "id >= 0",
)
WORDS = ("chess", "engine", "proof", "knot", "the")

_row = st.fixed_dictionaries(
    {
        "n": st.none() | st.integers(0, 5),
        "section": st.none() | st.sampled_from(["a", "b"]),
        "tags": st.none() | st.lists(st.sampled_from(["x", "y"]), unique=True),
        "body": st.none() | st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join),
        "extra": st.none() | st.fixed_dictionaries({"k": st.integers(0, 1)}),
        "terms": st.none() | st.dictionaries(st.integers(0, 4), st.sampled_from([0.5, 1.0, 2.0]), max_size=3),
        "v": st.none() | st.tuples(*[st.integers(-2, 2)] * 3),
    }
)
_batches = st.lists(st.lists(st.tuples(st.integers(0, 30), _row), max_size=12), min_size=1, max_size=4)


def _found(result: vecdb.SearchResult) -> list[tuple[Any, float]]:
    return list(zip(result.ids, result.scores.tolist(), strict=True))


def _sorted(batches: Iterator[Any]) -> list[dict[str, Any]]:
    return sorted((row for batch in batches for row in batch.to_pylist()), key=lambda row: row["id"])


Q = (0.5, 1.0, -1.0)
BOTH = Query(k=5, exact=True).near("v", Q).match("body", "chess the")


def _like(docs: Any) -> list[Any]:
    answers: list[Any] = []
    for number in range(0, 31, 5):
        try:
            answers.append(_found(docs.similar_to(number, k=4, exact=True)))
        except (NotFoundError, vecdb.errors.InvalidInputError) as error:
            answers.append(str(error))
    return answers


def _matching(told: Any) -> Any:
    """Return how many rows each step had, and how many rows a part may be known to have, over all parts."""
    out = [told["rows"]]
    for step in told["steps"]:
        parts = step.get("parts", step.get("told", {}).get("parts", []))
        out.append((step["rows_out"], sum(part["matching"] for part in parts), sum(part["rows"] for part in parts)))
    return out


QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "count": lambda docs: docs.count(),
    "count where": lambda docs: [docs.count(where) for where in FILTERS],
    "get": lambda docs: [None if row is None else row["n"] for row in docs.get(list(range(32)))],
    "scan": lambda docs: _sorted(docs.scan(fields=["n", "section", "body"])),
    "scan where": lambda docs: _sorted(docs.scan("n > 1", fields=["n"])),
    "ordered scan": lambda docs: [batch.to_pylist() for batch in docs.scan(fields=["n"], order_by="n desc")],
    "facets": lambda docs: docs.facets(["section", "tags", "n"]).to_list(),
    "facets of a query": lambda docs: docs.facets("section", query=BOTH).to_list(),
    "vector": lambda docs: _found(docs.search(v=Q, k=7, exact=True)),
    "vector where": lambda docs: _found(docs.search(v=Q, k=7, exact=True, where="n < 4")),
    "words": lambda docs: _found(docs.search(body="chess the", k=7)),
    "phrase": lambda docs: _found(docs.search(body='+the "chess engine" -knot', k=7)),
    "prefix": lambda docs: _found(docs.search(body="kn*", k=7)),
    "terms": lambda docs: _found(docs.search(terms={1: 1.0, 2: 0.5}, k=7)),
    "both": lambda docs: _found(docs.run(BOTH)),
    "nested": lambda docs: _found(docs.run(Query(k=4, exact=True).gather(BOTH).terms("terms", {0: 1.0}))),
    "no arm": lambda docs: _found(docs.run(Query(k=40).order_by("n"))),
    "groups": lambda docs: [
        (group.value, [hit.id for hit in group.hits]) for group in docs.run(BOTH.group_by("section", 2)).groups
    ],
    "formula": lambda docs: _found(docs.run(BOTH.rank(formula.when("section = 'a'", 1.0, 0.0) + formula.score))),
    "batch": lambda docs: [_found(one) for one in docs.search_batch(v=np.eye(3), k=3, exact=True)],
    "batch of words": lambda docs: [_found(one) for one in docs.search_batch(body=["chess", "proof"], k=3)],
    "batch of queries": lambda docs: [_found(one) for one in docs.run_batch([BOTH, BOTH.where("n > 0"), BOTH])],
    "pages": lambda docs: [_found(page) for page in docs.search_iter(v=Q, k=2, exact=True)],
    "pages of a query": lambda docs: [_found(page) for page in docs.run_iter(BOTH)],
    "like": _like,
    "through indexes": lambda docs: sorted(_found(docs.search(v=Q, k=40, ef=1000))),
    "explain": lambda docs: _matching(docs.explain(BOTH, analyze=True).to_json()),
    "explain before": lambda docs: docs.explain(BOTH).rows,
}


@contextmanager
def _stored(batches: list[list[tuple[int, dict[str, Any]]]], flush: int, indexed: bool = False) -> Iterator[Any]:
    """Yield a collection of these rows; a bit of `flush` for each batch says whether it goes to a segment."""
    with (
        tempfile.TemporaryDirectory(prefix="vecdb-restricted-") as folder,
        unsynced(),
        small_graphs(4),
        vecdb.connect(Path(folder), settings=SETTINGS) as database,
    ):
        docs = database.create_collection("docs", SCHEMA)
        for at, batch in enumerate(batches):
            docs.upsert([{"id": number, **row} for number, row in dict(batch).items()])
            if flush >> at & 1:
                docs.flush()
        if indexed:
            docs.build_indexes()
        yield docs


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(batches=_batches, flush=st.integers(0, 15), where=st.sampled_from(FILTERS), indexed=st.booleans())
def test_a_restricted_view_answers_as_a_collection_of_its_rows_alone(
    batches: list[list[tuple[int, dict[str, Any]]]], flush: int, where: str, indexed: bool
) -> None:
    rows = {number: row for batch in batches for number, row in batch}
    with _stored(batches, flush, indexed) as docs:
        passing = {batch_id for batch in docs.scan(where, fields=[]) for batch_id in batch.column(0).to_pylist()}
        with _stored([[(number, row) for number, row in rows.items() if number in passing]], 1) as alone:
            view = docs.restricted(where)
            for name, ask in QUESTIONS.items():
                assert ask(view) == ask(alone), name
            halves = docs.restricted("id < 15").restricted(where)
            assert halves.count() == alone.count("id < 15")
            assert docs.snapshot().restricted(where).count() == len(passing)
            assert docs.count() == len(rows)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(batches=_batches, flush=st.integers(0, 15), where=st.sampled_from(FILTERS), written=_batches)
def test_writes_through_a_view_change_no_row_outside(
    batches: list[list[tuple[int, dict[str, Any]]]],
    flush: int,
    where: str,
    written: list[list[tuple[int, dict[str, Any]]]],
) -> None:
    with _stored(batches, flush) as docs:
        view = docs.restricted(where)
        outside = _outside(docs, view)
        for at, batch in enumerate(written):
            records = [{"id": number, **row} for number, row in dict(batch).items()]
            before = _sorted(docs.scan(fields=["n"]))
            try:
                if at % 3 == 0:
                    view.upsert(records)
                elif at % 3 == 1:
                    view.patch([{"id": record["id"], "n": record["n"]} for record in records])
                else:
                    there = [record["id"] for record in records if view.get(record["id"]) is not None]
                    assert view.delete([record["id"] for record in records]).rows == len(there)
            except (PermissionDeniedError, NotFoundError):
                assert _sorted(docs.scan(fields=["n"])) == before
            assert _outside(docs, view) == outside
        view.delete(where="id >= 0")
        assert view.count() == 0
        assert _outside(docs, view) == outside


def _outside(docs: Any, view: Any) -> list[dict[str, Any]]:
    """Return the rows that the view does not show."""
    inside = {row["id"] for row in _sorted(view.scan(fields=[]))}
    return [row for row in _sorted(docs.scan(fields=["n", "section", "body"])) if row["id"] not in inside]
