"""Path pooling by hand: Path Pooling, Training-Free Structure Enhancement for Knowledge Graph RAG (2025)."""

import pytest

from vecdb_index.graph.pooling import pool_paths

# A question about a. Scores of the facts: a -> b 0.2, b -> c 0.8, a -> d 0.6, x -> y 0.5, e -> a 0.4
HEADS, TAILS, SCORES = ["a", "b", "a", "x", "e"], ["b", "c", "d", "y", "a"], [0.2, 0.8, 0.6, 0.5, 0.4]


def test_scores_are_those_worked_out_by_hand():
    pooled = pool_paths(HEADS, TAILS, SCORES, ["a"], a=2.0)
    # The least score is 0.2, so the bonus is 0.2 / 2i: 0.1 at the first place of a path, 0.05 at the second.
    # a -> b alone: 0.2 + 0.1 = 0.3; at the first place of a -> b -> c, whose mean is 0.5: 0.6, which is more.
    # b -> c is on that path only, at its second place: 0.55, less than its own score.
    # a -> d: 0.6 + 0.1. x -> y, on no path: 0.5 + 0.1. e -> a, followed against its direction: 0.4 + 0.1.
    assert pooled.scores == pytest.approx([0.6, 0.55, 0.7, 0.6, 0.5])
    assert pooled.paths == [(0, 1), (0, 1), (2,), (3,), (4,)]


def test_of_shortest_paths_the_one_with_the_greatest_scores_is_gone_on_from():
    pooled = pool_paths(["a", "a", "m", "n", "z"], ["m", "n", "z", "z", "y"], [0.1, 0.3, 0.9, 0.9, 0.5], ["a"])
    assert pooled.paths[4] == (1, 3, 4)
    assert pooled.paths[2] == (0, 2)


def test_scores_below_zero_are_lifted():
    lifted = pool_paths(HEADS, TAILS, [score - 1 for score in SCORES], ["a"])
    # lifted by 0.8, the least is 0: no bonus is left, and means are those of the lifted scores
    assert lifted.scores == pytest.approx([0.3, 0.3, 0.4, 0.3, 0.2])


def test_no_facts_give_no_scores():
    assert pool_paths([], [], [], ["a"]).paths == []


def test_entities_that_no_fact_has_change_nothing():
    assert pool_paths(HEADS, TAILS, SCORES, ["q"]).scores == pytest.approx([0.25, 0.85, 0.65, 0.55, 0.45])
