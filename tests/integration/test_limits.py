"""What a call may take: time and memory, looked at between segments and slices."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support.queried import A, stored
from vecdb import Limits, Query, formula
from vecdb.errors import (
    BudgetExceededError,
    CancelledError,
    DeadlineExceededError,
    InvalidInputError,
    ResourceExhaustedError,
)
from vecdb.filters import evaluate
from vecdb_index import slices
from vecdb_index.budget import Budget

BOTH = Query(k=5).near("a", A).near("b", np.zeros(8))

READS: dict[str, Callable[[Any], Any]] = {
    "search": lambda docs: docs.search(a=A, k=5).ids,
    "search where": lambda docs: docs.search(a=A, k=5, where="size < 50").ids,
    "exact search": lambda docs: docs.search(a=A, k=5, exact=True).ids,
    "batch": lambda docs: [one.ids for one in docs.search_batch(a=np.eye(16), k=3)],
    "batch by filters": lambda docs: [
        one.ids for one in docs.search_batch(a=np.eye(16)[:2], k=3, where=["size < 5", "size > 9"])
    ],
    "run": lambda docs: docs.run(BOTH).ids,
    "run without arms": lambda docs: docs.run(Query(k=5).order_by("size")).ids,
    "stages": lambda docs: docs.run(BOTH.rank(formula.score).collapse("section")).ids,
    "nested": lambda docs: docs.run(Query(k=3).gather(BOTH)).ids,
    "batch of queries": lambda docs: [one.ids for one in docs.run_batch([BOTH, BOTH.take(3)])],
    "pages": lambda docs: [page.ids for page in docs.search_iter(a=A, k=100)],
    "pages of a query": lambda docs: [page.ids for page in docs.run_iter(Query(k=100).near("a", A))],
    "similar": lambda docs: docs.similar_to("r012", field="a", k=3).ids,
    "count": lambda docs: docs.count("size < 50"),
    "facets": lambda docs: docs.facets(["section", "size"]).to_list(),
    "facets of a query": lambda docs: docs.facets("section", query=BOTH).to_list(),
    "scan": lambda docs: [batch.num_rows for batch in docs.scan()],
    "ordered scan": lambda docs: [batch.num_rows for batch in docs.scan(order_by="size")],
    "recall": lambda docs: docs.recall(field="a", sample=3, k=3).recall,
    "analyze": lambda docs: docs.explain(BOTH, analyze=True).rows,
}
WRITES: dict[str, Callable[[Any], Any]] = {
    "upsert": lambda docs: docs.upsert({"id": "new"}),
    "patch": lambda docs: docs.patch({"id": "r001", "size": 5}),
    "delete": lambda docs: docs.delete("r001"),
    "delete where": lambda docs: docs.delete(where="size < 50"),
}


@pytest.fixture(scope="module", params=["many segments", "in memory"])
def docs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[vecdb.Collection]:
    yield from stored(tmp_path_factory.mktemp("limits"), request.param)


@pytest.mark.parametrize("name", READS)
def test_a_read_that_is_out_of_time_says_where_it_was(name: str, docs: vecdb.Collection) -> None:
    with pytest.raises(DeadlineExceededError, match=r"may take 0 s, and after .* s it was still at") as caught:
        READS[name](docs.within(Limits(seconds=0)))

    assert caught.value.limit == 0
    assert caught.value.elapsed > 0
    assert caught.value.stage in str(caught.value)


@pytest.mark.parametrize("name", READS)
def test_a_read_that_needs_more_memory_than_it_may_take_says_how_much(name: str, docs: vecdb.Collection) -> None:
    with pytest.raises(BudgetExceededError, match="may hold 8 bytes of memory and needs") as caught:
        READS[name](docs.within(Limits(memory_bytes=8)))

    assert caught.value.limit == 8
    assert caught.value.needed > 8
    assert isinstance(caught.value, ResourceExhaustedError)
    assert not caught.value.retryable


@pytest.mark.parametrize("name", READS)
def test_a_read_within_its_limits_answers_as_one_without(name: str, docs: vecdb.Collection) -> None:
    view = docs.within(Limits(seconds=3600, memory_bytes=1 << 30))

    assert READS[name](view) == READS[name](docs)
    assert READS[name](view.restricted("size < 60")) == READS[name](docs.restricted("size < 60"))


@pytest.mark.parametrize("name", READS)
def test_a_cancelled_read_ends(name: str, docs: vecdb.Collection) -> None:
    budget = Budget()
    view = docs.within(budget)
    budget.cancel()

    with pytest.raises(CancelledError):
        READS[name](view)


def test_rows_by_id_are_read_within_the_time(docs: vecdb.Collection) -> None:
    with pytest.raises(DeadlineExceededError):
        docs.within(Limits(seconds=0)).get(["r001", "r002"])


@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_is_out_of_time_changes_nothing(name: str, docs: vecdb.Collection) -> None:
    before = docs.snapshot().lsn

    with pytest.raises(DeadlineExceededError):
        WRITES[name](docs.within(Limits(seconds=0)))

    assert docs.snapshot().lsn == before


def test_a_delete_that_would_hold_too_much_changes_nothing(docs: vecdb.Collection) -> None:
    before = docs.count()

    with pytest.raises(BudgetExceededError):
        docs.within(Limits(memory_bytes=10)).delete(where="size < 50")

    assert docs.count() == before


class Counting(Budget):
    """Counts how often it is asked, and is over after so often."""

    def __init__(self, most: int | None = None) -> None:
        super().__init__()
        self.asked = 0
        self.most = most

    def check(self, stage: str) -> None:
        self.asked += 1
        if self.most is not None and self.asked > self.most:
            raise DeadlineExceededError("over", stage=stage)


def _asked(docs: vecdb.Collection, read: Callable[[Any], Any]) -> int:
    budget = Counting()
    read(docs.within(budget))
    return budget.asked


def test_a_scan_of_vectors_asks_before_each_slice(docs: vecdb.Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    few = _asked(docs, READS["exact search"])
    monkeypatch.setattr(slices, "SLICE_ROWS", 10)

    assert _asked(docs, READS["exact search"]) >= few + 400 // 10 - 10


def test_a_filter_on_json_asks_before_each_slice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with vecdb.connect(tmp_path / "library", settings=vecdb.Settings(background=False)) as database:
        docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id("int64"), extra=vecdb.Json()))
        docs.upsert([{"id": at, "extra": {"k": at % 7, "l": [at]}} for at in range(1000)])
        docs.flush()
        expected = docs.count("extra.k = 3 and extra.l[0] > 100")
        few = _asked(docs, lambda docs: docs.count("extra.k = 1"))
        monkeypatch.setattr(evaluate, "SLICE_ROWS", 10)

        assert _asked(docs, lambda docs: docs.count("extra.k = 2")) >= few + 90
        assert docs.count("extra.l[0] > 100 and extra.k = 3") == expected


def test_wherever_its_time_ends_a_read_ends_with_the_error(docs: vecdb.Collection) -> None:
    for read in READS.values():
        for most in range(_asked(docs, read)):
            with pytest.raises(DeadlineExceededError):
                read(docs.within(Counting(most)))


def test_each_call_of_a_view_has_limits_of_its_own_and_a_snapshot_has_them_once(docs: vecdb.Collection) -> None:
    view = docs.within(Limits(memory_bytes=1000))

    assert view.count("size < 50") == view.count("size < 50") == view.count("size < 50")
    with view.snapshot() as snapshot:
        assert [snapshot.count("size < 50") for _ in range(2)]
        with pytest.raises(BudgetExceededError):
            [snapshot.count("size < 50") for _ in range(5)]


def test_a_long_scan_holds_one_batch_at_a_time(docs: vecdb.Collection) -> None:
    whole = sum(batch.nbytes for batch in docs.scan())
    batches = list(docs.within(Limits(memory_bytes=whole // 4)).scan(batch_rows=10))

    assert sum(batch.num_rows for batch in batches) == docs.count()


@pytest.mark.parametrize(
    "wrong",
    [{"seconds": -1}, {"seconds": "1"}, {"seconds": float("nan")}, {"memory_bytes": 1.5}, {"memory_bytes": True}],
)
def test_limits_that_are_no_limits_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="limit "):
        Limits(**wrong)


def test_rows_that_are_not_there_are_not_counted(docs: vecdb.Collection) -> None:
    limited = docs.within(Limits(memory_bytes=100_000))

    assert len(limited.search(a=A, k=10_000_000)) == docs.count()
    assert len(limited.restricted("size < 5").search(a=A, k=10_000_000)) == docs.count("size < 5")
