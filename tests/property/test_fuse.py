"""Laws of fusion: kernels equal a plain twin; what rows are called and in which order arms come changes nothing."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecdb.planner.fuse import Fused, Ranking, fuse
from vecdb.query.fusion import AutoFusion, Fusion, Interleave, Rrf, WeightedSum

SUMS = [
    Rrf(),
    Rrf(k=0),
    *(WeightedSum(normalise=each) for each in ("minmax", "zscore", "calibrated", "none")),
    AutoFusion(),
]
SCORES = st.floats(-1e3, 1e3, width=32).map(lambda score: score + 0.0)
EQUAL_ONES = st.sampled_from([0.0, 1.0, 2.0, 2.5])


@st.composite
def rankings(draw: Any, arms: int | None = None) -> list[Ranking]:
    """Return rankings of rows 0 to 60; some of one score, some whole."""
    found = []
    for _ in range(draw(st.integers(1, 4)) if arms is None else arms):
        keys = draw(st.lists(st.integers(0, 60), unique=True, max_size=45))
        scores = draw(st.lists(draw(st.sampled_from([SCORES, EQUAL_ONES])), min_size=len(keys), max_size=len(keys)))
        falling = np.array(sorted(scores, reverse=True), np.float32)
        whole = draw(st.booleans()) and all(score > 0 for score in scores)
        found.append(Ranking(np.array(keys, np.int64), falling, 0.0 if whole else None))
    return found


def of_one_arm(arm: Ranking, fusion: Fusion) -> tuple[np.ndarray, float]:
    """Return what the rows of an arm are worth, and one that it lacks, written as the definitions read."""
    scores, n = arm.scores.astype(np.float64), len(arm.keys)
    if isinstance(fusion, Rrf):
        return 1 / (fusion.k + np.arange(1, n + 1)), 0.0
    if n == 0:
        return scores, 0.0
    lowest = scores[-1]
    if isinstance(fusion, AutoFusion):
        floor = lowest if arm.rest is None else min(lowest, arm.rest)
        padded = scores if arm.rest is None else np.concatenate([scores, [floor] * (50 - n)])
        if scores[0] > floor:
            z = (scores[0] - padded.mean()) / padded.std()
            return z * (scores - floor) / (scores[0] - floor), 0.0
        return np.ones(n), 0.0
    assert isinstance(fusion, WeightedSum)
    if fusion.normalise == "none":
        return scores, lowest if arm.rest is None else arm.rest
    if scores[0] == lowest:
        return np.ones(n), 0.0
    if fusion.normalise == "minmax":
        return (scores - lowest) / (scores[0] - lowest), 0.0
    if fusion.normalise == "zscore":
        return (scores - scores.mean()) / scores.std(), (lowest - scores.mean()) / scores.std()
    behind = range(min(10, n // 3), n - 1)
    fallen = sum(scores[at] - lowest for at in behind)
    if fallen == 0:
        return (scores - lowest) / (scores[0] - lowest) * math.log(n), 0.0
    unit = sum(math.log(n / (at + 1)) for at in behind) / fallen
    return (scores - lowest) * min(unit, 1e6 / (scores[0] - lowest)), 0.0


def twin(arms: list[Ranking], fusion: Fusion, weights: tuple[float, ...]) -> dict[int, tuple[float, int]]:
    """Return key -> (score, best rank)."""
    worth, absent = zip(*(of_one_arm(arm, fusion) for arm in arms), strict=True)
    best = sum(part[0] for part in worth if len(part)) if isinstance(fusion, AutoFusion) else 1
    sums, ranks = {}, {}
    for key in {key for arm, weight in zip(arms, weights, strict=True) if weight for key in arm.keys.tolist()}:
        sums[key], ranks[key] = 0.0, math.inf
        for arm, weight, part, without in zip(arms, weights, worth, absent, strict=True):
            at = np.flatnonzero(arm.keys == key)
            sums[key] += weight * (part[at[0]] if len(at) else without) / best
            ranks[key] = min(ranks[key], at[0] + 1) if weight and len(at) else ranks[key]
    return {key: (sums[key], ranks[key]) for key in sums}


def with_weights(fusion: Fusion, weights: tuple[float, ...]) -> Fusion:
    match fusion:
        case Rrf():
            return Rrf(fusion.k, weights)
        case WeightedSum():
            return WeightedSum(weights, fusion.normalise)
        case Interleave():
            return Interleave(weights)
    return fusion


def equal(one: Fused, other: Fused) -> bool:
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("fusion", SUMS, ids=repr)
@settings(deadline=None, max_examples=40)
@given(arms=rankings(), data=st.data())
def test_the_kernels_equal_their_plain_twin(fusion: Fusion, arms: list[Ranking], data: st.DataObject) -> None:
    weights = (1.0,) * len(arms)
    if not isinstance(fusion, AutoFusion):
        weights = tuple(
            data.draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=len(arms), max_size=len(arms)))
        )
        fusion = with_weights(fusion, weights) if any(weights) else fusion
        weights = weights if any(weights) else (1.0,) * len(arms)

    found = fuse(arms, fusion)

    expected = twin(arms, fusion, weights)
    assert sorted(found.keys.tolist()) == sorted(expected)
    np.testing.assert_allclose(found.scores, [expected[key][0] for key in found.keys.tolist()], rtol=2e-5, atol=2e-5)
    order = [
        (-score, expected[key][1], key) for score, key in zip(found.scores.tolist(), found.keys.tolist(), strict=True)
    ]
    assert order == sorted(order)
    for at, arm in enumerate(arms):
        told = {
            key: (rank + 1, score)
            for rank, (key, score) in enumerate(zip(*map(np.ndarray.tolist, arm[:2]), strict=True))
        }
        for row, key in enumerate(found.keys.tolist()):
            rank, score = told.get(key, (0, None))
            assert found.ranks[row, at] == rank
            assert found.arm_scores[row, at] == score if score is not None else np.isnan(found.arm_scores[row, at])


@pytest.mark.parametrize("fusion", [*SUMS, Interleave()], ids=repr)
@settings(deadline=None, max_examples=40)
@given(arms=rankings(), k=st.integers(1, 80))
def test_the_k_best_are_the_first_of_all(fusion: Fusion, arms: list[Ranking], k: int) -> None:
    whole = fuse(arms, fusion)

    assert equal(fuse(arms, fusion, k), whole.some(slice(k)))


@pytest.mark.parametrize("fusion", SUMS, ids=repr)
@settings(deadline=None, max_examples=40)
@given(arms=rankings(), data=st.data())
def test_the_order_of_the_arms_changes_no_bit(fusion: Fusion, arms: list[Ranking], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(arms))))
    weights = tuple(data.draw(st.lists(st.sampled_from([0.3, 1.0, 1.7]), min_size=len(arms), max_size=len(arms))))

    one = fuse(arms, with_weights(fusion, weights))
    other = fuse([arms[at] for at in order], with_weights(fusion, tuple(weights[at] for at in order)))

    assert equal(Fused(one.keys, one.scores, one.ranks[:, order], one.arm_scores[:, order]), other)


@pytest.mark.parametrize("fusion", [*SUMS, Interleave()], ids=repr)
@settings(deadline=None, max_examples=40)
@given(arms=rankings(), k=st.integers(1, 80), seed=st.integers(0, 1000))
def test_rows_are_found_whatever_they_are_called(fusion: Fusion, arms: list[Ranking], k: int, seed: int) -> None:
    # As if the same rows lay in other segments: their keys are others, their ids are the same.
    called = np.random.default_rng(seed).choice(2**62, 61, replace=False)
    back = {int(key): row for row, key in enumerate(called)}
    moved = [Ranking(called[arm.keys], arm.scores, arm.rest) for arm in arms]

    one = fuse(arms, fusion, k, lambda keys: keys.tolist())
    other = fuse(moved, fusion, k, lambda keys: [back[key] for key in keys.tolist()])

    assert equal(one, Fused(np.array([back[key] for key in other.keys.tolist()], np.int64), *other[1:]))


@pytest.mark.parametrize(
    "fusion", [*(each for each in SUMS if not isinstance(each, AutoFusion)), Interleave()], ids=repr
)
@settings(deadline=None, max_examples=40)
@given(arms=rankings(arms=3))
def test_an_arm_of_weight_0_is_as_good_as_gone(fusion: Fusion, arms: list[Ranking]) -> None:
    without = fuse(arms[:2], with_weights(fusion, (1.0, 2.0)))

    found = fuse(arms, with_weights(fusion, (1.0, 2.0, 0.0)))

    assert equal(without, Fused(found.keys, found.scores, found.ranks[:, :2], found.arm_scores[:, :2]))


@pytest.mark.parametrize("fusion", [*SUMS, Interleave()], ids=repr)
@settings(deadline=None, max_examples=40)
@given(arm=rankings(arms=1))
def test_one_arm_keeps_its_order_and_equal_inputs_give_equal_outputs(fusion: Fusion, arm: list[Ranking]) -> None:
    found = fuse(arm, fusion)

    ranks = found.ranks[:, 0].tolist()
    tied_in_arm = {rank for rank, tied in enumerate(arm[0].scores[1:] == arm[0].scores[:-1], start=2) if tied}
    assert ranks == list(range(1, len(arm[0].keys) + 1)) or tied_in_arm
    assert equal(found, fuse([Ranking(arm[0].keys.copy(), arm[0].scores.copy(), arm[0].rest)], fusion))


@settings(deadline=None, max_examples=40)
@given(arms=rankings(arms=2), scale=st.sampled_from([0.25, 2.0, 64.0]), shift=st.sampled_from([-8.0, 0.0, 16.0]))
def test_auto_does_not_depend_on_the_unit_of_an_arms_scores(arms: list[Ranking], scale: float, shift: float) -> None:
    cut = [Ranking(arm.keys, np.round(arm.scores), None) for arm in arms]
    other = [cut[0], Ranking(cut[1].keys, (cut[1].scores * np.float32(scale) + np.float32(shift)), None)]

    one, two = fuse(cut, AutoFusion()), fuse(other, AutoFusion())

    assert sorted(one.keys.tolist()) == sorted(two.keys.tolist())
    scores = dict(zip(two.keys.tolist(), two.scores.tolist(), strict=True))
    np.testing.assert_allclose(one.scores, [scores[key] for key in one.keys.tolist()], rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(arms=rankings())
def test_turns_bring_the_first_of_every_arm_first(arms: list[Ranking]) -> None:
    found = fuse(arms, Interleave())

    firsts = {int(arm.keys[0]) for arm in arms if len(arm.keys)}
    assert firsts <= set(found.keys[: len(arms)].tolist())
    np.testing.assert_array_equal(found.scores, (1 / np.arange(1, len(found.keys) + 1)).astype(np.float32))
