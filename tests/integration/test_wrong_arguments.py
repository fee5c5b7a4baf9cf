"""Whatever is passed where something else belongs, the answer is an answer or an error of vecdb, never a raw one."""

import base64
import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support.unsynced import unsynced
from vecdb import col
from vecdb.arguments import FETCH
from vecdb.errors import FilterSyntaxError, InvalidInputError, UnknownFieldError, VecdbError
from vecdb.schema.schema import ARGUMENTS

Query: Any = vecdb.Query  # no type checker should keep us from what is tested here
f: Any = vecdb.formula
SCHEMA = vecdb.Schema(
    id=vecdb.Id(),
    body=vecdb.Text(search=True),
    section=vecdb.Keyword(),
    n=vecdb.Int64(),
    place=vecdb.Geo(),
    v=vecdb.Vector(3),
    s=vecdb.Sparse(),
)
LONGEST_MESSAGE = 1200
"""Characters; a message shows a value, not all of it."""


class Odd:
    """An object that is nothing to vecdb."""

    def __repr__(self) -> str:
        return "Odd()"


WRONG: dict[str, Any] = {
    "None": None,
    "an array": np.arange(3),
    "a matrix": np.ones((2, 2)),
    "an array without an axis": np.array(3.0),
    "nested lists": [[1], [2]],
    "ragged lists": [[1], [2, 3]],
    "a text": "xyz",
    "an empty text": "",
    "a text with a zero": "a\0b",
    "half a character": "\ud800",
    "a long text": "x " * 40_000,
    "bytes": b"xyz",
    "NaN": float("nan"),
    "infinity": float("inf"),
    "a huge number": 10**30,
    "a number beyond floats": -(10**400),
    "a number beyond print": 10**5000,
    "a negative number": -1,
    "zero": 0,
    "a fraction": 1.5,
    "a complex number": 1j,
    "a whole number of NumPy": np.int64(3),
    "a moment of NumPy": np.datetime64("2024-01-01"),
    "True": True,
    "a dict": {"a": 1},
    "an empty dict": {},
    "a set": {1},
    "an empty list": [],
    "None in a tuple": (None,),
    "an object": Odd(),
    "a class": int,
}


@pytest.fixture
def docs() -> Iterator[vecdb.Collection]:
    with unsynced(), vecdb.connect(":memory:", settings=vecdb.Settings(background=False, free_bytes=0)) as db:
        docs = db.create_collection("docs", SCHEMA)
        docs.upsert(
            [{"id": f"r{at}", "body": "a chess engine", "n": at, "v": [1, at, 2], "s": {at: 1.0}} for at in range(10)]
        )
        yield docs


Call = Callable[[vecdb.Collection, Any], Any]
NEAR = Query().near("v", [1, 2, 3])
EFFORT = ("recall", "ef", "probes", "plan")
PLAIN = ("k", "where", "fields", "exact")
CALLS: dict[str, Call] = {}


def calls(name: str, options: tuple[str, ...], call: Callable[..., Any]) -> None:
    """Add a call for each of some options; `call` takes the collection and that option by its name."""
    for option in options:
        CALLS[f"{name} {option}"] = lambda docs, wrong, option=option: call(docs, **{option: wrong})


def asked(name: str, options: tuple[str, ...], query: Callable[..., vecdb.Query]) -> None:
    """Add a call for each option of what makes a query, which is run."""
    calls(name, options, lambda docs, **option: docs.run(query(**option)))


_FURTHER = ("fetch", "fusion", "min_score", "group_by", "per_group", "order_by", "after", "allow_partial")
_SOUGHT: dict[str, dict[str, Any]] = {
    "a vector": {"v": [1, 2, 3]},
    "words": {"body": "chess"},
    "terms": {"s": {1: 1}},
    "two": {"v": [1, 2, 3], "body": "chess"},
}
for _what, _arms in _SOUGHT.items():
    calls(f"search {_what}", (*PLAIN, *EFFORT, *_FURTHER), lambda docs, _arms=_arms, **o: docs.search(**_arms, **o))
    calls(f"search_iter {_what}", (*PLAIN, "recall"), lambda docs, _arms=_arms, **o: docs.search_iter(**_arms, **o))
for _what, _arms in {"vectors": {"v": [[1, 2, 3]]}, "words": {"body": ["chess"]}, "terms": {"s": [{1: 1}]}}.items():
    calls(
        f"search_batch {_what}",
        (*PLAIN, *EFFORT, "allow_partial"),
        lambda docs, _arms=_arms, **o: docs.search_batch(**_arms, **o),
    )
