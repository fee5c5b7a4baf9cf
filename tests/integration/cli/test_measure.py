"""`vecdb recall`, `vecdb tune`, and what a query says of how it was answered."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vecdb as api
from integration.cli.program import Run

ROWS = 400
DIMENSION = 16
RANDOM = np.random.default_rng(21)
MATRIX = RANDOM.standard_normal((ROWS, DIMENSION)).astype(np.float32)
QUESTIONS = RANDOM.standard_normal((30, DIMENSION)).astype(np.float32)


@pytest.fixture(autouse=True)
def collection(tmp_path: Path) -> None:
    poor = api.Hnsw(m=4, ef_construction=8)  # so that there is something to tune
    schema = api.Schema(id=api.Id(type="int64"), year=api.Int64(), embedding=api.Vector(DIMENSION, index=poor))
    with api.connect(tmp_path / "db", settings=api.Settings(background=False)) as database:
        docs = database.create_collection("docs", schema)
        docs.upsert([{"id": n, "year": n % 10, "embedding": MATRIX[n]} for n in range(ROWS)])
        docs.build_indexes()


def measured(vecdb: Run, *options: object) -> dict[str, Any]:
    return json.loads(vecdb("recall", "db", "docs", *options, "--output", "json").stdout)


# -- query ----------------------------------------------------------------------------------------------------------


ASK = ["query", "db", "docs", "--vector", json.dumps(QUESTIONS[0].tolist())]


def explained(vecdb: Run, *options: object) -> dict[str, Any]:
    return json.loads(vecdb(*ASK, "--explain", *options, "-o", "json").stdout)


def test_a_query_says_how_each_segment_was_searched(vecdb: Run) -> None:
    found = explained(vecdb, "--k", "3")

    (part,) = found["explain"]["parts"]
    assert (part["rows"], part["matching"], part["plan"]) == (ROWS, ROWS, "graph")
    assert len(found["hits"]) == 3
    assert found["hits"] == json.loads(vecdb(*ASK, "--k", "3", "-o", "json").stdout)


def test_effort_is_passed_on(vecdb: Run) -> None:
    def ef(*options: str) -> tuple[str, int]:
        (part,) = explained(vecdb, *options)["explain"]["parts"]
        return part["plan"], part["ef"]

    assert ef("--exact") == ("scan", 0)
    assert ef("--ef", "77") == ("graph", 77)
    assert ef("--recall", "0.5") == ("graph", 16)  # the narrowest that was measured
    assert ef("--recall", "0.99999")[1] > 16


@pytest.mark.parametrize("output", ["table", "jsonl", "arrow"])
def test_an_explanation_goes_to_stderr_and_changes_no_result(output: str, vecdb: Run) -> None:
    command = [*ASK, "--where", "year < 5", "-o", output]

    plain, told = vecdb(*command), vecdb(*command, "--explain")

    assert told.stdout == plain.stdout
    query, estimated, arm, part, cursor = told.stderr.decode().splitlines()
    assert query.startswith("Query(k=10).gather(Near(field=")
    assert estimated.endswith("estimated, not run")
    assert arm.startswith("└─ embedding near, the best 10: 10 rows")
    assert "rows, 200 may be found: codes" in part
    assert plain.stderr.decode().splitlines() == [cursor]


NO_EFFORT = [
    "--exact --ef 5",
    "--exact --recall 0.9",
    "--ef 5 --recall 0.9",
    "--ef 5 --probes 5",
    "--exact --probes 5",
    "--recall 1",
    "--recall 0",
    "--ef 0",
    "--ef 20000",
]


@pytest.mark.parametrize("options", NO_EFFORT)
def test_effort_that_makes_no_sense_is_refused(options: str, vecdb: Run) -> None:
    assert vecdb("query", "db", "docs", "--id", "7", *options.split(), code=2).stderr.startswith(b"error: ")


# -- recall ---------------------------------------------------------------------------------------------------------


def test_recall_is_what_the_python_api_reports(vecdb: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "q.npy", QUESTIONS)

    mine = measured(vecdb, "--queries", "q.npy", "--k", "5", "--ef", "12", "--where", "year > 0")

    with api.connect(tmp_path / "db", read_only=True) as database:
        report = database.collection("docs").recall(QUESTIONS, k=5, ef=12, where="year > 0")
    for name in ("recall", "worst", "k", "queries", "short", "codes_compared", "plans"):
        assert mine[name] == getattr(report, name)
    assert (mine["queries"], mine["k"], mine["short"]) == (30, 5, 0)


def test_recall_in_a_table_has_a_line_for_each_figure(vecdb: Run) -> None:
    lines = [line.split(maxsplit=1) for line in vecdb("recall", "db", "docs").stdout.decode().splitlines()]

    table = dict(lines)
    assert list(table)[:4] == ["recall", "worst", "k", "queries"]
    assert table["queries"] == "100"
    assert table["plans"] == "graph 100"


WRITERS: dict[str, Callable[[Path], object]] = {
    "q.npy": lambda path: np.save(path, QUESTIONS),
    "q.npz": lambda path: np.savez(path, number=np.arange(30), asked=QUESTIONS),
    "q.parquet": lambda path: pq.write_table(arrow(), path),
    "q.jsonl": lambda path: path.write_text("\n".join(json.dumps({"asked": q}) for q in QUESTIONS.tolist())),
    "q.csv": lambda path: path.write_text("n,asked\n" + "\n".join(f'1,"{q}"' for q in QUESTIONS.tolist())),
}


def arrow(name: str = "asked") -> pa.Table:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(QUESTIONS.reshape(-1)), DIMENSION)
    return pa.table({"text": ["?"] * 30, name: vectors})


@pytest.mark.parametrize("name", WRITERS)
def test_queries_of_every_format_are_the_same(name: str, vecdb: Run, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)

    found = measured(vecdb, "--queries", name, "--ef", "10")

    with api.connect(tmp_path / "db", read_only=True) as database:
        report = database.collection("docs").recall(QUESTIONS, ef=10)
    assert (found["queries"], found["recall"], found["codes_compared"]) == (30, report.recall, report.codes_compared)


def test_a_sample_is_the_beginning_of_the_file_or_made_of_rows(vecdb: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "q.npy", QUESTIONS)

    assert measured(vecdb, "--queries", "q.npy", "--sample", "7")["queries"] == 7
    assert measured(vecdb, "--sample", "40")["queries"] == 40


def test_the_column_that_is_called_like_the_field_wins(vecdb: Run, tmp_path: Path) -> None:
    table = arrow("embedding").append_column("other", arrow().column("asked"))
    pq.write_table(table, tmp_path / "q.parquet")
    pq.write_table(table.rename_columns(["text", "a", "b"]), tmp_path / "two.parquet")

    assert measured(vecdb, "--queries", "q.parquet")["queries"] == 30
    assert (
        b"several columns of vectors: a, b" in vecdb("recall", "db", "docs", "--queries", "two.parquet", code=2).stderr
    )


BAD: dict[str, tuple[Callable[[Path], object], int]] = {
    "absent.npy": (lambda path: None, 3),
    "short.npy": (lambda path: np.save(path, QUESTIONS[:, :5]), 2),
    "nan.npy": (lambda path: np.save(path, np.full((2, DIMENSION), np.nan)), 2),
    "nothing.npy": (lambda path: np.save(path, QUESTIONS[:0]), 2),
    "words.csv": (lambda path: path.write_text("a,b\nx,y\n"), 2),
    "null.jsonl": (lambda path: path.write_text('{"q": [1,2,3,4,5,6,7,8,1,2,3,4,5,6,7,8]}\n{"q": null}\n'), 2),
    "ragged.jsonl": (lambda path: path.write_text('{"q": [1,2,3,4,5,6,7,8,1,2,3,4,5,6,7,8]}\n{"q": [1]}\n'), 2),
    "text.jsonl": (lambda path: path.write_text('{"q": [1,2,3,4,5,6,7,8,1,2,3,4,5,6,7,"x"]}\n'), 2),
    "torn.jsonl": (lambda path: path.write_text('{"q": [1,2,3,4,5,6,7,8,1,2,3,4,5,6,7,8]}\n{"q": [1,'), 2),
    "torn.parquet": (lambda path: path.write_bytes(b"PAR1 and no more"), 2),
}


@pytest.mark.parametrize("name", BAD)
def test_queries_that_cannot_be_read_are_refused(name: str, vecdb: Run, tmp_path: Path) -> None:
    write, code = BAD[name]
    write(tmp_path / name)

    done = vecdb("recall", "db", "docs", "--queries", name, code=code)

    assert done.stderr.startswith(b"error: ")
    assert done.stdout == b""


def test_what_makes_the_figures_less_than_they_seem_is_said(vecdb: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "more.npy", RANDOM.standard_normal((100, DIMENSION)))
    vecdb("load", "db", "docs", "more.npy", "--id", "auto", "--no-index")

    partly = vecdb("recall", "db", "docs")
    vecdb("index", "db", "docs", "--set", "flat")
    without = vecdb("recall", "db", "docs")

    assert b"100 rows have no index yet and were scanned" in partly.stderr
    assert b"no row has an index" in without.stderr


# -- tune -----------------------------------------------------------------------------------------------------------


def test_tuning_prints_the_curve_and_keeps_it(vecdb: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "q.npy", QUESTIONS)

    told = json.loads(vecdb("tune", "db", "docs", "--queries", "q.npy", "--target", "0.8", "-o", "json").stdout)
    table = vecdb("tune", "db", "docs", "--queries", "q.npy", "--target", "0.8")

    with api.connect(tmp_path / "db", read_only=True) as database:
        (kept,) = database.collection("docs").snapshot()._state.located.manifest.tuning.values()
    assert [[point["ef"], point["recall"]] for point in told["curve"]] == kept
    assert (told["k"], told["queries"], told["target"]) == (10, 30, 0.8)
    assert told["ef"] == next(ef for ef, recall in kept if recall >= 0.8)
    assert [line.split()[0] for line in table.stdout.decode().splitlines()] == [
        "ef",
        *(str(int(ef)) for ef, _ in kept),
    ]
    assert b"ef %d reaches 0.8 (the 10 nearest, 30 queries)" % told["ef"] in table.stderr


def test_of_an_inverted_file_the_lists_are_counted(vecdb: Run) -> None:
    vecdb("index", "db", "docs", "--set", "ivf(lists=20)")

    told = json.loads(vecdb("tune", "db", "docs", "-o", "json").stdout)
    few, all_of_them = measured(vecdb, "--probes", "1"), measured(vecdb, "--probes", "20")
    (part,) = explained(vecdb, "--probes", "3")["explain"]["parts"]

    assert [point["probes"] for point in told["curve"]][:3] == [1, 2, 4]
    assert "probes" in told
    assert few["recall"] < all_of_them["recall"]
    assert few["plans"] == {"lists": 100}
    assert (part["plan"], part["ef"]) == ("lists", 3)


def test_without_an_index_there_is_nothing_to_tune(vecdb: Run) -> None:
    vecdb("index", "db", "docs", "--set", "flat")

    assert b"no index yet" in vecdb("tune", "db", "docs", code=2).stderr


def test_a_target_that_nothing_reaches_is_said(vecdb: Run) -> None:
    done = vecdb("tune", "db", "docs", "--target", "1", "--k", "300", "-o", "json")

    reached = json.loads(done.stdout)["curve"][-1]["recall"]
    assert (b"no ef that was tried reaches 1" in done.stderr) == (reached < 1)


def test_tuning_is_forgotten(vecdb: Run, tmp_path: Path) -> None:
    vecdb("tune", "db", "docs")

    vecdb("tune", "db", "docs", "--reset")

    with api.connect(tmp_path / "db", read_only=True) as database:
        assert database.collection("docs").snapshot()._state.located.manifest.tuning == {}
    assert b"give it alone" in vecdb("tune", "db", "docs", "--reset", "--sample", "9", code=2).stderr


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed")
@pytest.mark.parametrize(("file", "start"), [("curve.png", b"\x89PNG"), ("curve.svg", b"<?xml")])
def test_the_curve_is_drawn(file: str, start: bytes, vecdb: Run, tmp_path: Path) -> None:
    done = vecdb("tune", "db", "docs", "--plot", file)

    assert (tmp_path / file).read_bytes().startswith(start)
    assert f"drew {file}".encode() in done.stderr


def test_without_matplotlib_a_plot_is_refused_before_anything_is_measured(
    vecdb: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "matplotlib" else find(name))

    done = vecdb("tune", "db", "docs", "--plot", "curve.png", code=7)

    assert b"needs matplotlib" in done.stderr
    assert b"hint: pip install matplotlib" in done.stderr
    assert done.stdout == b""


@pytest.mark.parametrize(("file", "code"), [("curve.txt", 2), ("nowhere/curve.png", 3)])
def test_a_plot_that_has_no_place_is_refused(file: str, code: int, vecdb: Run) -> None:
    vecdb("tune", "db", "docs", "--plot", file, code=code)
