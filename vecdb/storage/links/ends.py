"""Links that are asked for by source, destination and type, and where a segment has them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa

from vecdb.storage.keys import Id, keys_of
from vecdb.storage.links.nodes import Nodes

Key = tuple[Id, Id, str]
"""Source, destination, type: what names a link."""


class Ends:
    """Links (n,) by what names them. Ids are hashed once, for all segments."""

    def __init__(self, src: pa.Array, dst: pa.Array, type_: pa.Array) -> None:
        self._ids_given = src, dst
        self._types_given = type_
        self._length = len(src)

    @classmethod
    def of_keys(cls, keys: Sequence[Key], id_type: pa.DataType) -> Ends:
        """Return links by a list of what names them."""
        columns = list(zip(*keys, strict=True)) if keys else [[], [], []]
        return cls(pa.array(columns[0], id_type), pa.array(columns[1], id_type), pa.array(columns[2], pa.string()))

    def keys(self) -> list[Key]:
        """Return them as tuples."""
        src, dst = self._ids_given
        return list(zip(src.to_pylist(), dst.to_pylist(), self._types_given.to_pylist(), strict=True))

    @cached_property
    def _coded(self) -> tuple[pa.Array, np.ndarray, np.ndarray, np.ndarray]:
        whole = pa.chunked_array(list(self._ids_given)).combine_chunks().dictionary_encode()
        ids, codes = whole.dictionary, np.asarray(whole.indices)
        return ids, keys_of(ids.to_pylist(), ids.type), codes[: self._length], codes[self._length :]

    @cached_property
    def _types(self) -> tuple[list[str], np.ndarray]:
        coded = self._types_given.dictionary_encode()
        return coded.dictionary.to_pylist(), np.asarray(coded.indices)

    def find(self, nodes: Nodes, types: Sequence[str], out: dict[str, np.ndarray]) -> np.ndarray:
        """Return the number of each link in the rows of a segment, -1 where it is not there, int64 (n,)."""
        ids, keys, src, dst = self._coded
        known = nodes.find_many(ids, keys)
        place = {name: code for code, name in enumerate(types)}
        named, codes = self._types
        code_of = np.array([place.get(name, -1) for name in named], np.int64)
        return places(out, known[src], known[dst], code_of[codes] if len(codes) else np.empty(0, np.int64))


def places(out: dict[str, np.ndarray], src: np.ndarray, dst: np.ndarray, type_code: np.ndarray) -> np.ndarray:
    """Return the number of each link by its ends and type, -1 where it is not there or a number is below 0."""
    offsets, targets, types = out["offsets"], out["targets"], out["types"]
    found = np.full(len(src), -1, np.int64)
    asked = np.flatnonzero((src >= 0) & (dst >= 0) & (type_code >= 0) & (src < len(offsets) - 1))
    if not len(asked) or not len(targets):
        return found
    low, stop = offsets[src[asked]], offsets[src[asked] + 1]
    high = stop.copy()
    wanted = (dst[asked].astype(np.int64) << 16) | type_code[asked].astype(np.int64)
    while (open_ := low < high).any():  # a binary search of all at once
        middle = np.where(open_, (low + high) >> 1, 0)
        value = (targets[middle].astype(np.int64) << 16) | types[middle]
        below = value < wanted
        low = np.where(open_ & below, middle + 1, low)
        high = np.where(open_ & ~below, middle, high)
    inside = low < stop
    at = np.where(inside, low, 0)
    hit = inside & (((targets[at].astype(np.int64) << 16) | types[at]) == wanted)
    found[asked[hit]] = low[hit]
    return found