for _method in ("search", "search_batch", "search_iter"):
    calls(_method, SCHEMA.fields.keys() | {"nothing"}, lambda docs, _m=_method, **o: getattr(docs, _m)(**o))  # pyright: ignore[reportArgumentType]
calls("recall", ("queries", "field", "sample", *PLAIN[:2], *EFFORT), lambda docs, **o: docs.recall(**o))
calls("tune", ("queries", "field", "sample", "k", "reset"), lambda docs, **o: docs.tune(**o))
calls(
    "similar_to",
    ("ids", "not_like", "strategy", "field", *PLAIN, "recall", "after"),
    lambda docs, **o: docs.similar_to(**{"ids": "r1"} | o),
)
calls("facets", ("fields", "where", "k", "query"), lambda docs, **o: docs.facets(**{"fields": "n"} | o))
calls("scan", ("where", "fields", "batch_rows", "order_by", "after"), lambda docs, **o: docs.scan(**o))
calls("ordered scan", ("where", "fields", "after"), lambda docs, **o: docs.scan(order_by="n", **o))
calls("at", ("version", "timestamp", "tag"), lambda docs, **o: docs.at(**o))
calls("delete", ("ids", "where"), lambda docs, **o: docs.delete(**o))
CALLS |= {
    "run": lambda docs, wrong: docs.run(wrong),
    "run_batch": lambda docs, wrong: docs.run_batch(wrong),
    "run_batch of one": lambda docs, wrong: docs.run_batch([wrong]),
    "run_iter": lambda docs, wrong: docs.run_iter(wrong),
    "explain": lambda docs, wrong: docs.explain(wrong),
    "explain analyze": lambda docs, wrong: docs.explain(NEAR, wrong),
    "get": lambda docs, wrong: docs.get(wrong),
    "get in a list": lambda docs, wrong: docs.get([wrong]),
    "get fields": lambda docs, wrong: docs.get("r1", wrong),
    "count": lambda docs, wrong: docs.count(wrong),
    "facets name": lambda docs, wrong: docs.facets([wrong]),
    "facets edges": lambda docs, wrong: docs.facets({"n": wrong}),
    "facets edge": lambda docs, wrong: docs.facets({"n": [0, wrong]}),
    "highlights": lambda docs, wrong: docs.search(body="chess").highlights(wrong),
    "upsert": lambda docs, wrong: docs.upsert(wrong),
    "upsert one": lambda docs, wrong: docs.upsert([wrong]),
    "patch": lambda docs, wrong: docs.patch(wrong),
    "tag": lambda docs, wrong: docs.tag(wrong),
    "untag": lambda docs, wrong: docs.untag(wrong),
    "compact": lambda docs, wrong: docs.compact(wrong),
    "bulk": lambda docs, wrong: docs.bulk(wrong),
    "add_column name": lambda docs, wrong: docs.add_column(wrong, vecdb.Int64()),
    "add_column field": lambda docs, wrong: docs.add_column("more", wrong),
    "drop_column": lambda docs, wrong: docs.drop_column(wrong),
    "rename_column old": lambda docs, wrong: docs.rename_column(wrong, "other"),
    "rename_column new": lambda docs, wrong: docs.rename_column("n", wrong),
    "set_index name": lambda docs, wrong: docs.set_index(wrong, "flat"),
    "set_index of a vector": lambda docs, wrong: docs.set_index("v", wrong),
    "set_index of a text": lambda docs, wrong: docs.set_index("body", wrong),
    "set_encoder name": lambda docs, wrong: docs.set_encoder(wrong, vecdb.LookupSparse({1: 1.0}, lambda _: [1])),
    "set_encoder": lambda docs, wrong: docs.set_encoder("v", wrong),
}
for _field in SCHEMA.fields:
    CALLS[f"upsert {_field}"] = lambda docs, wrong, _f=_field: docs.upsert({"id": "z"} | {_f: wrong})
    CALLS[f"patch {_field}"] = lambda docs, wrong, _f=_field: docs.patch({"id": "r1"} | {_f: wrong})

# -- queries -----------------------------------------------------------------------------------------------------------

