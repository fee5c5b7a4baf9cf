"""The links of a state as a graph for kernels: nodes by number, and an `Adjacency` for each direction.

    graph = state.links.graph
    graph.numbers(["a", "b"])     # ids -> numbers of nodes, -1 for an id that has no link
    graph.out                     # whom each node links to; graph.incoming: who links to it
    graph.types[code]             # what a code in the arrays means
    graph.places(state)           # which row each node has, where it has one

Invariant: the rows of `out` and `incoming` hold exactly the live links of the state. A node may be without links, when
its last one was deleted: numbers say nothing but equality.

The base is made of all segments, once: the mapped arrays where there is one segment and nothing deleted, else a copy in
memory. What memtables and later deletions change is the patch. See `vecdb_index/graph/adjacency.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from vecdb.storage.keys import Id, keys_of
from vecdb.storage.links import coded
from vecdb.storage.links.coded import Coded
from vecdb.storage.links.ends import places
from vecdb.storage.links.nodes import Nodes, united
from vecdb.storage.links.segment import LinkView, ranges
from vecdb_index.graph.adjacency import Adjacency, packed, rows_of, unpatched

if TYPE_CHECKING:
    from vecdb.storage.links.state import LinkPart, LinkState
    from vecdb.storage.snapshot import State

PATCHED_SHARE = 8
"""When more than one link in so many was deleted since the base was made, it is made again."""


FILTERS = 8
"""So many graphs of links that pass a filter are kept."""

Pick = Callable[["LinkPart", np.ndarray], np.ndarray]
"""Tells of some links of a part, by their numbers, which ones count, bool (n,)."""
Weigh = Callable[["LinkPart", np.ndarray], np.ndarray]
"""Tells by what the weights of some links of a part are to be multiplied, (n,)."""


class LinkGraph:
    """A graph of links; immutable. Nodes are numbered from 0 to `nodes` - 1."""

    def __init__(
        self,
        base: Nodes,
        more: Sequence[Id],
        types: tuple[str, ...],
        out: Callable[[], Adjacency],
        incoming: Callable[[], Adjacency],
    ) -> None:
        self.types = types
        """The types by their codes."""
        self._base = base
        self._more = tuple(more)
        self._place = {value: len(base) + at for at, value in enumerate(self._more)}
        self._make_out, self._make_incoming = out, incoming
        self._lock = threading.Lock()
        self._rows: dict[str, np.ndarray] = {}

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return len(self._base) + len(self._more)

    @cached_property
    def out(self) -> Adjacency:
        """The links by their sources."""
        return self._make_out()

    @cached_property
    def incoming(self) -> Adjacency:
        """The links by their destinations; the targets are the sources."""
        return self._make_incoming()

    def numbers(self, ids: Sequence[Id]) -> np.ndarray:
        """Return the node of each id, -1 where it has none, (n,) int32."""
        found = self._base.find_ids(ids).astype(np.int32)
        if self._more:
            for at in np.flatnonzero(found < 0).tolist():
                found[at] = self._place.get(ids[at], -1)
        return found

    def ids(self, numbers: np.ndarray) -> list[Id]:
        """Return the ids of some nodes."""
        if not self._more:
            return self._base.ids_of(numbers)
        base = len(self._base)
        known = np.flatnonzero(numbers < base)
        found: list[Id] = [self._more[number - base] if number >= base else "" for number in numbers.tolist()]
        for at, value in zip(known.tolist(), self._base.ids_of(numbers[known]), strict=True):
            found[at] = value
        return found

    @property
    def keys(self) -> np.ndarray:
        """The keys of the ids of all nodes: hashes, the same wherever an id is stored."""
        return self._keys[1]

    @cached_property
    def _keys(self) -> tuple[pa.Array, np.ndarray]:
        """The ids of all nodes and their keys."""
        if not self._more:
            return self._base.ids, self._base.keys
        more = pa.array(self._more, self._base.ids.type)
        ids = pa.chunked_array([self._base.ids, more]).combine_chunks()
        return ids, np.concatenate([self._base.keys, keys_of(self._more, more.type)])

    def places(self, state: State) -> tuple[np.ndarray, np.ndarray]:
        """Return, for each node, the part of a state and the row there that its id has, (nodes,) int32; -1 without one.

        Rows that the state does not show are none. What a segment knows of the nodes is looked up once.
        """
        part_of, row_of = np.full(self.nodes, -1, np.int32), np.full(self.nodes, -1, np.int32)
        for number, part in enumerate(state.parts):
            if part.uuid is None:
                rows = self._memory_rows(state, number)
            else:
                rows = self._segment_rows(state, number, part.uuid)
            there = np.flatnonzero(rows >= 0)
            live = part.live()
            if live is not None:
                there = there[live[rows[there]]]
            part_of[there], row_of[there] = number, rows[there]
        return part_of, row_of

    def places_of(self, state: State, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the same for some nodes only, (n,) each; it costs what they cost, once segments are looked up."""
        part_of, row_of = np.full(len(numbers), -1, np.int32), np.full(len(numbers), -1, np.int32)
        for number, part in enumerate(state.parts):
            if part.uuid is None:
                lost = np.flatnonzero(row_of < 0)
                found = [part.find(value, 0) for value in self.ids(numbers[lost])] if part.rows else []
                rows = np.full(len(numbers), -1, np.int32)
                rows[lost[: len(found)]] = found
            else:
                rows = self._segment_rows(state, number, part.uuid)[numbers]
                live, held = part.live(), rows >= 0
                if live is not None:
                    rows = np.where(held & live[np.where(held, rows, 0)], rows, -1)
            there = rows >= 0
            part_of[there], row_of[there] = number, rows[there]
        return part_of, row_of

    def _segment_rows(self, state: State, number: int, uuid: str) -> np.ndarray:
        rows = self._rows.get(uuid)
        if rows is None:
            ids, keys = self._keys
            rows = state.segments[number].segment.index().find_many(ids, keys).astype(np.int32)
            with self._lock:
                self._rows[uuid] = rows
        return rows

    def _memory_rows(self, state: State, number: int) -> np.ndarray:
        rows = np.full(self.nodes, -1, np.int32)
        part = state.parts[number]
        live = part.live()
        numbers = np.arange(part.rows) if live is None else np.flatnonzero(live)
        nodes = self.numbers(part.ids_of(numbers))
        rows[nodes[nodes >= 0]] = numbers[nodes >= 0]
        return rows


