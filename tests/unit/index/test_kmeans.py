"""k-means: near the exact seeding, equal to brute force, and the same for any number of threads."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, permutations

import numpy as np
import pytest

from vecdb_index.cluster.kmeans import grouped, kmeans, nearest
from vecdb_index.cluster.panels import Panels
from vecdb_index.cluster.seeding import Init, seeds

rng = np.random.default_rng(11)


def blobs(rows: int, dimension: int = 24, clusters: int = 30, spread: float = 0.5) -> np.ndarray:
    centres = 4 * rng.standard_normal((clusters, dimension))
    return (centres[rng.integers(0, clusters, rows)] + spread * rng.standard_normal((rows, dimension))).astype(
        np.float32
    )


def squared_distances(matrix: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Return the (n, k) distances in float64, one difference at a time."""
    wide = matrix.astype(np.float64)
    return np.stack([((wide - centroid) ** 2).sum(axis=1) for centroid in centroids.astype(np.float64)], axis=1)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize(
    ("rows", "dimension", "k"), [(1, 1, 1), (7, 3, 7), (500, 24, 16), (1000, 33, 17), (97, 65, 40)]
)
def test_assignments_are_those_of_brute_force(dtype: str, rows: int, dimension: int, k: int) -> None:
    matrix = (10 * rng.standard_normal((rows, dimension))).clip(-127, 127).astype(dtype)

    found = kmeans(matrix, k)

    distances = squared_distances(matrix, found.centroids)
    chosen = distances[np.arange(rows), found.assignments]
    # Sums in float32: two centroids that are as near as their rounding may change places.
    np.testing.assert_allclose(chosen, distances.min(axis=1), rtol=1e-5, atol=1e-4)
    assert (found.assignments == distances.argmin(axis=1)).mean() > 0.99
    assert found.inertia == pytest.approx(chosen.sum(), rel=1e-4, abs=1e-3)
    assert found.centroids.shape == (k, dimension)
    assert found.assignments.dtype == np.uint32
    assert (nearest(matrix, found.centroids) == found.assignments).all()


def test_equal_centroids_give_the_first() -> None:
    centroids = np.repeat(blobs(3), 20, axis=0)

    assert nearest(centroids, centroids).tolist() == np.repeat([0, 20, 40], 20).tolist()


@pytest.mark.parametrize("init", ["rs++", "++", "random"])
def test_any_number_of_threads_gives_the_same_clusters(init: Init) -> None:
    matrix = blobs(9000)
    alone = kmeans(matrix, 50, init=init, sample=6000, seed=3)

    for threads in (2, 3):
        with ThreadPoolExecutor(threads) as pool:
            other = kmeans(matrix, 50, init=init, sample=6000, seed=3, pool=pool)
        assert other.centroids.tobytes() == alone.centroids.tobytes()
        assert other.assignments.tobytes() == alone.assignments.tobytes()
        assert other.inertia == alone.inertia


def seeding_cost(points: np.ndarray, squares: np.ndarray, k: int, init: Init, seed: int) -> float:
    rows = seeds(points, squares, k, init, np.random.default_rng(seed))
    assert len(np.unique(rows)) == k
    _, scores = Panels.of(points[rows]).nearest(points)
    return float(np.maximum(squares - 2.0 * scores, 0).sum())


@pytest.mark.parametrize("spread", [0.01, 0.5, 5.0])
def test_rejection_seeds_as_well_as_looking_at_every_row(spread: float) -> None:
    points = blobs(4000, clusters=200, spread=spread)
    points -= points.mean(axis=0)
    squares = (points.astype(np.float64) ** 2).sum(axis=1)

    exact, rejecting = (
        np.mean([seeding_cost(points, squares, 100, init, seed) for seed in range(10)]) for init in ("++", "rs++")
    )

    assert rejecting < 1.05 * exact


