"""`vecdb query`: what it finds against NumPy, and every form of its input and output."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import vecdb as api
from integration.cli.program import Run

ROWS = 300
MATRIX = np.random.default_rng(5).standard_normal((ROWS, 8)).astype(np.float32)
QUERY = np.random.default_rng(6).standard_normal(8).astype(np.float32)


@pytest.fixture(autouse=True)
def collection(vecdb: Run, tmp_path: Path) -> None:
    schema = api.Schema(
        id=api.Id(), year=api.Int64(), extra=api.Json(), embedding=api.Vector(8), small=api.Vector(2, metric="l2")
    )
    with api.connect(tmp_path / "db") as database:
        rows = [
            {"id": f"d{n}", "year": n % 10, "extra": {"n": n}, "embedding": MATRIX[n], "small": MATRIX[n, :2]}
            for n in range(ROWS)
        ]
        database.create_collection("docs", schema).upsert(rows)


def nearest(query: np.ndarray, k: int, allowed: list[int] | None = None) -> list[str]:
    """Ids by cosine, in float64."""
    scores = MATRIX.astype(np.float64) @ query / np.linalg.norm(MATRIX.astype(np.float64), axis=1)
    order = [int(n) for n in np.argsort(-scores) if allowed is None or int(n) in allowed]
    return [f"d{n}" for n in order[:k]]


def hits(vecdb: Run, *options: object, stdin: bytes = b"") -> list[dict[str, Any]]:
    done = vecdb("query", "db", "docs", "--field", "embedding", *options, "--output", "jsonl", stdin=stdin)
    return [json.loads(line) for line in done.stdout.splitlines()]


def npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def test_a_vector_is_read_from_text_file_and_stdin_alike(vecdb: Run, tmp_path: Path) -> None:
    text = json.dumps(QUERY.tolist())
    (tmp_path / "q.json").write_text(text)
    (tmp_path / "q.npy").write_bytes(npy(QUERY))
    (tmp_path / "row.npy").write_bytes(npy(QUERY.reshape(1, -1).astype(np.float64)))

    found = [
        hits(vecdb, "--vector", text),
        hits(vecdb, "--vector", "@q.json"),
        hits(vecdb, "--vector", "@q.npy"),
        hits(vecdb, "--vector", "@row.npy"),
        hits(vecdb, "--vector", "-", stdin=text.encode()),
        hits(vecdb, "--vector", "-", stdin=npy(QUERY)),
    ]

    assert [hit["id"] for hit in found[0]] == nearest(QUERY, 10)
    assert all(other == found[0] for other in found)


def test_a_filter_and_k_restrict_the_result(vecdb: Run) -> None:
    found = hits(vecdb, "--vector", json.dumps(QUERY.tolist()), "--where", "year < 2", "--k", "7")

    assert [hit["id"] for hit in found] == nearest(QUERY, 7, [n for n in range(ROWS) if n % 10 < 2])


def test_a_row_is_searched_near_and_left_out(vecdb: Run) -> None:
    found = hits(vecdb, "--id", "d17", "--k", "5")

    assert [hit["id"] for hit in found] == nearest(MATRIX[17], 6)[1:]


def test_a_row_that_the_filter_excludes_can_still_be_searched_near(vecdb: Run) -> None:
    found = hits(vecdb, "--id", "d17", "--k", "5", "--where", "year = 3")

    assert [hit["id"] for hit in found] == nearest(MATRIX[17], 5, [n for n in range(ROWS) if n % 10 == 3])


def test_json_lines_and_arrow_agree_with_the_python_api(vecdb: Run, tmp_path: Path) -> None:
    arguments = ["query", "db", "docs", "--field", "embedding", "--vector", json.dumps(QUERY.tolist())]

    as_lines = [json.loads(line) for line in vecdb(*arguments, "-o", "jsonl").stdout.splitlines()]
    as_json = json.loads(vecdb(*arguments, "-o", "json").stdout)
    as_arrow = pa.ipc.open_stream(vecdb(*arguments, "-o", "arrow").stdout).read_all()

    with api.connect(tmp_path / "db", read_only=True) as database:
        expected = database.collection("docs").search(embedding=QUERY)
    assert as_json == as_lines
    assert as_arrow.equals(expected.to_arrow())
    assert [(hit["id"], hit["score"], hit["distance"]) for hit in as_json] == [
        (hit.id, hit.score, hit.distance) for hit in expected
    ]
    assert [hit["extra"] for hit in as_json] == [{"n": int(hit["id"][1:])} for hit in as_json]
    assert as_arrow.column_names == list(as_json[0])


def test_a_table_in_a_pipe_is_plain(vecdb: Run) -> None:
    done = vecdb("query", "db", "docs", "--field", "embedding", "--id", "d1", "--k", "3", "--show", "year,small")

    lines = done.stdout.decode().splitlines()
    assert lines[0].split() == ["id", "score", "distance", "year", "small"]
    assert len(lines) == 4
    assert b"\x1b" not in done.stdout


def test_no_match_is_an_empty_result_and_success(vecdb: Run) -> None:
    options = ["query", "db", "docs", "--field", "embedding", "--id", "d1", "--where", "year = 99"]

    assert vecdb(*options).stdout.decode().split() == ["id", "score", "distance"]
    assert json.loads(vecdb(*options, "-o", "json").stdout) == []
    assert vecdb(*options, "-o", "jsonl").stdout == b""
    assert pa.ipc.open_stream(vecdb(*options, "-o", "arrow").stdout).read_all().num_rows == 0


def test_of_several_vectors_one_must_be_named(vecdb: Run) -> None:
    done = vecdb("query", "db", "docs", "--id", "d1", code=2)

    assert b"embedding, small" in done.stderr
    assert b"--field" in done.stderr


BAD = {
    "not json": ["--vector", "north"],
    "no list": ["--vector", '{"a": 1}'],
    "text in it": ["--vector", '[1, "x", 3, 4, 5, 6, 7, 8]'],
    "ragged": ["--vector", "[[1, 2], [3]]"],
    "several": ["--vector", "[[1, 2], [3, 4]]"],
    "empty": ["--vector", "[]"],
    "wrong dimension": ["--vector", "[1, 2]"],
    "not a number": ["--vector", "[NaN, 1, 1, 1, 1, 1, 1, 1]"],
    "all zeros": ["--vector", "[0, 0, 0, 0, 0, 0, 0, 0]"],
    "unknown field": ["--id", "d1", "--show", "nope"],
    "bad filter": ["--id", "d1", "--where", "year ="],
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(case: str, vecdb: Run) -> None:
    done = vecdb("query", "db", "docs", "--field", "embedding", *BAD[case], code=2)

    assert done.stderr.startswith(b"error: ")
    assert done.stdout == b""


@pytest.mark.parametrize("field", ["nope", "year"])
def test_only_vectors_are_searched(field: str, vecdb: Run) -> None:
    vecdb("query", "db", "docs", "--field", field, "--id", "d1", code=2)


def test_missing_rows_and_files_are_not_found(vecdb: Run) -> None:
    vecdb("query", "db", "docs", "--field", "embedding", "--id", "nobody", code=3)
    vecdb("query", "db", "docs", "--field", "embedding", "--vector", "@nowhere.npy", code=3)


@pytest.mark.slow
def test_the_first_query_on_a_machine_says_that_it_compiles(
    vecdb: Run, program: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))

    first = program("query", "db", "docs", "--field", "embedding", "--id", "d1", "-o", "json")
    second = program("query", "db", "docs", "--field", "embedding", "--id", "d1", "-o", "json")

    assert b"compiling" in first.stderr
    assert b"compiling" not in second.stderr
    assert first.stdout == second.stdout
