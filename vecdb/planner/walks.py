"""What the walks of a query are made of: the graph of the links that count, which of them may be walked, and paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from vecdb.filters.evaluate import BoundFilter
from vecdb.filters.expression import Expression
from vecdb.planner.candidates import ROW_BITS, Candidates
from vecdb.planner.columns import bound_filter
from vecdb.planner.links import Wanted, graph_of
from vecdb.planner.masks import filter_mask, remembered
from vecdb.query.graph import ANY
from vecdb.results import Paths
from vecdb.storage.links.graph import LinkGraph
from vecdb.storage.snapshot import State
from vecdb_index.graph.walk import Reached, Ways


def graph_for(state: State, where: Expression | None) -> LinkGraph:
    """Return the graph of the links that pass a filter.

    Raises:
        UnknownFieldError: links have no such attribute.
        InvalidInputError: the filter does not fit.

    """
    return graph_of(state, Wanted(None, None if where is None else bound_filter(where, state.links.schema)))


def ways_of(
    state: State, graph: LinkGraph, links: Mapping[str, float], direction: str, through: Expression | None
) -> tuple[Ways, list[str]]:
    """Return what may be walked, and the types that are named and that no link has."""
    ahead, behind = np.zeros(len(graph.types), np.float32), np.zeros(len(graph.types), np.float32)
    code_of, unknown = {name: code for code, name in enumerate(graph.types)}, []
    told = []
    for name, weight in links.items():
        sign, bare = (name[0], name[1:]) if name[0] in "<>" and name not in code_of else ("", name)
        told.append((bare != ANY, sign != "", sign, bare, weight))
    # What names a type counts more than "*", and then what names a direction, in whatever order they are given.
    for _, _, sign, bare, weight in sorted(told):
        codes: Any = slice(None) if bare == ANY else code_of.get(bare)
        if codes is None:
            unknown.append(bare)
            continue
        if sign == ">" or (not sign and direction != "in"):
            ahead[codes] = weight
        if sign == "<" or (not sign and direction != "out"):
            behind[codes] = weight
    ways = Ways(graph.out, graph.incoming, ahead, behind)
    if through is not None:
        ways = ways._replace(open=_open(state, graph, bound_filter(through, state.schema)))
    return ways, unknown


def _open(state: State, graph: LinkGraph, where: BoundFilter) -> np.ndarray:
    """Return which nodes have a row that passes a filter, uint8 (nodes,)."""
    key = "open nodes", id(graph), where.key
    known = state.routes.get(key)
    if known is not None:
        return known[1]
    part_of, row_of = graph.places(state)
    found = np.zeros(graph.nodes, np.uint8)
    for number, part in enumerate(state.parts):
        here = np.flatnonzero(part_of == number)
        mask = filter_mask(part, state.schema, where, state.budget)
        found[here] = 1 if mask is None else mask[row_of[here]]
    # The graph is kept beside it, so that no other graph gets its identity meanwhile.
    return remembered(state.routes, key, (graph, found))[1]


def rows_of(state: State, graph: LinkGraph, nodes: np.ndarray, where: BoundFilter | None) -> tuple[np.ndarray, ...]:
    """Return which of some nodes have a row that passes: their places in the list, parts and rows."""
    part_of, row_of = graph.places_of(state, nodes)
    passing = part_of >= 0
    if where is not None:
        for number, part in enumerate(state.parts):
            here = np.flatnonzero(part_of == number)
            mask = filter_mask(part, state.schema, where, state.budget) if len(here) else None
            if mask is not None:
                passing[here] = mask[row_of[here]]
    at = np.flatnonzero(passing)
    return at, part_of[at].astype(np.int64), row_of[at].astype(np.int64)


def keys_of_rows(candidates: Candidates, part: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Return what `Candidates.keys` would be for these rows."""
    return row if len(candidates.parts) == 1 else (part << ROW_BITS) | row


def paths_of(graph: LinkGraph, reached: Reached) -> Callable[[Sequence[int]], Paths]:
    """Return what gives the paths of some entries. Their ids are looked up at once: a look-up costs more than an id."""

    def paths(places: Sequence[int]) -> Paths:
        steps = reached.steps(places)
        ids = graph.ids(np.array(steps.nodes, np.int32))
        return Paths(steps.lengths, ids, graph.types, steps.types, steps.ahead)

    return paths
