"""`vecdb load --links`, `links` and `unlink`, on files of each kind."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vecdb as api
from integration.cli.program import Run

EDGES = [
    {"src": "a", "dst": "b", "rel": "cites", "weight": 0.5, "since": 2001},
    {"src": "a", "dst": "c", "rel": "near", "weight": 2.0, "since": None},
    {"src": "z", "dst": "a", "rel": "cites", "weight": 1.0, "since": 2003},
]


@pytest.fixture(autouse=True)
def collection(vecdb: Run, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps({"id": name, "n": 1}) for name in "abc"))
    vecdb("load", "db", "docs", "rows.jsonl")


def listed(done: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_links_come_from_parquet_with_their_attributes(vecdb: Run, tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(EDGES), tmp_path / "edges.parquet")

    done = vecdb("load", "db", "docs", "--links", "edges.parquet", "--link-map", "type=rel")

    assert b"3 links loaded into docs" in done.stdout
    assert b"declared the attribute 'since' of links: Int64()" in done.stderr
    found = listed(vecdb("links", "db", "docs", "a", "--output", "jsonl"))
    assert [(row["neighbour"], row["direction"], row["type"], row["weight"], row["since"]) for row in found] == [
        ("c", "out", "near", 2.0, None), ("z", "in", "cites", 1.0, 2003), ("b", "out", "cites", 0.5, 2001),
    ]  # fmt: skip
    assert vecdb("links", "db", "docs", "a", "--limit", 1, "--type", "cites").stdout.split()[-6:-3] == [
        b"a",
        b"z",
        b"in",
    ]


def test_links_come_from_csv_and_json_lines_and_with_rows(vecdb: Run, tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("src,dst,type,weight\na,b,cites,0.5\n")
    (tmp_path / "edges.jsonl").write_text('{"src": "b", "dst": "c"}\n')

    vecdb("load", "db", "docs", "rows.jsonl", "--links", "edges.csv", "--links", "edges.jsonl", "--undirected")

    found = listed(vecdb("links", "db", "docs", "--output", "jsonl"))
    assert {(row["src"], row["dst"], row["type"], row["weight"]) for row in found} == {
        ("a", "b", "cites", 0.5), ("b", "a", "cites", 0.5), ("b", "c", "link", 1.0), ("c", "b", "link", 1.0),
    }  # fmt: skip


def test_statistics_tell_of_dangling_ends(vecdb: Run, tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(EDGES), tmp_path / "edges.parquet")
    vecdb("load", "db", "docs", "--links", "edges.parquet", "--link-map", "type=rel")

    told = json.loads(vecdb("links", "db", "docs", "--stats", "--output", "json").stdout)

    assert (told["links"], told["dangling_ids"], told["types"]) == (3, 1, {"cites": 2, "near": 1})
    assert b"dangling_links" in vecdb("links", "db", "docs", "--stats").stdout


def test_links_are_deleted_by_what_matches_and_with_their_rows(vecdb: Run, tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(EDGES), tmp_path / "edges.parquet")
    vecdb("load", "db", "docs", "--links", "edges.parquet", "--link-map", "type=rel")

    assert vecdb("unlink", "db", "docs", "--src", "a", "--where", "weight > 1", "--yes").stdout == b"deleted 1 links\n"
    vecdb("delete", "db", "docs", "b", "--cascade", "--yes")

    with api.connect(tmp_path / "db", read_only=True) as database:
        left = [row for batch in database["docs"].links() for row in batch.to_pylist()]
    assert [(row["src"], row["dst"]) for row in left] == [("z", "a")]
    arrow = vecdb("links", "db", "docs", "--output", "arrow").stdout
    assert pa.ipc.open_stream(io.BytesIO(arrow)).read_all().column("dst").to_pylist() == ["a"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("load", "db", "docs"), 2, b"name files of rows, or --links FILE"),
        (("load", "db", "other", "--links", "edges.jsonl"), 3, b"no collection 'other'"),
        (("load", "db", "docs", "--links", "edges.jsonl"), 2, b"no attribute 'colour'"),
        (("load", "db", "docs", "--links", "edges.jsonl", "--link-map", "type"), 2, b"--link-map NAME=COLUMN"),
        (("load", "db", "docs", "--links", "edges.jsonl", "--link-map", "type=kind"), 2, b"no column 'kind'"),
        (("links", "db", "docs", "--limit", "3"), 2, b"name some"),
        (("unlink", "db", "docs"), 2, b"say which links"),
    ],
)
def test_mistakes_are_told(vecdb: Run, tmp_path: Path, arguments: Any, code: int, told: bytes) -> None:
    (tmp_path / "edges.jsonl").write_text('{"src": "b", "dst": "c", "colour": ["red"]}\n')

    assert told in vecdb(*arguments, code=code).stderr
