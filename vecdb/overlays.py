"""Links between rows that are alike: a graph of nearest neighbours over a field of vectors.

They are ordinary links, stored by `Collection.link`: durable, filtered, walked and counted like all others, 24 bytes
each on disk.

    docs.link(similar_links(docs, "embedding"), directed=False)                  # all rows
    docs.link(similar_links(docs, "embedding", ids=new), directed=False)         # rows that came since
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.schema.arrow import pc
from vecdb.schema.given import whole_number
from vecdb.storage.keys import keys_of
from vecdb_index.graph.adjacency import packed
from vecdb_index.graph.communities import ROUNDS
from vecdb_index.graph.communities import communities as grouped

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.collection import Collection

SIMILAR = "similar"
"""What links between rows that are alike are called."""
AT_ONCE = 1024
"""Rows that are searched for at once."""


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
    that others had stay as they are, even where a new row is nearer now; all links anew put that right.

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
    column = docs.schema[field].field
    if getattr(column, "metric", None) not in ("cosine", "dot"):
        raise InvalidInputError(
            f"field {field!r} has no similarity: it needs vectors of metric cosine or dot", field=field
        )
    wanted = None if ids is None else list(dict.fromkeys(ids))
    near = _nearest(docs, field, k, wanted, exact)
    others = {other for found in near.values() for other in found} - near.keys()
    back = near | (_nearest(docs, field, k, sorted(others, key=str), exact) if others else {})
    times: dict[Any, int] = {}
    for found in back.values():
        for other in found:
            times[other] = times.get(other, 0) + 1
    rows = []
    for one, found in near.items():
        for other, similarity in found.items():
            pair_is_met_again = other in near and str(other) < str(one)
            if similarity > least and one in back.get(other, {}) and not pair_is_met_again:
                crowd = max(times[one] / k, 1.0) * max(times[other] / k, 1.0)
                rows.append((one, other, similarity / crowd**0.5))
    end = docs.schema.id.field.arrow_type
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    arrays = [pa.array(columns[0], end), pa.array(columns[1], end), pa.array([type] * len(rows), pa.string())]
    return pa.table([*arrays, pa.array(columns[2], pa.float64())], names=["src", "dst", "type", "weight"])


def _nearest(
    docs: Collection, field: str, k: int, ids: Sequence[Any] | None, exact: bool
) -> dict[Any, dict[Any, float]]:
    """Return the k nearest other rows of each, and their similarities; rows without a vector are left out."""
    name = docs.schema.id.name
    found: dict[Any, dict[Any, float]] = {}
    for own, vectors in _vectors(docs, field, name, ids):
        asked: dict[str, Any] = {field: vectors}
        for value, result in zip(own, docs.search_batch(k=k + 1, exact=exact, fields=[], **asked), strict=True):
            pairs = zip(result.ids, result.scores.tolist(), strict=True)
            found[value] = dict([(other, score) for other, score in pairs if other != value][:k])
    return found


def _vectors(
    docs: Collection, field: str, name: str, ids: Sequence[Any] | None
) -> Iterable[tuple[list[Any], np.ndarray]]:
    """Yield ids and vectors, some at once."""
    if ids is None:
        for batch in docs.scan(fields=[field], batch_rows=AT_ONCE):
            column = batch.column(field)
            there = np.flatnonzero(np.asarray(column.is_valid()))
            if len(there):
                values = column.take(there)
                yield batch.column(name).take(there).to_pylist(), np.stack(values.to_numpy(zero_copy_only=False))
        return
    for first in range(0, len(ids), AT_ONCE):
        rows = docs.get(list(ids[first : first + AT_ONCE]), fields=[field])
        there = [row for row in rows if row is not None and row[field] is not None]
        if there:
            yield [row[name] for row in there], np.stack([np.asarray(row[field]) for row in there])


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
