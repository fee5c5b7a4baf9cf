"""What a search by words, or by the terms of sparse vectors, is expected to read and to find, before it is done.

How many rows have each term is known. How many have at least one of them is not: it is estimated as if terms did not
care for each other nor for the filter. Postings and blocks are the most that is read; pruning leaves many out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from vecdb.fulltext import text_query
from vecdb.planner import sparse, text
from vecdb.planner.bound import BoundArm
from vecdb.planner.found import PartPlan
from vecdb.planner.route import SKIP
from vecdb.planner.words import PartWords
from vecdb.query.arms import Match, Terms
from vecdb.schema.fields import Sparse, Text
from vecdb.schema.schema import Column
from vecdb.storage.snapshot import State
from vecdb_index.kernels.layout import BLOCK_BITS


def plans(state: State, bound: BoundArm, allow_partial: bool) -> list[PartPlan]:
    """Return how each part would be searched by an arm of words or of terms, and what is expected of it."""
    if isinstance(bound.arm, Terms):
        assert bound.terms is not None
        column = cast("Column[Sparse]", bound.columns[0])
        asked = sparse.asked_of_parts(state, column, bound.terms[0], bound.where, bound.effort.exact, allow_partial)
    else:
        assert isinstance(bound.arm, Match)
        fields = [(cast("Column[Text]", column), bound.arm.fields[column.name]) for column in bound.columns]
        query = text_query(bound.arm.text, bound.label)
        asked = text.asked_of_parts(state, fields, query, bound.where, allow_partial)
    return [_expected(plan, lists) for plan, lists in asked]


def _expected(plan: PartPlan, lists: Sequence[tuple[PartWords, list[bytes]]]) -> PartPlan:
    """Add what a plan is expected to find and to read, from the terms that are looked up in each column."""
    if plan.plan == SKIP or not lists:
        return plan._replace(matches=0 if plan.plan == SKIP else plan.matching)
    without, postings, blocks = 1.0, 0, 0
    for words, terms in lists:
        for frequency in words.frequencies(terms):
            without *= 1 - min(frequency / max(words.rows, 1), 1.0)
        for piece, places in zip(words.pieces, words.places(terms), strict=True):
            known = places[places >= 0]
            first, last = piece.inverted.offsets[known], piece.inverted.offsets[known + 1]
            postings += int((last - first).sum())
            blocks += int((((last - 1) >> BLOCK_BITS) - (first >> BLOCK_BITS) + 1).sum())
    likely = min(round(plan.matching * (1 - without)) or 1, postings)
    return plan._replace(matches=plan.matches or likely, postings=postings, blocks=blocks)
