"""Reading links: which ones there are, whom an id is linked to, and the graph of those that pass a filter.

Each part is asked for the ids in question, which costs some binary searches, whatever the size of the graph. Somebody
who may see only some rows sees the links between those rows: the two ends are looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from vecdb.filters.evaluate import BoundFilter
from vecdb.planner.masks import remembered
from vecdb.schema.arrow import pc
from vecdb.schema.links import DST, SRC, TYPE, WEIGHT, Direction, attributes_of
from vecdb.schema.schema import Schema
from vecdb.storage.keys import Id, keys_of
from vecdb.storage.links import coded
from vecdb.storage.links.graph import LinkGraph, graph_of_some
from vecdb.storage.links.state import LinkPart
from vecdb.storage.snapshot import State

STEP = 1 << 16
"""Links that are looked at at once."""
PERCENTILES = 50, 90, 99
_WAYS: tuple[tuple[Direction, str, str], ...] = (("out", SRC, DST), ("in", DST, SRC))
"""Each direction, with the end that is asked for and the other one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which links count: types, None for all, and a filter."""

    types: frozenset[str] | None = None
    where: BoundFilter | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What two equal ones share."""
        return self.types, None if self.where is None else self.where.key


ALL = Wanted()


def shown(state: State, ids: pa.Array) -> np.ndarray:
    """Return which ids have a row that the state shows, bool (n,)."""
    keys = keys_of(ids.to_pylist(), ids.type)
    found = np.zeros(len(ids), bool)
    for view in state.segments:
        rows = view.segment.index().find_many(ids, keys)
        there = rows >= 0
        live = view.live()
        if live is not None:
            there[there] = live[rows[there]]
        found |= there
    for view in state.memtables:
        found |= np.fromiter((view.find(value, 0) >= 0 for value in ids.to_pylist()), bool, len(ids))
    return found


def passing(state: State, part: LinkPart, numbers: np.ndarray, wanted: Wanted) -> np.ndarray:
    """Return which of some links of a part count, bool (n,)."""
    links = state.links
    kept = np.ones(len(numbers), bool)
    needed = set[str]() if wanted.where is None else set(wanted.where.columns)
    needed |= {TYPE} if wanted.types is not None else set()
    needed |= {SRC, DST} if links.narrowed else set()
    if not needed or not len(numbers):
        return kept
    for begin in range(0, len(numbers), STEP):
        state.check("the links")
        piece = slice(begin, begin + STEP)
        batch = part.take_links(links.schema, numbers[piece], tuple(needed))
        here = kept[piece]
        if wanted.types is not None:
            here &= np.asarray(pc.is_in(batch.column(TYPE), pa.array(sorted(wanted.types), pa.string())))
        if wanted.where is not None:
            here &= wanted.where.mask({name: batch.column(name) for name in wanted.where.columns}, batch.num_rows)
        if links.narrowed:
            for end in (SRC, DST):
                ends = batch.column(end).dictionary_encode()
                here &= shown(state, ends.dictionary)[np.asarray(ends.indices)]
    return kept


def columns_of(schema: Schema) -> pa.Schema:
    """Return the columns of the answer of `neighbours`."""
    end = schema.id.field.arrow_type
    fields = [("id", end), ("neighbour", end), ("direction", pa.string()), (TYPE, pa.string()), (WEIGHT, pa.float64())]
    return pa.schema([*fields, *((column.name, column.field.arrow_type) for column in attributes_of(schema))])


def neighbours(state: State, ids: Sequence[Id], direction: Direction, wanted: Wanted, limit: int | None) -> pa.Table:
    """Return the links of some ids, heaviest first; limit is the most of each id. A loop stands there once."""
    links = state.links
    schema = links.schema
    values = pa.array(ids, schema.id.field.arrow_type)
    keys = keys_of(ids, values.type)
    target = columns_of(schema)
    pieces = []
    for part in links.parts:
        for way, near, far in _WAYS:
            if direction not in (way, "both"):
                continue
            state.check("the links")
            places, numbers = part.touching(values, keys, way)
            kept = passing(state, part, numbers, wanted)
            places, numbers = places[kept], numbers[kept]
            batch = part.take_links(schema, numbers, None)
            if direction == "both" and way == "in":
                other = np.asarray(pc.not_equal(batch.column(near), batch.column(far)))
                batch, places = batch.filter(pa.array(other)), places[other]
            told = pa.array([way]).take(pa.array(np.zeros(batch.num_rows, np.int64)))
            rest = [batch.column(column.name) for column in schema.columns[2:]]
            arrays = [batch.column(near), batch.column(far), told, *rest]
            arrays = [array.cast(field.type) for array, field in zip(arrays, target, strict=True)]
            pieces.append(pa.Table.from_arrays([pa.array(places), *arrays], names=["", *target.names]))
    if not pieces:
        return target.empty_table()
    table = pa.concat_tables(pieces)
    keys_ = [("", "ascending"), (WEIGHT, "descending"), ("neighbour", "ascending"), (TYPE, "ascending")]
    table = table.sort_by([*keys_, ("direction", "descending")]).combine_chunks()
    if limit is not None and table.num_rows:
        places = table.column("").to_numpy()
        first = np.searchsorted(places, places)
        table = table.filter(pa.array(np.arange(len(places)) - first < limit))
    return table.select(target.names)


