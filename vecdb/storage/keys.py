"""The primary key index of a segment: sorted keys and their rows.

An int64 id is its own key; a string id's key is its 64-bit XXH3 hash, and every hit is compared with the id itself.
Derived data: `repair` rebuilds it from the ids.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from vecdb.schema.arrays import bools_of, numbers_array, numbers_of

Id = str | int


def keys_of(ids: Sequence[Any], id_type: pa.DataType) -> np.ndarray:
    """Return the keys of a list of ids, in order."""
    if pa.types.is_integer(id_type):
        return np.asarray(ids, np.int64)
    digest = xxhash.xxh3_64_intdigest
    return np.fromiter((digest(value.encode()) for value in ids), np.uint64, len(ids))


def build(ids: pa.Array) -> tuple[pa.RecordBatch, np.ndarray]:
    """Return the index of a segment's ids, and the rows that a later row of the same id replaces.

    Replaced rows are left out of the index, so that every id is found once.
    """
    listed = ids.to_pylist()
    keys = keys_of(listed, ids.type)
    order = np.argsort(keys, kind="stable").astype(np.uint32)
    sorted_keys = keys[order]
    same = np.zeros(len(keys), bool)
    if len(keys) > 1:
        same[1:] = sorted_keys[1:] == sorted_keys[:-1]
    replaced = _replaced(listed, order, same)
    if len(replaced):
        keep = ~np.isin(order, replaced)
        order, sorted_keys = order[keep], sorted_keys[keep]
    batch = pa.record_batch([numbers_array(sorted_keys), numbers_array(order)], names=["key", "row"])
    return batch, replaced


def _replaced(ids: list[Id], order: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Return the rows whose id occurs again later. Equal keys are compared by id: two ids may share a hash."""
    again = np.flatnonzero(same)
    if not len(again):
        return np.empty(0, np.uint32)
    rows = np.unique(np.concatenate([order[again], order[again - 1]]))
    last: dict[Id, int] = {}
    replaced = []
    for row in rows.tolist():
        before = last.get(ids[row])
        if before is not None:
            replaced.append(before)
        last[ids[row]] = row
    return np.array(sorted(replaced), np.uint32)


class KeyIndex:
    """Finds rows by id in one segment. `keys` ascend; `rows` are the rows they belong to."""

    def __init__(self, batch: pa.RecordBatch, ids: pa.Array) -> None:
        self.keys = numbers_of(batch.column(0))
        self.rows = numbers_of(batch.column(1))
        self._ids = ids
        self._exact = pa.types.is_integer(ids.type)
        self._type = self.keys.dtype.type

    def find(self, value: Id, key: int) -> int:
        """Return the row of an id, or -1; key is the id's own key."""
        keys = self.keys
        at = int(keys.searchsorted(self._type(key)))
        while at < len(keys) and keys[at] == key:
            row = int(self.rows[at])
            if self._exact or self._ids[row].as_py() == value:
                return row
            at += 1
        return -1

    def find_many(self, values: pa.Array, keys: np.ndarray) -> np.ndarray:
        """Return the row of each id, -1 where there is none, as int64 (n,)."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        at = self.keys.searchsorted(keys)
        at[at == len(self.keys)] = 0
        found = self.keys[at] == keys
        rows = np.where(found, self.rows[at].astype(np.int64), -1)
        if self._exact or not found.any():
            return rows
        hits = np.flatnonzero(found)
        same = pc.call_function("equal", [self._ids.take(numbers_array(rows[hits])), values.take(numbers_array(hits))])
        wrong = hits[~bools_of(same)]
        for index in wrong.tolist():  # another id with the same hash: look at the keys behind it
            rows[index] = self.find(values[index].as_py(), int(keys[index]))
        return rows
