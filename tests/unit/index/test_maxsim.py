"""MaxSim over floats, halves and codes, against NumPy in float64."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vecdb_index.kernels import maxsim
from vecdb_index.kernels.lanes import COLUMNS

NONE = np.empty(0, np.uint32)


def documents(seed: int, dimension: int, lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    tokens = rng.standard_normal((sum(lengths), dimension)).astype(np.float32)
    return tokens, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def expected(tokens: np.ndarray, offsets: np.ndarray, query: np.ndarray, weights: np.ndarray) -> np.ndarray:
    scores = []
    for begin, end in pairwise(offsets):
        products = tokens[begin:end].astype(np.float64) @ query.astype(np.float64).T
        scores.append(products.max(axis=0) @ weights if end > begin else -np.inf)
    return np.array(scores)


def padded(query: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    count = -(-len(query) // COLUMNS) * COLUMNS
    out, of = np.zeros((count, query.shape[1]), np.float32), np.zeros(count, np.float32)
    out[: len(query)], of[: len(query)] = query, weights
    return out, of


def scored(tokens: Any, offsets: Any, rows: Any, query: Any, weights: Any) -> np.ndarray:
    kernel = maxsim.maxsim_halves if tokens.dtype == np.uint16 else maxsim.maxsim_floats
    count = len(rows) or len(offsets) - 1
    out = np.empty(count, np.float32)
    queries, of = padded(query, weights)
    kernel(tokens, offsets, rows, 0, count, queries, of, np.empty(len(queries), np.float32), out)
    return out


@pytest.mark.parametrize("dimension", [1, 3, 16, 33, 128])
@pytest.mark.parametrize("queries", [1, 2, 7, 32])
def test_floats_and_halves_score_as_numpy_does(dimension: int, queries: int):
    tokens, offsets = documents(1, dimension, [3, 0, 1, 40, 2])
    query, _ = documents(2, dimension, [queries])
    weights = np.linspace(0.5, 2, queries).astype(np.float32)
    halves = tokens.astype(np.float16)

    for given, stored in ((tokens, tokens), (halves, halves.view(np.uint16))):
        true = expected(given, offsets, query, weights)
        np.testing.assert_allclose(scored(stored, offsets, NONE, query, weights), true, rtol=1e-5, atol=1e-4)
        rows = np.array([3, 1, 0], np.uint32)
        np.testing.assert_allclose(scored(stored, offsets, rows, query, weights), true[rows], rtol=1e-5, atol=1e-4)


def test_a_document_that_is_unlike_every_token_has_a_negative_score():
    tokens, offsets = np.array([[-1, 0], [-0.5, 0]], np.float32), np.array([0, 2], np.int64)
    query = np.array([[1, 0]], np.float32)
    assert scored(tokens, offsets, NONE, query, np.ones(1, np.float32))[0] == -0.5


def coded(codes: np.ndarray, scales: np.ndarray, offsets: np.ndarray, numbers: np.ndarray, of: np.ndarray) -> Any:
    blocks, count = -(-len(numbers) // maxsim.LANES), len(offsets) - 1
    whole = np.zeros((blocks * maxsim.LANES, numbers.shape[1]), np.int64)
    whole[: len(numbers)] = numbers
    weights = np.zeros(blocks * maxsim.LANES, np.float32)
    weights[: len(of)] = of
    shifts = 128 * whole.sum(axis=1) if maxsim.BYTES else np.zeros(len(whole))
    shape = (blocks, maxsim.LANES, numbers.shape[1] // maxsim.STEP, maxsim.STEP)
    laid = whole.reshape(shape).transpose(0, 2, 1, 3).reshape(blocks, -1)
    out = np.empty(count, np.float32)
    maxsim.maxsim_codes(
        codes,
        scales,
        offsets,
        NONE,
        0,
        count,
        np.ascontiguousarray(laid.astype(np.int8 if maxsim.BYTES else np.int16)),
        shifts.reshape(blocks, maxsim.LANES).astype(np.int32),
        weights.reshape(blocks, maxsim.LANES),
        np.empty((maxsim.TILE, numbers.shape[1]), np.int16),
        np.empty(maxsim.TILE, np.int64),
        np.empty(maxsim.TILE, np.float32),
        np.empty((blocks, maxsim.LANES), np.float32),
        out,
    )
    return out


@pytest.mark.parametrize("dimension", [4, 12, 128, 1024])
@pytest.mark.parametrize("queries", [1, 16, 17, 40])
def test_codes_score_as_their_integers_do(dimension: int, queries: int):
    rng = np.random.default_rng(dimension + queries)
    offsets = np.array([0, 1, 1, 9, 17, 40], np.int64)
    codes = rng.integers(1, 256, (40, dimension)).astype(np.uint8)
    numbers = rng.integers(-127, 128, (queries, dimension))
    codes[0], numbers[0] = 255, -127  # the largest sums
    scales = rng.uniform(0.001, 0.01, 40).astype(np.float32)
    of = rng.uniform(0, 1, queries).astype(np.float32)

    found = coded(codes, scales, offsets, numbers, of)

    true = expected((codes.astype(np.float64) - 128) * scales[:, None], offsets, numbers, of)
    np.testing.assert_allclose(found, true, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("dimension", [1, 3, 33, 128])
def test_codes_score_bit_for_bit_as_the_numbers_that_they_stand_for(dimension: int):
    rng = np.random.default_rng(dimension)
    offsets = np.array([0, 1, 1, 9, 20], np.int64)
    codes = rng.integers(1, 256, (20, -(-dimension // 4) * 4)).astype(np.uint8)
    scales = rng.uniform(0.001, 0.01, 20).astype(np.float32)
    numbers = (codes[:, :dimension].astype(np.float32) - np.float32(128)) * scales[:, None]
    query, _ = documents(2, dimension, [7])
    queries, weights = padded(query, np.linspace(0, 1, 7).astype(np.float32))
    for rows in (NONE, np.array([3, 0, 2], np.uint32)):
        count = len(rows) or 4
        pair, room, out = (
            np.empty((2, dimension), np.float32),
            np.empty(len(queries), np.float32),
            np.empty(count, np.float32),
        )
        maxsim.maxsim_bytes(codes, scales, offsets, rows, 0, count, queries, weights, pair, room, out)
        assert np.array_equal(out, scored(numbers, offsets, rows, query, np.linspace(0, 1, 7).astype(np.float32)))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "features"), [("haswell", "+avx2,+fma,+f16c,+avx"), ("x86-64", "+sse2")])
@pytest.mark.skipif(not maxsim.BYTES, reason="this processor takes the other path anyhow")
def test_processors_without_products_of_bytes_find_the_same(name: str, features: str, tmp_path: Path):
    narrowed = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    signs = str(Path(__file__).with_name("test_sign_tokens.py"))
    command = [sys.executable, "-m", "pytest", "-q", __file__, signs, "-m", "not slow"]
    subprocess.run(command, env=os.environ | narrowed, check=True)
