"""Views of some rows: whoever holds one sees no others, and writes no others."""

from collections.abc import Callable
from typing import Any

import pytest

import vecdb
from support import contract
from vecdb import col
from vecdb.config import Limits
from vecdb.errors import (
    DeadlineExceededError,
    FilterSyntaxError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    UnknownFieldError,
)

ASKED = contract.vector(777)
FEW = "size < 100"

READS: dict[str, Callable[[Any], Any]] = {
    "search": lambda reads: [(hit.id, hit.score) for hit in reads.search(embedding=ASKED, k=100)],
    "words": lambda reads: [(hit.id, hit.score) for hit in reads.search(body="a", k=100)],
    "filter": lambda reads: reads.search(embedding=ASKED, where="size > 30", k=100).ids,
    "run": lambda reads: reads.run(vecdb.Query(100).near("embedding", ASKED)).ids,
    "batch": lambda reads: [one.ids for one in reads.search_batch(embedding=[ASKED, -ASKED], k=100)],
    "queries": lambda reads: [one.ids for one in reads.run_batch([vecdb.Query(9).near("embedding", ASKED)])],
    "pages": lambda reads: [page.ids for page in reads.search_iter(embedding=ASKED, k=3)],
    "get": lambda reads: [one and one["id"] for one in reads.get(["r01", "r40"], fields=["size"])],
    "count": lambda reads: (reads.count(), reads.count("size > 30")),
    "scan": lambda reads: [one for batch in reads.scan(order_by="id") for one in batch.column("id").to_pylist()],
    "facets": lambda reads: reads.facets("section"),
    "neighbours": lambda reads: reads.neighbours("r01").to_pylist(),
    "sample": lambda reads: reads.sample(3, field="embedding").ids,
}


@pytest.mark.parametrize("read", READS)
def test_a_view_answers_like_the_embedded_one(kept: Any, reference: vecdb.Collection, read: str) -> None:
    for where in (FEW, col("size") < 100):
        seen = kept.restricted(where)
        assert READS[read](seen) == READS[read](reference.restricted(where))
        with seen.snapshot() as snapshot, kept.snapshot() as whole:
            assert READS[read](snapshot) == READS[read](reference.restricted(where).snapshot())
            assert READS[read](whole.restricted(where)) == READS[read](snapshot)


def test_other_rows_are_not_there(docs: Any) -> None:
    seen = docs.restricted(FEW)

    assert (seen.name, seen.schema.fields) == (docs.name, docs.schema.fields)
    assert seen.count() == docs.count(FEW) == 10
    assert (seen.get("r09") or {})["size"] == 90
    assert seen.get("r40") is None
    with pytest.raises(NotFoundError):
        seen.similar_to("r40", field="embedding")
    assert "docs" in repr(seen)


def test_views_combine_with_views_and_limits(docs: Any) -> None:
    both = docs.restricted(FEW).restricted("size > 30")

    assert both.count() == 6
    assert docs.within(Limits(seconds=60)).restricted(FEW).count() == 10
    with pytest.raises(DeadlineExceededError):
        both.within(Limits(seconds=0)).count("size > 50")
    with docs.snapshot() as snapshot:
        assert snapshot.restricted(FEW).restricted("size > 30").count() == 6


def test_an_older_version_is_seen_through_the_view(docs: Any) -> None:
    docs.tag("full")
    docs.delete("r01")

    seen = docs.restricted(FEW)
    with seen.at(tag="full") as before:
        assert before.count() == 10
        assert before.get("r40") is None
    assert seen.count() == 9


def test_a_write_stays_inside_the_view(docs: Any) -> None:
    seen = docs.restricted(FEW)

    assert seen.upsert({"id": "new", "size": 5}).rows == 1
    assert seen.patch({"id": "new", "size": 6}).rows == 1
    for write in (
        lambda: seen.upsert({"id": "other", "size": 500}),
        lambda: seen.upsert({"id": "r40", "size": 5}),
        lambda: seen.patch({"id": "new", "size": 500}),
        lambda: seen.upsert([{"id": f"many{at}", "size": at} for at in range(12_000)]),
    ):
        with pytest.raises(PermissionDeniedError):
            write()
    with pytest.raises(NotFoundError):
        seen.patch({"id": "r40", "size": 5})
    assert seen.delete(["new", "r40"]).rows == 1
    assert seen.delete(where="size >= 90").rows == 1
    assert docs.count() == contract.ROWS - 1
    assert docs.get("r40")["size"] == 400


def test_links_are_seen_and_written_between_the_rows_of_the_view(docs: Any) -> None:
    docs.link([{"src": "r01", "dst": "r02"}, {"src": "r01", "dst": "r40"}])
    seen = docs.restricted(FEW)

    assert seen.neighbours("r01").column("neighbour").to_pylist() == ["r02"]
    with pytest.raises(PermissionDeniedError):
        seen.link({"src": "r01", "dst": "r41"})
    assert seen.unlink(src="r01").rows == 1
    assert docs.neighbours("r01").column("neighbour").to_pylist() == ["r40"]


def test_what_restricts_nothing_is_refused(docs: Any, snapshot: Any) -> None:
    for where, kind in (("size <", FilterSyntaxError), ("nothing = 1", UnknownFieldError), (None, InvalidInputError)):
        with pytest.raises(kind):
            docs.restricted(where).count()
        with pytest.raises(kind):
            snapshot.restricted(where)
