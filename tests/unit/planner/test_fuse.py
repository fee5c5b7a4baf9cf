"""Rankings made into one: examples worked out by hand."""

import numpy as np
import pytest

from vecdb.planner.fuse import Fused, Ranking, fuse
from vecdb.query.fusion import AutoFusion, Fusion, Interleave, Rrf, WeightedSum

A, B, C, D, E = range(5)


def ranked(rest: float | None = None, /, **scores: float) -> Ranking:
    """Return the ranking of rows named A to E, given best first."""
    keys = np.array(["ABCDE".index(name) for name in scores], np.int64)
    return Ranking(keys, np.array(list(scores.values()), np.float32), rest)


def in_words(found: Fused) -> str:
    return "".join("ABCDE"[key] for key in found.keys)


def test_rrf_sums_reciprocal_ranks() -> None:
    # The dense arm has A B C, the words C A D.
    found = fuse([ranked(A=0.9, B=0.8, C=0.1), ranked(C=7.0, A=6.0, D=1.0)], Rrf(k=60))

    assert found.keys.tolist() == [A, C, B, D]
    np.testing.assert_array_equal(
        found.scores, np.array([1 / 61 + 1 / 62, 1 / 63 + 1 / 61, 1 / 62, 1 / 63], np.float32)
    )
    assert found.ranks.tolist() == [[1, 2], [3, 1], [2, 0], [0, 3]]
    np.testing.assert_array_equal(found.arm_scores, np.array([[0.9, 6], [0.1, 7], [0.8, np.nan], [np.nan, 1]], "f4"))


def test_rrf_weights_its_arms() -> None:
    arms = [ranked(A=1.0, B=0.5), ranked(B=9.0, A=1.0), ranked(C=3.0)]

    found = fuse(arms, Rrf(k=1, weights=(1, 2, 3)))

    assert found.keys.tolist() == [C, B, A]
    np.testing.assert_allclose(found.scores, [3 / 2, 1 / 3 + 2 / 2, 1 / 2 + 2 / 3], rtol=1e-6)


def test_arms_take_turns_and_the_first_of_each_is_among_the_first() -> None:
    arms = [ranked(A=3.0, B=2.0, C=1.0), ranked(A=9.0, D=8.0, E=7.0)]

    found = fuse(arms, Interleave())

    # The second arm's first row is taken when its turn comes, so that it brings D.
    assert in_words(found) == "ADBEC"
    np.testing.assert_array_equal(found.scores, np.array([1, 1 / 2, 1 / 3, 1 / 4, 1 / 5], np.float32))


def test_a_heavier_arm_begins_and_has_more_turns() -> None:
    arms = [ranked(A=1.0), ranked(B=9.0, C=8.0, D=7.0, E=6.0)]

    assert in_words(fuse(arms, Interleave(weights=(1, 2)))) == "BCADE"
    assert in_words(fuse(arms, Interleave(weights=(1, 0)))) == "A"


@pytest.mark.parametrize(
    ("fusion", "expected"),
    [
        # The first list from 0 to 1: A 1, B .75, C 0; the second: C 1, D 1/3, A 0.
        (WeightedSum(weights=(1, 2)), {C: 2.0, A: 1.0, B: 0.75, D: 2 / 3}),
        # A row that is not listed counts as the last one: B 3 in the second, D .2 in the first.
        (WeightedSum(normalise="none"), {C: 9.2, D: 5.2, A: 4.0, B: 3.8}),
        # The second list has the mean 17 / 3 and the deviation sqrt(56) / 3.
        (WeightedSum(weights=(0, 1), normalise="zscore"), {C: 10 / 56**0.5, D: -2 / 56**0.5, A: -8 / 56**0.5}),
    ],
)
def test_scores_are_made_comparable_and_added(fusion: Fusion, expected: dict[int, float]) -> None:
    arms = [ranked(A=1.0, B=0.8, C=0.2), ranked(C=9.0, D=5.0, A=3.0)]

    found = fuse(arms, fusion)

    assert found.keys.tolist() == list(expected)
    assert found.scores.tolist() == pytest.approx(list(expected.values()))


def test_what_no_row_of_a_whole_list_has_counts_as_its_rest() -> None:
    arms = [ranked(A=-1.0, B=-4.0), ranked(0.0, C=2.0)]

    found = fuse(arms, WeightedSum(normalise="none"))

    assert dict(zip(found.keys.tolist(), found.scores.tolist(), strict=True)) == {A: -1.0, C: -2.0, B: -4.0}


def test_calibrated_scores_are_powers_of_e_rarer_than_the_last() -> None:
    ranks = np.arange(1, 101)
    # Rank r of n lies theta * ln(n / r) above the last: what an exponential tail is expected to show.
    scores = (5 + 0.3 * np.log(100 / ranks)).astype(np.float32)
    alone = fuse([Ranking(np.arange(100), scores)], WeightedSum(normalise="calibrated"))

    np.testing.assert_allclose(alone.scores, np.log(100 / ranks), atol=1e-4)


