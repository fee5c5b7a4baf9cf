"""What must hold of an inverted file before a kernel may read it: kernels trust every number."""

import math

import numpy as np

from vecdb_index.dense.ivf.index import Ivf
from vecdb_index.types import METRIC_CODES


def problems(index: Ivf) -> list[str]:
    """Return what is wrong with an index's arrays, a sentence each; one may only be searched without any."""
    coder = index.coder
    if coder.metric not in METRIC_CODES:
        return [f"its metric is {coder.metric!r}"]
    if not (math.isfinite(coder.scale) and coder.scale > 0):
        return [f"its codes have the scale {coder.scale}"]
    lists, count = len(index.centroids), len(index.order)
    if count == 0 or lists == 0 or coder.dimension < 1:
        return [f"it has {count} rows of {coder.dimension} numbers in {lists} lists"]
    shapes = {
        "centroids": (np.float32, (lists, coder.dimension)),
        "offsets": (np.int64, (lists + 1,)),
        "order": (np.uint32, (count,)),
        "codes": (np.uint8, (count, coder.width)),
        "centre": (np.float32, (coder.dimension,)),
    }
    found = [
        f"{name} are {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}"
        for name, array in index.arrays().items()
        for dtype, shape in [shapes[name]]
        if array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous
    ]
    if found:
        return found
    if index.offsets[0] != 0 or index.offsets[-1] != count or (np.diff(index.offsets) < 0).any():
        found.append(f"the lists do not cover the {count} rows one after the other")
    if index.order.max() >= count or np.bincount(index.order, minlength=count).max() > 1:
        found.append(f"the lists do not hold each of the {count} rows once")
    if not np.isfinite(index.centroids).all():
        found.append("a centroid is not finite")
    return found
