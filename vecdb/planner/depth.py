"""How many candidates each arm of a query gathers: at first, behind a cursor, and when too few were left.

The pages of one arm in the order of its scores go as deep as they need. Fused scores, orders and new scores depend on
which candidates there are; such pages are cut from those of the first one, and end with them.
"""

from __future__ import annotations

from typing import TypeAlias

from vecdb.errors import InvalidInputError
from vecdb.planner.bound import BoundQuery
from vecdb.planner.fuse import DEPTH
from vecdb.planner.selecting import needed
from vecdb.query.cascade import Cascade
from vecdb.query.cursors import Cursor
from vecdb.query.graph import Expand, PathPooling
from vecdb.query.relevance import Relevance
from vecdb.query.scorer import Scorer
from vecdb.query.selection import Select
from vecdb.query.stages import Collapse, GroupBy, MaxSim, OrderBy, Rank, Rescore

Fetches: TypeAlias = tuple[int, ...]
"""For each arm, how many candidates it gathers; nested queries know that themselves."""

GROUP_FETCH = 4
"""Candidates at first for each row that a query with thinning stages asks for."""
DEEPER = 4
"""How many times more candidates each time that too few were left."""
THINNING = (Collapse, GroupBy, Select)
"""Stages after which more candidates may be needed to fill the answer."""
ORDERING = (Cascade, Expand, MaxSim, OrderBy, PathPooling, Rank, Relevance, Rescore, Scorer)
"""Stages whose outcome follows from all candidates: one that was gathered later may come first, or change a cut."""


def first(bound: BoundQuery) -> Fetches:
    """Return what the arms gather at first."""
    k = least = bound.query.k
    for one in bound.stages:
        least = max(least, getattr(one.stage, "top", None) or 0)
        if isinstance(one.stage, Select):
            least = max(least, needed(one.stage, k))
    if any(isinstance(one.stage, Collapse | GroupBy) for one in bound.stages):
        per_group = max(getattr(one.stage, "per_group", 1) for one in bound.stages)
        least = max(least, GROUP_FETCH * k * per_group)
    if len(bound.arms) > 1 or not all(isinstance(one.stage, Select) for one in bound.stages):
        least = max(least, DEPTH)
    return tuple(max(arm.arm.fetch, k) if arm.arm.fetch else least for arm in bound.arms)


def of_page(bound: BoundQuery, cursor: Cursor | None) -> Fetches:
    """Return what the arms gather for the page behind a cursor, at first.

    Raises:
        InvalidInputError: the cursor is not one of this query.

    """
    if cursor is None:
        return first(bound)
    if len(cursor.fetches) != len(bound.arms):
        raise InvalidInputError("the cursor does not fit the arms of the query", field="cursor")
    if fixed(bound):
        return cursor.fetches
    return tuple(max(fetch, cursor.seen + bound.query.k) for fetch in cursor.fetches)


def deeper(fetches: Fetches) -> Fetches:
    """Return what the arms gather after so many were too few."""
    return tuple(DEEPER * fetch for fetch in fetches)


def thins(bound: BoundQuery) -> bool:
    """Tell whether stages may leave so many candidates out that more are needed."""
    return any(isinstance(one.stage, THINNING) for one in bound.stages)


def fixed(bound: BoundQuery) -> bool:
    """Tell whether all pages are cut from what the first one gathered."""
    return len(bound.arms) > 1 or any(isinstance(one.stage, ORDERING) for one in bound.stages)
