"""What must hold of an inverted file before a kernel may read it: kernels trust every number."""

import numpy as np

from vecdb_index.codes.stored import mismatches
from vecdb_index.dense import calibrate
from vecdb_index.dense.ivf.index import Ivf
from vecdb_index.types import METRIC_CODES


def problems(index: Ivf) -> list[str]:
    """Return what is wrong with an index's arrays, a sentence each; one may only be searched without any."""
    lists, count = len(index.centroids), len(index.order)
    if index.metric not in METRIC_CODES or index.metric != index.coding.settings()["metric"]:
        return [f"its metric is {index.metric!r}"]
    if count == 0 or lists == 0:
        return [f"it has {count} rows in {lists} lists"]
    found = mismatches(
        {
            "centroids are": (index.centroids, np.float32, (lists, int(index.coding.settings()["dimension"]))),
            "offsets are": (index.offsets, np.int64, (lists + 1,)),
            "the order is": (index.order, np.uint32, (count,)),
        }
    )
    found += index.coding.problems(count, lists)
    if found:
        return [*found, *calibrate.problems(index.curve)]
    if index.offsets[0] != 0 or index.offsets[-1] != count or (np.diff(index.offsets) < 0).any():
        found.append(f"the lists do not cover the {count} rows one after the other")
    if index.order.max() >= count or np.bincount(index.order, minlength=count).max() > 1:
        found.append(f"the lists do not hold each of the {count} rows once")
    if not np.isfinite(index.centroids).all():
        found.append("a centroid is not finite")
    return [*found, *calibrate.problems(index.curve)]
