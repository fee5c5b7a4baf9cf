"""What an index asks itself, and what it remembers of it."""

import numpy as np

from vecdb_index.dense import calibrate


def test_mixtures_of_the_longest_rows_are_finite_and_weighed() -> None:
    rows, others = np.full((2, 3), 3e38, np.float32), np.array([[3e38] * 3, [0, 0, -3e38]], np.float32)

    found = calibrate.mixed(rows, others)

    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[3e38] * 3, [2e38, 2e38, 1e38]], rtol=1e-6)


def test_mixtures_of_bytes_are_bytes() -> None:
    found = calibrate.mixed(np.array([[127, -128]], np.int8), np.array([[127, 127]], np.int8))

    assert found.dtype == np.int8
    assert found.tolist() == [[127, -43]]
