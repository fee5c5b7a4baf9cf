"""Whether links say anything about rows: are linked rows more alike, or less, than rows taken at random?

For each type of links some are drawn, and the vectors of their ends compared; and the same sources with the same
destinations dealt anew. Links of a type are useless when the two means lie within LEAST standard errors: those of links
that were made at random, or shuffled, do. It is worked out once for a state and a field of vectors.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from vecdb.planner.masks import remembered
from vecdb.schema.schema import Column
from vecdb.storage.links.graph import LinkGraph
from vecdb.storage.snapshot import State
from vecdb_index.graph.adjacency import Adjacency

DRAWN = 65_536
"""Links that are drawn of all types together."""
SAMPLE = 512
"""Links of one type that are compared."""
FEWEST = 20
"""Of a type with fewer links nothing is said."""
DEALT = 4
"""How often destinations are dealt anew."""
LEAST = 4.0
"""Standard errors; chance alone goes so far once in 16,000 times."""


class Judged(NamedTuple):
    """What was found of one type: the mean similarity of linked rows, of dealt ones, and how far that is apart."""

    linked: float
    dealt: float
    errors: float

    @property
    def useless(self) -> bool:
        """Whether the links may as well have been made at random."""
        return abs(self.errors) < LEAST


def judged(state: State, graph: LinkGraph, column: Column) -> dict[int, Judged]:
    """Return what was found of each type of links, by its code; types that could not be judged are missing."""
    key = "useful links", id(graph), column.id
    known = state.routes.get(key)
    if known is None:
        known = remembered(state.routes, key, (graph, _judged(state, graph, column)))
    return known[1]


def _judged(state: State, graph: LinkGraph, column: Column) -> dict[int, Judged]:
    rng = np.random.default_rng(0)
    source, target, kind = _drawn(graph.out, rng)
    found: dict[int, Judged] = {}
    for code in np.unique(kind).tolist():
        of_kind = np.flatnonzero((kind == code) & (source != target))
        if len(of_kind) > SAMPLE:
            of_kind = rng.choice(of_kind, SAMPLE, replace=False)
        one, two = source[of_kind], target[of_kind]
        nodes, where = np.unique(np.r_[one, two], return_inverse=True)
        units, there = _units(state, graph, nodes, column)
        kept = there[where[: len(one)]] & there[where[len(one) :]]
        if np.count_nonzero(kept) < FEWEST:
            continue
        near, far = units[where[: len(one)][kept]], units[where[len(one) :][kept]]
        linked = np.einsum("ij,ij->i", near, far)
        dealt = np.concatenate([np.einsum("ij,ij->i", near, far[rng.permutation(len(far))]) for _ in range(DEALT)])
        error = max(float(np.sqrt((linked.var() + dealt.var()) / 2 / len(linked))), 1e-9)
        found[code] = Judged(float(linked.mean()), float(dealt.mean()), float(linked.mean() - dealt.mean()) / error)
    return found


def _drawn(links: Adjacency, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return sources, targets and types of some links, drawn evenly from all."""
    base, patch = len(links.targets), len(links.patch_targets)
    at = np.arange(base + patch) if base + patch <= DRAWN else np.sort(rng.integers(0, base + patch, DRAWN))
    held, fresh = at[at < base], at[at >= base] - base
    source = np.searchsorted(links.offsets, held, side="right") - 1
    stale = np.isin(source, links.patched)  # the patch has these rows
    held, source = held[~stale], source[~stale]
    later = links.patched[np.searchsorted(links.patch_offsets, fresh, side="right") - 1] if len(fresh) else fresh
    return (
        np.r_[source, later].astype(np.int64),
        np.r_[links.targets[held], links.patch_targets[fresh]].astype(np.int64),
        np.r_[links.types[held], links.patch_types[fresh]],
    )


def _units(state: State, graph: LinkGraph, nodes: np.ndarray, column: Column) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of the nodes' rows at length 1, (n, d), and which have one."""
    field: Any = column.field
    units = np.zeros((len(nodes), field.dimension), np.float32)
    there = np.zeros(len(nodes), bool)
    part_of, row_of = graph.places_of(state, nodes)
    for number, part in enumerate(state.parts):
        here = np.flatnonzero(part_of == number)
        vectors = part.vectors(column) if len(here) else None
        if vectors is None:
            continue
        if vectors[1] is not None:
            here = here[vectors[1][row_of[here]]]
        rows = vectors[0][row_of[here]]
        units[here] = 2.0 * np.unpackbits(rows, axis=1) - 1 if field.dtype == "binary" else rows
        there[here] = True
    lengths = np.linalg.norm(units, axis=1, keepdims=True)
    return np.divide(units, lengths, out=units, where=lengths > 0), there
