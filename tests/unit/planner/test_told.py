"""What `explain` says of a part: why its plan was chosen, and after a search what came of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support.unsynced import unsynced
from vecdb.planner.found import PartPlan, Work
from vecdb_index.dense import plan as plans

ROWS, FAR, DIMENSION = 2000, 500, 8
CODE, ROW = 64, 4 * DIMENSION
QUERY = np.eye(1, DIMENSION, dtype=np.float32)[0]


@pytest.fixture
def docs(tmp_path: Path) -> Iterator[vecdb.Collection]:
    """Rows around the query, and from n = 1500 on around its opposite, under a graph."""
    settings = vecdb.Settings(background=False, free_bytes=0)
    with unsynced(), vecdb.connect(tmp_path / "db", settings=settings) as database:
        schema = vecdb.Schema(id=vecdb.Id("int64"), n=vecdb.Int64(), v=vecdb.Vector(DIMENSION, index="hnsw"))
        docs = database.create_collection("docs", schema)
        rng = np.random.default_rng(1)
        vectors = 0.3 * rng.standard_normal((ROWS, DIMENSION), np.float32) + QUERY
        vectors[-FAR:] -= 2 * QUERY
        docs.upsert({"id": np.arange(ROWS), "n": np.arange(ROWS), "v": vectors})
        docs.build_indexes()
        yield docs


def told(docs: vecdb.Collection, **asked: Any) -> dict[str, Any]:
    (part,) = docs.search(v=QUERY, k=10, **asked).explain["parts"]
    return part


def test_a_reason_names_the_other_plans_and_what_they_would_have_cost(docs: vecdb.Collection) -> None:
    part = told(docs, where="n < 200", ef=32)
    codes, wide = plans.considered(ROWS, 200, 10, 32)

    assert (part["plan"], part["cost"], part["codes"]) == ("codes", codes.cost, 200)
    assert part["reason"] == f"10.00% of its rows may be found; instead of wide at {wide.cost:,.0f}"
    assert told(docs)["reason"] == "all rows may be found"
    assert told(docs, where="n < 200", plan="codes")["reason"] == "asked for"


def test_a_look_at_codes_tells_what_it_read(docs: vecdb.Collection) -> None:
    part = told(docs, where="n < 200", plan="codes")

    assert (part["done"], part["compared"]) == ("codes", 200)
    assert 20 <= part["scored"] <= 200
    assert (part["code_bytes"], part["row_bytes"]) == (CODE, ROW)
    assert part["bytes"] == 200 * CODE + part["scored"] * ROW


def test_a_walk_that_was_given_up_for_codes_says_so(docs: vecdb.Collection) -> None:
    near = told(docs, where=f"n < {FAR}", plan="wide", ef=24)
    far = told(docs, where=f"n >= {ROWS - FAR}", plan="wide", ef=24)

    assert (near["plan"], near["done"]) == ("wide", "wide")
    assert (far["plan"], far["done"]) == ("wide", "codes")
    assert far["compared"] > FAR


def test_in_a_batch_each_answer_tells_its_own(docs: vecdb.Collection) -> None:
    found = docs.search_batch(v=np.stack([QUERY, -QUERY]), k=10, where=f"n >= {ROWS - FAR}", plan="wide", ef=24)

    assert [each.explain["parts"][0]["done"] for each in found] == ["codes", "wide"]


def test_a_scan_reads_the_vectors_that_may_be_found(docs: vecdb.Collection) -> None:
    part = told(docs, where="n < 200", exact=True)

    assert (part["done"], part["compared"], part["scored"], part["bytes"]) == ("scan", 0, 200, 200 * ROW)


def test_each_part_tells_what_it_took_and_those_without_a_match_nothing(docs: vecdb.Collection) -> None:
    docs.upsert({"id": [ROWS], "n": [-1], "v": [QUERY]})

    both, new = (docs.search(v=QUERY, k=10, where=where).explain for where in ("n < 200", "n < 0"))

    assert [(part["plan"], part["scored"] > 0) for part in both["parts"]] == [("codes", True), ("scan", True)]
    assert both["codes_compared"] == both["parts"][0]["compared"] == 200
    assert [part["plan"] for part in new["parts"]] == ["skip", "scan"]
    assert "bytes" not in new["parts"][0]
    assert new["parts"][1]["bytes"] == ROW


def test_estimates_have_no_actuals_and_a_drawn_explanation_has_both(docs: vecdb.Collection) -> None:
    query = vecdb.Query(k=10).near("v", QUERY, where="n < 200")

    (estimated,) = docs.explain(query).steps[0].told["parts"]
    done = docs.explain(query, analyze=True)
    (part,) = done.steps[0].told["parts"]

    assert "bytes" not in estimated
    assert estimated.items() <= part.items()
    assert str(done).endswith(
        f"): read 200 codes of 200 expected, {part['scored']} vectors, {part['bytes'] / 1e3:,.0f} kB"
    )


@pytest.mark.parametrize("kind", ["lists", "words"])
def test_what_is_not_counted_is_not_told(kind: str) -> None:
    assert "bytes" not in PartPlan("a", 10, 10, kind, 1).done(Work(0, 0, 10))


def test_lists_tell_what_they_read(tmp_path: Path) -> None:
    settings = vecdb.Settings(background=False, free_bytes=0)
    with unsynced(), vecdb.connect(tmp_path / "other", settings=settings) as database:
        schema = vecdb.Schema(id=vecdb.Id("int64"), v=vecdb.Vector(DIMENSION, index=vecdb.Ivf(lists=20)))
        docs = database.create_collection("docs", schema)
        rows = np.random.default_rng(1).standard_normal((ROWS, DIMENSION), np.float32)
        docs.upsert({"id": np.arange(ROWS), "v": rows})
        docs.build_indexes()

        few, all_lists, scan = (told(docs, probes=5), told(docs, probes=20), told(docs, exact=True))

        assert (few["done"], few["plan"]) == ("lists", "lists")
        assert 20 <= few["scored"] < few["compared"] < ROWS
        assert few["bytes"] == few["compared"] * few["code_bytes"] + few["scored"] * ROW
        assert all_lists["compared"] == ROWS
        assert scan["scored"] == ROWS
        assert docs.recall(sample=20, probes=20).codes_compared >= ROWS  # some look twice


@pytest.mark.parametrize(
    ("asked", "where", "plan", "reason"),
    [
        ("lists", None, "graph", "lists was asked for, but this index has no such plan without a filter"),
        ("lists", "n < 200", "wide", "lists was asked for, but this index has no such plan under a filter"),
        ("graph", "n < 200", "wide", "graph was asked for, but this index has no such plan under a filter"),
        ("wide", None, "graph", "wide was asked for, but this index has no such plan without a filter"),
        ("two_hops", None, "graph", "two_hops was asked for, but this index has no such plan without a filter"),
        ("two_hops", "n < 200", "two_hops", "asked for"),
        ("codes", None, "codes", "asked for"),
    ],
)
def test_a_plan_that_there_is_not_is_told_with_the_one_taken_instead(
    docs: vecdb.Collection, asked: str, where: str | None, plan: str, reason: str
) -> None:
    part = told(docs, plan=asked, where=where)

    assert (part["plan"], part["reason"]) == (plan, reason)


def test_a_recall_that_no_width_reaches_is_told(docs: vecdb.Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    curve = np.array([[16, 0.85], [512, 0.975]], np.float32)
    monkeypatch.setattr("vecdb.planner.route.tuned", lambda state, column, own: curve)
    monkeypatch.setattr("vecdb.planner.route.SURE_PAYS", 0)
    doubt = "; its index found no more than 97.5% of the nearest rows when it was measured"

    assert told(docs)["reason"] == "all rows may be found" + doubt
    assert told(docs, where="n < 200")["reason"].endswith(doubt)
    assert "measured" not in told(docs, recall=0.98)["reason"]
    assert "measured" not in told(docs, ef=16)["reason"]
    assert told(docs, exact=True)["reason"] == "asked to be exact"