def test_auto_counts_an_arm_by_how_far_its_best_row_stands_out() -> None:
    flat = np.linspace(0.5, 0.4, 100).astype(np.float32)
    sharp = np.concatenate([[9.0, 8.9], np.linspace(1, 0.5, 98)]).astype(np.float32)
    dense, words = Ranking(np.arange(100), flat), Ranking(np.arange(99, -1, -1), sharp)

    found = fuse([dense, words], AutoFusion())

    assert found.keys[:2].tolist() == [99, 98]
    assert fuse([dense, words], Rrf()).keys[0] in (0, 99)
    z = [(scores[0] - scores.mean(dtype=np.float64)) / scores.std(dtype=np.float64) for scores in (flat, sharp)]
    assert found.scores[0] == pytest.approx(z[1] / sum(z), rel=1e-5)


def test_auto_gives_the_row_that_all_arms_find_best_a_score_of_1() -> None:
    found = fuse([ranked(A=0.9, B=0.3, C=0.1), ranked(A=9.0, C=3.0, D=1.0)], AutoFusion())

    assert found.keys[0] == A
    assert found.scores[0] == pytest.approx(1)
    assert (found.scores >= 0).all()


def test_auto_puts_a_lone_match_of_all_that_match_above_rows_that_do_not_stand_out() -> None:
    dense = Ranking(np.arange(1, 101), np.linspace(0.5, 0.4, 100).astype(np.float32))

    assert fuse([dense, ranked(0.0, A=2.0)], AutoFusion()).keys[0] == A


@pytest.mark.parametrize("fusion", [Rrf(), Interleave(), WeightedSum(), AutoFusion()])
def test_no_rows_and_no_arms_are_no_harm(fusion: Fusion) -> None:
    nothing, something = ranked(), ranked(B=0.5)

    assert len(fuse([nothing, nothing], fusion).keys) == 0
    assert fuse([nothing, nothing], fusion).ranks.shape == (0, 2)
    assert len(fuse([], fusion).keys) == 0
    assert fuse([nothing, something], fusion, 5).keys.tolist() == [B]
    assert fuse([nothing, something], fusion, 5).ranks.tolist() == [[0, 1]]


@pytest.mark.parametrize("normalise", ["minmax", "zscore", "calibrated"])
def test_in_a_list_of_one_score_all_rows_are_worth_the_same(normalise: str) -> None:
    found = fuse([ranked(A=2.0, B=2.0), ranked(B=1.0, C=0.0)], WeightedSum(normalise=normalise))

    assert found.keys[0] == B
    assert found.scores[1] - found.scores[2] > 0


def test_scores_without_end_do_no_harm() -> None:
    far = Ranking(np.array([A, B]), np.array([-1.0, -np.inf], np.float32))

    for fusion in (WeightedSum(), WeightedSum(normalise="zscore"), WeightedSum(normalise="none"), AutoFusion()):
        found = fuse([far, ranked(B=1.0, C=0.5)], fusion)
        assert not np.isnan(found.scores).any()
        assert found.ranks[found.keys == B].tolist() == [[2, 1]]


def test_ties_are_ordered_by_name_and_by_key_where_there_is_none() -> None:
    # A leads the first arm and B the second: one score, one best rank.
    arms, asked = [ranked(B=1.0, C=0.5), ranked(A=1.0, D=0.5)], []

    def names(keys: np.ndarray) -> list[str]:
        asked.append(keys.tolist())
        return ["zyxwv"[key] for key in keys]

    assert in_words(fuse(arms, Rrf())) == "ABCD"
    assert in_words(fuse(arms, Rrf(), 4, names)) == "BADC"
    assert in_words(fuse(arms, Rrf(), 1, names)) == "B"
    assert asked == [[A, B], [C, D], [A, B]]


def test_of_equal_scores_the_better_best_rank_comes_first() -> None:
    arms = [ranked(B=4.0, A=3.0, C=0.0), ranked(C=9.0, A=3.0, B=2.0)]

    found = fuse(arms, WeightedSum(normalise="none"))

    assert found.scores.tolist() == [9.0, 6.0, 6.0]
    assert in_words(found) == "CBA"


def test_an_arm_of_weight_0_brings_no_rows_and_is_still_told() -> None:
    arms = [ranked(A=3.0, B=1.0), ranked(C=9.0, B=8.0)]

    found = fuse(arms, Rrf(weights=(1, 0)))

    assert found.keys.tolist() == [A, B]
    assert found.ranks.tolist() == [[1, 0], [2, 2]]
    assert found.arm_scores[1].tolist() == [1.0, 8.0]
