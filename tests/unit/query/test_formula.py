"""Formulas as values."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecdb import Query, col
from vecdb import formula as f
from vecdb.errors import InvalidInputError, VecdbError

NUMBERS = st.floats(-9, 9)
LEAVES = st.one_of(
    NUMBERS.map(f.Constant),
    st.just(f.score),
    st.builds(f.value, st.sampled_from(["a", "b"]), NUMBERS),
    st.builds(f.arm, st.sampled_from(["a", "b"])),
    st.builds(f.away, st.just("p"), st.floats(-90, 90), st.floats(-180, 180)),
    st.builds(f.decay, st.just("p"), st.tuples(st.floats(-90, 90), st.floats(-180, 180)), st.just("5km")),
    st.builds(f.decay, st.just("a"), NUMBERS | st.just("now"), st.floats(0.1, 9) | st.just("3d"), missing=NUMBERS),
)
FORMULAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(f.Operation, st.sampled_from(f.OPERATORS), st.tuples(inner, inner)),
        st.builds(f.Function, st.sampled_from(f.FUNCTIONS), inner),
        st.builds(f.when, st.sampled_from(["a = 1", col("b") > 2]), inner, inner),
    ),
    max_leaves=6,
)


@given(FORMULAS)
def test_a_formula_is_the_same_after_a_way_through_json(formula: f.Formula):
    query = Query().rank(formula)

    back = Query.from_json(json.dumps(query.to_json()))

    assert back == query
    assert hash(back) == hash(query)


def test_operators_build_what_they_look_like():
    assert repr(2 * f.score + 1 - f.value("size") / 3) == "(((2.0 * score) + 1.0) - (value('size', 0.0) / 3.0))"
    assert repr(-(f.score**2)) == "neg(pow(score, 2.0))"
    assert repr(f.least(f.log1p(3), f.when("a = 1", 1))) == "min(log1p(3.0), when('a = 1', 1.0, 0.0))"


def test_moments_and_spans_are_read():
    asked = f.decay("added", "2026-01-02T00:00:00+00:00", "30d", offset="12h")

    assert asked == f.decay("added", datetime(2026, 1, 2, tzinfo=UTC), 30 * 86400, offset=43200)
    assert asked == f.decay("added", date(2026, 1, 2), "30d", offset=43200.0)


WRONG: list[tuple[Any, str]] = [
    (lambda: f.score + "x", "no part"),
    (lambda: f.score * True, "no part"),
    (lambda: f.value(""), "text"),
    (lambda: f.value("a", float("nan")), "missing is nan"),
    (lambda: f.decay("a", "yesterday", 1), "no moment"),
    (lambda: f.decay("a", pd.NaT, 1), "expected a moment"),  # pyright: ignore[reportArgumentType]
    (lambda: f.decay("a", 0, "3 fortnights"), "no span"),
    (lambda: f.decay("a", 0, -1), "above 0"),
    (lambda: f.decay("a", 0, 1, at_scale=1), "at_scale"),
    (lambda: f.away("p", 91, 0), "no place"),
    (lambda: f.decay("p", (1, 2, 3), 1), "no place"),  # pyright: ignore[reportArgumentType]
    (lambda: f.decay("a", 0, 1, shape="round"), "'round'"),
    (lambda: f.formula_of(["+", 1]), "joins two"),
    (lambda: f.formula_of(["sin", 1]), "begins no formula"),
    (lambda: f.formula_of([]), "begins no formula"),
    (lambda: f.formula_of(["value"]), "no formula"),
    (lambda: bool(f.score), "not true or false"),
]


@pytest.mark.parametrize(("make", "told"), WRONG)
def test_what_is_wrong_is_told(make: Any, told: str):
    with pytest.raises(InvalidInputError, match=told):
        make()


def test_formulas_that_are_too_large_are_refused():
    deep: Any = 1
    for _ in range(3000):
        deep = ["neg", deep]

    with pytest.raises(InvalidInputError, match="levels"):
        f.formula_of(deep)
    wide = f.score
    for _ in range(f.DEPTH - 1):
        wide = wide + 1
    with pytest.raises(InvalidInputError, match="levels"):
        _ = wide + 1


LISTS = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.sampled_from(["score", "a", "now", "x = 1"]),
    lambda inner: st.builds(
        lambda name, rest: [name, *rest],
        st.sampled_from([*f.OPERATORS, *f.FUNCTIONS, "when", "value", "arm", "decay", "away", 3]) | inner,
        st.lists(inner, max_size=3),
    ),
    max_leaves=9,
)


@given(LISTS)
def test_any_lists_are_read_or_refused_with_a_reason(lists: Any):
    try:
        formula = f.formula_of(lists)
    except VecdbError:
        return

    assert f.formula_of(formula.to_json()) == formula
