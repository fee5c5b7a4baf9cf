"""Multi-vectors in every coding, over every way to a database: the field comes back, and so do its rows."""

from typing import Any

import numpy as np
import pytest

import vecdb

RNG = np.random.default_rng(11)
ROWS = [{"id": f"{number:02}", "tokens": RNG.standard_normal((1 + number % 4, 6))} for number in range(40)]
ASKED = RNG.standard_normal((2, 6))


@pytest.mark.parametrize("dtype", ["int4", "sign", "residual4", "residual2"])
def test_rows_in_codes_are_written_found_and_merged(database: Any, dtype: Any) -> None:
    docs = database.create_collection("codes", vecdb.Schema(id=vecdb.Id(), tokens=vecdb.MultiVector(6, dtype)))
    docs.upsert(ROWS[:30])
    docs.flush()
    docs.upsert(ROWS[30:])

    assert docs.schema["tokens"].field.dtype == dtype
    for _ in range(2):
        hits = docs.search(tokens=ASKED, k=5)
        held = {row["id"]: row["tokens"] for row in docs.get([row["id"] for row in ROWS], fields=["tokens"])}
        asked = ASKED / np.linalg.norm(ASKED, axis=1, keepdims=True)
        scores = {key: float((tokens @ asked.T).max(axis=0).sum()) for key, tokens in held.items()}
        assert hits.ids == sorted(scores, key=lambda key: -scores[key])[:5]
        np.testing.assert_allclose([hit.score for hit in hits], [scores[key] for key in hits.ids], rtol=1e-5)
        docs.compact()
