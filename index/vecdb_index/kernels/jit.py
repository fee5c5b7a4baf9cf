"""The one place that says how a kernel is compiled, and for which types.

No fast-math flags anywhere: the score of a (row, query) pair must have the same bits in every kernel, and
with `reassoc` LLVM would order the sum of each loop as it likes. The speed comes from lanes.py, which
spells out its vectors.

The surprise: array types are declared read-only. Writable arrays convert to them for free, so that one
compiled kernel serves mapped files and fresh arrays alike.
"""

from collections.abc import Callable
from typing import Any

import numba
from numba import types

from vecdb_index.kernels.names import name_of


def frozen(element: Any, ndim: int) -> types.Array:
    """Type of a C-contiguous array that a kernel only reads."""
    return types.Array(element, ndim, "C", readonly=True)


def filled(element: Any, ndim: int) -> types.Array:
    """Type of a C-contiguous array that a kernel writes."""
    return types.Array(element, ndim, "C")


def kernel(*arguments: Any) -> Callable[[Callable[..., None]], Any]:
    """Compile a function for exactly these argument types, of which the first is the matrix's.

    The machine code is made, or loaded from numba's cache, when the decorator runs; it holds no GIL. A call
    with arguments of other types raises TypeError.
    """

    def compiled(function: Callable[..., None]) -> Any:
        function.__qualname__ = name_of(function.__name__, str(arguments[0].dtype))
        try:
            dispatcher = numba.njit(nogil=True, error_model="numpy", cache=True)(function)
        except RuntimeError:
            # No folder of the cache can be written: every process compiles for itself.
            dispatcher = numba.njit(nogil=True, error_model="numpy")(function)
        dispatcher.compile(types.void(*arguments))
        dispatcher.disable_compile()
        return dispatcher

    return compiled


def helper(function: Callable[..., Any]) -> Any:
    """Compile a function as part of the kernels that call it; one that neither makes arrays nor returns any.

    Numba counts who holds an array, by instructions that lock memory, at each use in a loop that it cannot see through:
    more than half of the time of a walk through a graph. Such a function only borrows its arrays, so nothing is counted
    (`_nrt`, an option that numba has for its own tests). It cannot make any; and to return one would free it too early.
    """
    borrowing: dict[str, Any] = {"_nrt": False}
    return numba.njit(nogil=True, error_model="numpy", **borrowing)(function)


def owner(function: Callable[..., Any]) -> Any:
    """Compile a function as part of the kernels that call it; one that makes arrays or returns some."""
    return numba.njit(nogil=True, error_model="numpy")(function)