_ARM = ("fetch", "where", "name")
asked("Query", ("k", "arms", "fusion", "filter", "stages", "fields", "exact", "cursor", "allow_partial"), vecdb.Query)
asked("Query from JSON", ("k", "arms", "fusion", "filter", "stages", "fields"), lambda **o: Query.from_json(dict(o)))
asked("near", ("field", "vector", *EFFORT, *_ARM), lambda **o: Query().near(**{"field": "v", "vector": [1, 2, 3]} | o))
asked("match", ("field", "text", *_ARM), lambda **o: Query().match(**{"field": "body", "text": "chess"} | o))
asked("terms", ("field", "terms", *_ARM), lambda **o: Query().terms(**{"field": "s", "terms": {1: 1}} | o))
asked(
    "like",
    ("field", "like", "unlike", "strategy", "recall", *_ARM),
    lambda **o: Query().like(**{"field": "v", "like": "r1"} | o),
)
asked("gather", _ARM, lambda **o: Query().gather(NEAR, **o))
asked(
    "score_by", ("fields", "top", "batch", "deadline"), lambda **o: NEAR.score_by(lambda some: [1.0] * len(some), **o)
)
asked("rescore", ("field", "vector", "top"), lambda **o: NEAR.rescore(**{"field": "v", "vector": [1, 2, 3]} | o))
asked("collapse", ("field", "similarity"), lambda **o: NEAR.collapse(**{"field": "v"} | o))
asked("group_by", ("field", "per_group"), lambda **o: NEAR.group_by(**{"field": "n"} | o))
asked("Rrf", ("k", "weights"), lambda **o: NEAR.match("body", "chess").fuse(vecdb.Rrf(**o)))
asked("Interleave", ("weights",), lambda **o: NEAR.match("body", "chess").fuse(vecdb.Interleave(**o)))
asked("WeightedSum", ("weights", "normalise"), lambda **o: NEAR.match("body", "chess").fuse(vecdb.WeightedSum(**o)))
asked(
    "decay",
    ("field", "origin", "scale", "offset", "at_scale", "shape", "missing"),
    lambda **o: NEAR.rank(f.decay(**{"field": "n", "origin": 1, "scale": 2} | o)),
)
asked(
    "away",
    ("field", "latitude", "longitude", "missing"),
    lambda **o: NEAR.rank(f.away(**{"field": "place", "latitude": 1, "longitude": 2} | o)),
)
asked("value", ("field", "missing"), lambda **o: NEAR.rank(f.value(**{"field": "n"} | o)))
asked("arm", ("name", "missing"), lambda **o: NEAR.rank(f.arm(**{"name": "v"} | o)))
asked("when", ("where", "then", "otherwise"), lambda **o: NEAR.rank(f.when(**{"where": "n > 1", "then": 1} | o)))
_QUERIES: dict[str, Callable[[Any], vecdb.Query]] = {
    "from_json": lambda wrong: Query.from_json(wrong),
    "arm as JSON": lambda wrong: Query.from_json({"arms": [{"kind": wrong}]}),
    "near as JSON": lambda wrong: Query.from_json({"arms": [{"kind": "near", "field": wrong, "vector": wrong}]}),
    "rank as JSON": lambda wrong: Query.from_json({"stages": [{"kind": "rank", "formula": wrong}]}),
    "order_by as JSON": lambda wrong: Query.from_json({"stages": [{"kind": "order_by", "keys": wrong}]}),
    "boost": lambda wrong: Query().match({"body": wrong}, "chess"),
    "weight of a term": lambda wrong: Query().terms("s", {1: wrong}),
    "gather": lambda wrong: Query().gather(wrong),
    "fuse": lambda wrong: NEAR.match("body", "chess").fuse(wrong),
    "where": lambda wrong: NEAR.where(wrong),
    "then": lambda wrong: NEAR.then(wrong),
    "rank": lambda wrong: NEAR.rank(wrong),
    "rank top": lambda wrong: NEAR.rank(f.score, wrong),
    "min_score": lambda wrong: NEAR.min_score(wrong),
    "order_by": lambda wrong: NEAR.order_by(wrong),
    "take": lambda wrong: NEAR.take(wrong),
    "returning": lambda wrong: NEAR.returning(wrong),
    "exactly": lambda wrong: NEAR.exactly(wrong),
    "after": lambda wrong: NEAR.after(wrong),
    "partial": lambda wrong: NEAR.partial(wrong),
    "plus": lambda wrong: NEAR.rank(f.score + wrong),
    "power": lambda wrong: NEAR.rank(f.score**wrong),
    "least": lambda wrong: NEAR.rank(f.least(wrong, 1)),
    "log1p": lambda wrong: NEAR.rank(f.log1p(wrong)),
    "col": lambda wrong: NEAR.where(col(wrong) == 1),
    "step of a path": lambda wrong: NEAR.where(col("n")[wrong] == 1),
    "equal": lambda wrong: NEAR.where(col("n") == wrong),
    "less": lambda wrong: NEAR.where(col("n") < wrong),
    "between": lambda wrong: NEAR.where(col("n").between(wrong, 1)),
    **{
        method: lambda wrong, method=method: NEAR.where(getattr(col("n"), method)(wrong))
        for method in ("isin", "contains", "any_of", "all_of", "startswith", "matches")
    },
}
CALLS |= {f"query: {_name}": lambda docs, wrong, _q=_query: docs.run(_q(wrong)) for _name, _query in _QUERIES.items()}


