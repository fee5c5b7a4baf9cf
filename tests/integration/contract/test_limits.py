"""Calls that may take so much time, and so much memory."""

from collections.abc import Callable
from typing import Any

import pytest

import vecdb
from support import contract
from vecdb.config import Limits
from vecdb.errors import BudgetExceededError, DeadlineExceededError, InvalidInputError

ASKED = contract.vector(777)

READS: dict[str, Callable[[Any], Any]] = {
    "search": lambda reads: reads.search(embedding=ASKED, where="size < 200").ids,
    "exact": lambda reads: reads.search(embedding=ASKED, exact=True).ids,
    "words": lambda reads: reads.search(body="honey", order_by="size").ids,
    "run": lambda reads: reads.run(vecdb.Query(9).near("embedding", ASKED).match("body", "bee")).ids,
    "batch": lambda reads: [one.ids for one in reads.search_batch(embedding=[ASKED, -ASKED], where="size > 5")],
    "pages": lambda reads: [page.ids for page in reads.search_iter(embedding=ASKED, k=20)],
    "count": lambda reads: reads.count("size > 30"),
    "scan": lambda reads: [one for batch in reads.scan(order_by="size") for one in batch.column("id").to_pylist()],
    "facets": lambda reads: reads.facets("section", "size > 30"),
    "recall": lambda reads: reads.recall(field="embedding", sample=3, k=3).recall,
    "sample": lambda reads: reads.sample(3, field="embedding").ids,
}


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


@pytest.mark.parametrize("read", READS)
def test_a_call_that_needs_more_memory_than_it_may_take_fails_as_the_embedded_one(
    kept: Any, reference: vecdb.Collection, read: str
) -> None:
    for collection in (kept, reference):
        READS[read](collection)  # a first call makes what later ones find, and needs memory for it
    few = Limits(memory_bytes=8)
    with pytest.raises(BudgetExceededError) as expected:
        READS[read](reference.within(few))

    with kept.snapshot() as snapshot:
        for reads in (kept.within(few), kept.restricted("size >= 0").within(few), snapshot.within(few)):
            with pytest.raises(BudgetExceededError) as caught:
                READS[read](reads)
            assert caught.value.limit == 8
            assert not caught.value.retryable
        with pytest.raises(BudgetExceededError) as caught:
            READS[read](kept.within(few))

    assert str(caught.value) == str(expected.value)
    assert (caught.value.stage, caught.value.needed) == (expected.value.stage, expected.value.needed)


@pytest.mark.parametrize("read", READS)
def test_a_call_with_memory_enough_answers_as_ever(kept: Any, read: str) -> None:
    for much in (1 << 30, 1 << 90):
        assert READS[read](kept.within(Limits(memory_bytes=much))) == READS[read](kept)


def test_a_delete_that_would_hold_too_much_changes_nothing(docs: Any) -> None:
    with pytest.raises(BudgetExceededError):
        docs.within(Limits(memory_bytes=8)).delete(where="size < 50")

    assert docs.count() == contract.ROWS


def test_limits_are_taken_anew_and_told(docs: Any) -> None:
    few = docs.within(Limits(memory_bytes=8))

    assert few.within(Limits(seconds=60)).count("size > 30") == docs.count("size > 30")
    assert "memory_bytes=8" in repr(few)
    with pytest.raises(InvalidInputError, match="limits is 8"):
        docs.within(8)
