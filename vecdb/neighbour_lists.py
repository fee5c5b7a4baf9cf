"""The nearest rows of each row, as lists: found by searches, brought up to date, and made into mutual links.

    lists, searched = updated(snapshot, "embedding", 10, exact=False, held=None)   # all anew
    lists, searched = updated(later, "embedding", 10, exact=False, held=lists)     # what changed since
    one, other, weight = mutual(lists.near, lists.similarity, 0.0)

A row is searched for when it is new, has another vector, or lost one of its list. All others can only have gained new
rows: the k nearest of two sets together are among the k nearest of each, so these are merged in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vecdb.schema.arrow import pc
from vecdb.storage.overlay_file import NearestLists

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.reads import Snapshot

AT_ONCE = 1024
"""Rows that are searched for, or compared, at once."""
DEEPER = 4
"""Through an index a new row is compared with so many times k rows whose lists it may come into."""
_MULTIPLIERS = np.random.default_rng(0x5EED).integers(0, 2**63, 1 << 16, np.uint64) | np.uint64(1)

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Row, other row, similarity."""


def updated(
    snapshot: Snapshot,
    field: str,
    k: int,
    exact: bool,
    held: NearestLists | None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[NearestLists, int]:
    """Return the lists of all rows that have a vector, and how many rows were searched for.

    `progress` is called with (rows done, rows) of these.
    """
    ids, vector = _rows(snapshot, field)
    count = len(ids)
    near, similarity = np.full((count, k), -1, np.int32), np.full((count, k), -np.inf, np.float32)
    kept = np.zeros(count, bool)
    if held is not None:
        kept = _carry(held, ids, vector, near, similarity)
    new = np.flatnonzero(~kept)
    wanted = new if held is None else np.flatnonzero(~kept | _lost(held, ids, kept, near))
    if 2 * len(wanted) > count:
        wanted = np.arange(count)
    near[wanted], similarity[wanted] = -1, -np.inf
    place = {value: at for at, value in enumerate(ids.to_pylist())}
    gained: list[Pairs] = []
    done = 0
    deeper = k if exact or len(wanted) == count else DEEPER * k
    for rows, vectors in _vectors(snapshot, field, place, np.isin(np.arange(count), wanted)):
        found = _searched(snapshot, field, place, rows, vectors, deeper, exact)
        _write_best(near, similarity, found)
        gained.append((found[1], found[0], found[2]))
        done += len(rows)
        if progress is not None:
            progress(done, len(wanted))
    if len(wanted) < count:
        others = np.ones(count, bool)
        others[wanted] = False
        if exact:
            gained = list(_close(snapshot, field, place, new, others, similarity[:, -1]))
        fresh = ~kept
        for pairs in gained:
            passes = others[pairs[0]] & fresh[pairs[1]]
            _write_best(near, similarity, (pairs[0][passes], pairs[1][passes], pairs[2][passes]))
    return NearestLists(ids, vector, near, similarity), len(wanted)


def of_some(docs: Any, field: str, k: int, ids: Sequence[Any], exact: bool) -> tuple[list[Any], np.ndarray, np.ndarray]:
    """Return the lists of some rows and of those in them: ids, those of the rows first, near and similarity.

    Others stand in lists and have none. Rows without a vector have none either.
    """
    place: dict[Any, int] = _Places()
    pairs: list[Pairs] = []
    wanted = list(dict.fromkeys(ids))
    for value in wanted:
        place[value] = len(place)
    done = 0
    for _ in range(2):
        asked, done = list(place)[done:], len(place)
        for begin in range(0, len(asked), AT_ONCE):
            found = docs.get(asked[begin : begin + AT_ONCE], fields=[field])
            there = [row for row in found if row is not None and row[field] is not None]
            if there:
                rows = np.array([place[row[docs.schema.id.name]] for row in there])
                vectors = np.stack([np.asarray(row[field]) for row in there])
                pairs.append(_searched(docs, field, place, rows, vectors, k, exact))
    near, similarity = np.full((len(place), k), -1, np.int32), np.full((len(place), k), -np.inf, np.float32)
    for some in pairs:
        _write_best(near, similarity, some)
    return list(place), near, similarity


class _Places(dict[Any, int]):
    """Numbers ids as they come."""

    def __missing__(self, value: Any) -> int:
        self[value] = len(self)
        return self[value]


def mutual(near: np.ndarray, similarity: np.ndarray, least: float) -> Pairs:
    """Return the pairs of which each is in the other's list, each once, and the weights of the links between them.

    The weight is the similarity, divided by the root of how many times more often than lists are long each of the two
    stands in one.

    Args:
        near: (n, k) int32, places of the nearest, -1 behind the last.
        similarity: (n, k) float32.
        least: pairs must be more similar.

    """
    count, k = near.shape
    row, at = np.nonzero(near >= 0)
    other, value = near[row, at].astype(np.int64), similarity[row, at]
    crowd = np.maximum(np.bincount(other, minlength=count) / k, 1.0)
    both = (row < other) & (value > least) & np.isin(row * count + other, other * count + row)
    row, other = row[both], other[both]
    return row, other, (value[both] / np.sqrt(crowd[row] * crowd[other])).astype(np.float32)


def _rows(snapshot: Snapshot, field: str) -> tuple[pa.Array, np.ndarray]:
    """Return the ids of the rows that have a vector, and hashes of the vectors."""
    import pyarrow as pa

    ids, hashes = [], [np.empty(0, np.uint64)]
    for own, vectors in _batches(snapshot, field):
        ids.append(own)
        words = np.ascontiguousarray(vectors).view(np.uint8).reshape(len(vectors), -1)
        words = np.pad(words, ((0, 0), (0, -words.shape[1] % 4))).view(np.uint32)
        with np.errstate(over="ignore"):
            hashes.append(words.astype(np.uint64) @ np.resize(_MULTIPLIERS, words.shape[1]))
    arrow = snapshot.schema.id.field.arrow_type
    return pa.chunked_array(ids, arrow).combine_chunks(), np.concatenate(hashes)


def _batches(snapshot: Snapshot, field: str) -> Iterator[tuple[pa.Array, np.ndarray]]:
    """Yield ids, and vectors (n, dimension) as they are stored, of all rows that have one."""
    name = snapshot.schema.id.name
    for batch in snapshot.scan(fields=[field], batch_rows=AT_ONCE):
        column = batch.column(field)
        there = np.flatnonzero(np.asarray(column.is_valid()))
        if len(there):
            values = column.take(there)
            yield batch.column(name).take(there), np.stack(values.to_numpy(zero_copy_only=False))


def _vectors(
    snapshot: Snapshot, field: str, place: dict[Any, int], wanted: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield places and vectors of the wanted rows."""
    if not wanted.any():
        return
    for own, vectors in _batches(snapshot, field):
        rows = np.array([place[value] for value in own.to_pylist()])
        if (chosen := wanted[rows]).any():
            yield rows[chosen], vectors[chosen]


def _carry(
    held: NearestLists, ids: pa.Array, vector: np.ndarray, near: np.ndarray, similarity: np.ndarray
) -> np.ndarray:
    """Fill in what is held of the rows that have the same vector still; return which those are."""
    before = np.asarray(pc.index_in(ids, held.ids).fill_null(-1)).astype(np.int64)
    kept = before >= 0
    kept[kept] = held.vector[before[kept]] == vector[kept]
    now = np.full(len(held.ids) + 1, -1, np.int32)  # the last one is that of -1
    now[before[kept]] = np.flatnonzero(kept)
    near[kept] = now[held.near[before[kept]]]
    similarity[kept] = held.similarity[before[kept]]
    return kept


def _lost(held: NearestLists, ids: pa.Array, kept: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return which rows had one in their list that is gone or has another vector."""
    before = np.asarray(pc.index_in(ids, held.ids).fill_null(-1)).astype(np.int64)
    lost = np.zeros(len(ids), bool)
    lost[kept] = ((held.near[before[kept]] >= 0) & (near[kept] < 0)).any(axis=1)
    return lost


def _searched(
    docs: Any,
    field: str,
    place: dict[Any, int],
    rows: np.ndarray,
    vectors: np.ndarray,
    k: int,
    exact: bool,
) -> Pairs:
    """Return the k nearest other rows of each."""
    asked: dict[str, Any] = {field: vectors}
    pieces: list[Pairs] = []
    for row, result in zip(rows, docs.search_batch(k=k + 1, exact=exact, fields=[], **asked), strict=True):
        other = np.array([place[value] for value in result.ids], np.int32)
        rest = np.flatnonzero(other != row)[:k]
        pieces.append((np.full(len(rest), row), other[rest], np.asarray(result.scores, np.float32)[rest]))
    first, second, third = (np.concatenate(list(parts)) for parts in zip(*pieces, strict=True))
    return first, second, third


def _close(
    snapshot: Snapshot, field: str, place: dict[Any, int], new: np.ndarray, others: np.ndarray, last: np.ndarray
) -> Iterator[Pairs]:
    """Yield which new rows are nearer to some of the others than the last of their lists, by comparing all with all.

    The vectors of the new rows are held in memory.
    """
    cosine = getattr(snapshot.schema[field].field, "metric", None) == "cosine"
    fresh = list(_vectors(snapshot, field, place, np.isin(np.arange(len(others)), new)))
    if not fresh:
        return
    at = np.concatenate([rows for rows, _ in fresh]).astype(np.int32)
    target = np.concatenate([_unit(vectors, cosine) for _, vectors in fresh])
    for rows, vectors in _vectors(snapshot, field, place, others):
        from_these = _unit(vectors, cosine)
        for begin in range(0, len(at), AT_ONCE):
            similarity = from_these @ target[begin : begin + AT_ONCE].T
            one, other = np.nonzero(similarity > last[rows, None])
            yield rows[one], at[begin + other], similarity[one, other]


def _unit(vectors: np.ndarray, cosine: bool) -> np.ndarray:
    values = vectors.astype(np.float32)
    if cosine:
        values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return values


def _write_best(near: np.ndarray, similarity: np.ndarray, pairs: Pairs) -> None:
    """Put others into the lists of rows, which stay as long as they are, best first."""
    k = near.shape[1]
    touched, row = np.unique(pairs[0], return_inverse=True)
    if not len(touched):
        return
    row = np.concatenate([np.repeat(np.arange(len(touched)), k), row])
    other = np.concatenate([near[touched].ravel(), pairs[1]])
    value = np.concatenate([similarity[touched].ravel(), pairs[2]])
    order = np.lexsort((-value, row))
    row, other, value = row[order], other[order], value[order]
    rank = np.arange(len(row)) - np.searchsorted(row, row)
    best = rank < k
    near[touched[row[best]], rank[best]] = other[best]
    similarity[touched[row[best]], rank[best]] = value[best]
