"""The query as a value: equal, hashable, printable, and the same after a way through JSON."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vecdb
from vecdb import Query, col
from vecdb.errors import FilterSyntaxError, InvalidInputError, VecdbError

NAMES = st.sampled_from(["a", "title", "weird name"])
FILTERS = st.sampled_from([None, "size > 3", "a = 'x' and not b in (1, 2)", col("extra.deep[0]") == 1.5])
VECTORS = st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=5)
FETCH = st.none() | st.integers(1, 1000)
NEAR = st.builds(vecdb.Near, NAMES, VECTORS | st.text(max_size=5), fetch=FETCH, where=FILTERS)
MATCH = st.builds(
    vecdb.Match,
    NAMES | st.dictionaries(NAMES, st.floats(0.5, 4), min_size=1),
    st.text(max_size=9),
    fetch=FETCH,
    name=st.none() | NAMES,
)
TERMS = st.builds(
    vecdb.Terms,
    NAMES,
    st.dictionaries(st.integers(0, 2**32 - 1), st.floats(0, 9, width=32), max_size=4) | st.text(max_size=5),
    fetch=FETCH,
    where=FILTERS,
)
TWO = st.lists(st.floats(-3, 3, width=32), min_size=2, max_size=2)
TOKENS = st.builds(vecdb.Tokens, NAMES, st.lists(TWO, min_size=1, max_size=4))
IDS = st.lists(st.integers(-3, 3) | st.text(max_size=3), min_size=1, max_size=3)
LIKE = st.builds(vecdb.Like, NAMES, IDS, IDS, st.sampled_from(["average", "best", "sum"]))
STAGES = st.one_of(
    st.builds(vecdb.MinScore, st.floats(-9, 9)),
    st.builds(vecdb.Collapse, NAMES, st.floats(0.1, 1)),
    st.builds(vecdb.OrderBy, st.lists(st.sampled_from(["size desc", "score", "name asc"]), min_size=1, max_size=3)),
    st.builds(vecdb.Rescore, NAMES, VECTORS, st.none() | st.integers(1, 99)),
    st.builds(vecdb.MaxSim, NAMES, st.just([[1.5, 2.0]]) | st.text(max_size=5), top=st.none() | st.integers(1, 99)),
)


def queries(arms: st.SearchStrategy[Any]) -> st.SearchStrategy[Query]:
    return st.builds(
        Query,
        st.integers(1, 99),
        st.lists(arms, max_size=3),
        st.none() | st.just("rrf"),
        FILTERS,
        st.builds(
            lambda stages, last: [*stages, *last],
            st.lists(STAGES, max_size=3),
            st.lists(st.builds(vecdb.GroupBy, NAMES, st.integers(1, 9)), max_size=1),
        ),
        st.none() | st.lists(NAMES),
        st.booleans(),
    )


FLAT = queries(NEAR | MATCH | LIKE | TERMS | TOKENS)
QUERIES = FLAT | queries(NEAR | st.builds(vecdb.Nested, FLAT))


@given(QUERIES)
def test_a_query_is_the_same_after_a_way_through_json(query: Query):
    text = json.dumps(query.to_json())

    back = Query.from_json(text)

    assert back == query
    assert hash(back) == hash(query)
    assert json.dumps(back.to_json()) == text
    assert repr(back) == repr(query)


@given(QUERIES, QUERIES)
def test_queries_are_equal_exactly_when_their_json_is(one: Query, two: Query):
    # As text: -0.0 is another number than 0.0 there, as it is in a vector.
    assert (one == two) == (json.dumps(one.to_json()) == json.dumps(two.to_json()))


def test_every_method_returns_another_query():
    query = Query(k=3)

    longer = query.near("v", [1, 2]).where("a = 1").where(col("b") > 2).min_score(0.5).take(7)

    assert query == Query(k=3)
    assert str(longer.filter) == "a = 1 and b > 2"
    assert (longer.k, len(longer.arms), len(longer.stages)) == (7, 1, 1)


def test_a_vector_that_changes_afterwards_changes_no_query():
    vector = np.ones(3, np.float32)
    query = Query().near("v", vector)

    vector[0] = 5

    assert query == Query().near("v", [1.0, 1.0, 1.0])


def test_a_query_prints_as_what_builds_it():
    query = Query(k=3).near("v", np.arange(9.0), where="a = 1").group_by("s").returning("s").exactly()

    assert repr(query) == (
        "Query(k=3).gather(Near(where='a = 1', field='v', vector=[0, 1, 2, … 9 numbers]))"
        ".then(GroupBy(field='s')).returning('s').exactly()"
    )


WRONG: list[tuple[Any, str]] = [
    (lambda: Query(k=0), "k is 0"),
    (lambda: Query(k=True), "k is True"),
    (lambda: vecdb.Near("v", [[1]]), "shape (1, 1)"),  # pyright: ignore[reportArgumentType]
    (lambda: Query().near("v", [[[1]]]), "shape (1, 1, 1)"),
    (lambda: Query().near("v", [[1, 2], [3]]), "not a matrix"),
    (lambda: Query().near("v", np.empty((0, 3))), "expected 1 to"),
    (lambda: Query().near("v", [[1, 2]], probes=3), "has no option 'probes'"),
    (lambda: Query().near("v", [[1, 2]], weights=[-1]), "from 0"),
    (lambda: Query().rescore(vecdb.MaxSim("v", [[1, 2]]), top=3), "belongs into it"),
    (lambda: Query().near("v", [float("nan")]), "NaN"),
    (lambda: Query().near("v", object()), "expected a list"),
    (lambda: Query().near("", [1]), "name is a text"),
    (lambda: Query().near("v", [1], fetch=0), "fetch is 0"),
    (lambda: Query().near("v", [1], recall=2), "recall is 2"),
    (lambda: Query().terms("t", {1: -1}), "weight -1"),
    (lambda: Query().terms("t", ([1, 1], [1, 2])), "index 1 twice"),
    (lambda: Query().terms("t", 3), "not a sparse vector"),
    (lambda: Query().terms("", {1: 1}), "name is a text"),
    (lambda: Query().match({}, "x"), "no field"),
    (lambda: Query().match({"a": -1}, "x"), "boost of 'a' is -1"),
    (lambda: Query().match({"a": 1e-305}, "x"), "boost of 'a' is 1e-305, expected a number from 1e-06 to 1e+06"),
    (lambda: Query().match("a", 3), "not a text"),  # pyright: ignore[reportArgumentType]
    (lambda: Query().like("v", []), "no id"),
    (lambda: Query().linked("a", [["cites"]]), "found ['cites']"),
    (lambda: Query().select(grid=[vecdb.query.selection.Axis("f", None, np.array(3))]), "expected a number of bins"),  # pyright: ignore[reportArgumentType]
    (lambda: Query().like("v", b"ab"), "expected a list of ids"),  # pyright: ignore[reportArgumentType]
    (lambda: Query().select(fixed=[True]), "holds True, which is no id"),
    (lambda: Query().like("v", ["a"], strategy="worst"), "'worst'"),  # pyright: ignore[reportArgumentType]
    (lambda: Query().fuse("sum"), "'sum'"),
    (lambda: Query().order_by(), "0 fields"),
    (lambda: Query().order_by("size sideways"), "sideways"),
    (lambda: Query().collapse("v", 2), "similarity is 2"),
    (lambda: Query().cut([1.0, 2.0]), "no method [1.0, 2.0]"),  # pyright: ignore[reportArgumentType]
    (lambda: Query().cut(np.ones(3)), "no method"),  # pyright: ignore[reportArgumentType]
    (lambda: Query().select(similarity=np.eye(3)), "similarity is"),
    (lambda: Query().rescore(vecdb.MaxSim("t", [[1.0]], patience=10_000_001)), "patience is 10000001, at most"),
    (lambda: Query().min_score(float("inf")), "min_score is inf"),
    (lambda: Query().group_by("s", 0), "per_group is 0"),
    (lambda: Query().group_by("s").min_score(1), "last stage"),
    (lambda: Query(arms=("x",)), "'x' is none of the arms"),  # pyright: ignore[reportArgumentType]
    (lambda: Query().returning(3), "no name"),  # pyright: ignore[reportArgumentType]
    (lambda: Query.from_json("{"), "not JSON"),
    (lambda: Query.from_json("[]"), "JSON object"),
    (lambda: Query.from_json({"vecdb": 2}), "form 2"),
    (lambda: Query.from_json({"kk": 2}), "'kk'"),
    (lambda: Query.from_json({"arms": 2}), "is a list"),
    (lambda: Query.from_json({"arms": [{"kind": "far"}]}), "'far'"),
    (lambda: Query.from_json({"arms": [{"kind": "near", "wide": 1}]}), "'wide'"),
    (lambda: Query.from_json({"arms": [{"kind": "near"}]}), "lacks 'field' and 'vector'"),
]


@pytest.mark.parametrize(("make", "told"), WRONG)
def test_what_is_wrong_is_told(make: Any, told: str):
    with pytest.raises(InvalidInputError) as caught:
        make()

    assert told in str(caught.value)


def test_a_filter_that_cannot_be_read_is_told_where_it_stands():
    with pytest.raises(FilterSyntaxError):
        Query().near("v", [1], where="a ==== 3")


def test_queries_too_deep_inside_each_other_are_refused_before_they_are_read():
    data: dict[str, Any] = {}
    for _ in range(5000):
        data = {"arms": [{"kind": "nested", "query": data}]}

    with pytest.raises(InvalidInputError, match="deep"):
        Query.from_json(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["kind", "arms", "stages", "k", "filter", "field", "vector", "query", "fusion", "where", "keys", "like"]
            ),
            inner
            | st.sampled_from(
                ["near", "match", "like", "nested", "rrf", "collapse", "group_by", "order_by", "rescore"]
            ),
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_read_or_refused_with_a_reason(data: Any):
    try:
        query = Query.from_json(data)
    except VecdbError:
        return

    assert Query.from_json(query.to_json()) == query
