"""Greedy selection by any of the rules, exact, or over samples of the candidates where there are many.

    relevance of the chosen, in units of which every other gain is told:   (1 - balance) * sum of r(s)

    mmr         less balance * the greatest similarity to a row chosen before
    cut         less balance * 3.5 / k * the sum of similarities of all pairs: a candidate that is as similar to some
                3 in 10 of the answer as to itself loses as much as lies between the best relevance and the worst; and
                less 2 * balance for each pair of copies
    facility    plus balance * k * the weighted mean, over the universe, of each one's greatest similarity to a chosen
    saturated   the same with the sum of its similarities, up to half of what k average candidates would bring
    dpp         log det of the similarities, times qualities exp(theta * z), z the relevance in standard deviations,
                theta = (1 - balance) / (2 balance)
    dispersion  plus balance * the mean distance from the other chosen ones, twice

`cut`, `facility` and `saturated` are submodular; as long as no gain is negative (`facility` and `saturated`: always),
greedy selection reaches 1 - 1/e of what the best set of k is worth (Nemhauser, Wolsey, Fisher 1978), and half of it
under upper bounds of one attribute. `mmr` has no objective, `dispersion` is not submodular: no promise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.selection.limits import Limits, State, state_of
from vecdb_index.selection.pool import Pool, base_of, close, to_universe
from vecdb_index.selection.quotas import completable

Name = Literal["mmr", "cut", "facility", "saturated", "dpp", "dispersion"]

SAMPLED = 2_000
"""More candidates than this are sampled, by rules that represent a universe."""
MISSED = 0.1
"""A sample lacks all of the best k candidates with this chance (Mirzasoleiman et al. 2015)."""
SATURATION = 0.5
CROWD = 3.5
COPIES = 2.0
"""See `cut`, above."""
LANES = 16
"""Columns of similarities come in such blocks."""
_EMPTY = np.empty((0, 0), np.float32)


class Rule(NamedTuple):
    """How a set is judged.

    Attributes:
        name: see above.
        balance: from 0, the most relevant, to 1.
        sharpness: the power that similarities are raised to, from 1: the greater, the less do distant rows count.
        baseline: the similarity that counts as none; "median": of the pool; "two_thirds": so that the pool's median
            counts as two thirds at most.

    """

    name: Name
    balance: float
    sharpness: int = 1
    baseline: float | Literal["median", "two_thirds"] = 0.0


class Picked(NamedTuple):
    """The chosen candidates, in the order in which they were chosen.

    Attributes:
        picks: (m,) int64 places in the pool.
        gains: (m,) float64, what each added; for dpp the logarithm.
        ended: why there are no more: "full", "candidates" (none is left that is allowed), "gain" or "bounds" (lower
            bounds are unmet).

    """

    picks: NDArray[np.int64]
    gains: NDArray[np.float64]
    ended: str


def select(
    pool: Pool, rule: Rule, k: int, limits: Limits | None = None, fixed: Sequence[int] = (), exact: bool = False
) -> Picked:
    """Return at most k candidates.

    The same input gives the same answer. Under a budget, what is best of three: candidates by gain, by gain for their
    cost, and the one best candidate that can be paid.

    Args:
        pool: what to choose from.
        rule: how.
        k: how many, at least 1.
        limits: what the set keeps to.
        fixed: places of candidates that are chosen first, whatever the limits say of them.
        exact: look at all candidates, however many there are.

    """
    limits = limits or Limits()
    k = min(k, pool.size)
    if not k:
        return Picked(np.empty(0, np.int64), np.empty(0), "candidates")
    selection = _Selection(pool, rule, k, limits, fixed, exact)
    found = selection.run(np.ones(pool.size))
    if found.ended == "bounds" and len(limits.attributes) > 1:
        completed = completable(limits, found.picks, k)
        if completed is not None and not close(pool, completed, limits.closest):
            fixed = completed
            selection = _Selection(pool, rule, k, limits, fixed, exact)
            found = selection.run(np.ones(pool.size))
    if limits.cost is None or not np.isfinite(limits.budget) or rule.name not in ("cut", "facility", "saturated"):
        return found
    priced = np.maximum(limits.cost, np.min(limits.cost, initial=np.inf, where=limits.cost > 0) / 2)
    others = [selection.run(1 / priced)]
    if not limits.bounded_below and not fixed:
        others.append(_Selection(pool, rule, k, limits, fixed, exact).run(np.ones(pool.size), 1))
    for other in others:
        if (other.ended != "bounds", other.gains.sum()) > (found.ended != "bounds", found.gains.sum()):
            found = other
    return found


class _Selection:
    """One selection, set up."""

    def __init__(self, pool: Pool, rule: Rule, k: int, limits: Limits, fixed: Sequence[int], exact: bool) -> None:
        from vecdb_index.kernels import selection as kernels
        from vecdb_index.kernels.dispersion import disperse
        from vecdb_index.kernels.limits import LOW

        self._kernels, self._disperse, self._low = kernels, disperse, LOW
        self._pool, self._rule, self._k, self._limits = pool, rule, k, limits
        self._fixed = np.asarray(fixed, np.int64)
        self._given = _EMPTY if pool.given is None else pool.given
        self._base = 0.0 if rule.name in ("mmr", "dispersion") else base_of(pool, rule.baseline)
        self._universal = rule.name in ("facility", "saturated")
        self._sampled = self._universal and not exact and pool.size > SAMPLED
        self._relevance = pool.relevance * (1 - rule.balance)
        self._matrix, self._weights, self._cover = _EMPTY, np.empty(0, np.float32), np.empty(0, np.float32)
        if self._universal:
            self._represented()

    def run(self, scale: NDArray[np.float64], most: int | None = None) -> Picked:
        """Return what is chosen, gains multiplied with `scale` when they are compared."""
        count, k = self._pool.size, max(self._k if most is None else most, len(self._fixed))
        state = state_of(self._limits, count)
        picks, gains = np.zeros(k, np.int64), np.zeros(k)
        picks[: len(self._fixed)] = self._fixed
        told = np.array([0, len(self._fixed), k, 0], np.int64)
        taken = np.zeros(count, np.uint8)
        if self._rule.name == "dispersion":
            own = self._rule.balance * 2 / max(1, k - 1)
            self._disperse(
                self._pool.units, self._given, self._relevance, own, *state, picks, gains, told, np.zeros(count), taken
            )
        elif self._sampled:
            self._sample(state, scale, picks, gains, told, taken)
        else:
            heap, line = np.arange(count), np.arange(count)
            self._lazy(state, scale, picks, gains, told, taken, heap, self._matrix, line, self._cover.copy())
        chosen, ended = int(told[0]), ("full", "candidates", "gain", "bounds")[told[3]]
        gains = gains[:chosen]
        if self._rule.name == "dpp":
            gains = np.log(np.maximum(gains, np.finfo(np.float64).tiny))
        return Picked(picks[:chosen], gains, ended)

    def _lazy(
        self,
        state: State,
        scale: NDArray[np.float64],
        picks: NDArray[np.int64],
        gains: NDArray[np.float64],
        told: NDArray[np.int64],
        taken: NDArray[np.uint8],
        heap: NDArray[np.int64],
        matrix: NDArray[np.float32],
        line: NDArray[np.int64],
        cover: NDArray[np.float32],
    ) -> None:
        rule, relevance, own, power = self._number()
        count = self._pool.size
        shape = np.array([own, self._base, power, COPIES * self._k / CROWD])
        factors = np.empty((count, len(picks)) if rule == self._kernels.VOLUME else (0, 0))
        self._kernels.lazy_greedy(
            self._pool.units, self._given, rule, relevance, shape, matrix, line,
            self._weights, cover, scale, *state, picks, gains, told, heap, np.empty(count), np.empty(count),
            np.zeros(count, np.int32), taken, factors,
        )  # fmt: skip

    def _number(self) -> tuple[int, NDArray[np.float64], float, int]:
        """Return the kernel's rule, the relevance in the gain, the weight of what is not, and the power."""
        kernels, rule = self._kernels, self._rule
        if rule.name == "mmr":
            return kernels.MAX, self._relevance, rule.balance, 0
        if rule.name == "cut":
            return kernels.SUM, self._relevance, rule.balance * CROWD / self._k, rule.sharpness
        if rule.name == "dpp":
            return kernels.VOLUME, _qualities(self._pool.relevance, rule.balance), 1.0, rule.sharpness
        return (kernels.FACILITY if rule.name == "facility" else kernels.SATURATED), self._relevance, 1.0, 1

    def _represented(self) -> None:
        """Set up the universe: the weight of each, what is covered, and all similarities unless they are sampled."""
        pool, rule = self._pool, self._rule
        size = pool.size if pool.universe is None else len(pool.universe)
        size = size if pool.reach is None else pool.reach.shape[1]
        width = -(-size // LANES) * LANES
        weights = np.zeros(width)
        if pool.weights is not None:
            weights[:size] = pool.weights
        else:
            weights[:size] = pool.relevance if pool.universe is None else 1.0
        total = np.ones(width)
        if not self._sampled:
            self._matrix = to_universe(pool, slice(None), width, self._base, rule.sharpness)
        self._cover = np.zeros(width, np.float32)
        if rule.name == "saturated":
            step = max(1, pool.size // SAMPLED)
            some = self._matrix if len(self._matrix) else to_universe(
                pool, slice(None, None, step), width, self._base, rule.sharpness
            )  # fmt: skip
            self._cover = (SATURATION * self._k * some.mean(axis=0, dtype=np.float64)).astype(np.float32)
            total = self._cover.astype(np.float64)
        whole = float(weights @ total)
        if whole > 0:
            weights *= rule.balance * self._k / whole
        self._weights = weights.astype(np.float32)

    def _sample(
        self,
        state: State,
        scale: NDArray[np.float64],
        picks: NDArray[np.int64],
        gains: NDArray[np.float64],
        told: NDArray[np.int64],
        taken: NDArray[np.uint8],
    ) -> None:
        """Choose one after the other, each among a sample; where none of that is allowed, among all."""
        count, wanted, cover = self._pool.size, int(told[2]), self._cover.copy()
        rng = np.random.default_rng(0)
        size = math.ceil(count / wanted * math.log(1 / MISSED))
        line = np.zeros(count, np.int64)
        while told[0] < wanted:
            left = np.flatnonzero(taken == 0)
            sample = np.sort(rng.choice(left, size, replace=False)) if size < len(left) else left
            if told[0] < told[1]:
                sample = picks[told[0] : told[0] + 1].copy()
            told[2] = told[0] + 1
            for some in (sample, left):
                line[some] = np.arange(len(some))
                matrix = to_universe(self._pool, some, len(cover), self._base, self._rule.sharpness)
                self._lazy(state, scale, picks, gains, told, taken, some.copy(), matrix, line, cover)
                if told[0] == told[2] or told[3] == self._low:
                    break
            if told[0] < told[2]:
                break


def _qualities(relevance: NDArray[np.float64], balance: float) -> NDArray[np.float64]:
    spread = float(relevance.std())
    if balance >= 1 or spread == 0:
        return np.ones(len(relevance))
    theta = (1 - balance) / (2 * max(balance, 1e-3))
    return np.exp(theta * (relevance - relevance.max()) / spread)
