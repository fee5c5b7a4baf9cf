"""Overviews of all rows, cuts and calibrators, over each way: as the embedded collection has them."""

from typing import Any

import pytest

import vecdb
from support import contract
from vecdb import Query
from vecdb.errors import InvalidInputError, NotFoundError

ASKED = contract.vector(777)
STEPS = Query().rescore("half", [1.0, 0.5]).rescore("embedding", ASKED).stages


def test_a_summary_is_that_of_the_embedded_collection(kept: Any, reference: vecdb.Collection) -> None:
    asked: dict[str, Any] = {"where": "size > 50", "field": "embedding", "seed": 3}

    assert kept.summarise(5, **asked) == reference.summarise(5, **asked)


@pytest.mark.parametrize("method", ["coreset", "uniform"])
def test_a_sample_is_that_of_the_embedded_collection(kept: Any, reference: vecdb.Collection, method: str) -> None:
    found = kept.sample(7, method, field="embedding", seed=2)

    assert found == reference.sample(7, method, field="embedding", seed=2)


@pytest.mark.parametrize("k", [3, "auto"])
def test_clusters_are_those_of_the_embedded_collection(kept: Any, reference: vecdb.Collection, k: Any) -> None:
    assert kept.clusters(k, "size > 50", field="embedding") == reference.clusters(k, "size > 50", field="embedding")


def test_duplicates_are_those_of_the_embedded_collection(kept: Any, reference: vecdb.Collection) -> None:
    found = kept.duplicates(0.8, field="embedding", k=3)

    assert found == reference.duplicates(0.8, field="embedding", k=3)
    assert found.groups


def test_a_snapshot_has_overviews_of_its_own_rows(docs: Any, snapshot: Any) -> None:
    def overviews() -> list[Any]:
        return [
            snapshot.summarise(3, field="embedding"),
            snapshot.sample(3, field="embedding"),
            snapshot.clusters(3, field="embedding"),
            snapshot.duplicates(0.8, field="embedding"),
        ]

    before = overviews()

    docs.delete(where="size > 100")

    assert overviews() == before
    assert docs.summarise(3, field="embedding").rows < before[0].rows


def test_a_calibrator_is_made_used_and_forgotten(docs: Any) -> None:
    judged = [
        (Query(k=5).near("embedding", contract.vector(number) + 0.1), [f"r{number:02}"] if number % 2 else [])
        for number in range(12, 40)
        if number != 13
    ]

    report = docs.calibrate(judged, "mine")
    found = docs.run(Query(k=5).near("embedding", ASKED).cut("adapter", calibrator="mine", at_least=1))

    assert report == vecdb.CalibrationReport.from_json(report.to_json())
    assert report.queries == len(judged)
    assert found.explain["steps"][-1]["calibrator"] == "mine"
    assert docs.calibrate(name="mine", reset=True) is None
    with pytest.raises(NotFoundError, match="no calibrator 'mine'"):
        docs.run(Query(k=5).near("embedding", ASKED).cut("adapter", calibrator="mine"))
    with pytest.raises(InvalidInputError, match="too few"):
        docs.calibrate([])


@pytest.mark.parametrize(
    "query",
    [
        Query(k=9).near("embedding", ASKED).cut("gap", skip=1, extra=2),
        Query(k=9).near("embedding", ASKED).cut("evt", expect_false=3, at_least=2, sample=200),
        Query(k=5).near("small", [3, -3]).cascade(*STEPS, keep=4),
    ],
    ids=["gap", "evt", "cascade"],
)
def test_what_is_cut_is_what_the_embedded_collection_cuts(kept: Any, reference: vecdb.Collection, query: Query) -> None:
    found, expected = kept.run(query), reference.run(query)

    assert found.to_list() == expected.to_list()
    steps = [[step for step in one.explain["steps"][-1].items() if step[0] != "ms"] for one in (found, expected)]
    assert steps[0] == steps[1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda docs: docs.summarise(0, field="embedding"), "k is 0"),
        (lambda docs: docs.sample(3, "best", field="embedding"), "method 'best'"),
        (lambda docs: docs.clusters("many", field="embedding"), '"auto"'),
        (lambda docs: docs.duplicates(0, field="embedding"), "threshold is 0"),
        (lambda docs: docs.summarise(3), "name the vector field"),
    ],
)
def test_wrong_arguments_are_refused_alike(kept: Any, call: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        call(kept)
