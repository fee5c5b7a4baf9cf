"""What can be said of all rows at once: the values, and what is checked of arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vecdb.errors import InvalidInputError
from vecdb.query.value import shown
from vecdb.schema.given import finite, whole_number

MOST = 10_000
"""The most clusters, and groups of duplicates."""
MOST_CHOSEN = 2000
"""The most rows of a summary."""
MOST_DRAWN = 1_000_000
"""The most rows of a sample."""
SEEDS = 2**64 - 1
AUTO = "auto"
SAMPLE_METHODS = "coreset", "uniform"


@dataclass(frozen=True, slots=True)
class Representative:
    """A row of a summary: how many rows it stands for, and what it added to the coverage when it was chosen."""

    id: str | int
    size: int
    gain: float


@dataclass(frozen=True, slots=True)
class Summary:
    """A few rows that stand for all.

    Attributes:
        representatives: best first.
        coverage: the mean, over all rows, of the greatest cosine to one of them, at least 0.
        rows: how many there are.
        method: "exact" where each row was compared with each, "cells" where cells stood for them.

    """

    representatives: tuple[Representative, ...]
    coverage: float
    rows: int
    method: str

    @property
    def ids(self) -> list[str | int]:
        """The ids, best first."""
        return [one.id for one in self.representatives]


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows that were drawn.

    Attributes:
        weights: by id, for how many rows each counts; they add up to `rows`.
        rows: how many there are.
        method: "coreset" or "uniform".

    """

    weights: Mapping[str | int, float]
    rows: int
    method: str

    @property
    def ids(self) -> list[str | int]:
        """The ids."""
        return list(self.weights)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Rows that are near each other.

    Attributes:
        medoid: the id of the row that is nearest to the centre.
        size: rows.
        cohesion: the mean cosine of its rows to its centre.

    """

    medoid: str | int
    size: int
    cohesion: float


@dataclass(frozen=True, slots=True)
class Clusters:
    """Clusters, the largest first.

    Attributes:
        clusters: of all rows.
        rows: how many there are.
        tried: with `k="auto"`, the silhouette of each number of clusters that was tried, from -1 to 1: about 0 says
            that there are none.

    """

    clusters: tuple[Cluster, ...]
    rows: int
    tried: Mapping[int, float]

    def __len__(self) -> int:
        return len(self.clusters)


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Rows that are nearly the same: their ids, ascending, and the least of their cosines to the next of them."""

    ids: tuple[str | int, ...]
    similarity: float


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Groups of rows that are nearly the same, the largest first.

    Attributes:
        groups: at most as many as were asked for.
        total: how many there are.
        rows: that were looked at.
        exact: whether each was compared with each.

    """

    groups: tuple[DuplicateGroup, ...]
    total: int
    rows: int
    exact: bool


def cluster_count(k: Any) -> int | None:
    """Return how many clusters are wanted, None for as many as fit.

    Raises:
        InvalidInputError: k is neither a number nor "auto".

    """
    if isinstance(k, str):
        if k != AUTO:
            raise InvalidInputError(f'k is {shown(k)}, expected a whole number or "auto"', field="k", value=k)
        return None
    return whole_number("k", k, most=MOST)


def similarity_of(threshold: Any) -> float:
    """Return a threshold of similarity, checked.

    Raises:
        InvalidInputError: it is no number above 0 and up to 1.

    """
    near = finite("threshold", threshold)
    if not 0 < near <= 1:
        told = f"threshold is {threshold!r}, expected a number above 0 and up to 1"
        raise InvalidInputError(told, field="threshold", value=threshold)
    return near


def seed_of(seed: Any) -> int:
    """Return a seed, checked."""
    return whole_number("seed", seed, least=0, most=SEEDS)


def in_order(ids: Sequence[Any], sizes: Sequence[int]) -> list[tuple[Any, ...]]:
    """Return ids that lie one behind the other as groups of these sizes."""
    out, first = [], 0
    for size in sizes:
        out.append(tuple(ids[first : first + size]))
        first += size
    return out
