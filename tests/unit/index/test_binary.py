"""Hamming search against NumPy: distances, ties, masks, row lengths, threads, and signs as a first stage."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from vecdb_index.dense import binary, flat

rng = np.random.default_rng(8)


def data(rows: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.integers(0, 256, (rows, length)).astype(np.uint8), rng.integers(0, 256, (5, length)).astype(np.uint8)


def expected(bits: np.ndarray, query: np.ndarray, k: int, allowed: np.ndarray | None = None) -> tuple:
    """Rows, scores and whether a tie was cut, by NumPy."""
    distances = np.unpackbits(np.bitwise_xor(bits, query), axis=1).sum(axis=1, dtype=np.int64)
    rows = np.arange(len(bits)) if allowed is None else np.flatnonzero(allowed)
    order = rows[np.lexsort((rows, distances[rows]))]
    cut = 0 < k < len(order) and distances[order[k]] == distances[order[k - 1]]
    return order[:k].tolist(), (-distances[order[:k]]).astype(np.float32).tolist(), bool(cut)


@pytest.mark.parametrize("length", [1, 7, 8, 9, 48, 96, 97, 256])
def test_the_nearest_rows_are_found_with_ties_by_row(length: int) -> None:
    bits, queries = data(700, length)
    bits[500] = bits[3]

    for k in (1, 10, 699, 2000):
        for query, found in zip(queries, binary.search_batch(bits, queries, k), strict=True):
            assert (found.rows.tolist(), found.scores.tolist(), found.cut) == expected(bits, query, k)
            alone = binary.search(bits, query, k)
            assert alone.rows.tolist() == found.rows.tolist()
            assert alone.cut == found.cut


@pytest.mark.parametrize("length", [*range(1, 20), 31, 32, 33, 63, 64, 65, 100, 125, 128, 191, 193, 8192])
def test_rows_of_any_length_are_counted_to_their_last_bit_and_no_further(length: int) -> None:
    bits, queries = data(70, length)
    bits[5] = ~queries[0]  # every bit differs

    for query, found in zip(queries, binary.search_batch(bits, queries, 70), strict=True):
        assert (found.rows.tolist(), found.scores.tolist(), found.cut) == expected(bits, query, 70)
    alone = binary.search(bits, queries[0], 70)
    assert (alone.rows.tolist(), alone.scores.tolist()) == expected(bits, queries[0], 70)[:2]
    assert alone.scores[-1] == -8 * length


@pytest.mark.parametrize("share", [None, 0.01, 0.5])
def test_all_rows_of_a_score_are_found(share: float | None) -> None:
    bits, queries = data(5000, 2)
    allowed = None if share is None else rng.random(5000) < share
    distances = np.unpackbits(bits ^ queries[0], axis=1).sum(axis=1)
    mask = np.ones(5000, bool) if allowed is None else allowed

    for distance in range(17):
        tied = binary.ties_at(bits, queries[0], np.float32(-distance), allowed)
        assert tied.tolist() == np.flatnonzero((distances == distance) & mask).tolist()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 1.0])
def test_only_allowed_rows_are_found(share: float) -> None:
    bits, queries = data(3000, 12)
    allowed = rng.random(3000) < share

    for query, found in zip(queries, binary.search_batch(bits, queries, 8, allowed=allowed), strict=True):
        assert (found.rows.tolist(), found.scores.tolist(), found.cut) == expected(bits, query, 8, allowed)


def test_threads_and_slices_change_nothing() -> None:
    bits, queries = data(70_000, 32)
    bits.flags.writeable = False
    with ThreadPoolExecutor(3) as pool:
        found = binary.search_batch(bits, queries, 20, pool=pool)

    for query, one in zip(queries, found, strict=True):
        assert (one.rows.tolist(), one.scores.tolist(), one.cut) == expected(bits, query, 20)
    assert binary.search_batch(bits, queries[:0], 3) == []


def test_scores_of_given_rows() -> None:
    bits, queries = data(100, 20)
    rows = np.array([99, 0, 99, 5], np.uint32)

    scores = binary.score_rows(bits, queries[0], rows)

    differing = np.unpackbits(bits[rows] ^ queries[0], axis=1).sum(axis=1)
    assert scores.tolist() == (-differing.astype(np.float32)).tolist()
    assert not np.signbit(binary.score_rows(bits, bits[7], np.array([7], np.uint32)))[0]
    assert len(binary.score_rows(bits, queries[0], rows[:0])) == 0


def test_rows_that_start_anywhere_in_memory() -> None:
    room = rng.integers(0, 256, 1 + 50 * 16).astype(np.uint8)
    bits = room[1:].reshape(50, 16)

    found = binary.search(bits, bits[9], 3)

    assert found.rows.tolist() == expected(bits, bits[9], 3)[0]


@pytest.mark.parametrize("dimension", [1, 8, 63, 64, 65, 384])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_signs_are_packed_bit_by_bit(dimension: int, dtype: str) -> None:
    matrix = (rng.standard_normal((50, dimension)) * 20).astype(dtype)
    matrix[0] = 0
    centre = rng.standard_normal(dimension).astype(np.float32)

    for middle in (None, centre):
        bits = binary.binarise(matrix, middle)

        above = matrix.astype(np.float32) > (0 if middle is None else middle)
        packed = np.packbits(above, axis=1, bitorder="little")
        assert bits.shape[1] % 8 == 0
        np.testing.assert_array_equal(bits[:, : packed.shape[1]], packed)
        assert not bits[:, packed.shape[1] :].any()


def test_signs_find_candidates_for_exact_scores() -> None:
    centres = rng.standard_normal((40, 256))
    matrix = (centres[rng.integers(0, 40, 4000)] + 0.7 * rng.standard_normal((4000, 256))).astype(np.float32)
    queries, norms = matrix[::100] + np.float32(0.1), flat.norms(matrix)

    first = binary.search_batch(binary.binarise(matrix), binary.binarise(queries), 200)
    rows = np.stack([one.rows for one in first])
    flat.rank_lists(matrix, queries, rows, np.full(len(rows), 200, np.int32), "cosine", norms)

    exact = flat.search_batch(matrix, queries, 10, "cosine", norms=norms)
    found = [len(set(mine[:10]) & set(one.rows)) / 10 for mine, one in zip(rows, exact, strict=True)]
    assert np.mean(found) >= 0.95


def test_stored_bits_are_looked_at_before_they_are_trusted() -> None:
    bits, _ = data(10, 16)

    assert binary.problems(bits) == []
    assert binary.problems(bits[:, :8]) == ["bits are not contiguous"]
    assert binary.problems(bits.astype(np.int8)) == ["bits are int8 (10, 16), not uint8 (n, bytes)"]
    assert binary.problems(bits[0]) != []
