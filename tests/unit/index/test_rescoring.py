"""How far codes may be wrong, and that what they leave out is scored as long as it may be among the best."""

import numpy as np
import pytest

from vecdb_index.codes.scalar import ScalarCoder
from vecdb_index.dense import flat
from vecdb_index.dense import plan as plans
from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.hnsw.build import build
from vecdb_index.dense.hnsw.search import LISTED, LISTED_LEAST, Searcher
from vecdb_index.types import METRIC_CODES, Metric

METRICS: tuple[Metric, ...] = ("cosine", "dot", "l2")
K = 10


def rows(count: int, dimension: int = 96) -> np.ndarray:
    rng = np.random.default_rng(8)
    matrix = rng.standard_normal((40, dimension))[rng.integers(0, 40, count)] + rng.standard_normal((count, dimension))
    return (matrix * np.exp(0.2 * rng.standard_normal((count, 1)))).astype(np.float32)


@pytest.mark.parametrize("metric", METRICS)
def test_the_error_of_codes_is_as_large_as_it_is_said_to_be(metric: Metric) -> None:
    from vecdb_index.kernels.graph import key_of
    from vecdb_index.kernels.rescoring import squares, unit_of, variance

    matrix, queries = rows(3000), rows(40)[20:]
    norms = flat.norms(matrix)
    coder = ScalarCoder.fit(matrix, metric, norms)
    codes = np.empty((len(matrix), coder.width), np.uint8)
    coder.encode(matrix, norms, np.arange(len(matrix)), codes)
    encoded, _ = coder.queries(queries)
    signed = (codes.astype(np.int16) - 128)[:, : matrix.shape[1]].astype(np.int64)
    real = matrix.astype(np.float64)
    ratios = []
    for query, code in zip(queries, encoded, strict=True):
        own = squares(code)
        products = signed @ code[: matrix.shape[1]].astype(np.int64)
        sims = 2 * products - (signed**2).sum(axis=1) if metric == "l2" else products
        exact = {
            "dot": real @ query,
            "cosine": real @ query / norms / np.linalg.norm(query),
            "l2": -((real - query) ** 2).sum(axis=1),
        }[metric]
        unit = unit_of(query[None], 0, np.abs(query).max(), coder.scale, False, coder.normed, METRIC_CODES[metric])
        errors = sims - unit * exact - (own if metric == "l2" else 0)
        told = [
            variance(codes, key_of(sim, row), own, coder.noise, False, coder.normed) for row, sim in enumerate(sims)
        ]
        ratios.append(np.quantile(np.abs(errors) / np.sqrt(told), 0.683))

    # A standard deviation; of the mean, as the roundings of one query are the same for all rows. Few rows are clipped.
    assert 0.85 < np.mean(ratios) < 1.15


@pytest.mark.parametrize("kind", ["codes", "wide"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_rows_far_from_the_query_are_found_too(metric: Metric, dtype: str, kind: plans.Kind) -> None:
    matrix = rows(4000) if dtype == "float32" else np.rint(rows(4000) * 12).clip(-127, 127).astype(np.int8)
    norms = flat.norms(matrix)
    searcher = Searcher(build(matrix, metric, norms), matrix, metric, norms)
    shares = []
    for query in matrix[::200]:
        (every,) = flat.search_batch(matrix, query[None], len(matrix), metric, norms=norms)
        mask = np.zeros(len(matrix), bool)
        mask[every.rows[-1500:]] = True
        allowed = Allowed(mask)
        exact = flat.search(matrix, query, K, metric, allowed=mask, norms=norms)

        plan = plans.forced(kind, len(matrix), allowed.count, K, 64)
        (found,) = searcher.answers(query[None], K, plan, allowed).top(K)

        same = np.isin(found.rows, exact.rows)
        shares.append(np.isin(exact.scores, found.scores).mean())
        assert set(found.scores[same]) <= set(exact.scores)
    assert np.mean(shares) >= 0.99


@pytest.mark.parametrize("metric", METRICS)
def test_equal_rows_are_scored_up_to_the_room_there_is(metric: Metric) -> None:
    matrix = np.repeat(rows(1), 5000, axis=0)
    norms = flat.norms(matrix)
    searcher = Searcher(build(matrix, metric, norms), matrix, metric, norms)

    (found,) = searcher.answers(matrix[:1], K, plans.Plan("codes", 0, 0.0)).top(K)

    assert len(matrix) > LISTED * K + LISTED_LEAST
    assert len(set(found.rows.tolist())) == K
    assert len(set(found.scores.tolist())) == 1
    assert found.cut