def scan(
    state: State, src: Sequence[Id] | None, dst: Sequence[Id] | None, wanted: Wanted, rows: int
) -> Iterator[pa.RecordBatch]:
    """Yield the links that pass, in batches of at most so many, in the order of storage."""
    links = state.links
    id_type = links.schema.id.field.arrow_type
    near = src if src is not None else dst
    for part in links.parts:
        if near is None:
            numbers = part.live()
        else:
            values = pa.array(near, id_type)
            way: Direction = "out" if src is not None else "in"
            numbers = np.unique(part.touching(values, keys_of(near, id_type), way)[1])
        for begin in range(0, len(numbers), rows):
            piece = numbers[begin : begin + rows]
            piece = piece[passing(state, part, piece, wanted)]
            batch = part.take_links(links.schema, piece, None)
            if src is not None and dst is not None:
                batch = batch.filter(pc.is_in(batch.column(DST), pa.array(dst, batch.column(DST).type)))
            if batch.num_rows:
                yield batch


def degrees(state: State, ids: Sequence[Id], wanted: Wanted) -> tuple[np.ndarray, np.ndarray]:
    """Return how many links go out of each id, and come in, int64 (n,) each."""
    links = state.links
    values = pa.array(ids, links.schema.id.field.arrow_type)
    keys = keys_of(ids, values.type)
    counts = []
    for way, _, _ in _WAYS:
        count = np.zeros(len(ids), np.int64)
        for part in links.parts:
            places, numbers = part.touching(values, keys, way)
            count += np.bincount(places[passing(state, part, numbers, wanted)], minlength=len(ids))
        counts.append(count)
    return counts[0], counts[1]


def chosen(state: State, wanted: Wanted) -> list[np.ndarray]:
    """Return, for each part, the numbers of the links that count."""
    found = []
    for part in state.links.parts:
        numbers = part.live()
        found.append(numbers[passing(state, part, numbers, wanted)])
    return found


def graph_of(state: State, wanted: Wanted = ALL) -> LinkGraph:
    """Return the graph of the links that count, made once for a state.

    States share what segments say of it, unless they are narrowed: there it depends on the rows which links count.
    """
    links = state.links
    if wanted.key == ALL.key and not links.narrowed:
        return links.graph
    key = "links", links.lsn, wanted.key
    known = state.routes.get(key)
    if known is None and links.narrowed:
        known = remembered(state.routes, key, graph_of_some(links, chosen(state, wanted)))
    elif known is None:
        columns = () if wanted.where is None else sorted(wanted.where.columns)
        shared = wanted.key, *(links.schema[name].id for name in columns)
        made = links.bases.graph(links, shared, lambda part, numbers: passing(state, part, numbers, wanted))
        known = remembered(state.routes, key, made)
    return known


def statistics(state: State) -> dict[str, Any]:
    """Return counts of the links that the state shows, and of their ends."""
    links = state.links
    told: dict[str, Any] = {"links": 0, "types": {}, "nodes": 0, "dangling_ids": 0, "dangling_links": 0}
    told |= {"out_degree": _spread(np.empty(0)), "in_degree": _spread(np.empty(0))}
    kept = chosen(state, ALL)
    if any(map(len, kept)):
        found = coded.of_parts(
            [(part, numbers) for part, numbers in zip(links.parts, kept, strict=True) if len(numbers)]
        )
        found = found.tight()
        nodes = len(found.nodes)
        with_row = shown(state, found.nodes.ids)
        counts = np.bincount(found.type, minlength=len(found.types))
        told |= {
            "links": len(found),
            "types": {name: int(count) for name, count in zip(found.types, counts, strict=True)},
            "nodes": nodes,
            "dangling_ids": int(nodes - with_row.sum()),
            "dangling_links": int((~(with_row[found.src] & with_row[found.dst])).sum()),
            "out_degree": _spread(np.bincount(found.src, minlength=nodes)),
            "in_degree": _spread(np.bincount(found.dst, minlength=nodes)),
        }
    return told


def _spread(degrees_: np.ndarray) -> dict[str, float]:
    """Return the mean, percentiles and maximum of some degrees."""
    if not len(degrees_):
        return {"mean": 0.0, **{f"p{at}": 0 for at in PERCENTILES}, "max": 0}
    points = np.percentile(degrees_, PERCENTILES, method="inverted_cdf")
    told = {f"p{at}": int(value) for at, value in zip(PERCENTILES, points, strict=True)}
    return {"mean": float(degrees_.mean()), **told, "max": int(degrees_.max())}
