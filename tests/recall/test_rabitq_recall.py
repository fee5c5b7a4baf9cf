"""RaBitQ on the demo's texts: no bias, bounds that hold, and what a search by signs, then bits, then vectors finds."""

import numpy as np
import pytest

from support.recalled import between
from vecdb_index.codes.rabitq import Codes, RaBitQ
from vecdb_index.dense import flat
from vecdb_index.kernels import rabitq as kernels
from vecdb_index.kernels.fastscan import BLOCK
from vecdb_index.types import Metric

K, QUERIES = 10, 100


def estimated(coder: RaBitQ, codes: Codes, queries: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and bounds from all bits, of every row: (q, n)."""
    ready = coder.prepare(queries)
    adds, lengths = coder.against(ready.vectors)
    width, rows = coder.deviation(epsilon), np.arange(len(codes), dtype=np.uint32)
    out = np.empty((2, len(queries), len(codes)), np.float32)
    for q in range(len(queries)):
        place = adds[q, 0], lengths[q, 0], width
        if coder.bits == 1:
            given = ready.tables, q, ready.units[q], ready.misses[q], *place, 0, len(codes), np.empty(BLOCK, np.int32)
            kernels.scan(codes.signs, codes.factors, *given, out[0, q], out[1, q])
        else:
            given = ready.numbers, q, ready.totals[q], ready.fine_units[q], *place, coder.bits, rows
            kernels.refine(codes.levels, codes.level_factors, *given, out[0, q], out[1, q])
    return out[0], out[1]


@pytest.mark.parametrize("metric", ["cosine", "l2"])
@pytest.mark.parametrize("bits", [1, 4, 7])
def test_estimates_have_no_bias_and_their_bounds_hold(vectors: np.ndarray, metric: Metric, bits: int) -> None:
    queries, norms = between(vectors, QUERIES), flat.norms(vectors)
    coder = RaBitQ.fit(vectors, metric, norms, bits=bits)
    codes, rows = coder.encode(vectors, norms, np.arange(len(vectors))), np.arange(len(vectors), dtype=np.uint32)
    true = np.stack([flat.score_rows(vectors, query, rows, metric, norms) for query in queries])

    for epsilon, least in ((1.9, 0.94), (2.8, 0.99)):
        found, bounds = estimated(coder, codes, queries, epsilon)
        errors = found.astype(np.float64) - true

        # The errors of one row have its own rounding in common: as many independent ones as there are rows.
        assert abs(errors.mean()) < 3 * errors.std() / np.sqrt(len(vectors))
        assert np.mean(np.abs(errors) <= bounds - found) >= least


@pytest.mark.parametrize(("bits", "floor"), [(1, 0.4), (4, 0.88), (5, 0.93), (7, 0.98)])
def test_recall_without_the_vectors_grows_with_bits(vectors: np.ndarray, bits: int, floor: float) -> None:
    queries, norms = between(vectors, QUERIES), flat.norms(vectors)
    exact = flat.search_batch(vectors, queries, K, "cosine", norms=norms)
    coder = RaBitQ.fit(vectors, "cosine", norms, bits=bits)

    found, _ = estimated(coder, coder.encode(vectors, norms, np.arange(len(vectors))), queries, 2.8)

    best = np.argsort(-found, axis=1)[:, :K]
    assert np.mean([len(set(mine) & set(one.rows)) / K for mine, one in zip(best, exact, strict=True)]) >= floor


def test_bounds_of_the_signs_drop_most_rows_and_hardly_a_neighbour(vectors: np.ndarray) -> None:
    queries, norms = between(vectors, QUERIES), flat.norms(vectors)
    exact = flat.search_batch(vectors, queries, K, "cosine", norms=norms)
    coder = RaBitQ.fit(vectors, "cosine", norms)

    _, bounds = estimated(coder, coder.encode(vectors, norms, np.arange(len(vectors))), queries, 2.8)

    kept = bounds >= np.array([one.scores[-1] for one in exact])[:, None]
    assert np.mean([kept[q, one.rows].mean() for q, one in enumerate(exact)]) >= 0.99
    assert kept.mean() <= 0.25
