"""Path pooling by hand: Path Pooling, Training-Free Structure Enhancement for Knowledge Graph RAG (2025)."""

import pytest

from vecdb_index.graph.pooling import pool_paths

# A question about a. Scores of the facts: a -> b 0.2, b -> c 0.8, a -> d 0.6, x -> y 0.5, e -> a 0.4
HEADS, TAILS, SCORES = ["a", "b", "a", "x", "e"], ["b", "c", "d", "y", "a"], [0.2, 0.8, 0.6, 0.5, 0.4]


def test_scores_are_those_worked_out_by_hand():
    pooled = pool_paths(HEADS, TAILS, SCORES, ["a"], a=2.0)
    # The least score is 0.2, so the bonus is 0.2 / 2i: 0.1 at the first place of a path, 0.05 at the second.
    # a -> b alone: 0.2 + 0.1 = 0.3; on a -> b -> c: mean 0.5, first place: 0.6, which is more.
    # b -> c alone: 0.8 + 0.1 = 0.9; second on a -> b -> c: 0.5 + 0.05, which is less.
    # a -> d: 0.6 + 0.1. x -> y, on no path: 0.5 + 0.1. e -> a, a path back: 0.4 + 0.1.
    assert pooled.scores == pytest.approx([0.6, 0.9, 0.7, 0.6, 0.5])
    assert pooled.paths == [(0, 1), (1,), (2,), (3,), (4,)]


def test_of_shortest_paths_the_one_with_the_greatest_scores_counts():
    pooled = pool_paths(["a", "a", "m", "n"], ["m", "n", "z", "z"], [0.1, 0.3, 0.9, 0.9], ["a"])
    assert pooled.paths[1] == (1, 3)
    assert pooled.paths[0] == (0,)


def test_scores_below_zero_are_lifted():
    lifted = pool_paths(HEADS, TAILS, [score - 1 for score in SCORES], ["a"])
    # lifted by 0.8, the least is 0: no bonus is left, and means are those of the lifted scores
    assert lifted.scores == pytest.approx([0.3, 0.6, 0.4, 0.3, 0.2])


def test_no_facts_give_no_scores():
    assert pool_paths([], [], [], ["a"]).paths == []


def test_entities_that_no_fact_has_change_nothing():
    assert pool_paths(HEADS, TAILS, SCORES, ["q"]).scores == pytest.approx([0.25, 0.85, 0.65, 0.55, 0.45])
