"""Centroids as the kernel that looks for the nearest one reads them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WIDTH = 16
"""Centroids of a panel: LANES in kernels/kmeans.py."""


class Panels(NamedTuple):
    """Packed centroids, and half of their squared lengths; what is no centroid has infinity for it."""

    packed: NDArray[np.float32]
    halves: NDArray[np.float32]

    @classmethod
    def empty(cls, k: int, dimension: int) -> "Panels":
        """Return room for k centroids."""
        count = -(-k // WIDTH)
        return cls(np.zeros((count, dimension, WIDTH), np.float32), np.full(count * WIDTH, np.inf, np.float32))

    @classmethod
    def of(cls, centroids: NDArray[np.float32]) -> "Panels":
        """Pack centroids (k, d)."""
        k, dimension = centroids.shape
        panels = cls.empty(k, dimension)
        room = np.zeros((len(panels.halves), dimension), np.float32)
        room[:k] = centroids
        panels.packed[:] = room.reshape(-1, WIDTH, dimension).transpose(0, 2, 1)
        panels.halves[:k] = np.einsum("ij,ij->i", centroids, centroids, dtype=np.float64) / 2
        return panels

    def put(self, at: int, centroid: NDArray[np.float32]) -> None:
        """Make a centroid number `at`."""
        self.packed[at // WIDTH, :, at % WIDTH] = centroid
        self.halves[at] = np.dot(centroid.astype(np.float64), centroid) / 2

    def nearest(
        self, points: NDArray[np.float32], k: int | None = None
    ) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
        """Return for each point (n, d) the nearest of the first k centroids, the first of equals, and its score.

        The score is x.c - |c|^2 / 2: the squared distance is |x|^2 less twice the score.
        """
        from vecdb_index.kernels import kmeans as kernels

        used = len(self.packed) if k is None else -(-k // WIDTH)
        labels, scores = np.empty(len(points), np.uint32), np.empty(len(points), np.float32)
        kernels.nearest(points, self.packed[:used], self.halves, 0, len(points), labels, scores)
        return labels, scores
