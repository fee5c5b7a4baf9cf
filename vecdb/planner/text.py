"""Search by words over one state: BM25 (as Lucene has it) over one text column or several, the best of all parts first.

A row is found if it has at least one of the words, all that must be there, and none of those that must not. Scores of
several columns are added up, each times its boost; what must be there may be in any of them.

Every score has the same bits however rows are spread over parts, and pruning changes none: `exact` finds the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from vecdb.filters.evaluate import BoundFilter
from vecdb.fulltext import TextQuery
from vecdb.planner.found import Candidates, Found, PartPlan, merged, of_one_part
from vecdb.planner.matching import Reading, reading, required
from vecdb.planner.passing import MISSING, passing_rows
from vecdb.planner.terms import Terms, Weighted, spec_of, weighted
from vecdb.planner.words import Leg, PartWords, StateWords, share_of, words_of
from vecdb.schema.fields import Text
from vecdb.schema.schema import Column
from vecdb.storage.snapshot import Part, State
from vecdb_index.dense.allowed import Allowed
from vecdb_index.inverted.index import Inverted
from vecdb_index.inverted.query import Query
from vecdb_index.inverted.search import scores as scores_of
from vecdb_index.inverted.search import search as search_index

SKIP, STORED, MEMORY = "skip", "words", "words in memory"
"""What `explain` says of a part: no row can match; its index was asked; one in memory was, because it has no file."""
SEARCHING = "a search by words"
DEEPER = 4
"""How many times more rows are asked for, where so many were not enough."""
SPARE, SPARE_OF = 2, 16
"""Rows beyond the k best that are asked for at once, two and one of so many: often some are as good as the k-th."""

Fields = Sequence[tuple[Column[Text], float]]
"""Searchable text columns and their boosts, each above 0; no column twice."""


def search(
    state: State,
    fields: Fields,
    asked: TextQuery,
    k: int,
    where: BoundFilter | None = None,
    *,
    exact: bool = False,
    allow_partial: bool = False,
) -> Found:
    """Return the k best rows that match and pass the filter, equal scores by id; fewer only when fewer match.

    Args:
        state: what is searched.
        fields: at least one column.
        asked: the question.
        k: at least 1.
        where: rows that do not pass are not considered; they count in the statistics all the same.
        exact: look at every posting; finds the same, more slowly.
        allow_partial: leave damaged segments out, and name them in `missing`.

    Raises:
        InvalidInputError: a phrase is asked for, and a column has no positions.
        CorruptionError: a segment has no sound index and its texts are damaged.

    """
    read = reading([column for column, _ in fields], asked)
    ranked = [
        _ranked(state, column, clauses, boost, allow_partial)
        for (column, clauses), (_, boost) in zip(read, fields, strict=True)
    ]
    choice = _Choice(state, read, where, allow_partial)
    if len(ranked) == 1:
        return _best(state, ranked[0], choice, k, exact)
    return _best_of_sums(state, ranked, choice, k, exact)


def asked_of_parts(
    state: State, fields: Fields, asked: TextQuery, where: BoundFilter | None, allow_partial: bool
) -> list[tuple[PartPlan, list[tuple[PartWords, list[bytes]]]]]:
    """Return how `search` goes through each part, and the terms that it looks up in each column.

    `matches` is known where something must be there.
    """
    read = reading([column for column, _ in fields], asked)
    ranked = [
        _ranked(state, column, clauses, boost, allow_partial)
        for (column, clauses), (_, boost) in zip(read, fields, strict=True)
    ]
    choice, out = _Choice(state, read, where, allow_partial), []
    sure = any(one.clause.required and not one.empty for _, clauses in read for one in clauses)
    for legs in zip(*(one.words.legs for one in ranked), strict=True):
        allowed = choice.of(legs[0].number, legs[0].words.part)
        if allowed == MISSING:
            continue
        plan = _plan(legs[0], allowed, ranked[0])
        lists = [(leg.words, one.asked.terms) for leg, one in zip(legs, ranked, strict=True) if one.asked is not None]
        out.append((plan._replace(matches=plan.matching) if sure else plan, lists))
    return out


def scores(state: State, fields: Fields, asked: TextQuery, part: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return the scores (n,) float32 of given rows, by the numbers of their parts and their rows.

    The same bits as `search` gives them; 0 for rows that have none of the words. Filters, and what must be there or
    must not, are not looked at.
    """
    read = reading([column for column, _ in fields], asked)
    ranked = [
        _ranked(state, column, clauses, boost, False)
        for (column, clauses), (_, boost) in zip(read, fields, strict=True)
    ]
    return _sums(ranked, part, row)


class _Ranked(NamedTuple):
    """One column of a question: its words in the state, and what they count; None: no live row has any."""

    words: StateWords
    asked: Weighted | None


def _ranked(
    state: State, column: Column[Text], clauses: tuple[Terms, ...], boost: float, allow_partial: bool
) -> _Ranked:
    words = words_of(state, column, allow_partial)
    return _Ranked(words, weighted(words, spec_of(column), clauses, boost))


class _Choice:
    """Which rows of each part a question may find: worked out once for all of its columns."""

    def __init__(self, state: State, read: Reading, where: BoundFilter | None, allow_partial: bool) -> None:
        self._filtered = passing_rows(state, where, allow_partial)
        self._budget = state.budget
        asked = any(one.clause.required or one.clause.occur == "not" for one in read[0][1])
        self._read = read if asked else None
        self._known: dict[int, Allowed | None] = {}

    def of(self, number: int, part: Part) -> Allowed | Literal["missing"] | None:
        """Return the rows of a part, None for all; MISSING for a damaged part that is left out."""
        passing = self._filtered.of(number, part, self._budget)
        if self._read is None or passing == MISSING:
            return passing
        if number not in self._known:
            having = required(part, self._read)
            if passing is not None and having is not None:
                having &= passing.mask.view(bool)
            self._known[number] = passing if having is None else Allowed(having)
        return self._known[number]


