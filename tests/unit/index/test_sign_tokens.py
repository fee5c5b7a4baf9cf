"""Tokens by the signs of their numbers: the rotation, what is stored, and MaxSim by the signs of a question."""

import hashlib

import numpy as np
import pytest

from vecdb_index.multivector import sign
from vecdb_index.multivector.maxsim import Question, estimated_rows, score_rows
from vecdb_index.multivector.stored import Tokens, coded, ends_of, longest_of

DIMENSIONS = pytest.mark.parametrize("dimension", [1, 3, 32, 33, 96, 128, 1000])


def directions(seed: int, count: int, dimension: int) -> np.ndarray:
    """Return unit vectors whose numbers lie around the same means, as those of models do."""
    rng = np.random.default_rng(seed)
    numbers = rng.standard_normal((count, dimension)) + rng.standard_normal(dimension)
    return (numbers / np.linalg.norm(numbers, axis=1, keepdims=True)).astype(np.float32)


def made(seed: int, dimension: int, rows: int = 80) -> Tokens:
    offsets = ends_of(np.random.default_rng(seed).integers(0, 6, rows))
    return Tokens(*_coded(directions(seed, int(offsets[-1]), dimension), offsets))


def _coded(numbers: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, int, np.ndarray]:
    codes, scales = coded(numbers, 1)
    return codes, offsets, numbers.shape[1], 1, scales


def question(seed: int, dimension: int, count: int) -> Question:
    rng = np.random.default_rng(seed)
    return Question(directions(seed, count, dimension), rng.uniform(0, 2, count).astype(np.float32))


@DIMENSIONS
def test_a_rotation_keeps_products_and_is_undone(dimension: int):
    one, other = directions(1, 700, dimension), directions(2, 700, dimension)

    turned = sign.turned(one)

    assert turned.shape == (700, -(-dimension // 32) * 32)
    np.testing.assert_allclose(turned @ sign.turned(other).T, one @ other.T, atol=1e-5)
    np.testing.assert_allclose(sign.turned_back(turned, dimension), one, atol=1e-5)


def test_the_rotation_is_the_one_that_stored_codes_were_made_with():
    flips = b"".join(sign._flips(width).tobytes() for width in (32, 128, 384))
    assert hashlib.sha256(flips).hexdigest() == "57ef04dafe6c508bf71e7416109148f32a05673113de45bbf27f7a428cea6d59"


@DIMENSIONS
def test_a_bit_is_the_sign_of_a_turned_number_and_a_token_times_itself_comes_out_right(dimension: int):
    given = directions(3, 600, dimension)
    given[5] = 0

    codes, scales = coded(given, 1)

    turned = sign.turned(given)
    bits = (codes[:, np.arange(turned.shape[1]) // 8] >> (np.arange(turned.shape[1]) % 8)) & 1
    assert np.array_equal(bits, turned > 0)
    found = Tokens(codes, np.array([0, 600]), dimension, 1, scales)
    products = np.einsum("ij,ij->i", found.floats().tokens, given)
    np.testing.assert_allclose(products, np.arange(600) != 5, atol=1e-4)
    assert np.linalg.norm(found.floats().tokens, axis=1).max() <= longest_of(found)


@DIMENSIONS
def test_tables_hold_the_products_of_four_numbers_with_all_patterns_of_signs(dimension: int):
    numbers = sign.turned(directions(5, 7, dimension))
    numbers[3] = 0

    tables, units = sign.tables_of(numbers)

    assert tables.max() <= 2 * sign.MIDDLE
    for pattern in range(16):
        signs = np.array([1.0 if pattern >> bit & 1 else -1.0 for bit in range(4)])
        products = (numbers.reshape(7, -1, 4).astype(np.float64) * signs).sum(axis=2)
        steps = products / units[:, None]
        assert np.abs(tables[:, :, pattern].astype(int) - sign.MIDDLE - steps).max() <= 0.5 + 1e-5


@DIMENSIONS
@pytest.mark.parametrize("count", [1, 17])
def test_estimates_are_the_sums_of_entries_of_tables(dimension: int, count: int):
    offsets = ends_of(np.array([0, 1, 5, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 128]))
    tokens = Tokens(*_coded(directions(4, int(offsets[-1]), dimension), offsets))
    asked, rows = question(5, dimension, count), np.array([7, 3, 0, *range(14), 5])

    numbers = sign.turned(asked.tokens)
    tables, units = sign.tables_of(numbers)
    patterns = np.packbits(sign.signs_of(tokens.values).reshape(len(tokens.values), -1, 4), axis=2, bitorder="little")
    entries = tables.astype(np.int64)[
        :, np.arange(tables.shape[1]), patterns[:, :, 0]
    ]  # a query token, a token, a line
    assert tokens.scales is not None
    products = (entries - sign.MIDDLE).sum(axis=2) * (units.astype(np.float64)[:, None] * tokens.scales)
    parts = [products[:, offsets[row] : offsets[row + 1]] for row in rows]
    expected = [part.max(axis=1) @ asked.weights if part.size else -np.inf for part in parts]

    np.testing.assert_allclose(estimated_rows(tokens, asked, rows), expected, rtol=1e-5, atol=1e-6)


def test_the_widest_tokens_overflow_nothing():
    """Numbers whose signs are those of the question, with entries of 0 or 30 on every line."""
    turned = np.where(np.random.default_rng(9).random((2, 4096)) < 0.5, -1, 1).astype(np.float32)
    turned[1] = -turned[0]
    given = sign.turned_back(turned, 4096)
    tokens = Tokens(*_coded(given, np.array([0, 1, 2])))

    about = estimated_rows(tokens, Question(given[:1], np.ones(1, np.float32)), np.arange(2))

    np.testing.assert_allclose(about, [4096, -4096], rtol=1e-4)


def test_estimates_say_which_rows_are_near():
    tokens, asked = made(6, 128, 400), question(7, 128, 12)
    rows = np.flatnonzero(tokens.lengths)

    about, exact = estimated_rows(tokens, asked, rows), score_rows(tokens, asked, rows)

    assert np.corrcoef(about, exact)[0, 1] > 0.9


def test_numbers_that_carry_unequally_much_are_told_as_well_as_others():
    rng = np.random.default_rng(8)
    given = rng.standard_normal((2000, 64)) * np.geomspace(1, 1e-3, 64)
    given = (given / np.linalg.norm(given, axis=1, keepdims=True)).astype(np.float32)
    found = Tokens(*_coded(given, np.array([0, 2000]))).floats().tokens

    plain = np.where(given > 0, 1, -1) * np.abs(given).mean(axis=1, keepdims=True)

    true, pairs = given[:200] @ given.T, (found[:200] @ given.T, plain[:200] @ given.T)
    turned, unturned = (np.corrcoef(true.ravel(), one.ravel())[0, 1] for one in pairs)
    assert turned > unturned