class _Base:
    """All segments as one graph, as they were at some deletions; and by segment the numbers of its nodes and types."""

    def __init__(self, views: Sequence[LinkView], id_type: pa.DataType, pick: Pick | None, weigh: Weigh | None) -> None:
        self._weigh = weigh
        self._kept = None if pick is None else {view.segment.uuid: _picked(view, pick) for view in views}
        self.deleted = {view.segment.uuid: view.deleted for view in views}
        self.links = sum(view.live_rows for view in views)
        self.whole = len(views) == 1 and not views[0].deleted and pick is None
        """Whether it is the one segment as it is mapped."""
        nothing = np.empty(0, np.uint16)
        self.types, _ = coded.united_types([(view.segment.types, nothing) for view in views])
        place = {name: code for code, name in enumerate(self.types)}
        self._codes = {
            view.segment.uuid: np.array([place[name] for name in view.segment.types], np.uint16) for view in views
        }
        if len(views) == 1:
            self.nodes = views[0].segment.nodes
            numbers = [np.arange(len(self.nodes), dtype=np.int32)]
        else:
            self.nodes, numbers = united([view.segment.nodes.ids for view in views] or [pa.array([], id_type)])
        self._numbers = {view.segment.uuid: known for view, known in zip(views, numbers, strict=False)}
        self._views = tuple(views)
        self._lock = threading.Lock()
        self._made: dict[str, Adjacency] = {}

    def coded(self, view: LinkView, numbers: np.ndarray) -> Coded:
        """Return links of a segment in the numbers of this graph."""
        found = view.coded(numbers)
        known, codes = self._numbers[view.segment.uuid], self._codes[view.segment.uuid]
        weight = _weighed(found.weight, view, numbers, self._weigh)
        return Coded(self.nodes, self.types, known[found.src], known[found.dst], codes[found.type], weight)

    def gone(self, view: LinkView) -> Coded:
        """Return the links of a segment that were deleted since."""
        deleted = np.array((view.deleted - self.deleted[view.segment.uuid]).to_array(), np.int64)
        if self._kept is not None and len(deleted):
            kept = self._kept[view.segment.uuid]
            deleted = deleted[np.searchsorted(kept, deleted, "right") > np.searchsorted(kept, deleted)]
        return self.coded(view, deleted)

    def serves(self, views: Sequence[LinkView]) -> bool:
        """Tell whether these are the same segments with nothing less deleted, and not much more."""
        if {view.segment.uuid for view in views} != self.deleted.keys():
            return False
        more = 0
        for view in views:
            before = self.deleted[view.segment.uuid]
            if not before <= view.deleted:
                return False
            more += len(view.deleted) - len(before)
        return more * PATCHED_SHARE <= self.links

    def adjacency(self, direction: str) -> Adjacency:
        """Return the links in one direction, "out" or "in"."""
        with self._lock:
            if direction not in self._made:
                self._made[direction] = self._make(direction)
            return self._made[direction]

    def _make(self, direction: str) -> Adjacency:
        if self.whole:
            segment = self._views[0].segment
            held, ends = (segment.out, "targets") if direction == "out" else (segment.incoming, "sources")
            return unpatched(held["offsets"], held[ends], held["weights"], held["types"])
        numbers = {view.segment.uuid: view.live() for view in self._views} if self._kept is None else self._kept
        return _packed(self.nodes, [self.coded(view, numbers[view.segment.uuid]) for view in self._views], direction)


