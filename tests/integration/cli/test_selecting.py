"""`vecdb query --select`: the answer as a set, and what is told of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb as api
from integration.cli.program import Run

MATRIX = np.random.default_rng(5).standard_normal((120, 8)).astype(np.float32)
QUERY = json.dumps(MATRIX[0].tolist())
SECTIONS = "games", "math", "news"


@pytest.fixture(autouse=True)
def collection(vecdb: Run, tmp_path: Path) -> None:
    schema = api.Schema(id=api.Id(), section=api.Keyword(), year=api.Int64(), text=api.Text(), embedding=api.Vector(8))
    with api.connect(tmp_path / "db") as database:
        rows = [
            {"id": f"d{n}", "section": SECTIONS[n % 3], "year": n % 10, "text": "word " * (n % 7), "embedding": vector}
            for n, vector in enumerate(MATRIX)
        ]
        database.create_collection("docs", schema).upsert(rows)


def hits(vecdb: Run, *options: object) -> list[dict[str, Any]]:
    done = vecdb("query", "db", "docs", "--vector", QUERY, *options, "--output", "jsonl")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_set_is_that_of_the_library(vecdb: Run, tmp_path: Path) -> None:
    found = hits(
        vecdb, "--select", "coverage", "--balance", 0.7, "--form", "facility_location", "--quota", "section=0..2",
        "--quota", "year:3=1..,section:math=2..3", "--distinct", 0.99, "--fixed", "d5", "--forbidden", "d0",
        "--min-gain", 0.01, "--pool", 80, "--k", 7,
    )  # fmt: skip

    with api.connect(tmp_path / "db", read_only=True) as database:
        query = api.Query(k=7).near("embedding", MATRIX[0]).select(
            api.Coverage(0.7, "facility_location"),
            quotas=(api.Quota("section", 0, 2), api.Quota("year", 1, None, 3), api.Quota("section", 2, 3, "math")),
            distinct=0.99, fixed=["d5"], forbidden=["d0"], min_gain=0.01, pool=80,
        )  # fmt: skip
        expected = database.collection("docs").run(query)
        told = [(hit.id, hit.pick) for hit in expected]
    assert [hit["id"] for hit in found] == [id_ for id_, _ in told]
    assert found[0]["id"] == "d5"
    for hit, (_, pick) in zip(found, told, strict=True):
        assert pick is not None
        assert hit["pick"]["order"] == pick.order
        assert [member["id"] for member in hit["pick"]["members"]] == [member.id for member in pick.members]


def test_a_budget_counts_the_only_text(vecdb: Run) -> None:
    found = hits(vecdb, "--select", "coverage", "--budget-tokens", 30, "--k", 20)

    assert 0 < sum(-(-len(hit["text"]) // 4) for hit in found) <= 30


@pytest.mark.parametrize(("typed", "universe"), [("50", 50), ("d3,d4", ["d3", "d4"])])
def test_a_universe_is_that_of_the_library(vecdb: Run, tmp_path: Path, typed: str, universe: Any) -> None:
    form = "--form", "facility_location", "--select-field", "embedding"
    found = hits(vecdb, "--select", "coverage", *form, "--universe", typed, "--k", 4)

    with api.connect(tmp_path / "db", read_only=True) as database:
        select = api.Coverage(form="facility_location")
        query = api.Query(k=4).near("embedding", MATRIX[0]).select(select, universe=universe)
        assert [hit["id"] for hit in found] == database.collection("docs").run(query).ids


def test_a_grid_has_one_row_a_cell(vecdb: Run) -> None:
    found = hits(vecdb, "--select", "dpp", "--grid", "section,year:2", "--k", 20)

    assert len(found) == 6
    assert len({(hit["section"], hit["year"] >= 4.5) for hit in found}) == 6


def test_a_table_counts_whom_a_row_stands_for(vecdb: Run) -> None:
    done = vecdb("query", "db", "docs", "--vector", QUERY, "--select", "mmr", "--k", 3, "--analyze")

    assert b"+similar" in done.stdout
    assert b"mmr from" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--quota", "section=0..3"], "--quota needs --select"),
        (["--select", "dpp", "--form", "saturated"], "--form needs --select coverage"),
        (["--select", "coverage", "--quota", "section"], "is no quota"),
        (["--select", "coverage", "--quota", "year:x=0..1"], "is no value of 'year'"),
        (["--select", "coverage", "--grid", "year:many"], "is no number of bins"),
        (["--select", "coverage", "--budget-field", "text"], "--budget-field needs --budget-tokens"),
        (["--select", "best"], "no way to select"),
        (["--universe", "50"], "--universe needs --select"),
        (["--select", "coverage", "--universe", "50"], "represents a universe"),
        (["--select", "coverage", "--form", "saturated", "--universe", "cells:x"], "'x' is no number of cells"),
        (["--select", "coverage", "--form", "saturated", "--universe", "cells:4"], "nothing is in inverted lists"),
        (["--select", "coverage", "--select-field", "section"], "'section'"),
        (["--select", "coverage", "--quota", "section:tv=1..2"], "at least 1 rows with section = 'tv'"),
    ],
)
def test_options_that_make_no_sense_are_refused(vecdb: Run, options: list[str], told: str) -> None:
    done = vecdb("query", "db", "docs", "--vector", QUERY, *options, code=2)

    assert told in done.stderr.decode()
