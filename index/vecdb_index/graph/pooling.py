"""Path pooling: the scores of facts smoothed along the paths that join them to what a question is about.

Path Pooling: Training-Free Structure Enhancement for Efficient Knowledge Graph Retrieval-Augmented Generation (2025).
Facts are triples (head, relation, tail) that a scorer scored. From each entity of the question shortest paths lead to
every entity that facts join with it. A path is worth the mean of its facts' scores, and its i-th fact, counted from a
question's entity, a bonus of least score / (i * a) more. A fact counts as the best path that it is on; one on no path
is a path of its own.

Ours: facts are followed either way, because a relation and its opposite are the same fact; and every fact whose end is
reached closes a path, also where another fact leads to its other end as soon. Of several shortest paths to an entity
the one whose scores sum up to most is taken, and of equal ones that of the facts that stand first.
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
    best = np.full(len(values), -np.inf)
    paths: list[tuple[int, ...]] = [(fact,) for fact in range(len(values))]
    touching: dict[object, list[int]] = {}
    for fact, ends in enumerate(zip(heads, tails, strict=True)):
        for end in dict.fromkeys(ends):
            touching.setdefault(end, []).append(fact)
    for entity in dict.fromkeys(entities):
        for path in _paths(entity, touching, heads, tails, values):
            mean = float(values[list(path)].mean())
            for at, fact in enumerate(path, 1):
                worth = mean + least / (at * a)
                if worth > best[fact]:
                    best[fact], paths[fact] = worth, path
    alone = np.isinf(best)
    best[alone] = values[alone] + least / a  # a path of one fact
    return Pooled(best, paths)


def _paths(
    entity: object,
    touching: dict[object, list[int]],
    heads: Sequence[object],
    tails: Sequence[object],
    values: np.ndarray,
) -> list[tuple[int, ...]]:
    """Return a shortest path through each fact that is joined with an entity: the one with the greatest sum."""
    known: dict[object, tuple[int, ...]] = {entity: ()}
    level, found, used = [entity], [], set[int]()
    while level:
        reached: dict[object, tuple[float, tuple[int, ...]]] = {}
        here = set[int]()
        for node in sorted(level, key=lambda node: -float(values[list(known[node])].sum())):
            sofar = known[node]
            total = float(values[list(sofar)].sum())
            for fact in touching.get(node, ()):
                if fact in used or fact in here:
                    continue
                here.add(fact)
                path = (*sofar, fact)
                found.append(path)
                end = tails[fact] if heads[fact] == node else heads[fact]
                if end not in known and (end not in reached or total + values[fact] > reached[end][0]):
                    reached[end] = total + float(values[fact]), path
        used |= here
        known |= {node: path for node, (_, path) in reached.items()}
        level = list(reached)
    return found
