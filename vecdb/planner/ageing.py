"""The graph of links that count less the older they are: half as much for each half-life before the newest one.

Only their relation matters to walkers, so it need not be known what time it is. Therefore the arrays need not be made
anew with every newer link: weights are counted from some moment, and `scale` says what they are to be multiplied by to
be counted from the newest link.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from vecdb.errors import InvalidInputError
from vecdb.filters.expression import Expression
from vecdb.planner.columns import bound_filter
from vecdb.planner.links import Wanted, chosen, graph_of, passing
from vecdb.planner.masks import remembered
from vecdb.schema.fields import Timestamp
from vecdb.storage.links import coded
from vecdb.storage.links.graph import LinkGraph
from vecdb.storage.links.segment import LinkView
from vecdb.storage.links.state import LinkPart
from vecdb.storage.snapshot import State
from vecdb_index.graph.adjacency import packed

MICROS = 1e6
FARTHEST = 20.0
"""Half-lives between the moment from which weights are counted and the newest link; beyond it they are made anew."""


class Aged(NamedTuple):
    """A graph, and what its weights are to be multiplied by."""

    graph: LinkGraph
    scale: float


class _Ageing(NamedTuple):
    """How links age: by an attribute, of those that count; `key` is what two equal ones share."""

    wanted: Wanted
    name: str
    half_life: float
    key: tuple[Any, ...]

    def seconds(self, state: State, part: LinkPart, numbers: np.ndarray) -> np.ndarray:
        """Return when some links of a part are from, float64 (n,); NaN where they have no moment."""
        column: Any = part.take_links(state.links.schema, numbers, (self.name,)).column(self.name).cast(pa.int64())
        found = np.asarray(column.fill_null(0)).astype(np.float64) / MICROS
        found[np.asarray(column.is_null())] = np.nan
        return found


def aged_graph(state: State, where: Expression | None, aged_by: str, half_life: float) -> Aged:
    """Return the graph of the links that pass a filter, their weights less where they are old.

    A link without a moment counts as the oldest.

    Raises:
        UnknownFieldError: links have no such attribute.
        InvalidInputError: it is no timestamp, or the filter does not fit.

    """
    schema = state.links.schema
    wanted = Wanted(None, None if where is None else bound_filter(where, schema))
    if not isinstance(schema[aged_by].field, Timestamp):
        told = f"links age by a timestamp, attribute {aged_by!r} is {schema[aged_by].field.kind}"
        raise InvalidInputError(told, field="aged_by", value=aged_by)
    filtered = () if wanted.where is None else sorted(wanted.where.columns)
    key = "aged links", wanted.key, *(schema[name].id for name in (aged_by, *filtered)), half_life
    # Which links a narrowed state shows depends on its rows too.
    held = state.routes if state.links.narrowed else state.links.made
    known = held.get(key)
    if known is not None:
        return known
    ageing = _Ageing(wanted, aged_by, half_life, key)
    made = None if state.links.narrowed else _patched(state, ageing)
    return remembered(held, key, _anew(state, ageing) if made is None else made)


def _patched(state: State, ageing: _Ageing) -> Aged | None:
    """Return the graph, of which segments keep most; None where links have no moment, which all others decide."""
    links, newest = state.links, -np.inf
    for part in links.parts:
        latest = _newest(state, ageing, part)
        if np.isnan(latest):
            return None
        newest = max(newest, latest)
    if not np.isfinite(newest):
        return None
    since = links.bases.kept.get(ageing.key)
    if since is None or abs(newest - since) > FARTHEST * ageing.half_life:
        since = links.bases.kept[ageing.key] = newest

    def weigh(part: LinkPart, numbers: np.ndarray) -> np.ndarray:
        return np.exp2((ageing.seconds(state, part, numbers) - since) / ageing.half_life)

    graph = links.bases.graph(links, (*ageing.key, since), _pick(state, ageing.wanted), weigh)
    return Aged(graph, float(np.exp2((since - newest) / ageing.half_life)))


def _newest(state: State, ageing: _Ageing, part: LinkPart) -> float:
    """Return when the newest link of a part is from, -inf where there is none; NaN where one has no moment."""
    kept = state.links.bases.kept
    deleted, key = None, None
    if isinstance(part, LinkView):
        deleted, key = len(part.deleted), (ageing.key, part.segment.uuid)
        known = kept.get(key)
        if known is not None and known[0] == deleted:
            return known[1]
    numbers = part.live()
    numbers = numbers[_pick(state, ageing.wanted)(part, numbers)]
    found = float(ageing.seconds(state, part, numbers).max(initial=-np.inf))
    if key is not None:
        kept[key] = deleted, found
    return found


def _pick(state: State, wanted: Wanted) -> Callable[[LinkPart, np.ndarray], np.ndarray]:
    return lambda part, numbers: passing(state, part, numbers, wanted)


def _anew(state: State, ageing: _Ageing) -> Aged:
    """Return the graph made of all links."""
    kept = [piece for piece in zip(state.links.parts, chosen(state, ageing.wanted), strict=True) if len(piece[1])]
    if not kept:
        return Aged(graph_of(state, ageing.wanted), 1.0)
    links = coded.of_parts(kept)
    seconds = np.concatenate([ageing.seconds(state, part, numbers) for part, numbers in kept])
    null = np.isnan(seconds)
    seconds[null] = 0.0 if null.all() else seconds[~null].min()
    weight = links.weight * np.exp2((seconds - seconds.max()) / ageing.half_life)
    links = replace(links, weight=weight.astype(np.float32))
    nodes, forward, backward = len(links.nodes), (links.src, links.dst), (links.dst, links.src)
    graph = LinkGraph(
        links.nodes,
        (),
        links.types,
        lambda: packed(nodes, *forward, links.weight, links.type),
        lambda: packed(nodes, *backward, links.weight, links.type),
    )
    return Aged(graph, 1.0)
