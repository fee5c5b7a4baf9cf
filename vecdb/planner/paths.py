"""How candidates were come to over links, beside them as a column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from vecdb.results import Paths


class PathColumn(NamedTuple):
    """Of each candidate (n,) the place of its path, -1 for none, and what gives the paths to some places at once."""

    places: np.ndarray
    paths: Callable[[Sequence[int]], Paths]

    def some(self, at: Any) -> PathColumn:
        """Return those of the candidates at these places."""
        return PathColumn(self.places[at], self.paths)

    def all(self) -> Paths:
        """Return the path of each candidate, one without steps for none."""
        return self.paths(self.places.tolist())


def carried(paths: PathColumn, keys: np.ndarray, wanted: np.ndarray) -> PathColumn:
    """Return the paths of candidates with these keys, in another order, some without."""
    places = np.full(len(wanted), -1, np.int64)
    if len(keys):
        order = np.argsort(keys, kind="stable")
        spot = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)]
        same = keys[spot] == wanted
        places[same] = paths.places[spot[same]]
    return PathColumn(places, paths.paths)
