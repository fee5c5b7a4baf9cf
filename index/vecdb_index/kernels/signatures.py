"""The argument types of the kernels in loops.py."""

from typing import Any

from numba import types

from vecdb_index.kernels.jit import filled, frozen

_SIZE, _MASK, _ROWS, _KEYS = types.intp, types.uint8, types.uint32, types.uint64
_SCORE = types.float32


def scan_of(element: Any, query: Any) -> tuple[Any, ...]:
    """Types of loops.scan for a matrix and a query of these elements."""
    return (
        frozen(element, 2),
        frozen(query, 1),
        _SIZE,
        _SCORE,
        frozen(_SCORE, 1),
        frozen(_ROWS, 1),
        _SIZE,
        _SIZE,
        frozen(_MASK, 1),
        filled(_SCORE, 1),
        filled(_SCORE, 1),
        filled(_KEYS, 1),
        filled(_KEYS, 1),
    )


def scan_batch_of(element: Any, query: Any) -> tuple[Any, ...]:
    """Types of loops.scan_batch for a matrix and queries of these elements."""
    return (
        frozen(element, 2),
        frozen(query, 2),
        _SIZE,
        frozen(_SCORE, 1),
        frozen(_SCORE, 1),
        frozen(_ROWS, 1),
        _SIZE,
        _SIZE,
        frozen(_MASK, 1),
        filled(_SCORE, 1),
        filled(_SCORE, 2),
        filled(_KEYS, 2),
        filled(_KEYS, 2),
    )


def scan_lists_of(element: Any, query: Any) -> tuple[Any, ...]:
    """Types of loops.scan_lists for a matrix and queries of these elements."""
    return (
        frozen(element, 2),
        frozen(query, 2),
        _SIZE,
        frozen(_SCORE, 1),
        frozen(_SCORE, 1),
        filled(_ROWS, 2),
        frozen(types.int32, 1),
        _SIZE,
        _SIZE,
        filled(_SCORE, 1),
        filled(_SCORE, 2),
    )


def norms_of(element: Any) -> tuple[Any, ...]:
    """Types of loops.norms for a matrix of these elements."""
    return frozen(element, 2), _SIZE, _SIZE, filled(_SCORE, 1)
