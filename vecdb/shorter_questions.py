"""Questions of fewer vectors, for searches by multi-vectors."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.schema.given import choice, finite, whole_number

Counted = Literal["size", "same"]


def pool_query(
    tokens: Any, count: int | None = None, *, near: float | None = None, weights: Counted = "size"
) -> tuple[np.ndarray, tuple[float, ...]]:
    """Return fewer vectors for a question and what each counts, for `Tokens` and `MaxSim`: searches take less time.

    Vectors that are alike become one. Say either how many are wanted, or how near they must be:

        tokens, weights = vecdb.pool_query(question, near=0.7)
        docs.run(vecdb.Query().gather(vecdb.Tokens("tokens", tokens, weights)))

    Args:
        tokens: (vectors, dimension), none of them zero; only their directions count.
        count: at most so many, by k-means. With `MultiVector(fixed=32)`, 8 are CRISP's C8x32.
        near: ball carving (MUVERA): a vector takes all those with it whose cosine with it is at least this.
        weights: "size": each counts as much as the sum of what it stands for; "same": all the same, as in CRISP.

    Returns:
        Unit vectors (c, dimension) float32, and c weights.

    Raises:
        InvalidInputError: tokens is no such matrix, or neither or both of count and near are given.

    """
    from vecdb_index.multivector.shorter import carved, clustered

    matrix = np.asarray(tokens)
    if matrix.ndim != 2 or 0 in matrix.shape or matrix.dtype.kind not in "fiu" or not np.isfinite(matrix).all():
        raise InvalidInputError("tokens is no matrix of finite numbers, a vector each row", field="tokens")
    wide = matrix.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    if not (lengths > 0).all():
        row = int((lengths[:, 0] == 0).argmax())
        raise InvalidInputError(f"the vector {row} of tokens is zero, which has no direction", field="tokens")
    if (count is None) == (near is None):
        raise InvalidInputError("name either count or near", field="count")
    choice("weights", weights, ("size", "same"))
    units = (wide / lengths).astype(np.float32)
    if count is not None:
        found, of = clustered(units, whole_number("count", count), by_size=weights == "size")
    else:
        least = finite("near", near)
        if not -1 <= least <= 1:
            raise InvalidInputError(f"near is {near!r}, expected a cosine from -1 to 1", field="near")
        found, of = carved(units, least)
        of = of if weights == "size" else np.ones_like(of)
    return found, tuple(of.tolist())