def outcome(call: Call, docs: vecdb.Collection, wrong: Any) -> Exception | None:
    """Return the error that a call ends with."""
    try:
        answer = call(docs, wrong)
        if inspect.isgenerator(answer) or hasattr(answer, "__next__"):
            list(answer)
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_wrong_argument_ends_in_an_answer_or_in_a_typed_error(docs: vecdb.Collection, name: str) -> None:
    ends = {what: outcome(CALLS[name], docs, wrong) for what, wrong in WRONG.items()}

    raw = {what: error for what, error in ends.items() if error is not None and not isinstance(error, VecdbError)}
    endless = [what for what, error in ends.items() if error is not None and len(str(error)) > LONGEST_MESSAGE]
    assert raw == {}
    assert endless == []
    assert any(isinstance(error, VecdbError) for error in ends.values())


NAMED = {
    name: name.rpartition(" ")[2]
    for name in CALLS
    if name.rpartition(" ")[2] in ("k", "fields", "exact", *EFFORT, "fetch", "min_score", "per_group", "allow_partial")
    and not name.startswith("Query from JSON")
}


@pytest.mark.parametrize("name", sorted(NAMED))
def test_an_error_about_an_option_names_it_and_has_the_value(docs: vecdb.Collection, name: str) -> None:
    wrong = Odd()

    error = outcome(CALLS[name], docs, wrong)

    assert isinstance(error, InvalidInputError)
    assert (error.field, error.value) == (NAMED[name], wrong)
    assert NAMED[name] in str(error)
    assert "Odd()" in str(error)


