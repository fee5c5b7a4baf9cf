"""A cascade whose steps are MaxSim: over codes before the last one, exact at the end."""

from pathlib import Path

import numpy as np
import pytest

import vecdb
from vecdb import Query
from vecdb_index.multivector.maxsim import Question, estimated_rows, score_rows
from vecdb_index.multivector.stored import Tokens, coded, ends_of

D = 16
RNG = np.random.default_rng(8)
TOKENS = [RNG.standard_normal((at % 5, D)).astype(np.float32) for at in range(300)]
ASKED = RNG.standard_normal((4, D)).astype(np.float32)


@pytest.mark.parametrize("bits", [4, 8])
def test_estimates_of_codes_are_as_far_off_as_they_may_be(bits: int) -> None:
    codes, scales = coded(np.concatenate(TOKENS), bits)
    tokens = Tokens(codes, ends_of(np.array([len(one) for one in TOKENS])), D, bits, scales)
    question, rows = Question(ASKED, np.ones(4, np.float32)), np.array([7, 3, 0, 299, 5])

    about, exact = estimated_rows(tokens, question, rows), score_rows(tokens, question, rows)

    longest = max(np.linalg.norm(one, axis=1).max() for one in TOKENS if len(one)) * 1.2
    empty = np.array([len(TOKENS[row]) == 0 for row in rows])
    assert np.isneginf(about[empty]).all()
    assert (np.abs(about[~empty] - exact[~empty]) <= question.coded.error * longest).all()


def test_a_cascade_over_codes_ends_with_the_scores_of_floats(tmp_path: Path) -> None:
    with vecdb.connect(tmp_path / "db") as database:
        schema = vecdb.Schema(
            id=vecdb.Id("int64"), codes=vecdb.MultiVector(D, dtype="int8"), tokens=vecdb.MultiVector(D, dtype="float32")
        )
        docs = database.create_collection("docs", schema)
        docs.upsert([{"id": at, "codes": one, "tokens": one} for at, one in enumerate(TOKENS)])
        steps = vecdb.MaxSim("codes", ASKED), vecdb.MaxSim("tokens", ASKED)
        query = Query(k=10).where("id >= 0")

        found, exact = docs.run(query.cascade(*steps)), docs.run(query.cascade(*steps, exact=True))

        assert found.ids == exact.ids
        assert found.scores.tolist() == exact.scores.tolist()
        assert found.explain["steps"][-1]["asked"][-1]["scored"] < 150
