"""What the kernels that walk over links share: reading a node's row, and a table of the nodes that were met.

A direction is an `Adjacency` as a plain tuple, see vecdb_index/graph/adjacency.py. What may be walked is said by a
weight for each type, one array for links as they point and one for links against it: a type of weight 0 is not there.
`open` (nodes,) uint8 says which nodes may be walked through; an empty one: all.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper

EMPTY = np.int32(-1)

NODE, PLACE, WEIGHT, TYPE, SHARE = types.int32, types.int64, types.float32, types.uint16, types.float64
LINKS = types.Tuple(
    [
        *(frozen(PLACE, 1), frozen(NODE, 1), frozen(WEIGHT, 1), frozen(TYPE, 1)),
        *(frozen(NODE, 1), frozen(PLACE, 1), frozen(NODE, 1), frozen(WEIGHT, 1), frozen(TYPE, 1)),
    ]
)
"""The type of an adjacency."""
TABLE = filled(NODE, 1)
"""The type of a table: places of nodes, a power of two of them, EMPTY where there is none."""


@helper
def place_of(table: Any, nodes: Any, node: Any) -> Any:
    """Return where in the table the place of a node stands, or would stand."""
    mask = np.uint64(table.shape[0] - 1)
    at = (np.uint64(node) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20) & mask
    while table[at] != EMPTY and nodes[table[at]] != node:
        at = (at + np.uint64(1)) & mask
    return at


@helper
def row_of(links: Any, node: Any) -> Any:
    """Return whether a node's row is in the patch, where it begins, and where it ends."""
    patched = links[4]
    if patched.shape[0]:
        at = np.searchsorted(patched, node)
        if at < patched.shape[0] and patched[at] == node:
            return True, links[5][at], links[5][at + 1]
    if node < links[0].shape[0] - 1:
        return False, links[0][node], links[0][node + 1]
    return False, np.int64(0), np.int64(0)


@helper
def length_of(links: Any, weights: Any, node: Any) -> Any:
    """Return how many links a node has in a direction; 0 where no type of it may be walked."""
    if not weights.shape[0]:
        return np.int64(0)
    _, begin, end = row_of(links, node)
    return end - begin


@helper
def is_open(open_: Any, node: Any) -> Any:
    """Return whether a node may be walked through."""
    return open_.shape[0] == 0 or open_[node] != 0