class Bases:
    """The bases that the states of a collection share, until its segments are others. Safe from any thread.

    One has all links, and some those of them that pass a filter, or count less the older they are. What passes, and
    what it weighs, does not change while a segment lives.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bases: dict[Any, _Base] = {}
        self.kept: dict[Any, Any] = {}
        """What else whoever picks and weighs links keeps of them."""

    def graph(
        self, links: LinkState, key: Any = None, pick: Pick | None = None, weigh: Weigh | None = None
    ) -> LinkGraph:
        """Return the graph of all links of a state, or of those that are picked; equal keys pick and weigh the same."""
        base = self._of(links, key, pick, weigh)
        memory = [_in_memory(view, pick, weigh) for view in links.memtables]
        more, types, fresh = _beside(base, memory)
        gone = [base.gone(view) for view in links.segments]
        changed = any(len(piece) for piece in (*gone, *fresh))

        def made(direction: str) -> Adjacency:
            held = base.adjacency(direction)
            return _patched(held, gone, fresh, direction) if changed else held

        return LinkGraph(base.nodes, more, types, lambda: made("out"), lambda: made("in"))

    def _of(self, links: LinkState, key: Any, pick: Pick | None, weigh: Weigh | None) -> _Base:
        held = self._bases.get(key)
        if held is not None and held.serves(links.segments):
            return held
        with self._lock:
            held = self._bases.get(key)
            if held is not None and held.serves(links.segments):
                return held
            made = _Base(links.segments, links.schema.id.field.arrow_type, pick, weigh)
            older = held is not None and any(
                not held.deleted.get(view.segment.uuid, BitMap()) <= view.deleted for view in links.segments
            )
            if not older:  # a state of the past makes its own, and leaves that of the present
                others = [(at, one) for at, one in self._bases.items() if at != key]
                # Those of other segments are let go, and what was made first when there are many filters.
                known = [(at, one) for at, one in others if at is None or one.deleted.keys() == made.deleted.keys()]
                whole = [(at, one) for at, one in known if at is None]
                filtered = [(at, one) for at, one in known if at is not None][-FILTERS + 1 :]
                self._bases = dict([*whole, *filtered, (key, made)])
            return made


def _picked(part: LinkPart, pick: Pick) -> np.ndarray:
    numbers = part.live()
    return numbers[pick(part, numbers)]


def _in_memory(part: LinkPart, pick: Pick | None, weigh: Weigh | None) -> Coded:
    numbers = part.live() if pick is None else _picked(part, pick)
    found = part.coded(numbers)
    return replace(found, weight=_weighed(found.weight, part, numbers, weigh))


def _weighed(weight: np.ndarray, part: LinkPart, numbers: np.ndarray, weigh: Weigh | None) -> np.ndarray:
    return weight if weigh is None else (weight * weigh(part, numbers)).astype(np.float32)


def graph_of_some(links: LinkState, chosen: Sequence[np.ndarray]) -> LinkGraph:
    """Return the graph of some links of a state: for each part the numbers of those that count. It is made anew."""
    found = coded.of_parts(list(zip(links.parts, chosen, strict=True))) if links.parts else None
    if found is None:
        nodes, _ = united([pa.array([], links.schema.id.field.arrow_type)])
        nothing = np.empty(0, np.int32)
        found = Coded(nodes, (), nothing, nothing, nothing.astype(np.uint16), nothing.astype(np.float32))
    nodes = found.nodes
    return LinkGraph(
        nodes, (), found.types, lambda: _packed(nodes, [found], "out"), lambda: _packed(nodes, [found], "in")
    )


def _beside(base: _Base, memory: Sequence[Coded]) -> tuple[list[Id], tuple[str, ...], list[Coded]]:
    """Number what memtables hold: return ids that the base has not, all types, and the links in those numbers."""
    place: dict[Id, int] = {}
    types = {name: code for code, name in enumerate(base.types)}
    fresh = []
    for piece in memory:
        numbers = base.nodes.find_many(piece.nodes.ids, piece.nodes.keys)
        for at in np.flatnonzero(numbers < 0).tolist():
            numbers[at] = place.setdefault(piece.nodes.ids[at].as_py(), len(base.nodes) + len(place))
        codes = np.array([types.setdefault(name, len(types)) for name in piece.types], np.uint16)
        known = numbers.astype(np.int32)
        fresh.append(
            Coded(base.nodes, piece.types, known[piece.src], known[piece.dst], codes[piece.type], piece.weight)
        )
    return list(place), tuple(types), fresh


def _ways(pieces: Sequence[Coded], direction: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return source, target, type and weight of links, as one walks in a direction."""
    src = np.concatenate([piece.src for piece in pieces] or [np.empty(0, np.int32)])
    dst = np.concatenate([piece.dst for piece in pieces] or [np.empty(0, np.int32)])
    codes = np.concatenate([piece.type for piece in pieces] or [np.empty(0, np.uint16)])
    weight = np.concatenate([piece.weight for piece in pieces] or [np.empty(0, np.float32)])
    return (src, dst, codes, weight) if direction == "out" else (dst, src, codes, weight)


