"""The commands on a database that a server has: the same words, the same output."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import vecdb as db
from integration.cli.program import Run
from support.ways import BACKUPS, served
from vecdb_client.cli import complete
from vecdb_client.cli.main import COMMANDS, main

DATA = [
    {"id": f"p{at}", "title": f"paper {at} about {'bees' if at % 2 else 'trees'}", "year": 2000 + at,
     "v": [float(np.cos(at)), float(np.sin(at)), 1.0]}
    for at in range(40)
]  # fmt: skip


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the program remembers is kept in the test's own folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """An empty database behind a server."""
    with served(tmp_path / "database") as address:
        yield address


@pytest.fixture
def filled(address: str, vecdb: Run, tmp_path: Path) -> str:
    """The same, with the collection `papers` loaded from a file."""
    (tmp_path / "papers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in DATA))
    vecdb(
        "create", address, "papers", "--field", "title:text(search)", "--field", "year:int64", "--field", "v:vector(3)"
    )
    vecdb("load", address, "papers", "papers.jsonl")
    return address


def told(done: Any) -> Any:
    """Return the JSON that a command printed."""
    return json.loads(done.stdout)


def test_a_file_is_loaded_once_and_remembered_in_the_users_own_state(filled: str, vecdb: Run, tmp_path: Path) -> None:
    again = vecdb("load", filled, "papers", "papers.jsonl")

    assert b"already loaded (40 rows)" in again.stderr
    assert vecdb("count", filled, "papers").stdout == b"40\n"
    assert not (tmp_path / "database" / "loads").exists()
    assert list((tmp_path / "state" / "vecdb" / "loads").glob("*/*.json"))


def test_a_collection_is_made_as_a_file_suggests(address: str, vecdb: Run, tmp_path: Path) -> None:
    (tmp_path / "papers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in DATA))

    vecdb("load", address, "inferred", "papers.jsonl")

    (one,) = told(vecdb("collections", address, "--output", "json"))
    assert (one["collection"], one["rows"]) == ("inferred", 40)


def test_rows_are_found_counted_shown_and_deleted(filled: str, vecdb: Run) -> None:
    near = told(vecdb("query", filled, "papers", "--vector", "[1,0,1]", "--k", "3", "--output", "json"))
    both = vecdb("query", filled, "papers", "--match", "bees", "--id", "p3", "--k", "2", "--show", "title", "--analyze")
    page = vecdb("query", filled, "papers", "--match", "bees", "--k", "5")
    facets = told(vecdb("facets", filled, "papers", "--ranges", "year=2000,2020,", "--output", "json"))
    got = told(vecdb("get", filled, "papers", "p1", "--output", "json"))

    assert near[0]["id"] == "p0"
    assert b"bees" in both.stdout
    assert b"fuse" in both.stderr
    assert b"next page: --after " in page.stderr
    assert [one["count"] for one in facets["facets"]["year"]["counts"]] == [20, 20]
    assert got[0]["year"] == 2001
    assert vecdb("count", filled, "papers", "--where", "year >= 2030").stdout == b"10\n"
    assert vecdb("delete", filled, "papers", "--where", "year >= 2030", "--yes").stdout == b"deleted 10 rows\n"
    vecdb("get", filled, "papers", "nowhere", code=3)


def test_rows_are_exported_and_loaded_again(filled: str, vecdb: Run, tmp_path: Path) -> None:
    vecdb("export", filled, "papers", "papers.parquet", "--order-by", "year")
    vecdb("load", "./library", "papers", "papers.parquet")

    with db.connect(tmp_path / "library") as library:
        assert library["papers"].count() == 40


def test_collections_are_looked_after(filled: str, vecdb: Run, tmp_path: Path) -> None:
    vecdb("tag", filled, "papers", "full")
    (version,) = (row for row in told(vecdb("versions", filled, "papers", "--output", "json")) if row["tags"])
    stats = told(vecdb("stats", filled, "papers", "--output", "json"))
    vecdb("index", filled, "papers", "--field", "v", "--set", "hnsw(m=8)")
    vecdb("compact", filled, "papers")
    recall = told(vecdb("recall", filled, "papers", "--output", "json"))
    vecdb("tune", filled, "papers", "--reset")
    check = vecdb("check", filled)
    backup = vecdb("backup", filled, "monday")
    vecdb("restore", str(tmp_path / BACKUPS / "monday"), "./restored")
    dropped = vecdb("drop", filled, "papers", "--yes")

    assert (version["rows"], version["tags"]) == (40, ["full"])
    assert stats["rows"] == 40
    assert recall["recall"] == 1.0
    assert check.stdout.startswith(b"ok: ")
    assert b"monday" in backup.stdout
    assert vecdb("count", "./restored", "papers").stdout == b"40\n"
    assert dropped.stdout == b"dropped papers (40 rows)\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [(("repair",), "where its files are"), (("restore", "."), "where a server is to be started"),
     (("demo",), "vecdb serve"), (("serve",), "on the machine where they are")],
    ids=lambda one: one[0] if isinstance(one, tuple) else "",
)  # fmt: skip
def test_what_works_on_files_says_so(vecdb: Run, arguments: tuple[str, ...], hint: str) -> None:
    refused = vecdb(*arguments, "grpc://localhost:7700", code=2).stderr.decode()

    assert "works on the files of a database, not through a server" in refused
    assert hint in refused


def test_sets_overviews_and_links_are_those_of_the_rows(filled: str, vecdb: Run, tmp_path: Path) -> None:
    links = [{"src": f"p{at}", "dst": f"p{at + 1}", "type": "cites"} for at in range(39)]
    (tmp_path / "links.jsonl").write_text("".join(json.dumps(link) + "\n" for link in links))
    vecdb("load", filled, "papers", "--links", "links.jsonl")

    chosen = told(vecdb("query", filled, "papers", "--id", "p0", "--k", "4", "--select", "mmr", "--output", "json"))
    cut = told(vecdb("query", filled, "papers", "--id", "p0", "--k", "9", "--cut", "gap", "--output", "json"))
    led = told(vecdb("query", filled, "papers", "--id", "p0", "--expand", "cites:2", "--output", "json"))
    stands = told(vecdb("summarise", filled, "papers", "--k", "3", "--output", "json"))
    drawn = told(vecdb("sample", filled, "papers", "--k", "5", "--output", "json"))
    linked = told(vecdb("links", filled, "papers", "p0", "--output", "json"))
    gone = vecdb("unlink", filled, "papers", "--src", "p0")

    assert [hit["pick"]["order"] for hit in chosen] == [1, 2, 3, 4]
    assert 1 <= len(cut) <= 9
    assert any(hit.get("path") for hit in led)
    assert (len(stands), len(drawn)) == (3, 5)
    assert [(link["id"], link["neighbour"]) for link in linked] == [("p0", "p1")]
    assert b"1 link" in gone.stdout
    assert told(vecdb("links", filled, "papers", "p0", "--output", "json")) == []


def test_every_command_that_takes_a_database_takes_a_server() -> None:
    """Those that do not are named by the test before."""
    taking = {command.__name__.rstrip("_") for command in COMMANDS if "path" in command.__annotations__}
    local = {"repair", "demo", "serve"}

    assert taking - local == {
        "backup", "calibrate", "check", "clusters", "collections", "compact", "count", "create", "delete", "drop",
        "duplicates", "eval", "export", "facets", "get", "graph", "import", "index", "link_entities", "link_similar",
        "links", "load", "query", "recall", "sample", "stats", "summarise", "tag", "tune", "unlink", "versions",
    }  # fmt: skip


def test_serve_leaves_to_its_file_what_no_option_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, line: lines.append(line[3:]))
    monkeypatch.chdir(tmp_path)

    for options in ([], ["--port", "0", "--readers", "2"], ["--config", "vecdb.toml"]):
        assert main(["serve", "./library", *options]) == 0

    assert [line[0] for line in lines] == ["serve"] * 3
    assert [line[2:] for line in lines] == [[], ["--port", "0", "--readers", "2"], ["--config", "vecdb.toml"]]


def test_failures_have_the_usual_exit_codes(address: str, vecdb: Run) -> None:
    assert b"no collection 'papers'" in vecdb("count", address, "papers", code=3).stderr
    reading = vecdb("collections", "grpc://127.0.0.1:1", code=7).stderr
    assert b"cannot be reached" in reading
    assert b"the last write" not in reading
    assert b"the last write" in vecdb("delete", "grpc://127.0.0.1:1", "papers", "x", "--yes", code=7).stderr
    assert b"is no address" in vecdb("collections", "http://localhost", code=2).stderr


def test_the_shell_offers_collections_and_fields_of_a_server(filled: str) -> None:
    context: Any = SimpleNamespace(params={"path": filled, "collection": "papers"}, args=[])

    assert complete.collections(context, "pa") == ["papers"]
    assert complete.fields(context, "title,y") == ["title,year"]
    context.params["path"] = "grpc://127.0.0.1:1"
    assert complete.collections(context, "") == []
