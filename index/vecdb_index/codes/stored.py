"""Arrays read from a file against what they ought to be, before a kernel trusts them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def mismatches(wanted: Mapping[str, tuple[NDArray[Any], DTypeLike, tuple[int, ...]]]) -> list[str]:
    """Return a sentence for each array that has another dtype or shape, or is not contiguous.

    Keys are the sentence's beginning: "factors are".
    """
    found = []
    for words, (array, dtype, shape) in wanted.items():
        if array.dtype != dtype or array.shape != shape:
            found.append(f"{words} {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}")
        elif not array.flags.c_contiguous:
            found.append(f"{words} not contiguous")
    return found
