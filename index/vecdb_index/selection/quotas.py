"""Lower bounds over several attributes: a set that meets all of them, where greedy choices ran into a dead end.

One attribute needs none of this: as long as the places that are left are as many as its unmet bounds, it can be met.
With several a choice for one bound can use up what another needs. Whether a set can be completed is then searched for,
group by group, over kinds of candidates: all that are in the same groups are one kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vecdb_index.selection.limits import Limits, state_of

STEPS = 50_000
"""Steps of a search, after which bounds count as impossible to meet."""


def completable(limits: Limits, picks: NDArray[np.int64], k: int) -> list[int] | None:
    """Return the picks from the first on that can still be completed, and candidates that complete them.

    None where no set of at most k candidates meets the bounds.
    """
    least, most, found = -1, len(picks), None
    # What a part of a list rules out, a longer part does too.
    while least < most:
        middle = (least + most + 1) // 2
        added = completion(limits, picks[:middle].tolist(), k)
        if added is None:
            most = middle - 1
            if middle == 0:
                return None
        else:
            least, found = middle, [*picks[:middle].tolist(), *added]
    return found


def completion(limits: Limits, chosen: Sequence[int], k: int) -> list[int] | None:
    """Return candidates that, with the chosen, meet all lower bounds, at most k in all; None where there are none."""
    count = len(limits.attributes[0].codes)
    state = state_of(limits, count)
    kinds: dict[tuple[int, ...], list[int]] = defaultdict(list)
    taken = set(chosen)
    # The cheapest first, then the most relevant.
    for at in np.argsort(state.cost, kind="stable").tolist():
        if at not in taken:
            kinds[tuple(state.codes[:, at].tolist())].append(at)
    counts = [0] * len(state.low)
    for at in chosen:
        for group in state.codes[:, at].tolist():
            if group >= 0:
                counts[group] += 1
    search = _Search(state.low.tolist(), state.high.tolist(), dict(kinds), state.cost)
    if any(have > most for have, most in zip(counts, search.high, strict=True)):
        return None
    left = float(limits.budget) - float(sum(state.cost[at] for at in chosen))
    return search.complete(counts, k - len(chosen), left) if left >= 0 else None


class _Search:
    """A search with what has failed remembered."""

    def __init__(
        self,
        low: list[int],
        high: list[int],
        kinds: dict[tuple[int, ...], list[int]],
        cost: NDArray[np.float64],
    ) -> None:
        self.low, self.high, self._kinds, self._cost = low, high, kinds, cost
        self._used: dict[tuple[int, ...], int] = dict.fromkeys(kinds, 0)
        self._failed: set[tuple[tuple[int, ...], int]] = set()
        self._steps = 0

    def complete(self, counts: list[int], places: int, left: float) -> list[int] | None:
        """Return what meets the bounds that are unmet."""
        unmet = [group for group, least in enumerate(self.low) if counts[group] < least]
        if not unmet:
            return []
        self._steps += 1
        known = (tuple(self._used.values()), places)
        if places <= 0 or self._steps > STEPS or known in self._failed:
            return None
        options = {group: self._options(group, counts) for group in unmet}
        group = min(unmet, key=lambda one: len(options[one]))
        wanted = set(unmet)
        for kind in sorted(options[group], key=lambda one: -len(wanted.intersection(one))):
            at = self._kinds[kind][self._used[kind]]
            if self._cost[at] > left:
                continue
            self._used[kind] += 1
            more = list(counts)
            for one in kind:
                if one >= 0:
                    more[one] += 1
            rest = self.complete(more, places - 1, left - float(self._cost[at]))
            self._used[kind] -= 1
            if rest is not None:
                return [at, *rest]
        self._failed.add(known)
        return None

    def _options(self, group: int, counts: list[int]) -> list[tuple[int, ...]]:
        """Return the kinds of candidates in a group that may be added."""
        return [
            kind
            for kind, members in self._kinds.items()
            if group in kind
            and self._used[kind] < len(members)
            and all(one < 0 or counts[one] < self.high[one] for one in kind)
        ]
