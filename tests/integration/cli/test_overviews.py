"""`vecdb summarise`, `sample`, `clusters`, `duplicates`, `calibrate`, and `query --cut`: what the API says."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb as api
from integration.cli.program import Run

ROWS = 300
RANDOM = np.random.default_rng(31)
MATRIX = (RANDOM.standard_normal((5, 16))[np.arange(ROWS) % 5] + 0.3 * RANDOM.standard_normal((ROWS, 16))).astype("f4")
MATRIX[7] = MATRIX[200]
ASKED = json.dumps(MATRIX[3].tolist())


@pytest.fixture(autouse=True)
def collection(tmp_path: Path) -> None:
    schema = api.Schema(id=api.Id(type="int64"), year=api.Int64(), embedding=api.Vector(16))
    with api.connect(tmp_path / "db", settings=api.Settings(background=False)) as database:
        docs = database.create_collection("docs", schema)
        docs.upsert([{"id": n, "year": n % 10, "embedding": MATRIX[n]} for n in range(ROWS)])


def answer(tmp_path: Path, call: Any) -> Any:
    with api.connect(tmp_path / "db", settings=api.Settings(background=False)) as database:
        return call(database.collection("docs"))


def lines(vecdb: Run, command: str, *options: object) -> list[dict[str, Any]]:
    done = vecdb(command, "db", "docs", *options, "-o", "jsonl")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_summary_shows_its_rows_with_fields(vecdb: Run, tmp_path: Path) -> None:
    found = lines(vecdb, "summarise", "--k", 4, "--where", "year < 8", "--show", "year")

    expected = answer(tmp_path, lambda docs: docs.summarise(4, "year < 8"))
    assert [(one["id"], one["size"]) for one in found] == [(one.id, one.size) for one in expected.representatives]
    assert [one["year"] for one in found] == [one.id % 10 for one in expected.representatives]


def test_a_sample_tells_weights(vecdb: Run, tmp_path: Path) -> None:
    found = lines(vecdb, "sample", "--k", 5, "--seed", 3)

    expected = answer(tmp_path, lambda docs: docs.sample(5, seed=3))
    assert {one["id"]: one["weight"] for one in found} == {key: round(w, 4) for key, w in expected.weights.items()}


def test_clusters_are_counted_and_their_fit_is_told(vecdb: Run) -> None:
    done = vecdb("clusters", "db", "docs")

    assert b"300 rows in 5 clusters, silhouette" in done.stderr
    assert len(lines(vecdb, "clusters", "--k", 3)) == 3
    assert b"neither a number nor auto" in vecdb("clusters", "db", "docs", "--k", "many", code=2).stderr


def test_duplicates_are_listed_by_group(vecdb: Run) -> None:
    assert lines(vecdb, "duplicates", "--threshold", 0.999) == [
        {"id": 7, "group": 1, "similarity": 1.0},
        {"id": 200, "group": 1, "similarity": 1.0},
    ]


@pytest.mark.parametrize("cut", ["evt", "evt:3", "zscore:5", "higher_criticism:2", "gap:1"])
def test_a_query_is_cut_as_the_api_cuts_it(vecdb: Run, tmp_path: Path, cut: str) -> None:
    method, _, number = cut.partition(":")
    name = {"gap": "extra", "higher_criticism": "threshold"}.get(method, "expect_false")
    given = {name: int(number) if name == "extra" else float(number)} if number else {}

    found = lines(vecdb, "query", "--vector", ASKED, "--k", 100, "--cut", cut)

    asked = api.Query(k=100).near("embedding", MATRIX[3]).cut(method, **given)  # pyright: ignore[reportArgumentType]
    assert [one["id"] for one in found] == answer(tmp_path, lambda docs: docs.run(asked).ids)


def test_why_rows_were_left_out_is_told(vecdb: Run) -> None:
    done = vecdb("query", "db", "docs", "--vector", ASKED, "--cut", "evt:0.000001", "--analyze")

    assert b"cut by evt, the score that is needed is" in done.stderr
    assert b"there are zscore, evt" in vecdb("query", "db", "docs", "--vector", ASKED, "--cut", "x", code=2).stderr


def test_a_calibrator_is_learned_from_a_file_and_used(vecdb: Run, tmp_path: Path) -> None:
    with (tmp_path / "judged.jsonl").open("w") as file:
        for at in range(40):
            query = api.Query(k=5).near("embedding", MATRIX[at] + 0.2)
            file.write(json.dumps({"query": query.to_json(), "relevant": [at] if at % 2 else []}) + "\n")

    report = json.loads(vecdb("calibrate", "db", "docs", "judged.jsonl", "--name", "mine", "-o", "json").stdout)

    assert report["queries"] == 40
    assert b"no calibrator 'default'" in vecdb("query", "db", "docs", "-v", ASKED, "--cut", "adapter", code=3).stderr
    vecdb("calibrate", "db", "docs", "judged.jsonl")
    assert len(lines(vecdb, "query", "--vector", ASKED, "--cut", "adapter")) >= 1
    vecdb("calibrate", "db", "docs", "--reset")
    assert b"name a file of judged queries, or --reset" in vecdb("calibrate", "db", "docs", code=2).stderr
    (tmp_path / "bad.jsonl").write_text("{}\n")
    assert b"bad.jsonl, line 1 is not" in vecdb("calibrate", "db", "docs", "bad.jsonl", code=2).stderr
