"""The funnel on the demo's texts: exact with less than half the work, nearly exact with a quarter."""

import numpy as np

from vecdb_index.dense import flat, funnel

K, QUERIES = 10, 60


def test_less_work_finds_the_same(vectors: np.ndarray) -> None:
    count, dimension = vectors.shape
    pairs = np.random.default_rng(1).integers(0, count, (2, QUERIES))
    queries, norms = (vectors[pairs[0]] + 0.7 * vectors[pairs[1]]).astype(np.float32), flat.norms(vectors)
    exact = flat.search_batch(vectors, queries, K, "cosine", norms=norms)
    index = funnel.build(vectors, "cosine", norms, dimensions=dimension // 3, rotate=True)

    found = funnel.search_batch(index, vectors, queries, K, "cosine", kept=100, norms=norms, exact=True)

    for mine, one in zip(found, exact, strict=True):
        assert mine.rows.tolist() == one.rows.tolist()
        assert mine.scores.tobytes() == one.scores.tobytes()
    scan = funnel._Scan(index, queries, None, count, 100, True, None)
    left = np.mean([(scan.one(q)[1] >= one.scores[-1]).mean() for q, one in enumerate(exact)])
    assert 1 / 3 + left <= 0.5

    small = funnel.build(vectors, "cosine", norms, dimensions=dimension // 5, rotate=True)
    near = funnel.search_batch(small, vectors, queries, K, "cosine", kept=300, norms=norms)
    assert 1 / 5 + 300 / count <= 0.25
    assert np.mean([len(set(a.rows) & set(b.rows)) / K for a, b in zip(near, exact, strict=True)]) >= 0.99
