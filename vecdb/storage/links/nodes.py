"""The ends of links, numbered: by the key of the id, as primary keys are ordered, see `vecdb/storage/keys.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from vecdb.schema.arrow import pc
from vecdb.storage.id_values import IdValues
from vecdb.storage.keys import Id, keys_of


class Nodes:
    """Ids by number. `keys` ascend; the id of number i is `ids[i]`. Two ids may share a key, so ids are compared."""

    def __init__(self, keys: np.ndarray, ids: pa.Array) -> None:
        self.keys = keys
        self.ids = ids
        self._exact = pa.types.is_integer(ids.type)
        self._values: IdValues | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def ids_of(self, numbers: np.ndarray) -> list[Id]:
        """Return the ids of some numbers."""
        if self._values is None:
            self._values = IdValues(self.ids)
        return self._values.at(numbers)

    def find(self, value: Id, key: Any) -> int:
        """Return the number of an id, or -1; key is the id's own key."""
        at = int(self.keys.searchsorted(self.keys.dtype.type(key)))
        while at < len(self.keys) and self.keys[at] == key:
            if self._exact or self.ids[at].as_py() == value:
                return at
            at += 1
        return -1

    def find_many(self, values: pa.Array, keys: np.ndarray) -> np.ndarray:
        """Return the number of each id, -1 where there is none, as int64 (n,)."""
        if not len(self.keys) or not len(keys):
            return np.full(len(keys), -1, np.int64)
        at = self.keys.searchsorted(keys)
        at[at == len(self.keys)] = 0
        found = self.keys[at] == keys
        numbers = np.where(found, at, -1)
        if self._exact or not found.any():
            return numbers
        hits = np.flatnonzero(found)
        same = pc.equal(self.ids.take(pa.array(at[hits])), values.take(pa.array(hits)))
        for wrong in hits[~np.asarray(same)].tolist():  # another id with the same key: look at those behind it
            numbers[wrong] = self.find(values[wrong].as_py(), keys[wrong])
        return numbers

    def find_ids(self, ids: Sequence[Id]) -> np.ndarray:
        """Return the number of each id of a list, -1 where there is none, as int64 (n,)."""
        return self.find_many(pa.array(ids, self.ids.type), keys_of(ids, self.ids.type))

    def chosen(self, numbers: np.ndarray) -> Nodes:
        """Return some of them, whose numbers ascend, numbered anew."""
        return Nodes(self.keys[numbers], self.ids.take(pa.array(numbers)))


def united(arrays: Sequence[pa.Array]) -> tuple[Nodes, list[np.ndarray]]:
    """Number the distinct ids of several arrays; return them, and for each array the numbers of its values, int32."""
    whole = pa.chunked_array(arrays, arrays[0].type).combine_chunks()
    coded = whole.dictionary_encode()
    ids = coded.dictionary
    keys = keys_of(ids.to_pylist(), ids.type)
    order = np.argsort(keys, kind="stable")
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    numbers = rank[np.asarray(coded.indices)]
    ends = np.cumsum([len(array) for array in arrays])[:-1]
    return Nodes(keys[order], ids.take(pa.array(order))), np.split(numbers, ends)