def _best(state: State, ranked: _Ranked, choice: _Choice, k: int, exact: bool) -> Found:
    """Return the k best rows by one column."""
    gathered: list[Candidates] = []
    plans: list[PartPlan] = []
    missing = list(ranked.words.missing)
    state.hold_hits(SEARCHING, k)
    for leg in ranked.words.legs:
        state.check(SEARCHING)
        part = leg.words.part
        allowed = choice.of(leg.number, part)
        if allowed == MISSING:
            missing += [part.uuid] if part.uuid is not None else []
            continue
        plan = _plan(leg, allowed, ranked)
        plans.append(plan)
        if plan.plan != SKIP and ranked.asked is not None:
            gathered += _candidates(leg, ranked.asked, allowed, k, exact)
    told = tuple(missing), tuple(plans), 0
    if len(state.parts) == 1 and len(gathered) == 1:
        return of_one_part(state.parts, gathered[0].rows, gathered[0].scores, k, *told)
    return merged(state.parts, gathered, k, *told)


def _plan(leg: Leg, allowed: Allowed | None, ranked: _Ranked) -> PartPlan:
    part = leg.words.part
    count = part.rows if allowed is None else allowed.count
    skipped = count == 0 or ranked.asked is None or not leg.words.pieces
    plan = SKIP if skipped else STORED if leg.words.stored else MEMORY
    return PartPlan(part.uuid, part.told, count, plan, 0, leg.words.problem)


def _candidates(leg: Leg, asked: Weighted, allowed: Allowed | None, k: int, exact: bool) -> list[Candidates]:
    """Return the k best rows of each piece of a part, and all that are as good as the last of them."""
    found = []
    for piece, places in zip(leg.words.pieces, leg.words.places(asked.terms), strict=True):
        mask, some = (None, None) if allowed is None else (allowed.mask, allowed.rows)
        if len(piece.inverted) != leg.words.part.rows:
            mask, some = share_of(mask, piece, leg.words.part.rows), None
        rows, scores = _tied(piece.inverted, asked.query, places, k, mask, some, exact)
        rows = rows.astype(np.int64)
        found.append(Candidates(leg.number, rows + piece.first if piece.first else rows, scores))
    return found


def _tied(
    index: Inverted,
    query: Query,
    places: np.ndarray,
    k: int,
    mask: np.ndarray | None,
    some: np.ndarray | None,
    exact: bool,
) -> tuple[np.ndarray, np.ndarray]:
    depth = k + SPARE + k // SPARE_OF
    while True:
        rows, scores, cut = search_index(index, query, depth, allowed=mask, some=some, places=places, exact=exact)
        # Ids decide among those that are as good as the k-th, so all of them must be here.
        if not cut or scores[-1] < scores[k - 1]:
            break
        depth *= DEEPER
    if len(rows) > k:
        last, *behind = scores[k - 1 :].tolist()
        kept = k + next((at for at, score in enumerate(behind) if score < last), len(behind))
        rows, scores = rows[:kept], scores[:kept]
    return rows, scores


def _best_of_sums(state: State, ranked: Sequence[_Ranked], choice: _Choice, k: int, exact: bool) -> Found:
    """Return the k best rows by the sums of several columns' scores.

    The best of each column compete; a row among none of them has at most the sum of the last ones' scores. Where that
    is not below the k-th best sum, more of each are looked at (the threshold algorithm: Fagin, Lotem, Naor 2003).
    """
    depth = max(k, sum(part.rows for part in state.parts)) if exact else k
    while True:
        found = [_best(state, one, choice, depth, exact) for one in ranked]
        part, row = _together(found)
        total = _sums(ranked, part, row)
        more = [len(one.row) == depth for one in found]
        reach = np.float32(0)
        for one, unfinished in zip(found, more, strict=True):
            reach += one.score[-1] if unfinished else np.float32(0)
        if not any(more) or (len(total) >= k and np.partition(total, len(total) - k)[len(total) - k] > reach):
            break
        depth *= DEEPER
    candidates = [Candidates(number, row[part == number], total[part == number]) for number in np.unique(part).tolist()]
    return merged(state.parts, candidates, k, found[0].missing, found[0].plans, 0)


def _together(found: Sequence[Found]) -> tuple[np.ndarray, np.ndarray]:
    """Return the parts and rows of several rankings, each once."""
    keys = []
    for one in found:
        part = np.zeros(len(one.row), np.int64) if one.part is None else one.part.astype(np.int64)
        keys.append(part << 32 | one.row.astype(np.int64))
    places = np.unique(np.concatenate(keys))
    return places >> 32, places & 0xFFFFFFFF


def _sums(ranked: Sequence[_Ranked], part: np.ndarray, row: np.ndarray) -> np.ndarray:
    total = np.zeros(len(row), np.float32)
    for words, asked in ranked:
        for number, held in words.legs if asked is not None else ():
            for first, index, _ in held.pieces:
                here = np.flatnonzero((part == number) & (row >= first) & (row < first + len(index)))
                if len(here) and asked is not None:
                    total[here] += scores_of(index, asked.query, (row[here] - first).astype(np.uint32))
    return total
