"""Whom each node is linked to, in one direction: arrays that a kernel walks over.

Most links stand in the base, compressed sparse rows that may be memory-mapped. What was written since lies in the
patch, which holds the *whole* row of each node that it touches. So a row is one contiguous range, of the base or of the
patch, without dead links in it and without a link twice:

    at = searchsorted(patched, v)
    if at < len(patched) and patched[at] == v:   patch_targets[patch_offsets[at] : patch_offsets[at + 1]]
    elif v < len(offsets) - 1:                   targets[offsets[v] : offsets[v + 1]]
    else:                                        nothing

The patch is mostly empty, and small beside the base; nodes that only it knows have numbers behind those of the base.
Within a row links ascend by target, then by type.
"""

from typing import NamedTuple

import numpy as np


class Adjacency(NamedTuple):
    """The links of all nodes in one direction; all arrays are C-contiguous, and none may be written to.

    Attributes:
        offsets: (base nodes + 1,) int64, where the row of each node of the base begins and ends.
        targets: (links,) int32, the other end: of outgoing links the destination, of incoming ones the source.
        weights: (links,) float32, at least 0.
        types: (links,) uint16, codes of the types, which the graph names.
        patched: (p,) int32, ascending: nodes whose row is in the patch.
        patch_offsets: (p + 1,) int64.
        patch_targets: int32.
        patch_weights: float32.
        patch_types: uint16.

    """

    offsets: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    types: np.ndarray
    patched: np.ndarray
    patch_offsets: np.ndarray
    patch_targets: np.ndarray
    patch_weights: np.ndarray
    patch_types: np.ndarray

    @property
    def bytes(self) -> int:
        """Bytes of all arrays, mapped ones too."""
        return sum(array.nbytes for array in self)

    @property
    def links(self) -> int:
        """How many links there are: of a row that the patch holds, those of the base are no more."""
        within = self.patched[self.patched < len(self.offsets) - 1]
        stale = int((self.offsets[within + 1] - self.offsets[within]).sum())
        return len(self.targets) - stale + len(self.patch_targets)

    def row(self, node: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return targets, weights and types of the links of one node: what a kernel reads, for tests and small jobs."""
        at = int(np.searchsorted(self.patched, node))
        if at < len(self.patched) and self.patched[at] == node:
            part = slice(int(self.patch_offsets[at]), int(self.patch_offsets[at + 1]))
            return self.patch_targets[part], self.patch_weights[part], self.patch_types[part]
        if node >= len(self.offsets) - 1:
            return self.targets[:0], self.weights[:0], self.types[:0]
        part = slice(int(self.offsets[node]), int(self.offsets[node + 1]))
        return self.targets[part], self.weights[part], self.types[part]

    def degrees(self, nodes: int) -> np.ndarray:
        """Return how many links each of the first `nodes` nodes has, (nodes,) int64."""
        found = np.zeros(nodes, np.int64)
        base = min(nodes, len(self.offsets) - 1)
        found[:base] = np.diff(self.offsets[: base + 1])
        known = self.patched < nodes
        found[self.patched[known]] = np.diff(self.patch_offsets)[known]
        return found


def rows_of(nodes: int, source: np.ndarray, target: np.ndarray, type_code: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the order in which links stand in rows, (links,) int64, and where each row begins, (nodes + 1,) int64.

    The order is by source, then target, then type; of equal ones the first given comes first.
    """
    ends = (source.astype(np.int64) << 32) | target.astype(np.int64)
    order = np.lexsort((type_code, ends)) if len(type_code) and type_code.any() else np.argsort(ends, kind="stable")
    offsets = np.zeros(nodes + 1, np.int64)
    np.cumsum(np.bincount(source, minlength=nodes), out=offsets[1:])
    return order, offsets


def packed(nodes: int, source: np.ndarray, target: np.ndarray, weight: np.ndarray, type_code: np.ndarray) -> Adjacency:
    """Return the rows of links in any order, none of which comes twice, as a base without a patch."""
    order, offsets = rows_of(nodes, source, target, type_code)
    return unpatched(
        offsets,
        np.ascontiguousarray(target[order], np.int32),
        np.ascontiguousarray(weight[order], np.float32),
        np.ascontiguousarray(type_code[order], np.uint16),
    )


def unpatched(offsets: np.ndarray, targets: np.ndarray, weights: np.ndarray, types: np.ndarray) -> Adjacency:
    """Return a base without a patch."""
    nothing = np.empty(0, np.int32)
    return Adjacency(
        offsets, targets, weights, types,
        nothing, np.zeros(1, np.int64), nothing, np.empty(0, np.float32), np.empty(0, np.uint16),
    )  # fmt: skip
