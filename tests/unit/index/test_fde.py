"""Fixed dimensional encodings: what the paper defines, computed step by step, and what it proves."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from vecdb_index.multivector.fde import DIRECTIONS, Directions, FdeEncoder
from vecdb_index.multivector.ragged import Ragged


def unit(seed: int, count: int, dimension: int) -> np.ndarray:
    tokens = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return tokens / np.linalg.norm(tokens, axis=1, keepdims=True)


def step_by_step(encoder: FdeEncoder, tokens: np.ndarray, question: bool) -> np.ndarray:
    """Section 2 of the paper, cell by cell."""
    centre = 0 if encoder.centre is None else encoder.centre
    planes = encoder._hyperplanes.numbers.reshape(encoder.repetitions, encoder.bits, -1)
    width = encoder.projection or encoder.dimension
    blocks = []
    for repetition in range(encoder.repetitions):
        sides = (tokens - centre) @ planes[repetition].T > 0
        matrix = np.eye(encoder.dimension)
        if encoder.projection is not None:
            matrix = encoder._projections.numbers.reshape(encoder.repetitions, width, -1)[repetition]
        projected = tokens @ matrix.T
        for cell in range(1 << encoder.bits):
            wanted = np.array([cell >> bit & 1 for bit in range(encoder.bits)], bool)
            different = (sides != wanted).sum(axis=1)
            inside, own = projected[different == 0], tokens[different == 0].astype(np.float64)
            if question:
                blocks.append(inside.sum(axis=0))
            elif len(inside) == 0:
                blocks.append(projected[different.argmin()])
            else:
                longer = 1.0
                if encoder.renormalise:
                    longer = np.linalg.norm(own, axis=1).mean() / np.linalg.norm(own.mean(axis=0))
                blocks.append(longer * inside.mean(axis=0))
    return np.concatenate(blocks)


@pytest.mark.parametrize("directions", DIRECTIONS)
@pytest.mark.parametrize("projection", [None, 5])
@pytest.mark.parametrize("renormalise", [False, True])
def test_an_encoding_is_what_is_defined(projection: int | None, directions: Directions, renormalise: bool):
    """By the paper, and with means as long as their tokens."""
    given: dict[str, Any] = {"projection": projection, "directions": directions, "renormalise": renormalise}
    encoder = FdeEncoder(12, repetitions=3, bits=3, centre=np.full(12, 0.1, np.float32), seed=4, **given)
    rows = [unit(1, 9, 12), unit(2, 1, 12), np.empty((0, 12), np.float32), unit(3, 40, 12)]

    found = encoder.documents(Ragged.of(rows, 12))

    assert found.shape == (4, encoder.width)
    assert not found[2].any()
    for at in (0, 1, 3):
        np.testing.assert_allclose(found[at], step_by_step(encoder, rows[at], False), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(encoder.query(rows[at]), step_by_step(encoder, rows[at], True), rtol=1e-4, atol=1e-5)


def test_tokens_that_cancel_each_other_out_have_the_mean_that_they_have():
    token = unit(1, 1, 16)
    encoder = FdeEncoder(16, repetitions=2, bits=0, projection=4, renormalise=True)

    found = encoder.documents(Ragged.of([np.vstack([token, -token]), np.vstack([token, token])], 16))

    assert np.abs(found[0]).max() < 1e-6
    np.testing.assert_allclose(found[1], encoder.query(token), rtol=1e-5)


def test_where_each_cell_holds_one_token_the_product_is_maxsim():
    encoder = FdeEncoder(64, repetitions=1, bits=10, projection=None, seed=1)
    tokens = np.eye(64, dtype=np.float32)[:6]
    cells = encoder._cells(tokens)[:, 0]
    assert len(set(cells)) == 6, "choose another seed"
    documents = Ragged.of([tokens[[0, 2, 4]], tokens], 64)
    products = encoder.documents(documents) @ encoder.query(tokens)
    assert products[1] == pytest.approx(6, rel=1e-6)
    assert products[0] == pytest.approx(3, rel=1e-6)


@pytest.mark.parametrize("directions", DIRECTIONS)
@pytest.mark.parametrize("dimension", [5, 24, 32])
def test_products_of_projections_are_unbiased(dimension: int, directions: Directions):
    x, y = unit(1, 1, dimension), unit(2, 1, dimension)
    encoder = FdeEncoder(dimension, repetitions=4000, bits=0, projection=4, directions=directions)
    found = encoder.documents(Ragged.of([x], dimension))[0] @ encoder.query(y[:1]) / 4000
    assert found == pytest.approx(float(x[0] @ y[0]), abs=0.03)


def test_orthogonal_directions_lose_nothing_where_all_rows_are_taken_and_err_less_where_not():
    x, y = unit(1, 200, 32), unit(2, 200, 32)
    true = np.einsum("ij,ij->i", x, y)

    def errors(repetitions: int, directions: Directions) -> float:
        encoder = FdeEncoder(32, repetitions=repetitions, bits=0, projection=8, directions=directions)
        found = [
            encoder.documents(Ragged.of([a[None]], 32))[0] @ encoder.query(b[None]) for a, b in zip(x, y, strict=True)
        ]
        return float(np.sqrt(np.mean((np.array(found) / repetitions - true) ** 2)))

    assert errors(4, "orthogonal") < 1e-6
    assert errors(6, "orthogonal") < 0.6 * errors(6, "dense")


def test_a_count_sketch_keeps_products_on_average():
    rows = Ragged.of([unit(seed, 20, 16) for seed in range(40)], 16)
    whole = FdeEncoder(16, repetitions=8, bits=3, projection=8)
    small = FdeEncoder(16, repetitions=8, bits=3, projection=8, final=256)
    query = unit(99, 8, 16)
    exact, sketched = whole.documents(rows) @ whole.query(query), small.documents(rows) @ small.query(query)
    assert small.width == 256
    assert np.corrcoef(exact, sketched)[0, 1] > 0.5
    assert sketched.mean() == pytest.approx(exact.mean(), rel=0.3)


def test_rows_beside_and_blocks_change_no_bit(monkeypatch: pytest.MonkeyPatch):
    rows = [unit(seed, count, 20) for seed, count in enumerate([3, 50, 0, 7, 90])]
    encoder = FdeEncoder(20, repetitions=2, bits=4, projection=4)
    together = encoder.documents(Ragged.of(rows, 20))
    monkeypatch.setattr("vecdb_index.multivector.fde.BLOCK_TOKENS", 10)
    assert np.array_equal(encoder.documents(Ragged.of(rows, 20)), together)
    for at, row in enumerate(rows):
        assert np.array_equal(encoder.documents(Ragged.of([row], 20))[0], together[at])


def test_another_process_makes_the_same_bits():
    program = (
        "import hashlib, numpy as np\n"
        "from vecdb_index.multivector.fde import FdeEncoder\n"
        "from vecdb_index.multivector.ragged import Ragged\n"
        "tokens = (np.arange(480, dtype=np.float32).reshape(40, 12) * 7919 % 31) / 31 - 0.5\n"
        "rows = Ragged(tokens, np.array([0, 9, 40]))\n"
        "encoder = FdeEncoder(12, repetitions=5, bits=4, projection=6, final=100, seed=3)\n"
        "print(hashlib.sha256(encoder.documents(rows).tobytes()).hexdigest())\n"
    )
    made = [subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True) for _ in "ab"]
    assert made[0].stdout == made[1].stdout
    assert len(made[0].stdout.strip()) == 64


def test_what_is_drawn_does_not_change_between_versions():
    """These numbers are stored with encodings by the name of the generator: they may never change."""
    dense = FdeEncoder(3, repetitions=1, bits=1, projection=2, seed=0, final=3, directions="dense")
    assert dense._hyperplanes.numbers.tolist() == [[-1.52227783203125, 0.76025390625, 1.7142181396484375]]
    assert np.sign(dense._projections.numbers).tolist() == [[-1, 1, 1], [-1, 1, -1]]
    sparse = FdeEncoder(3, repetitions=1, bits=1, projection=2, seed=7, directions="sparse", final=3)
    assert sparse._projections.numbers.tolist() == [[1, 0, 0], [0, -1, 1]]
    out = np.empty((1, 3), np.float32)
    sparse._sketch(np.array([[1, 2, 4, 8]], np.float32), out)
    assert out.tolist() == [[-6, 1, -8]]
