"""bfloat16: the upper half of a float32, for which NumPy has no type; its bits stand in uint16.

It has float32's range and two to three decimal digits.
"""

import numpy as np
from numpy.typing import NDArray

_ROUND, _INFINITE, _QUIET = np.uint32(0x7FFF), np.uint32(0x7F800000), np.uint32(0x400000)
_HALF = np.uint32(16)


def encode(numbers: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Return the nearest bfloat16 of each float32, of two as near the even one; NaN stays NaN."""
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32)
    rounded = (bits + _ROUND + ((bits >> _HALF) & np.uint32(1))) >> _HALF
    # Rounding a NaN could carry into its sign.
    missing = (bits & np.uint32(0x7FFFFFFF)) > _INFINITE
    return np.where(missing, (bits | _QUIET) >> _HALF, rounded).astype(np.uint16)


def decode(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return the numbers, exactly."""
    return (bits.astype(np.uint32) << _HALF).view(np.float32)
