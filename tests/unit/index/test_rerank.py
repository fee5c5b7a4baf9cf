"""Pruning and early exit, against the rules written out one candidate at a time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecdb_index.multivector.rerank import pruned, until_no_better

scores = st.lists(st.integers(-5, 5) | st.just(-np.inf), max_size=40).map(lambda given: np.array(given, np.float32))


@given(scores, st.integers(1, 6), st.integers(1, 6))
def test_scoring_ends_where_the_rule_says_and_no_candidate_is_scored_beyond(
    given: np.ndarray, k: int, patience: int
) -> None:
    asked: list[int] = []

    def score(first: int, last: int) -> np.ndarray:
        asked.extend(range(first, last))
        return given[first:last]

    found = until_no_better(score, len(given), k, patience)

    best: list[float] = []
    stalls, end = 0, len(given)
    for at, one in enumerate(given.tolist()):
        if len(best) < k:
            best = sorted([*best, one]) if one > -np.inf else best
            continue
        if one > best[0]:
            best, stalls = sorted([*best[1:], one]), 0
        else:
            stalls += 1
        if stalls == patience:
            end = at + 1
            break
    assert found.tolist() == given[:end].tolist()
    assert asked == list(range(end))


@given(scores, st.integers(1, 6))
def test_endless_patience_scores_all(given: np.ndarray, k: int) -> None:
    assert len(until_no_better(lambda first, last: given[first:last], len(given), k, 1000)) == len(given)


def test_candidates_worse_than_the_kth_by_more_than_a_share_of_it_are_pruned() -> None:
    falling = np.array([10, 8, 7.7, 7.6, 4, 0, -3], np.float32)
    assert pruned(falling, 2, 0.0) == 2
    assert pruned(falling, 2, 0.05) == 4
    assert pruned(falling, 2, 0.5) == 5
    assert pruned(falling, 2, 1.0) == 6
    assert pruned(falling, 2, 10.0) == 7
    assert pruned(falling, 7, 0.0) == 7


def test_below_zero_the_threshold_lies_lower_too() -> None:
    falling = np.array([-1, -2, -2.1, -2.4, -9], np.float32)
    assert pruned(falling, 2, 0.1) == 3
    assert pruned(falling, 2, 0.0) == 2


@pytest.mark.parametrize("order", [[1, 2, 3], [3, 1, 2]])
def test_scores_in_another_order_prune_nothing(order: list[float]) -> None:
    assert pruned(np.array(order, np.float32), 1, 0.0) == 3