def _packed(nodes: Nodes, pieces: Sequence[Coded], direction: str) -> Adjacency:
    source, target, codes, weight = _ways(pieces, direction)
    return packed(len(nodes), source, target, weight, codes)


def _patched(held: Adjacency, gone: Sequence[Coded], fresh: Sequence[Coded], direction: str) -> Adjacency:
    """Return a base with the whole rows of all nodes that lost or gained a link in a patch."""
    lost_source, lost_target, lost_type, _ = _ways(gone, direction)
    source, target, codes, weight = _ways(fresh, direction)
    touched = np.unique(np.concatenate([lost_source, source])).astype(np.int32)
    inside = np.flatnonzero(touched < len(held.offsets) - 1)
    begin, end = held.offsets[touched[inside]], held.offsets[touched[inside] + 1]
    numbers = ranges(begin, end)
    rows = np.repeat(inside, end - begin)
    arrays = {"offsets": held.offsets, "targets": held.targets, "types": held.types}
    lost = places(arrays, lost_source.astype(np.int64), lost_target.astype(np.int64), lost_type.astype(np.int64))
    kept = np.ones(len(numbers), bool)
    kept[np.searchsorted(numbers, lost)] = False
    numbers, rows = numbers[kept], rows[kept]
    rows = np.concatenate([rows, np.searchsorted(touched, source)])
    targets = np.concatenate([held.targets[numbers], target])
    types = np.concatenate([held.types[numbers], codes])
    weights = np.concatenate([held.weights[numbers], weight])
    order, offsets = rows_of(len(touched), rows, targets, types)
    return held._replace(
        patched=touched,
        patch_offsets=offsets,
        patch_targets=targets[order],
        patch_weights=weights[order],
        patch_types=types[order],
    )
