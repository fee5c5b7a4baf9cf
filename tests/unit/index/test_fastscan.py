"""Table look-ups for 32 rows at once: the same exact sums on every path."""

import numba
import numpy as np
import pytest
from numba import types

from support.lookups import PATHS, force
from vecdb_index.kernels import fastscan
from vecdb_index.kernels.jit import filled, frozen

rng = np.random.default_rng(11)


@pytest.mark.parametrize("path", PATHS)
def test_sums_are_exact_on_every_path(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    force(path, monkeypatch)

    @numba.njit(types.void(frozen(types.uint8, 3), frozen(types.uint8, 3), filled(types.int32, 3)))
    def run(codes: np.ndarray, tables: np.ndarray, out: np.ndarray) -> None:
        for query in range(tables.shape[0]):
            for block in range(codes.shape[0]):
                fastscan.block_sums(codes, block, tables, query, out[query, block])

    for size in (1, 2, 8, 127, 128, 129, 300):
        codes = rng.integers(0, 256, (3, size, fastscan.BLOCK)).astype(np.uint8)
        tables = rng.integers(0, 256, (4, 2 * size, 16)).astype(np.uint8)
        tables[0], tables[1] = 255, 0  # the largest sums and the least
        out = np.empty((4, 3, fastscan.BLOCK), np.int32)

        run(codes, tables, out)

        group = np.arange(size)[:, None]
        low, high = codes & 15, codes >> 4
        for query, table in enumerate(tables.astype(np.int64)):
            expected = table[2 * group, low] + table[2 * group + 1, high]
            np.testing.assert_array_equal(out[query], expected.sum(axis=1))


def test_blocks_hold_all_rows() -> None:
    assert [fastscan.blocks_of(rows) for rows in (0, 1, 32, 33)] == [0, 1, 1, 2]
