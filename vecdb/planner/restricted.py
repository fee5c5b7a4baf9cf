"""A state as somebody sees it who may see only the rows that pass a filter: the others are as if deleted.

So whatever reads a state is restricted, because nothing that reads a state finds a deleted row: searches, counts,
facets, scans, rows by id, and the word counts behind BM25 too. What stays visible of the other rows is how the database
keeps them: the number of segments and their names, the size of indexes, and time.

A restricted view of a segment is made once for each filter and remembered with the view that it restricts.
"""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from pyroaring import BitMap

from vecdb.filters.evaluate import BoundFilter
from vecdb.planner.masks import filter_mask, remembered
from vecdb.schema.schema import Schema
from vecdb.storage.memtable import MemtableView
from vecdb.storage.snapshot import SegmentView, State
from vecdb_index.budget import Budget


def restricted(state: State, where: BoundFilter) -> State:
    """Return the state with only the rows that pass the filter.

    Raises:
        CorruptionError: a segment is damaged, and its rows cannot be told apart.

    """
    key = "restricted", where.key
    known = state.routes.get(key)
    if known is None:
        known = remembered(state.routes, key, _restricted(state, where))
    return known.within(state.budget)


def _restricted(state: State, where: BoundFilter) -> State:
    schema, budget = state.schema, state.budget
    segments = tuple(_of_segment(view, schema, where, budget) for view in state.segments)
    memtables = tuple(_of_memtable(view, schema, where, budget) for view in state.memtables)
    return State(state.lsn, schema, state.located, segments, memtables, state.links.narrow())


def _of_segment(view: SegmentView, schema: Schema, where: BoundFilter, budget: Budget | None) -> SegmentView:
    key: Any = "restricted", where.key, *(schema[name].id for name in sorted(where.columns))
    known = view.allowed.get(key)
    if known is None:
        passing = filter_mask(view, schema, where, budget)
        hidden = np.flatnonzero(~passing) if passing is not None else np.empty(0, np.int64)
        deleted = BitMap(array.array("I", hidden.astype(np.uint32).tobytes()))
        known = remembered(view.allowed, key, SegmentView(view.segment, deleted, told=view.rows - len(deleted)))
    return known


def _of_memtable(view: MemtableView, schema: Schema, where: BoundFilter, budget: Budget | None) -> MemtableView:
    passing = filter_mask(view, schema, where, budget)
    return view if passing is None else view.restricted(passing)
