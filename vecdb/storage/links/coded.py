"""Links as numbers: what files, merges and graphs are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vecdb.storage.links.nodes import Nodes, united

if TYPE_CHECKING:
    from vecdb.storage.links.state import LinkPart

SRC, DST, TYPE, WEIGHT = "f0", "f1", "f2", "f3"
"""What storage calls the columns that every link has."""


@dataclass(frozen=True, slots=True)
class Coded:
    """Links (n,): ends as numbers of nodes, int32; types as codes, uint16; weights, float32."""

    nodes: Nodes
    types: tuple[str, ...]
    src: np.ndarray
    dst: np.ndarray
    type: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.src)

    def chosen(self, kept: np.ndarray) -> Coded:
        """Return some of the links, by number or by a mask; nodes and types stay."""
        return Coded(self.nodes, self.types, self.src[kept], self.dst[kept], self.type[kept], self.weight[kept])

    def tight(self) -> Coded:
        """Return the same links without nodes and types that none of them has."""
        used = np.zeros(len(self.nodes), bool)
        used[self.src] = used[self.dst] = True
        typed = np.zeros(len(self.types), bool)
        typed[self.type] = True
        if used.all() and typed.all():
            return self
        numbers, codes = np.cumsum(used, dtype=np.int32) - 1, (np.cumsum(typed) - 1).astype(np.uint16)
        return Coded(
            self.nodes.chosen(np.flatnonzero(used)),
            tuple(name for name, kept in zip(self.types, typed, strict=True) if kept),
            numbers[self.src].astype(np.int32),
            numbers[self.dst].astype(np.int32),
            codes[self.type],
            self.weight,
        )


def of_batch(batch: pa.RecordBatch) -> Coded:
    """Return the links of a batch with the columns of storage."""
    nodes, (src, dst) = united([batch.column(SRC), batch.column(DST)])
    types, (codes,) = united_types([_types(batch.column(TYPE))])
    weight = np.asarray(batch.column(WEIGHT)).astype(np.float32)
    return Coded(nodes, types, src, dst, codes, weight)


def of_parts(parts: Sequence[tuple[LinkPart, np.ndarray]]) -> Coded:
    """Return some links of several parts, by their numbers, one part after the other."""
    pieces = [part.coded(numbers) for part, numbers in parts]
    if len(pieces) == 1:
        return pieces[0]
    nodes, numbers = united([piece.nodes.ids for piece in pieces])
    types, codes = united_types([(piece.types, piece.type) for piece in pieces])
    return Coded(
        nodes,
        types,
        np.concatenate([known[piece.src] for known, piece in zip(numbers, pieces, strict=True)]),
        np.concatenate([known[piece.dst] for known, piece in zip(numbers, pieces, strict=True)]),
        np.concatenate(codes),
        np.concatenate([piece.weight for piece in pieces]),
    )


def united_types(coded: Sequence[tuple[Sequence[str], np.ndarray]]) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """Return the types of all, ascending, and the codes by them, uint16, of each."""
    types = tuple(sorted(set[str]().union(*(names for names, _ in coded))))
    place = {name: code for code, name in enumerate(types)}
    found = []
    for names, codes in coded:
        now = np.array([place[name] for name in names], np.uint16)
        found.append(now[codes] if len(codes) else np.empty(0, np.uint16))
    return types, found


def _types(column: pa.Array) -> tuple[list[str], np.ndarray]:
    coded = column.dictionary_encode()
    return coded.dictionary.to_pylist(), np.asarray(coded.indices)
