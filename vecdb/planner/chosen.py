"""What a selection says of the rows that it chose, kept beside them on their way through further stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from vecdb.results import Selected


class Members(NamedTuple):
    """The candidates that a chosen row represents, most similar first: part, row and similarity of each."""

    part: np.ndarray
    row: np.ndarray
    similarity: np.ndarray


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is told of the chosen rows.

    Attributes:
        about: of all of them together.
        order: (m,) the place of each in the order in which they were chosen, from 1.
        gains: (m,) float64, what each added.
        members: whom each represents.
        wants: whether more candidates may bring more rows.
        unmet: what no set of these candidates can meet, as a sentence.

    """

    about: Selected
    order: np.ndarray
    gains: np.ndarray
    members: Sequence[Members]
    wants: bool = False
    unmet: str | None = None

    def some(self, at: Any) -> Chosen:
        """Return what is told of the rows at these places, or of a slice."""
        places = np.arange(len(self.order))[at]
        members = [self.members[place] for place in places.tolist()]
        return replace(self, order=self.order[places], gains=self.gains[places], members=members)
