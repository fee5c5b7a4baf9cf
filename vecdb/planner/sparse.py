"""Search by the terms of one column of sparse vectors over one state: the largest dot products of all parts first.

A row is found if it has at least one of the terms. Every score is the exact one, whichever way led to its row, and does
not depend on how rows are spread over parts. No row that is better is missed: `exact`, which looks at every row's
vector and at no index, finds the same.
"""

from __future__ import annotations

import numpy as np

from vecdb.filters.evaluate import BoundFilter
from vecdb.planner.found import Candidates, Found, PartPlan, merged, of_one_part
from vecdb.planner.passing import MISSING, passing_rows
from vecdb.planner.words import Leg, PartWords, share_of, words_of
from vecdb.schema.fields import Sparse
from vecdb.schema.schema import Column
from vecdb.storage.snapshot import State
from vecdb_index.dense.allowed import Allowed
from vecdb_index.inverted.index import packed_dimensions
from vecdb_index.inverted.query import Query, by_dimensions, idf
from vecdb_index.inverted.sparse import nearest, scanned

SEARCHING = "a search by terms"
SKIP, STORED, MEMORY, SCAN = "skip", "terms", "terms in memory", "scan"
"""What `explain` says of a part: no row can match; its index was asked; one in memory was; all vectors were read."""


def search(
    state: State,
    column: Column[Sparse],
    terms: np.ndarray,
    weights: np.ndarray,
    k: int,
    where: BoundFilter | None = None,
    *,
    exact: bool = False,
    allow_partial: bool = False,
) -> Found:
    """Return the k best rows that have a term and pass the filter, equal scores by id; fewer only when fewer match.

    Args:
        state: what is searched.
        column: of sparse vectors.
        terms: (t,) uint32, ascending; none at all finds nothing.
        weights: (t,) float32, above 0.
        k: at least 1.
        where: rows that do not pass are not considered.
        exact: look at every vector instead of the index; finds the same, more slowly.
        allow_partial: leave damaged segments out, and name them in `missing`.

    Raises:
        CorruptionError: the vectors of a segment are damaged.

    """
    words = words_of(state, column, allow_partial)
    passing = passing_rows(state, where, allow_partial)
    state.hold_hits(SEARCHING, k)
    query = by_dimensions(terms, weights) if len(terms) else None
    gathered: list[Candidates] = []
    plans: list[PartPlan] = []
    missing = list(words.missing)
    for leg in words.legs:
        part = leg.words.part
        state.check(SEARCHING)
        allowed = passing.of(leg.number, part, state.budget)
        if allowed == MISSING:
            missing += [part.uuid] if part.uuid is not None else []
            continue
        plan = _plan(leg, allowed, query is not None, exact)
        plans.append(plan)
        if plan.plan != SKIP and query is not None:
            gathered += _candidates(leg, query, allowed, k, exact)
    told = tuple(missing), tuple(plans), 0
    if len(state.parts) == 1 and len(gathered) == 1:
        return of_one_part(state.parts, gathered[0].rows, gathered[0].scores, k, *told)
    return merged(state.parts, gathered, k, *told)


def asked_of_parts(
    state: State, column: Column[Sparse], terms: np.ndarray, where: BoundFilter | None, exact: bool, allow_partial: bool
) -> list[tuple[PartPlan, list[tuple[PartWords, list[bytes]]]]]:
    """Return how `search` goes through each part, and the terms that it looks up there: none where it looks none up."""
    passing, names, out = passing_rows(state, where, allow_partial), _names(terms), []
    for leg in words_of(state, column, allow_partial).legs:
        allowed = passing.of(leg.number, leg.words.part)
        if allowed != MISSING:
            plan = _plan(leg, allowed, len(names) > 0, exact)
            out.append((plan, [(leg.words, names)] if plan.plan in (STORED, MEMORY) else []))
    return out


def _plan(leg: Leg, allowed: Allowed | None, asked: bool, exact: bool) -> PartPlan:
    part = leg.words.part
    count = part.rows if allowed is None else allowed.count
    skipped = count == 0 or not asked or not leg.words.pieces
    plan = SKIP if skipped else SCAN if exact else STORED if leg.words.stored else MEMORY
    return PartPlan(part.uuid, part.told, count, plan, 0, leg.words.problem)


def _candidates(leg: Leg, query: Query, allowed: Allowed | None, k: int, exact: bool) -> list[Candidates]:
    """Return the k best rows of each piece of a part, and all that are as good as the last of them."""
    found = []
    for piece in leg.words.pieces:
        assert piece.vectors is not None
        mask, some = (None, None) if allowed is None else (allowed.mask, allowed.rows)
        if len(piece.inverted) != leg.words.part.rows:
            mask, some = share_of(mask, piece, leg.words.part.rows), None
        if exact:
            rows = np.arange(len(piece.inverted)) if mask is None else np.flatnonzero(mask)
            best = scanned(piece.vectors, query, rows, k)
        else:
            best = nearest(piece.inverted, piece.vectors, query, k, allowed=mask, some=some)
        rows = best.rows.astype(np.int64)
        found.append(Candidates(leg.number, rows + piece.first if piece.first else rows, best.scores))
    return found


def rarity(state: State, column: Column[Sparse], terms: np.ndarray) -> np.ndarray:
    """Return how much it says that a row has each term (t,), by how many of the live rows have it: float64.

    0 for terms that no row has.
    """
    words = words_of(state, column)
    frequencies = np.array(words.frequencies(_names(terms)), np.int64)
    return np.where(frequencies > 0, idf(words.rows, frequencies), 0.0)


def _names(terms: np.ndarray) -> list[bytes]:
    """Return terms (t,) as indexes call them."""
    taken, starts = packed_dimensions(terms)
    return [taken[starts[at] : starts[at + 1]].tobytes() for at in range(len(terms))]
