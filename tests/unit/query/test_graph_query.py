"""Arms and stages over links as values: what they take, what they refuse, and their way through JSON."""

import math
from typing import Any

import pytest

import vecdb
from vecdb import Query
from vecdb.errors import InvalidInputError

Expand: Any = vecdb.Expand
Linked: Any = vecdb.Linked
PathPooling: Any = vecdb.PathPooling

ROUND = [
    Query().expand(),
    Query().near("v", [1, 2]).expand("cites", hops=2, damping=0.3, gate=False),
    Query().expand({"cites": 2, "<reviews": 0.5}, method="paths", links_where="year > 2000", through="kind = 'paper'"),
    Query().expand(half_life=3600, aged_by="made"),
    Query().linked("a", ["cites", ">reviews"], 2),
    Query().linked([1, 2], path=("<wrote", "year"), name="walk", fetch=9, where="size > 1"),
    Query().pool_paths("head", "tail", ["x", "y"], top=50, bonus=2),
]


@pytest.mark.parametrize("query", ROUND, ids=repr)
def test_a_query_over_links_is_the_same_after_a_way_through_json(query):
    again = Query.from_json(query.to_json())
    assert again == query
    assert hash(again) == hash(query)
    assert again.to_json() == query.to_json()


def test_types_given_in_different_ways_mean_the_same():
    assert vecdb.Expand("cites") == vecdb.Expand(["cites"]) == vecdb.Expand({"cites": 1})
    assert vecdb.Expand(method="paths").hops == 2
    assert vecdb.Expand().hops is None


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Expand([]), "0 types of links are named"),
        (lambda: Expand(["a", 3]), "a type of links is a text, found 3"),
        (lambda: Expand({"a": -1}), "the weight of 'a' is -1.0"),
        (lambda: Expand(">"), "a type of links is a text"),
        (lambda: Expand(hops=0), "hops is 0"),
        (lambda: Expand(damping=1), "damping is 1.0"),
        (lambda: Expand(damping=math.nan), "damping is nan"),
        (lambda: Expand(hub=2), "hub is 2.0"),
        (lambda: Expand(method="bfs"), "method 'bfs' is not one of 'pagerank', 'paths'"),
        (lambda: Expand(direction="up"), "direction 'up'"),
        (lambda: Expand(half_life=3), "half_life and aged_by belong together"),
        (lambda: Expand(epsilon=0), "epsilon is 0.0"),
        (lambda: Expand(gate=1), "gate is 1, not True or False"),
        (lambda: Query().expand("a", depth=3), "expand of a query has no option 'depth'"),
        (lambda: Linked(()), "linked names no id"),
        (lambda: Linked("a", path=("x",) * 17), "a path of 17 links is longer than 16"),
        (lambda: PathPooling("h", "", ("e",)), "a field's name is a text"),
        (lambda: PathPooling("h", "t", ("e",), bonus=0), "bonus is 0.0"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_value(make, said):
    with pytest.raises(InvalidInputError, match=said):
        make()
