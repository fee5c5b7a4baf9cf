"""What the walks of a query are made of: the graph of the links that count, which of them may be walked, and paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from vecdb.errors import InvalidInputError
from vecdb.filters.evaluate import BoundFilter
from vecdb.filters.expression import Expression
from vecdb.planner.candidates import ROW_BITS, Candidates
from vecdb.planner.columns import bound_filter
from vecdb.planner.links import Wanted, chosen, graph_of
from vecdb.planner.masks import filter_mask, remembered
from vecdb.planner.paths import Step
from vecdb.query.graph import ANY
from vecdb.schema.fields import Timestamp
from vecdb.storage.links import coded
from vecdb.storage.links.graph import LinkGraph
from vecdb.storage.snapshot import State
from vecdb_index.graph.adjacency import packed
from vecdb_index.graph.walk import Reached, Ways

MICROS = 1e6


def graph_for(
    state: State, where: Expression | None, aged_by: str | None = None, half_life: float | None = None
) -> LinkGraph:
    """Return the graph of the links that pass a filter, their weights less where they are old.

    Raises:
        UnknownFieldError: links have no such attribute.
        InvalidInputError: it is no timestamp, or the filter does not fit.

    """
    schema = state.links.schema
    wanted = Wanted(None, None if where is None else bound_filter(where, schema))
    if aged_by is None:
        return graph_of(state, wanted)
    assert half_life is not None
    if not isinstance(schema[aged_by].field, Timestamp):
        told = f"links age by a timestamp, attribute {aged_by!r} is {schema[aged_by].field.kind}"
        raise InvalidInputError(told, field="aged_by", value=aged_by)
    key = "aged links", state.links.lsn, wanted.key, schema[aged_by].id, half_life
    known = state.routes.get(key)
    return remembered(state.routes, key, _aged(state, wanted, aged_by, half_life)) if known is None else known


def _aged(state: State, wanted: Wanted, name: str, half_life: float) -> LinkGraph:
    """Return a graph whose links count half as much for each half-life that they are older than the newest one.

    Only their relation matters to walkers, so it need not be known what time it is. A link without a moment counts as
    the oldest.
    """
    kept = [piece for piece in zip(state.links.parts, chosen(state, wanted), strict=True) if len(piece[1])]
    if not kept:
        return graph_of(state, wanted)
    links = coded.of_parts(kept)
    moments = [part.take_links(state.links.schema, numbers, (name,)).column(name) for part, numbers in kept]
    column: Any = pa.chunked_array(moments).combine_chunks().cast(pa.int64())
    null = np.asarray(column.is_null())
    seconds = np.asarray(column.fill_null(0)).astype(np.float64) / MICROS
    if not null.all():
        seconds[null] = seconds[~null].min()
    seconds -= seconds.max(initial=0.0) if null.all() else seconds.max()
    links = replace(links, weight=(links.weight * np.exp2(seconds / half_life)).astype(np.float32))
    nodes, forward, backward = len(links.nodes), (links.src, links.dst), (links.dst, links.src)
    return LinkGraph(
        links.nodes,
        (),
        links.types,
        lambda: packed(nodes, *forward, links.weight, links.type),
        lambda: packed(nodes, *backward, links.weight, links.type),
    )


def ways_of(
    state: State, graph: LinkGraph, links: Mapping[str, float], direction: str, through: Expression | None
) -> tuple[Ways, list[str]]:
    """Return what may be walked, and the types that are named and that no link has."""
    ahead, behind = np.zeros(len(graph.types), np.float32), np.zeros(len(graph.types), np.float32)
    code_of, unknown = {name: code for code, name in enumerate(graph.types)}, []
    for name, weight in links.items():
        sign, bare = (name[0], name[1:]) if name[0] in "<>" and name not in code_of else ("", name)
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


def paths_of(graph: LinkGraph, reached: Reached) -> Callable[[Sequence[int]], list[tuple[Step, ...]]]:
    """Return what gives the paths of some entries. Their ids are looked up at once: a look-up costs more than an id."""

    def paths(places: Sequence[int]) -> list[tuple[Step, ...]]:
        walked = [reached.path(place) for place in places]
        ids = iter(graph.ids(np.array([step.node for steps in walked for step in steps], np.int32)))
        return [
            tuple((next(ids), graph.types[step.type] if step.type >= 0 else None, step.ahead) for step in steps)
            for steps in walked
        ]

    return paths
