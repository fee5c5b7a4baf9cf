"""What an index asks itself, and what it remembers of it."""

import numpy as np

from vecdb_index.dense import calibrate, flat
from vecdb_index.types import TopK


def test_mixtures_of_the_longest_rows_are_finite_and_weighed() -> None:
    rows, others = np.full((2, 3), 3e38, np.float32), np.array([[3e38] * 3, [0, 0, -3e38]], np.float32)

    found = calibrate.mixed(rows, others)

    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[3e38] * 3, [2e38, 2e38, 1e38]], rtol=1e-6)


def test_mixtures_of_bytes_are_bytes() -> None:
    found = calibrate.mixed(np.array([[127, -128]], np.int8), np.array([[127, 127]], np.int8))

    assert found.dtype == np.int8
    assert found.tolist() == [[127, -43]]


def test_of_equal_rows_one_makes_questions() -> None:
    rows = np.random.default_rng(1).standard_normal((3000, 8), np.float32)
    rows[100:2900] = rows[7]

    asked = calibrate.questions(rows, np.linalg.norm(rows, axis=1))

    assert calibrate.distinct(rows).tolist() == [*range(100), *range(2900, 3000)]
    assert len(np.unique(asked, axis=0)) > 150


def test_any_of_the_rows_that_are_equally_good_is_as_good_as_found() -> None:
    rows = np.repeat(np.random.default_rng(2).standard_normal((20, 8), np.float32), 50, axis=0)
    norms = np.linalg.norm(rows, axis=1)

    def ask(questions: np.ndarray, width: int) -> list[TopK]:
        """Answer with the last of the equal rows where the exact scan names the first."""
        every = flat.search_batch(rows, questions, len(rows), "cosine", norms=norms)
        best = [np.flatnonzero(one.scores == one.scores[0])[-calibrate.K :] for one in every]
        return [TopK(one.rows[at], one.scores[at], True) for one, at in zip(every, best, strict=True)]

    exam = calibrate.Exam.of(rows, "cosine", norms)

    assert exam is not None
    assert exam.curve(ask, (16,)).tolist() == [[16, 1]]
