"""Calls that may take so much time."""

from typing import Any

import pytest

from support import contract
from vecdb.config import Limits
from vecdb.errors import DeadlineExceededError

ASKED = contract.vector(777)


def test_a_call_ends_when_its_time_is_over(docs: Any, snapshot: Any) -> None:
    for reads in (docs.within(Limits(seconds=0)), snapshot.within(Limits(seconds=0))):
        with pytest.raises(DeadlineExceededError):
            reads.search(embedding=ASKED)
        with pytest.raises(DeadlineExceededError):
            list(reads.scan(where="size > 1"))


def test_a_call_with_time_enough_answers_as_ever(docs: Any, snapshot: Any) -> None:
    expected = docs.search(embedding=ASKED).ids

    assert docs.within(Limits(seconds=60)).search(embedding=ASKED).ids == expected
    assert snapshot.within(Limits(seconds=60)).search(embedding=ASKED).ids == expected
