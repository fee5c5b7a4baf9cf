"""The tree: equality by type, canonical text, limits; and `col`, which builds it."""

import operator
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum, IntEnum
from functools import reduce
from operator import and_, or_
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vecdb.errors import InvalidInputError
from vecdb.filters import And, Condition, Expression, FieldPath, Not, Or, col, parse

A, B, C = col("a") == 1, col("b") == 2, col("c") == 3


class Colour(Enum):
    RED = 1


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (col("size") == 3, "size = 3"),
        (col("size") != 3, "size != 3"),
        (col("size") < 1.5, "size < 1.5"),
        (col("size") <= -3, "size <= -3"),
        (3 < col("size"), "size > 3"),  # noqa: SIM300
        (col("size") >= 1e300, "size >= 1e+300"),
        (col("archived") == True, "archived = true"),  # noqa: E712
        (col("section").isin(["games", "it's"]), "section in ('games', 'it''s')"),
        (~col("section").isin([]), "section not in ()"),
        (col("size").between(1, 2), "size between 1 and 2"),
        (~col("size").between(1, 2), "size not between 1 and 2"),
        (col("size").is_null(), "size is null"),
        (col("size").is_not_null(), "size is not null"),
        (col("tags").contains("x"), "tags contains 'x'"),
        (~col("tags").any_of(["x", "y"]), "not tags any of ('x', 'y')"),
        (col("tags").all_of(["x"]), "tags all of ('x')"),
        (col("name").startswith("lib"), "name startswith 'lib'"),
        (col("extra")["a"][-1]["odd key"] == 1, 'extra.a[-1]."odd key" = 1'),
        (col("extra.in[0].b") == 1, "extra.in[0].b = 1"),
        (col("Order") == 1, "Order = 1"),
        (col("LIKE") == 1, '"LIKE" = 1'),
        (col("added") > date(2024, 5, 1), "added > timestamp '2024-05-01T00:00:00Z'"),
        (A & B & C, "a = 1 and b = 2 and c = 3"),
        (A & (B & C), "a = 1 and b = 2 and c = 3"),
        (A & (B | C), "a = 1 and (b = 2 or c = 3)"),
        ((A & B) | ~C, "(a = 1 and b = 2) or not c = 3"),
        (~(A | B), "not (a = 1 or b = 2)"),
        (~~A, "not (not a = 1)"),
    ],
)
def test_the_text_of_a_tree_reads_back_to_an_equal_tree(expression: Expression, text: str) -> None:
    assert str(expression) == text
    assert parse(text) == expression
    assert hash(parse(text)) == hash(expression)