# -- names that there are not ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (lambda docs: docs.search(bodi="chess"), "'body'"),
        (lambda docs: docs.search(bodi="chess", v=[1, 2, 3]), "'body'"),
        (lambda docs: docs.search(v=[1, 2, 3], wher="n > 1"), "'where'"),
        (lambda docs: docs.search(body="chess", min_scor=1), "'min_score'"),
        (lambda docs: docs.search(v=[1, 2, 3], nprobe=1), "'probes'"),
        (lambda docs: docs.search_batch(v=[[1, 2, 3]], exakt=True), "'exact'"),
        (lambda docs: docs.search_iter(v=[1, 2, 3], field=["n"]), "'fields'"),
        (lambda docs: docs.run(Query().match("bodi", "chess")), "'body'"),
        (lambda docs: docs.count("sektion = 'a'"), "'section'"),
    ],
)
def test_a_name_that_is_no_field_is_answered_with_those_that_are_and_the_nearest(
    docs: vecdb.Collection, call: Callable[[vecdb.Collection], Any], meant: str
) -> None:
    with pytest.raises(
        UnknownFieldError, match="the fields are 'id', 'body', 'section', 'n', 'place', 'v', 's'"
    ) as told:
        call(docs)

    assert str(told.value).endswith(f"did you mean {meant}?")


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda: Query().near("v", [1], ecf=3), "near of a query has no option 'ecf': .* did you mean 'ef'?"),
        (lambda: Query().match("body", "x", boost=3), "there are fetch, name, where"),
        (lambda: Query().terms("s", {1: 1}, wher="n > 1"), "did you mean 'where'?"),
        (lambda: Query().like("v", "r1", fetsch=1), "did you mean 'fetch'?"),
        (lambda: Query().gather(NEAR, label="x"), "nested of a query has no option 'label'"),
        (lambda: NEAR.score_by(len, batsch=3), "did you mean 'batch'?"),
        (lambda: vecdb.Query.from_json({"fusion": {"kind": "rrf", "kk": 3}}), "did you mean 'k'?"),
        (lambda: vecdb.Query.from_json({"fusion": "rff"}), "did you mean 'rrf'?"),
    ],
)
def test_an_option_that_there_is_not_is_answered_with_those_that_are(made: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(InvalidInputError, match=sentence.replace("?", r"\?")):
        made()


def test_a_filter_that_cannot_be_read_has_a_place(docs: vecdb.Collection) -> None:
    with pytest.raises(FilterSyntaxError) as told:
        docs.search(body="chess", where="n >")

    assert told.value.position == 3


def test_the_arguments_that_are_proposed_are_those_of_search() -> None:
    parameters = inspect.signature(vecdb.Snapshot.search).parameters.values()
    assert {one.name for one in parameters if one.kind != one.VAR_KEYWORD} - {"self"} == ARGUMENTS


@pytest.mark.parametrize("k", [FETCH + 1, 10**30])
def test_every_search_refuses_more_rows_than_any_may_find(docs: vecdb.Collection, k: int) -> None:
    asked = {
        "a vector": lambda: docs.search(v=[1, 2, 3], k=k),
        "words": lambda: docs.search(body="chess", k=k),
        "terms": lambda: docs.search(s={1: 1.0}, k=k),
        "two fields": lambda: docs.search(v=[1, 2, 3], body="chess", k=k),
        "vectors": lambda: docs.search_batch(v=[[1, 2, 3]], k=k),
        "texts": lambda: docs.search_batch(body=["chess"], k=k),
        "sparse vectors": lambda: docs.search_batch(s=[{1: 1.0}], k=k),
        "pages": lambda: docs.search_iter(v=[1, 2, 3], k=k),
        "rows like rows": lambda: docs.similar_to("r1", k=k),
        "a query": lambda: docs.run(vecdb.Query(k=k)),
        "recall": lambda: docs.recall(k=k),
        "facets": lambda: docs.facets("n", k=k),
    }

    for what, ask in asked.items():
        with pytest.raises(InvalidInputError, match=f"k is {k}, at most {FETCH}") as caught:
            ask()
        assert caught.value.field == "k", what


def test_a_search_for_the_most_rows_finds_all(docs: vecdb.Collection) -> None:
    assert len(docs.search(v=[1, 2, 3], k=FETCH)) == 10
    assert [len(found) for found in docs.search_batch(v=[[1, 2, 3]], k=FETCH)] == [10]
    assert [len(page) for page in docs.search_iter(v=[1, 2, 3], k=FETCH)] == [10]


def test_what_names_nothing_is_in_no_schema_and_in_no_database(docs: vecdb.Collection, tmp_path: Path) -> None:
    with vecdb.connect(tmp_path) as db:
        for what in WRONG.values():
            assert what not in docs.schema
            assert what not in db


@pytest.mark.parametrize("wrong", [3, np.arange(2), 1.5], ids=repr)
def test_what_is_no_list_of_encoders_is_refused(tmp_path: Path, wrong: Any) -> None:
    with vecdb.connect(tmp_path) as db:
        db.create_collection("docs", SCHEMA)
        with pytest.raises(InvalidInputError):
            db.collection("docs", encoders=wrong)


@pytest.mark.parametrize("read", [vecdb.Query.from_json, vecdb.Schema.from_json, vecdb.Int64.from_json])
def test_json_with_parts_that_have_no_names_is_refused(read: Any) -> None:
    told: dict[Any, Any] = {"kind": "int64", "columns": [], "next_id": 0, 3: 1, None: 2, "nothing": 3}

    with pytest.raises(InvalidInputError, match=r"has no (part |attribute )?[3N']"):
        read(told)


def test_a_least_score_beyond_what_scores_can_be_leaves_out_all_or_none(docs: vecdb.Collection) -> None:
    assert docs.search(v=[1, 2, 3], min_score=1e300).ids == []
    assert len(docs.search(v=[1, 2, 3], min_score=-1e300)) == 10


def test_a_cursor_whose_numbers_are_none_is_refused(docs: vecdb.Collection) -> None:
    cursor = docs.search(v=[1, 2, 3], k=2).cursor
    assert cursor is not None
    form, told, key, seen, fetches = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))

    for wrong in ([1.5, fetches], [True, fetches], [seen, [1.5]], [seen, [None]], [-1, fetches], [seen, {}]):
        made = base64.urlsafe_b64encode(json.dumps([form, told, key, *wrong]).encode()).decode().rstrip("=")
        with pytest.raises(InvalidInputError, match="not one of vecdb"):
            docs.search(v=[1, 2, 3], k=2, after=made)


@pytest.mark.parametrize(("name", "wrong"), [("scale", 0), ("scale", -1), ("offset", -1)])
def test_a_decay_that_cannot_be_names_what_is_wrong(name: str, wrong: float) -> None:
    with pytest.raises(InvalidInputError, match=f"{name} is {wrong}") as caught:
        f.decay("n", 0, **({"scale": 1} | {name: wrong}))

    assert caught.value.field == name
