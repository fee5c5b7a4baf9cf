"""Signs as an index: the same for any number of threads, small, and never read where they are damaged."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from vecdb_index.dense import flat, signs
from vecdb_index.dense.signs import Signs, build
from vecdb_index.types import Metric

METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")


def data(rows: int, dimension: int, seed: int = 0) -> np.ndarray:
    """Rows around a mean that is no zero, the last ones missing."""
    matrix = np.random.default_rng(seed).standard_normal((rows, dimension)) + 0.5
    matrix[-2:] = 0
    return matrix.astype(np.float32)


@pytest.mark.parametrize("metric", METRICS)
def test_any_number_of_threads_takes_the_same_signs(metric: Metric) -> None:
    matrix = data(70_000, 24)
    alone = build(matrix, metric, flat.norms(matrix))

    with ThreadPoolExecutor(3) as pool:
        other = build(matrix, metric, flat.norms(matrix), pool=pool)

    assert all(other.arrays()[name].tobytes() == array.tobytes() for name, array in alone.arrays().items())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("dimension", [1, 63, 64, 65])
def test_a_bit_says_whether_a_number_is_above_the_mean(metric: Metric, dtype: str, dimension: int) -> None:
    matrix = (10 * data(300, dimension)).astype(dtype)
    rows = matrix.astype(np.float64)
    if metric != "l2":
        rows /= np.maximum(np.linalg.norm(rows, axis=1), 1e-9)[:, None]
    mean = rows[rows.any(axis=1)].mean(axis=0)

    index = build(matrix, metric, flat.norms(matrix))

    assert signs.problems(index) == []
    assert index.bits.shape == (300, 8 * (1 + (dimension - 1) // 64))
    np.testing.assert_allclose(index.centre, mean, atol=1e-5)
    clear = np.abs(rows - mean) > 1e-4
    found = np.unpackbits(index.bits, axis=1, bitorder="little")[:, :dimension] != 0
    np.testing.assert_array_equal(found[clear], (rows > mean)[clear])


@pytest.mark.parametrize("size", [0.0, 1e-45, 1e-38, 1e18, 3e38])
@pytest.mark.parametrize("metric", METRICS)
def test_numbers_of_any_size_have_signs(metric: Metric, size: float) -> None:
    matrix = (np.random.default_rng(4).standard_normal((60, 12)).clip(-1, 1) * size).astype(np.float32)

    index = build(matrix, metric, flat.norms(matrix))

    assert signs.problems(index) == []
    assert index.candidates(matrix[:3], 20).shape == (3, 20)


def test_stored_arrays_make_the_same_signs_and_damage_is_told() -> None:
    matrix = data(300, 70)
    index = build(matrix, "cosine", flat.norms(matrix))
    stored = index.arrays()
    for array in stored.values():
        array.flags.writeable = False
    again = Signs.of(stored, index.settings())

    assert signs.problems(again) == []
    assert again.candidates(matrix[:5], 9).tolist() == index.candidates(matrix[:5], 9).tolist()
    for name, array in stored.items():
        for broken in (array[..., :-1], array.astype(np.float64), array[None], array[:0]):
            if (name, broken.shape) != ("centre", (69,)):  # as many words of bits
                assert signs.problems(Signs.of({**stored, name: broken}, index.settings())) != [], (name, broken.shape)
    assert signs.problems(replace(again, centre=np.full(70, np.inf, np.float32))) != []
    assert signs.problems(Signs.of(stored, {"metric": "far"})) != []
    with pytest.raises(KeyError):
        Signs.of({"bits": index.bits}, index.settings())


def test_signs_of_other_vectors_are_refused_and_not_read() -> None:
    matrix = data(50, 70)
    index = build(matrix, "l2", flat.norms(matrix))

    with pytest.raises(ValueError, match="the centre is"):
        index.candidates(matrix[:, :69], 5)


def test_an_empty_index_is_refused() -> None:
    with pytest.raises(ValueError, match="not 0"):
        build(np.empty((0, 8), np.float32), "l2", np.empty(0, np.float32))