@pytest.mark.parametrize("init", ["rs++", "++"])
def test_rows_are_drawn_as_often_as_the_square_of_their_distance_says(init: Init) -> None:
    """Arthur and Vassilvitskii 2007, section 2.2: the chance of each set of three of five points, in 4,000 draws."""
    points = np.array([[-3.0], [-2.0], [0.0], [1.0], [4.0]], np.float32)
    squares, draws = (points[:, 0] ** 2).astype(np.float64), 4000
    gaps = (points - points.T).astype(np.float64) ** 2
    expected = dict.fromkeys(combinations(range(5), 3), 0.0)
    for first, second, third in permutations(range(5), 3):
        near = np.minimum(gaps[first], gaps[second])
        chance = 1 / 5 * gaps[first, second] / gaps[first].sum() * near[third] / near.sum()
        expected[tuple(sorted((first, second, third)))] += chance  # pyright: ignore[reportArgumentType]

    found = [seeds(points, squares, 3, init, np.random.default_rng(seed)) for seed in range(draws)]

    counts = Counter(tuple(sorted(rows.tolist())) for rows in found)
    for rows, chance in expected.items():
        assert abs(counts[rows] / draws - chance) < 4 * np.sqrt(chance * (1 - chance) / draws)


def test_more_rounds_never_make_it_worse() -> None:
    matrix = blobs(3000, spread=3)

    inertias = [kmeans(matrix, 40, iterations=rounds).inertia for rounds in (0, 1, 3, 10)]

    assert inertias == sorted(inertias, reverse=True)


def test_tight_clusters_in_float16_do_not_collapse() -> None:
    # In float16 the squared lengths of these rows all round to the same number.
    centres = (40 + rng.standard_normal((32, 64))).astype(np.float16)
    matrix = np.repeat(centres, 50, axis=0)
    matrix += (0.03 * rng.choice([-1, 1], matrix.shape)).astype(np.float16)

    found = kmeans(matrix, 32, iterations=30)

    sizes = np.bincount(found.assignments, minlength=32)
    assert (sizes > 0).all()
    groups = found.assignments.reshape(32, 50)
    assert sum((group == group[0]).all() for group in groups) > 24


def test_a_cluster_that_lost_its_rows_gets_others() -> None:
    matrix = blobs(2000, clusters=3, spread=0.2)
    matrix[0] = 100

    found = kmeans(matrix, 60, init="random", iterations=15)

    assert (np.bincount(found.assignments, minlength=60) > 0).mean() > 0.9


@pytest.mark.parametrize("init", ["rs++", "++", "random"])
@pytest.mark.parametrize("distinct", [1, 4])
def test_fewer_distinct_rows_than_clusters(init: Init, distinct: int) -> None:
    matrix = np.repeat(blobs(distinct, 8), 50, axis=0)

    found = kmeans(matrix, 20, init=init)

    assert np.isfinite(found.centroids).all()
    assert len(np.unique(found.assignments)) <= distinct
    if init != "random":
        assert found.inertia < 1e-6 * (matrix.astype(np.float64) ** 2).sum()  # the rounding of float32


def test_rows_are_grouped_by_label_in_their_order() -> None:
    labels = np.array([2, 0, 2, 5, 0], np.uint32)

    order, offsets = grouped(labels, 7)

    assert order.tolist() == [1, 4, 0, 2, 3]
    assert offsets.tolist() == [0, 2, 2, 4, 4, 4, 5, 5]


def test_scales_make_directions_of_rows() -> None:
    matrix = blobs(1000)
    lengths = np.linalg.norm(matrix, axis=1)
    directions = matrix / lengths[:, None]

    found = kmeans(matrix * np.float32(3), 10, scales=(1 / (3 * lengths)).astype(np.float32))

    assert found.inertia == pytest.approx(kmeans(directions, 10).inertia, rel=1e-3)


def test_progress_is_told_and_may_stop_the_work() -> None:
    told: list[tuple[int, int]] = []
    matrix = blobs(10_000)

    kmeans(matrix, 20, sample=5000, progress=lambda *args: told.append(args))

    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kmeans(matrix, 20, progress=stop)


@pytest.mark.parametrize("k", [0, 6])
def test_a_number_of_clusters_that_cannot_be(k: int) -> None:
    with pytest.raises(ValueError, match=f"not {k}"):
        kmeans(blobs(5), k)
