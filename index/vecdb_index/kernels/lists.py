"""The kernels that score short lists of rows, compiled when an index first needs them and not with the scans."""

import functools
from typing import Any

from numba import types

from vecdb_index.kernels import loops
from vecdb_index.kernels.jit import kernel
from vecdb_index.kernels.signatures import scan_lists_of

# By NumPy's letter for the element: float32, float16 as uint16, bfloat16 as int16, int8. Asking for the letter is the
# cheapest.
_TYPES = {
    "f": (types.float32, types.float32),
    "H": (types.uint16, types.float32),
    "h": (types.int16, types.float32),
    "b": (types.int8, types.int16),
}


@functools.cache
def scan_lists(element: str) -> Any:
    """Return loops.scan_lists for matrices of an element."""
    return kernel(*scan_lists_of(*_TYPES[element]))(loops.scan_lists)
