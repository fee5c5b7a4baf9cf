"""Path pooling: the scores of facts smoothed along the paths that join them to what a question is about.

Path Pooling: Training-Free Structure Enhancement for Efficient Knowledge Graph Retrieval-Augmented Generation (2025).
Facts are triples (head, relation, tail) that a scorer scored. From each entity of the question the shortest paths lead
to every entity that facts lead to, and back. A path is worth the mean of its facts' scores, and its i-th fact, counted
from the question's entity, a bonus of least score / (i * a) more. A fact counts as the best path that it is on.

Ours: a fact on no path is a path of its own; of several shortest paths to a node the one whose scores sum up to most
is taken, and of equal ones that of the facts that stand first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

BONUS = 4.0
"""a: what the bonus of the place in a path is divided by."""


class Pooled(NamedTuple):
    """Facts after pooling, in the order given.

    Attributes:
        scores: (t,) float64.
        paths: for each fact the path that gave its score, as places of facts from the question's entity on.

    """

    scores: np.ndarray
    paths: list[tuple[int, ...]]


def pool_paths(
    heads: Sequence[object],
    tails: Sequence[object],
    scores: Sequence[float] | np.ndarray,
    entities: Sequence[object],
    a: float = BONUS,
) -> Pooled:
    """Return the scores of facts by the paths that they are on.

    Args:
        heads: (t,) what each fact is about.
        tails: (t,) what it leads to.
        scores: (t,) of a scorer; where one is below 0 all are lifted by as much.
        entities: what the question is about; those that no fact has do nothing.
        a: above 0; the larger, the less the place in a path counts.

    """
    given = np.asarray(scores, np.float64)
    values = given - min(0.0, float(given.min())) if len(given) else given
    least = float(values.min()) if len(values) else 0.0
    best = values + least / a  # a path of one fact
    paths: list[tuple[int, ...]] = [(fact,) for fact in range(len(values))]
    for starts, ends in ((heads, tails), (tails, heads)):
        leaving: dict[object, list[int]] = {}
        for fact, start in enumerate(starts):
            leaving.setdefault(start, []).append(fact)
        for entity in dict.fromkeys(entities):
            for path in _shortest(entity, leaving, ends, values):
                mean = float(values[list(path)].mean())
                for at, fact in enumerate(path, 1):
                    worth = mean + least / (at * a)
                    if worth > best[fact]:
                        best[fact], paths[fact] = worth, path
    return Pooled(best, paths)


def _shortest(
    entity: object, leaving: dict[object, list[int]], ends: Sequence[object], values: np.ndarray
) -> list[tuple[int, ...]]:
    """Return a shortest path to each node that facts lead to: the one with the greatest sum of scores."""
    known: dict[object, tuple[int, ...]] = {entity: ()}
    level, found = [entity], []
    while level:
        reached: dict[object, tuple[float, tuple[int, ...]]] = {}
        for node in level:
            sofar = known[node]
            total = float(values[list(sofar)].sum())
            for fact in leaving.get(node, ()):
                end = ends[fact]
                if end not in known and (end not in reached or total + values[fact] > reached[end][0]):
                    reached[end] = total + float(values[fact]), (*sofar, fact)
        known |= {node: path for node, (_, path) in reached.items()}
        found += [path for _, path in reached.values()]
        level = list(reached)
    return found
