"""`get`, `count`, `delete` and `export` on a small collection of every kind of field."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vecdb as api
from integration.cli.program import Run

FIELDS = ["title:text", "year:int64", "when:timestamp", "extra:json", "tags:keyword(many)", "place:geo"]
FIELDS += ["embedding:vector(2)"]
LINES = [
    {"id": "a", "title": "Ä\ttitle\nin two lines", "year": 2001, "when": "2024-05-01T10:00:00Z", "embedding": [1, 0.1]},
    {
        "id": "b",
        "year": 2002,
        "extra": {"deep": [1, None, "x"]},
        "place": {"lat": 52.5, "lon": -13.0},
        "tags": ["p", "q"],
        "embedding": [0, -2],
    },
    {"id": "c", "title": "", "year": 2003},
]
EXPECTED: list[dict[str, Any]] = [
    {name: line.get(name) for name in ("id", *(field.split(":")[0] for field in FIELDS))} for line in LINES
]


@pytest.fixture(autouse=True)
def collection(vecdb: Run, tmp_path: Path) -> None:
    vecdb("create", "db", "docs", *(part for field in FIELDS for part in ("--field", field)))
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(line) for line in LINES))
    vecdb("load", "db", "docs", "a.jsonl")


def test_get_gives_json_that_equals_what_was_loaded(vecdb: Run) -> None:
    as_json = json.loads(vecdb("get", "db", "docs", "a", "b", "c", "--output", "json").stdout)
    as_lines = vecdb("get", "db", "docs", "a", "b", "c", "--output", "jsonl").stdout.splitlines()

    assert as_json == EXPECTED
    assert [json.loads(line) for line in as_lines] == EXPECTED


def test_get_gives_arrow_of_the_schema(vecdb: Run, tmp_path: Path) -> None:
    stream = vecdb("get", "db", "docs", "c", "a", "--output", "arrow").stdout

    with api.connect(tmp_path / "db", read_only=True) as database:
        schema = database.collection("docs").schema
    table = pa.ipc.open_stream(stream).read_all()
    assert table.schema == schema.arrow_schema()
    assert table["id"].to_pylist() == ["c", "a"]


def test_a_table_in_a_pipe_has_one_plain_line_per_row_with_nothing_cut(vecdb: Run) -> None:
    lines = vecdb("get", "db", "docs", "a", "b", "--show", "title,extra,embedding").stdout.decode().splitlines()

    assert len(lines) == 3
    assert lines[0].split() == ["id", "title", "extra", "embedding"]
    assert r"Ä\ttitle\nin two lines" in lines[1]
    assert '{"deep":[1,null,"x"]}' in lines[2]


def test_ids_that_do_not_exist_are_named_and_the_others_shown(vecdb: Run) -> None:
    done = vecdb("get", "db", "docs", "x", "a", "y", "--output", "jsonl", code=3)

    assert json.loads(done.stdout)["id"] == "a"
    assert done.stderr == b"error: no row with the id x, y in 'docs'\n"


def test_count_prints_a_number(vecdb: Run) -> None:
    assert vecdb("count", "db", "docs").stdout == b"3\n"
    assert vecdb("count", "db", "docs", "--where", "year > 2001 and title is null").stdout == b"1\n"


def test_delete_by_id_says_what_was_there(vecdb: Run) -> None:
    done = vecdb("delete", "db", "docs", "a", "x")

    assert done.stdout == b"deleted 1 rows, 1 ids were not there\n"
    assert vecdb("count", "db", "docs").stdout == b"2\n"


def test_delete_by_filter(vecdb: Run) -> None:
    assert vecdb("delete", "db", "docs", "--where", "year >= 2002", "--yes").stdout == b"deleted 2 rows\n"
    assert json.loads(vecdb("get", "db", "docs", "a", "--output", "jsonl").stdout)["id"] == "a"


def test_ids_of_whole_numbers_are_given_as_numbers(vecdb: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.eye(4, dtype=np.float32))
    vecdb("load", "db", "numbers", "a.npy")

    assert json.loads(vecdb("get", "db", "numbers", "2", "--output", "jsonl").stdout)["embedding"] == [0, 0, 1, 0]
    assert b"integers" in vecdb("get", "db", "numbers", "two", code=2).stderr


@pytest.mark.parametrize("name", ["out.parquet", "out.arrow", "out.jsonl"])
def test_what_is_exported_can_be_loaded_again_and_is_the_same(name: str, vecdb: Run, tmp_path: Path) -> None:
    vecdb("export", "db", "docs", name)
    vecdb("create", "db", "copy", *(part for field in FIELDS for part in ("--field", field)))
    vecdb("load", "db", "copy", name)

    with api.connect(tmp_path / "db", read_only=True) as database:
        original, copy = (next(database.collection(n).scan()).to_pylist() for n in ("docs", "copy"))
    assert copy == original


@pytest.mark.parametrize("kind", ["parquet", "arrow", "jsonl"])
def test_export_to_stdout_gives_the_matching_rows_and_fields(kind: str, vecdb: Run) -> None:
    options = ["--format", kind, "--where", "year <= 2002", "--show", "embedding,year"]
    data = vecdb("export", "db", "docs", "-", *options).stdout

    rows = {
        "parquet": lambda: pq.read_table(io.BytesIO(data)).to_pylist(),
        "arrow": lambda: pa.ipc.open_stream(data).read_all().to_pylist(),
        "jsonl": lambda: [json.loads(line) for line in data.splitlines()],
    }[kind]()
    assert [list(row) for row in rows] == [["id", "embedding", "year"]] * 2
    assert [(row["id"], row["year"]) for row in rows] == [("a", 2001), ("b", 2002)]
    vectors = np.array([row["embedding"] for row in rows], np.float32)
    np.testing.assert_array_equal(vectors, np.array([[1, 0.1], [0, -2]], np.float32))


def test_export_writes_rows_in_the_order_that_is_asked_for(vecdb: Run) -> None:
    options = ["--format", "jsonl", "--show", "year", "--order-by"]
    by_year = vecdb("export", "db", "docs", "-", *options, "year desc, id").stdout

    years = [json.loads(line)["year"] for line in by_year.splitlines()]
    assert years == sorted(years, reverse=True)
    assert len(years) == 3
    assert b"nothing to order by" in vecdb("export", "db", "docs", "-", *options, "year down", code=2).stderr


def test_export_replaces_a_file_only_on_request(vecdb: Run, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("precious")

    vecdb("export", "db", "docs", "out.jsonl", code=4)
    before = (tmp_path / "out.jsonl").read_text()
    vecdb("export", "db", "docs", "out.jsonl", "--force")

    assert before == "precious"
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("option", [["--where", "nope = 1"], ["--show", "nope"], ["--where", "year >"]])
def test_an_export_that_fails_leaves_no_file(option: list[str], vecdb: Run, tmp_path: Path) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())

    vecdb("export", "db", "docs", "out.parquet", *option, code=2)

    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_export_of_no_rows_is_a_valid_file(vecdb: Run, tmp_path: Path) -> None:
    for name in ("out.parquet", "out.arrow", "out.jsonl"):
        vecdb("export", "db", "docs", name, "--where", "year = 1")

    assert pq.read_table(tmp_path / "out.parquet").num_rows == 0
    assert pa.ipc.open_file(str(tmp_path / "out.arrow")).read_all().num_rows == 0
    assert (tmp_path / "out.jsonl").read_bytes() == b""
