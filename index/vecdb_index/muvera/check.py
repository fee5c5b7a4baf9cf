"""What must hold of an index before a kernel may read it: kernels trust every number."""

import numpy as np

from vecdb_index.codes.stored import mismatches
from vecdb_index.dense import calibrate
from vecdb_index.dense.ivf import check
from vecdb_index.multivector.fde import BITS_MOST, DIRECTIONS
from vecdb_index.muvera.index import Muvera

WIDTH_MOST = 1 << 20
"""Numbers of an encoding, at most."""


def problems(index: Muvera) -> list[str]:
    """Return what is wrong with an index's arrays, a sentence each; one may only be searched without any."""
    encoder = index.encoder
    counts = encoder.dimension, encoder.repetitions, encoder.projection or 1, encoder.final or 1
    if not all(isinstance(count, int) and 1 <= count <= WIDTH_MOST for count in counts):
        return [f"its encodings have the sizes {counts}"]
    if not (isinstance(encoder.bits, int) and 0 <= encoder.bits <= BITS_MOST and encoder.width <= WIDTH_MOST):
        return [f"its tokens are parted by {encoder.bits} bits"]
    if encoder.directions not in DIRECTIONS or not isinstance(encoder.seed, int) or not 0 <= encoder.seed < 1 << 64:
        return [f"its directions are {encoder.directions!r}, its seed {encoder.seed!r}"]
    if not isinstance(encoder.renormalise, bool):
        return [f"its means are renormalised: {encoder.renormalise!r}"]
    found = check.problems(index.inner)
    if found:
        return found
    if index.inner.metric != "dot" or index.inner.centroids.shape[1] != encoder.width:
        return [f"its codes are of {index.inner.centroids.shape[1]} numbers, its encodings of {encoder.width}"]
    if encoder.centre is not None:
        found = mismatches({"the centre is": (encoder.centre, np.float32, (encoder.dimension,))})
        if not found and not np.isfinite(encoder.centre).all():
            found = ["the centre is not finite"]
    if not 1 <= index.probes <= index.inner.lists:
        found.append(f"searches read {index.probes} of {index.inner.lists} lists")
    return [*found, *calibrate.problems(index.curve)]
