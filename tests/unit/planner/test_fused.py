"""The rows of several arms in one order: as many of it as are wanted are the first of all, whatever ties."""

from typing import Any, cast

import numpy as np
import pytest

from vecdb.planner.candidates import Candidates
from vecdb.planner.fused import fused
from vecdb.query.fusion import Fusion, Interleave, Rrf, WeightedSum
from vecdb.storage.snapshot import Part


class _Ids:
    """A part of which only ids are asked: they fall while rows rise, so an order by row is told from one by id."""

    def ids_of(self, rows: np.ndarray) -> list[int]:
        return [1000 - row for row in rows.tolist()]


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("fusion", [Rrf(), Interleave(), WeightedSum((0.5, 0.5), "none")])
@pytest.mark.parametrize("levels", [1, 2, 500])
def test_the_best_of_several_arms_are_the_first_of_all(parts: int, fusion: Fusion, levels: int) -> None:
    rng = np.random.default_rng(levels)
    held = cast("list[Part]", [_Ids() for _ in range(parts)])

    def arm() -> Candidates:
        keys = rng.permutation(300)[:200]
        score = np.sort(rng.integers(1, levels + 1, 200).astype(np.float32))[::-1].copy()
        return Candidates(held, keys % parts, keys // parts, score)

    arms: tuple[Any, ...] = held, fusion, [arm(), arm()], ["one", "two"], [None, 0.0]
    every = fused(*arms)
    order = list(zip((-every.score).tolist(), [f"{one:04d}" for one in every.ids()], strict=True))

    for k in (1, 11, 150, 1000):
        best = fused(*arms, k=k)
        assert best.keys.tolist() == every.keys[:k].tolist()
        assert best.score.tolist() == every.score[:k].tolist()
        for one, other in zip(best.arms, every.arms, strict=True):
            assert np.array_equal(one.ranks, other.ranks[:k])
            assert np.array_equal(one.scores, other.scores[:k], equal_nan=True)
    assert [score for score, _ in order] == sorted(score for score, _ in order)
    if parts == 1:
        assert order == sorted(order)
