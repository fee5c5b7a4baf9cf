"""Requests of searches by one vector: those that are filled in are those that would have been made."""

from typing import Any

import numpy as np
import pytest

import vecdb
from vecdb.errors import InvalidInputError, VecdbError
from vecdb_client import asked
from vecdb_client.asked import Place
from vecdb_client.asked_nearest import Templates, Written, as_message

SCHEMA = vecdb.Schema(id=vecdb.Id(), n=vecdb.Int64(), v=vecdb.Vector(4), small=vecdb.Vector(3, dtype="int8"))
PLAIN: dict[str, Any] = dict.fromkeys(
    (
        "where", "fields", "recall", "ef", "probes", "plan", "fetch", "fusion", "min_score", "cut", "group_by",
        "order_by", "select", "after",
    ),
) | {"k": 10, "exact": False, "per_group": 1, "allow_partial": False}  # fmt: skip
FIRST, SECOND = np.array([1, 2, 3, 4], np.float32), np.array([5, 6, 7, 8], np.float32)


def place(schema: vecdb.Schema = SCHEMA, view: Any = None) -> Place:
    return Place("docs", Templates(schema), view, {})  # pyright: ignore[reportArgumentType]


def request(about: Place, vector: Any, explain: bool = False, name: str = "v", **options: Any) -> Any:
    return asked.search(about, {name: vector}, explain, **{**PLAIN, **options})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"k": 3},
        {"where": "n > 3"},
        {"fields": []},
        {"fields": ["n"]},
        {"exact": True},
        {"recall": 0.9},
        {"ef": 50},
        {"probes": 3},
        {"allow_partial": True},
        {"explain": True},
    ],
    ids=str,
)
def test_a_request_that_is_filled_in_is_the_one_that_would_have_been_made(options: dict[str, Any]) -> None:
    here = place()
    request(here, FIRST, **options)

    filled = request(here, SECOND, **options)

    assert isinstance(filled, Written)
    made = request(place(), SECOND, **options)
    assert not isinstance(made, Written)
    assert filled.SerializeToString() == made.SerializeToString()
    assert as_message(filled) == made


def test_other_options_do_not_get_the_request_of_these() -> None:
    here = place()
    others: list[dict[str, Any]] = [{}, {"k": 3}, {"fields": []}, {"where": "n > 3"}]
    made = [as_message(request(here, FIRST, **one)) for one in others]
    again = [as_message(request(here, FIRST, **one)) for one in others]

    assert again == made
    assert len({one.SerializeToString() for one in made}) == 4


@pytest.mark.parametrize(
    "options", [{"k": True}, {"k": "10"}, {"exact": 0, "recall": 2.0}, {"allow_partial": "no"}], ids=str
)
def test_what_is_equal_and_of_another_kind_is_looked_at(options: dict[str, Any]) -> None:
    here = place()
    request(here, FIRST, k=1)
    request(here, FIRST)

    def outcome(there: Place) -> Any:
        try:
            return as_message(request(there, SECOND, **options))
        except VecdbError as error:
            return str(error)

    assert outcome(here) == outcome(place())


def test_a_wrong_vector_is_refused_where_a_template_is_known() -> None:
    here = place()
    request(here, FIRST)

    for wrong in (FIRST[:3], [np.nan] * 4, FIRST[None], [0.0] * 4):
        with pytest.raises(InvalidInputError):
            request(here, wrong)


def test_fields_of_other_kinds_have_templates_of_their_own() -> None:
    here = place()
    for _ in range(2):
        assert as_message(request(here, [1, 2, 3], name="small")).query.arms[0].near.field == "small"
        assert as_message(request(here, FIRST)).query.arms[0].near.field == "v"


def test_a_vector_whose_bytes_stand_elsewhere_too_is_sent_rightly() -> None:
    schema = vecdb.Schema(id=vecdb.Id(), v=vecdb.Vector(8, dtype="binary"))
    here = place(schema)
    for byte in b"v\x08\x01\n":  # bytes that the rest of the message has
        made = as_message(request(here, np.array([byte], np.uint8)))
        assert made.query.arms[0].near.vector.data == bytes([byte])
        assert made.query.arms[0].near.field == "v"


def run(about: Place, query: vecdb.Query) -> Any:
    return asked.run(about, query, False)


def test_an_expansion_that_is_filled_in_is_the_one_that_would_have_been_made() -> None:
    here = place()
    shape = vecdb.Query(k=3, fields=("n",)).where("n > 3 and n is not null")

    def expanded(vector: Any) -> vecdb.Query:
        return shape.near("v", vector, fetch=50).expand({">cites": 2.0}, hops=2, links_where="weight > 1")

    run(here, expanded(FIRST))
    filled, made = run(here, expanded(SECOND)), run(place(), expanded(SECOND))

    assert isinstance(filled, Written)
    assert not isinstance(made, Written)
    assert filled.SerializeToString() == made.SerializeToString()


@pytest.mark.parametrize(
    "query",
    [
        vecdb.Query().near("v", FIRST).near("v", SECOND),
        vecdb.Query().near("v", "a text"),
        vecdb.Query().near("v", FIRST).order_by("n"),
        vecdb.Query().near("v", FIRST).after("a cursor"),
        vecdb.Query().match("text", "words"),
    ],
    ids=str,
)
def test_queries_with_more_than_a_vector_and_expansions_are_made_each_time(query: vecdb.Query) -> None:
    here = place()
    assert not isinstance(run(here, query), Written)
    assert not isinstance(run(here, query), Written)


def test_queries_whose_filters_hold_equal_values_of_other_types_are_told_apart() -> None:
    here = place()
    for value in (1, 1.0, True):
        query = vecdb.Query().near("v", FIRST).where(vecdb.col("n") == value)
        assert as_message(run(here, query)) == as_message(run(place(), query))