@pytest.mark.parametrize("condition", [lambda value: col("a") == value, lambda value: col("a").isin([value])])
def test_equal_numbers_of_different_types_make_different_trees(condition: Any) -> None:
    assert len({condition(1), condition(1.0), condition(True)}) == 3
    assert len({condition(1), condition(np.int64(1)), condition(np.uint8(1))}) == 1


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (Level.HIGH, 3),
        (np.datetime64("2024-05-01T10:00:00.123456789"), datetime(2024, 5, 1, 10, 0, 0, 123456, tzinfo=UTC)),
        (pd.Timestamp("2024-05-01T10:00:00.000001234", tz="UTC"), datetime(2024, 5, 1, 10, 0, 0, 1, tzinfo=UTC)),
        (datetime(2024, 5, 1, 10), datetime(2024, 5, 1, 10, tzinfo=UTC)),
        (datetime(2024, 5, 1, 1, tzinfo=timezone(timedelta(hours=2))), datetime(2024, 4, 30, 23, tzinfo=UTC)),
        (date(2024, 5, 1), datetime(2024, 5, 1, tzinfo=UTC)),
    ],
)
def test_values_of_other_libraries_become_plain_python_values(given: Any, kept: Any) -> None:
    expression = col("a") == given

    assert isinstance(expression, Condition)
    assert expression.values == (kept,)
    assert expression.types == (type(kept),)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "nan.*finite"),
        (np.inf, "inf.*finite"),
        (2**64, "65 bits.*float"),
        pytest.param(-(10**5000), "bits.*float", id="5000 digits"),
        (b"bytes", "bytes"),
        ("\ud800", "surrogate"),
        (Colour.RED, "Colour"),
        (np.datetime64("NaT"), "null"),
        (pd.NaT, "NaT|not a"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2))), "years 1 to 9999"),
        (None, r"is_null\(\)"),
        ([1, 2], r"isin"),
        (col("b"), "not a with b"),
    ],
)
def test_values_that_no_field_can_equal_are_refused_with_the_reason(value: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        operator.eq(col("a"), value)


@pytest.mark.parametrize(
    ("misuse", "words"),
    [
        (lambda: bool(A), "& and |"),
        (lambda: A and B, "& and |"),
        (lambda: 1 < col("a") < 3, "between"),
        (lambda: not col("a"), "compare it first"),  # pyright: ignore[reportGeneralTypeIssues]
        (lambda: col("a") & A, "compare it first"),
        (lambda: A & col("a"), "compare it first"),
        (lambda: ~col("a"), "compare it first"),
        (lambda: 1 | col("a"), "parentheses"),
        (lambda: "x" in col("a"), r"contains\('x'\)"),
        (lambda: list(col("a")), "iterated"),
        (lambda: col("a").isin("abc"), "list of values"),
        (lambda: col("a").isin(3), "list of values"),  # type: ignore[arg-type]
        (lambda: col("a").startswith(3), "takes text"),  # type: ignore[arg-type]
        (lambda: col("my field"), "brackets"),
        (lambda: col(""), "not a field name"),
        (lambda: col("a")[True], "text keys and integer positions"),
        (lambda: col("a")[1.5], "text keys and integer positions"),  # type: ignore[index]
        (lambda: Not("a = 1"), "made of filters"),  # type: ignore[arg-type]
        (lambda: And((A,)), "two or more"),
        (lambda: Condition(FieldPath("a"), "between", (1,)), "takes 2 values"),
    ],
)
def test_a_misuse_in_python_says_what_to_write(misuse: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        misuse()


def test_a_numpy_scalar_on_the_left_builds_the_mirrored_condition() -> None:
    assert (np.float64(3.0) < col("a")) == (col("a") > 3.0)


def test_a_field_cannot_be_in_a_set() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(col("a"))


def test_long_chains_are_flat_and_deep_nests_are_refused() -> None:
    chain = reduce(and_, [col("a") == number for number in range(1000)])
    assert isinstance(chain, And)
    assert (len(chain.parts), chain.depth, chain.nodes) == (1000, 2, 1001)

    nest = A
    for level in range(31):
        nest = (nest | B) if level % 2 else (nest & C)
    assert nest.depth == 32
    with pytest.raises(InvalidInputError, match="33 levels deep, more than 32"):
        Not(nest)


def test_too_many_conditions_are_refused_with_a_hint_to_lists() -> None:
    with pytest.raises(InvalidInputError, match=r"1025 conditions.*more than 1024.*one list"):
        reduce(or_, [col("a") == number for number in range(1024)])


def test_a_list_has_at_most_ten_thousand_values() -> None:
    full = col("a").isin(range(10_000))
    assert isinstance(full, Condition)

    assert parse(str(full)) == full
    with pytest.raises(InvalidInputError, match="10001 values, more than 10000"):
        col("a").isin(range(10_001))


def test_a_path_has_at_most_sixty_four_keys() -> None:
    with pytest.raises(InvalidInputError, match="at most 64 keys"):
        col("a" + ".b" * 65)


def test_a_tree_is_immutable_and_its_repr_is_short() -> None:
    with pytest.raises(AttributeError):
        A.path = FieldPath("b")  # type: ignore[attr-defined]
    assert repr(A) == "<Condition a = 1>"
    assert repr(Or((A, B))) == "<Or a = 1 or b = 2>"
    assert repr(col("extra")["a b"]) == "col('extra.\"a b\"')"
    assert len(repr(col("a").isin(range(10_000)))) < 600
