"""The paired tests, against what is known of them."""

import itertools

import numpy as np
import pytest

from vecdb.errors import InvalidInputError
from vecdb.evaluation.paired import compared


def test_the_randomisation_test_counts_all_ways_of_swapping() -> None:
    first, second = np.array([0.1, 0.5, 0.2, 0.4, 0.3]), np.array([0.4, 0.4, 0.9, 0.6, 0.35])
    apart = second - first
    swapped = [np.mean(apart * signs) for signs in itertools.product((1, -1), repeat=5)]
    expected = np.mean(np.abs(swapped) >= abs(apart.mean()) - 1e-12)

    told = compared("nDCG@10", ("a", first), ("b", second))

    assert told.p_value == pytest.approx(expected)
    assert told.difference == pytest.approx(apart.mean())
    assert told.low <= told.difference <= told.high
    assert (told.better, told.worse, told.equal) == (4, 1, 0)


def test_the_t_test_has_the_interval_of_its_textbook_formula() -> None:
    apart = np.array([0.2, -0.1, 0.4, 0.3, 0.1, 0.2])

    told = compared("RR", ("a", np.zeros(6)), ("b", apart), "t")

    half = 2.570582 * apart.std(ddof=1) / np.sqrt(6)  # the 97.5 % point of t with 5 degrees of freedom
    assert (told.low, told.high) == pytest.approx((apart.mean() - half, apart.mean() + half), abs=1e-6)


def test_both_tests_find_a_difference_that_is_there_and_none_in_noise() -> None:
    rng = np.random.default_rng(5)
    first = rng.random(80)
    noise, better = first + rng.normal(0, 0.1, 80), first + rng.normal(0.1, 0.1, 80)

    for test in ("randomisation", "t"):
        assert compared("m", ("a", first), ("b", better), test).p_value < 0.001
        assert compared("m", ("a", first), ("b", noise), test).p_value > 0.05


def test_equal_answers_differ_by_nothing() -> None:
    told = compared("m", ("a", np.ones(4)), ("b", np.ones(4)))

    assert (told.difference, told.low, told.high, told.p_value, told.equal) == (0, 0, 0, 1, 4)


def test_one_question_is_no_comparison() -> None:
    with pytest.raises(InvalidInputError, match="give two at least"):
        compared("m", ("a", np.ones(1)), ("b", np.ones(1)))
