"""What a set of candidates may be: how many of each group, what it may cost, how similar two may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

UNLIMITED = np.iinfo(np.int32).max


class Attribute(NamedTuple):
    """The groups of one attribute, and how many of each there may be.

    Attributes:
        codes: (n,) int32, each candidate's group, -1: in none.
        low: (g,) int32, how many of a group there have to be.
        high: (g,) int32, how many there may be.

    """

    codes: NDArray[np.int32]
    low: NDArray[np.int32]
    high: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a selection keeps to.

    Attributes:
        attributes: in which groups candidates are, and how many of each there may be.
        cost: (n,) float64, at least 0; None: nothing costs anything.
        budget: what the chosen may cost together.
        closest: candidates as similar as this to a chosen one are left out; above 1: none.
        floor: no candidate is added whose gain is below this share of the first one's, once lower bounds are met.

    """

    attributes: Sequence[Attribute] = ()
    cost: NDArray[np.float64] | None = None
    budget: float = np.inf
    closest: float = 2.0
    floor: float = 0.0
    kinds: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        """Number the groups over all attributes."""
        sizes = [len(one.low) for one in self.attributes]
        object.__setattr__(self, "kinds", np.repeat(np.arange(len(sizes), dtype=np.float64), sizes))

    @property
    def bounded_below(self) -> bool:
        """Whether some group has to have a member."""
        return any((one.low > 0).any() for one in self.attributes)


class State(NamedTuple):
    """The limits as kernels take them (kernels/selection.py), with what is left of them."""

    codes: NDArray[np.int32]
    low: NDArray[np.int32]
    high: NDArray[np.int32]
    counts: NDArray[np.int32]
    cost: NDArray[np.float64]
    purse: NDArray[np.float64]
    closest: float
    floor: float


def state_of(limits: Limits, count: int) -> State:
    """Return the state before anything of `count` candidates is chosen."""
    attributes = limits.attributes
    none = np.empty(0, np.int32)
    cost = np.zeros(count) if limits.cost is None else limits.cost
    purse = np.array([limits.budget, float(np.isfinite(limits.budget)), *limits.kinds])
    if not attributes:
        codes = np.empty((0, count), np.int32)
        return State(codes, none, none, np.empty(0, np.int32), cost, purse, limits.closest, limits.floor)
    codes = np.full((len(attributes), count), -1, np.int32)
    start = 0
    for at, one in enumerate(attributes):
        codes[at] = np.where(one.codes < 0, -1, one.codes + start)
        start += len(one.low)
    low = np.concatenate([none, *(one.low for one in attributes)])
    high = np.concatenate([none, *(one.high for one in attributes)])
    return State(codes, low, high, np.zeros(start, np.int32), cost, purse, limits.closest, limits.floor)
