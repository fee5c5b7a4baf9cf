"""What counts as found, when recall is measured."""

import numpy as np

from vecdb.planner.found import Found
from vecdb.tuning import shares


def answer(rows: list[int], scores: list[float]) -> Found:
    return Found((), None, np.array(rows, np.int64), np.array(scores, np.float32))


def test_a_row_that_is_as_good_as_the_last_true_one_counts_as_found() -> None:
    true = answer([3, 1, 2], [0.9, 0.5, 0.5])

    found = shares([answer([3, 7, 8], [0.9, 0.5, 0.5]), answer([3, 7, 9], [0.9, 0.5, 0.4])], [true, true])

    assert found.tolist() == [1, 2 / 3]


def test_a_short_answer_has_a_share_of_the_true_one_and_nothing_of_nothing_is_all() -> None:
    found = shares(
        [answer([3], [0.9]), answer([], []), answer([], [])], [answer([3, 1], [0.9, 0.5])] * 2 + [answer([], [])]
    )

    assert found.tolist() == [0.5, 0, 1]
