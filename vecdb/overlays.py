"""Links between rows that are alike: a graph of nearest neighbours over a field of vectors.

They are ordinary links, stored by `Collection.link`: durable, filtered, walked and counted like all others, 24 bytes
each on disk.

    refresh_similar(docs, "embedding")                                           # made, and later brought up to date
    docs.link(similar_links(docs, "embedding"), directed=False)                  # made once
    docs.link(similar_links(docs, "embedding", ids=some), directed=False)        # of some rows
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.neighbour_lists import Pairs, mutual, of_some, updated
from vecdb.results import Refreshed
from vecdb.schema.arrow import pc
from vecdb.schema.given import finite, flag, whole_number
from vecdb.schema.links import type_of
from vecdb.storage.keys import keys_of
from vecdb.storage.overlay_file import read_lists, write_lists
from vecdb_index.graph.adjacency import packed
from vecdb_index.graph.communities import ROUNDS
from vecdb_index.graph.communities import communities as grouped

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.collection import Collection
    from vecdb.reads import Snapshot

SIMILAR = "similar"
"""What links between rows that are alike are called."""


def similar_links(
    docs: Collection,
    field: str,
    k: int = 10,
    *,
    ids: Iterable[str | int] | None = None,
    least: float = 0.0,
    exact: bool = False,
    type: str = SIMILAR,
) -> pa.Table:
    """Return links between rows of which each is among the k nearest of the other.

    Such mutual links have no hubs: a row that is near to all others, as happens among vectors of many dimensions, is
    among the nearest of many, and few of them are among its own. What is left of that is taken out of the weights: the
    similarity, divided by the root of how many times more often than k each of the two rows was found.

    Rows are searched through the index where there is one. With `ids`, only links of these rows are returned: those
    that others had stay as they are, even where a new row is nearer now; `refresh_similar` puts that right.

    Args:
        docs: a collection, a view or a snapshot of one.
        field: a field of vectors, of the metric cosine or dot.
        k: how many of the nearest rows count.
        ids: rows whose links are wanted; None: of all rows.
        least: the least similarity of a link.
        exact: compare with every row.
        type: the type of the links.

    Returns:
        Columns src, dst, type and weight, each pair once: link them with `directed=False`.

    Raises:
        UnknownFieldError: there is no such field.
        InvalidInputError: it holds no vectors, or of another metric.

    """
    import pyarrow as pa

    k = whole_number("k", k, most=1000)
    _require_similarity(docs, field)
    if ids is None:
        frozen: Any = docs.snapshot() if hasattr(docs, "snapshot") else docs
        lists, _ = updated(frozen, field, k, exact, None)
        names, near, similarity = lists.ids, lists.near, lists.similarity
        first = len(names)
    else:
        wanted = list(dict.fromkeys(ids))
        listed, near, similarity = of_some(docs, field, k, wanted, exact)
        names, first = pa.array(listed, docs.schema.id.field.arrow_type), len(wanted)
    one, other, weight = mutual(near, similarity, least)
    # Of a pair the one that comes first is less: with it the wanted ones, which come first, are there too.
    asked = one < first
    return _table(names, one[asked], other[asked], weight[asked], type)


def refresh_similar(
    docs: Collection,
    field: str,
    k: int = 10,
    *,
    least: float = 0.0,
    exact: bool = False,
    type: str = SIMILAR,
    progress: Callable[[int, int], None] | None = None,
) -> Refreshed:
    """Bring the stored links between rows that are alike up to date; the first call makes them.

    Afterwards the links of this type are those of `similar_links` over all rows as they are, undirected: new rows are
    linked, the links of rows that are gone or have another vector are gone, and who lost a neighbour has its next one.
    Links of this type that somebody else wrote are deleted. Nothing happens by itself when rows are written: call it
    after a load, or from time to time.

    The nearest rows of each are kept in a file of the collection, 8 k + 8 bytes and an id a row, so that only rows
    whose nearest ones changed are searched for; each vector is read once, to see whether it is another one. The file is
    no part of a backup: after a restore, and with another field, k or `exact` than before, all is made anew.

    With `exact` the links are those of `similar_links(exact=True)`, up to the order of rows that are equally similar.
    Without, rows are found through the index, and a new row comes into the lists of its own 4 k nearest only.

    New links are written before old ones are deleted, each in one step; between the two a reader sees both. After a
    crash at any time the next call completes what is missing. Two calls at once for one type may undo each other's
    links; the next one mends that.

    Args:
        docs: a collection, embedded or on a server, which then does all of it.
        field: a field of vectors, of the metric cosine or dot.
        k: how many of the nearest rows count.
        least: the least similarity of a link, 0 or more.
        exact: compare with every row.
        type: the type of the links.
        progress: called with (rows done, rows) of those that are searched for; it may raise to stop: nothing was
            written then.

    Returns:
        How many rows were searched for, and how many links, two for each pair, were written and deleted.

    Raises:
        UnknownFieldError: there is no such field.
        InvalidInputError: it holds no vectors, or of another metric; least is below 0; or docs is no collection.
        ConflictError: the collection is open read-only.

    """
    from vecdb.collection import Collection

    if not isinstance(docs, Collection):
        remote = getattr(docs, "refresh_similar", None)
        if remote is not None:
            return remote(field, k, least=least, exact=exact, type=type, progress=progress)
        raise InvalidInputError(f"docs must be a whole collection, not a {docs.__class__.__name__}", field="docs")
    k = whole_number("k", k, most=1000)
    least, exact, type = finite("least", least), flag("exact", exact), type_of(type)
    if least < 0:
        raise InvalidInputError(f"least must be 0 or more, not {least!r}", field="least")
    _require_similarity(docs, field)
    writer = docs._writable()
    snapshot = docs.snapshot()
    made_by = {"field": snapshot.schema[field].id, "k": k, "exact": exact}
    held = read_lists(writer.directory, writer.base, type, made_by)
    lists, searched = updated(snapshot, field, k, exact, held, progress)
    one, other, weight = mutual(lists.near, lists.similarity, least)
    written, deleted = _replace(docs, snapshot, type, lists.ids, (one, other, weight))
    # Last: links are compared with those that are stored, so that a crash before this costs time and nothing else.
    if held is None or searched or len(lists.ids) != len(held.ids):
        write_lists(writer.directory, writer.base, type, lists, made_by)
    return Refreshed(searched, written, deleted)


def _replace(docs: Collection, snapshot: Snapshot, type: str, ids: pa.Array, pairs: Pairs) -> tuple[int, int]:
    """Make the stored links of a type these, both ways; return how many were written, and deleted."""
    import pyarrow as pa

    one, other, weight = pairs
    source, target = np.concatenate([one, other]), np.concatenate([other, one])
    weight = np.concatenate([weight, weight])
    stored = pa.Table.from_batches(snapshot.links(type=type), snapshot.link_schema().arrow_schema())
    ends = [np.asarray(pc.index_in(stored.column(end), ids).fill_null(-1)).astype(np.int64) for end in ("src", "dst")]
    key, there = source * len(ids) + target, ends[0] * len(ids) + ends[1]
    there[(ends[0] < 0) | (ends[1] < 0)] = -1
    gone = np.flatnonzero(~np.isin(there, key))
    order = np.argsort(there)
    at = order[np.searchsorted(there[order], key).clip(max=max(len(there) - 1, 0))] if len(there) else order
    new = np.ones(len(key), bool)
    if len(there):
        new = (there[at] != key) | (np.asarray(stored.column("weight"), np.float32)[at] != weight)
    if new.any():
        docs.link(_table(ids, source[new], target[new], weight[new], type))
    if len(gone):
        docs.unlink(stored.select(["src", "dst", "type"]).take(gone))
    return int(new.sum()), len(gone)


def _require_similarity(docs: Any, field: str) -> None:
    if getattr(docs.schema[field].field, "metric", None) not in ("cosine", "dot"):
        raise InvalidInputError(
            f"field {field!r} has no similarity: it needs vectors of metric cosine or dot", field=field
        )


def _table(ids: pa.Array, one: np.ndarray, other: np.ndarray, weight: np.ndarray, type: str) -> pa.Table:
    """Return links as `Collection.link` takes them."""
    import pyarrow as pa

    types = pa.array([type], pa.string()).take(pa.array(np.zeros(len(one), np.int64)))
    columns = [ids.take(pa.array(one)), ids.take(pa.array(other)), types, pa.array(weight.astype(np.float64))]
    return pa.table(columns, names=["src", "dst", "type", "weight"])


def communities(docs: Collection, *, type: str | Sequence[str] | None = None, rounds: int = ROUNDS) -> pa.Table:
    """Return groups of ids that links join more with each other than with the rest, by label propagation.

    Every id takes the label that weighs most among those that it is linked to, either way, one after the other, again
    and again until none changes (Raghavan, Albert and Kumara, 2007). The answer is the same for the same links. Write
    the labels into a keyword to group, to filter, or to select by them; `Coverage(form="communities")` needs no labels.

    Args:
        docs: a collection, a view or a snapshot of one.
        type: only links of this type, or of these.
        rounds: the most rounds.

    Returns:
        Columns id and community: the least id of its group. Ids without links are missing.

    """
    import pyarrow as pa

    rounds = whole_number("rounds", rounds, most=10_000)
    batches = [batch.select(["src", "dst", "weight"]) for batch in docs.links(type=type)]
    end = docs.schema.id.field.arrow_type
    if not batches:
        return pa.table([pa.array([], end), pa.array([], end)], names=["id", "community"])
    table = pa.Table.from_batches(batches)
    # Of several types between the same two ids each counts.
    table = table.group_by(["src", "dst"], use_threads=False).aggregate([("weight", "sum")])
    table = table.rename_columns(["src", "dst", "weight"])
    ends: Any = pa.chunked_array([*table.column("src").chunks, *table.column("dst").chunks]).combine_chunks()
    names = ends.unique().sort()
    number = np.asarray(pc.index_in(ends, names))
    source, target = number[: table.num_rows], number[table.num_rows :]
    edge = source.astype(np.int32), target.astype(np.int32), np.asarray(table.column("weight"), np.float32)
    one_type = np.zeros(table.num_rows, np.uint16)
    forward = packed(len(names), *edge, one_type)
    backward = packed(len(names), edge[1], edge[0], edge[2], one_type)
    rank = np.empty(len(names), np.int32)
    rank[np.argsort(keys_of(names.to_pylist(), names.type), kind="stable")] = np.arange(len(names), dtype=np.int32)
    label = grouped(forward, backward, np.ones(1, np.float32), rank, rounds)
    least = np.full(len(names), len(names))
    np.minimum.at(least, label, np.arange(len(names)))
    return pa.table([names, names.take(pa.array(least[label]))], names=["id", "community"])
