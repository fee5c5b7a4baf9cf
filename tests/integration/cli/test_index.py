"""Indexes on the command line: named in fields, built after loads, shown, changed; and nothing built that is lost."""

import json
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb as api
from integration.cli.program import Run
from vecdb_client.cli import building
from vecdb_client.cli.fields import describe_index, parse_index
from vecdb_client.cli.progress import LoadProgress

ROWS = 300
MATRIX = np.random.default_rng(11).standard_normal((ROWS, 8)).astype(np.float32)

SPECS = {
    "auto": api.Auto(),
    "flat": api.Flat(),
    "hnsw": api.Hnsw(),
    "hnsw(m=32)": api.Hnsw(m=32),
    "hnsw(ef_construction=400)": api.Hnsw(ef_construction=400),
    "hnsw(m=8,ef_construction=100)": api.Hnsw(8, 100),
    "ivf": api.Ivf(),
    "ivf(codes=4bit)": api.Ivf(codes="4bit"),
    "ivf(lists=50,codes=rabitq)": api.Ivf(50, "rabitq"),
    "ivf(codes=product)": api.Ivf(codes="product"),
    "funnel": api.Funnel(),
    "funnel(dimensions=5)": api.Funnel(5),
    "funnel(rotate=true)": api.Funnel(rotate=True),
    "funnel(dimensions=8,rotate=true)": api.Funnel(8, True),
    "binary": api.Binary(),
}


@pytest.fixture
def docs(vecdb: Run, tmp_path: Path) -> None:
    """A collection whose 300 rows should have a graph, and have none yet."""
    np.save(tmp_path / "a.npy", MATRIX)
    vecdb("create", "db", "docs", "--field", "id:id(int64)", "--field", "embedding:vector(8,hnsw)")
    vecdb("load", "db", "docs", "a.npy", "--no-index")


def status(vecdb: Run, *options: str) -> list[dict[str, Any]]:
    return json.loads(vecdb("index", "db", "docs", "--no-build", *options, "--output", "json").stdout)


def rows_of(vecdb: Run) -> dict[str, int]:
    (field,) = status(vecdb)
    return field["rows"]


# -- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", SPECS)
def test_a_kind_of_index_is_read_and_printed_alike(text: str) -> None:
    assert parse_index(text) == SPECS[text]
    assert describe_index(SPECS[text]) == text


def test_spaces_and_capitals_in_a_kind_do_not_matter() -> None:
    assert parse_index(" HNSW ( M = 32 , ef_construction = 400 ) ") == api.Hnsw(32, 400)
    assert parse_index("hnsw()") == api.Hnsw()


@pytest.mark.parametrize("text", SPECS)
def test_a_field_names_its_index_and_what_is_printed_can_be_typed_again(text: str, vecdb: Run, tmp_path: Path) -> None:
    given = f"v:vector(8,float16,l2,{text})"

    printed = vecdb("create", "db", "docs", "--field", given).stdout.decode().splitlines()[-1].strip()
    vecdb("create", "db", "again", "--field", printed)

    assert printed == ("v:vector(8,float16,l2)" if text == "auto" else given)
    with api.connect(tmp_path / "db", read_only=True) as database:
        for name in ("docs", "again"):
            assert database.collection(name).schema.fields["v"] == api.Vector(8, "float16", "l2", SPECS[text])


WRONG = [
    "tree",
    "hnsw(",
    "hnsw(m)",
    "hnsw(m=)",
    "hnsw(m=2,m=4)",
    "hnsw(m=many)",
    "hnsw(m=2.5)",
    "hnsw(m=1000)",
    "hnsw(n=5)",
    "hnsw(kind=flat)",
    "flat(m=5)",
    "hnsw(m=(5))",
    "ivf(codes=3bit)",
    "ivf(lists=0)",
    "funnel(dimensions=0)",
    "funnel(dimensions=9)",
    "funnel(dimensions=half)",
    "funnel(rotate=1)",
    "funnel(rotate=yes)",
    "binary(bits=1)",
]


@pytest.mark.parametrize("text", WRONG)
def test_a_malformed_kind_is_refused(text: str, docs: None, vecdb: Run) -> None:
    created = vecdb("create", "db", "other", "--field", f"v:vector(8,{text})", code=2)
    changed = vecdb("index", "db", "docs", "--set", text, code=2)

    assert created.stderr.startswith(b"error: ")
    assert changed.stderr.startswith(b"error: ")
    assert status(vecdb)[0]["index"] == "hnsw"


def test_one_index_is_named_once(vecdb: Run) -> None:
    vecdb("create", "db", "docs", "--field", "v:vector(8,hnsw,flat)", code=2)


# -- loading --------------------------------------------------------------------------------------------------------


def test_a_load_builds_the_index_and_says_so(docs: None, vecdb: Run) -> None:
    before = rows_of(vecdb)

    done = vecdb("load", "db", "docs", "a.npy", "--restart")

    assert (before, rows_of(vecdb)) == ({"flat": ROWS}, {"hnsw": ROWS})
    assert b"docs: 300 rows indexed in " in done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert b"\x1b" not in done.stderr


def test_a_load_that_leaves_the_index_says_how_to_build_it(vecdb: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", MATRIX)
    vecdb("create", "my db", "docs", "--field", "id:id(int64)", "--field", "embedding:vector(8,hnsw)")

    done = vecdb("load", "my db", "docs", "a.npy", "--no-index")

    assert b"300 rows have no index yet: `vecdb index 'my db' docs` builds it" in done.stderr


def test_a_few_rows_get_no_index_and_no_word_about_it(vecdb: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", MATRIX)

    done = vecdb("load", "db", "docs", "a.npy")

    assert b"index" not in done.stderr
    assert rows_of(vecdb) == {"flat": ROWS}


class Pressing(LoadProgress):
    """A bar during which somebody presses Ctrl-C."""

    def update(self, rows: int, seconds: float, share: float) -> None:
        signal.raise_signal(signal.SIGINT)


def test_an_interrupt_leaves_the_rows_and_the_same_command_goes_on_with_the_index(
    docs: None, vecdb: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as pressed:
        pressed.setattr(building, "LoadProgress", Pressing)
        stopped = vecdb("load", "db", "docs", "a.npy", "--restart", code=130)
    left = rows_of(vecdb)

    again = vecdb("load", "db", "docs", "a.npy")

    assert b"stopping at the next rows of the index; press Ctrl-C again" in stopped.stderr
    assert b"all rows are in; their index is built later, by `vecdb index db docs`" in stopped.stderr
    assert (left, rows_of(vecdb)) == ({"flat": ROWS}, {"hnsw": ROWS})
    assert b"already loaded" in again.stderr
    assert vecdb("count", "db", "docs").stdout == b"300\n"
    assert vecdb("check", "db").stdout.startswith(b"ok: ")


# -- one-shot commands ----------------------------------------------------------------------------------------------

ONE_SHOT = {
    "delete": ["delete", "db", "docs", "5"],
    "tag": ["tag", "db", "docs", "first"],
    "backup": ["backup", "db", "copy"],
    "create": ["create", "db", "other", "--field", "title:text"],
    "look": ["index", "db", "docs", "--no-build"],
    "set": ["index", "db", "docs", "--no-build", "--set", "hnsw(m=8)"],
    "load": ["load", "db", "docs", "a.npy", "--no-index"],
}


@pytest.mark.parametrize("command", ONE_SHOT)
def test_no_command_begins_an_index_that_it_will_not_finish(
    command: str, docs: None, vecdb: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    start = threading.Thread.start

    def watched(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", watched)

    vecdb(*ONE_SHOT[command])

    assert [name for name in started if name.startswith("vecdb-index")] == []
    assert status(vecdb)[0]["rows"].keys() == {"flat"}


def test_compact_builds_the_index_of_what_it_merged(docs: None, vecdb: Run) -> None:
    vecdb("delete", "db", "docs", "--where", "id < 100")

    left = vecdb("compact", "db", "docs", "--no-index")
    unindexed = rows_of(vecdb)
    done = vecdb("compact", "db", "docs")

    assert b"200 rows have no index yet" in left.stderr
    assert b"200 rows indexed" in done.stderr
    assert (unindexed, rows_of(vecdb)) == ({"flat": 200}, {"hnsw": 200})


# -- index ----------------------------------------------------------------------------------------------------------


def test_index_builds_what_is_missing_and_shows_it(docs: None, vecdb: Run) -> None:
    before = vecdb("index", "db", "docs", "--no-build").stdout.decode().splitlines()
    after = vecdb("index", "db", "docs").stdout.decode().splitlines()

    assert before[0].split() == after[0].split() == ["field", "index", "rows", "pending_rows", "bytes", "problems"]
    assert before[1].split()[:5] == ["embedding", "hnsw", "flat", "300", "300"]
    assert after[1].split()[:5] == ["embedding", "hnsw", "hnsw", "300", "0"]


def test_looking_works_beside_a_writer_and_building_does_not(docs: None, vecdb: Run, tmp_path: Path) -> None:
    with api.connect(tmp_path / "db", settings=api.Settings(background=False)):
        vecdb("index", "db", "docs", "--no-build")
        vecdb("index", "db", "docs", code=4)


def test_the_kind_is_changed_there_and_back(docs: None, vecdb: Run) -> None:
    (made,) = json.loads(vecdb("index", "db", "docs", "--output", "json").stdout)
    (flat,) = json.loads(vecdb("index", "db", "docs", "--set", "flat", "--output", "json").stdout)
    plans = vecdb("query", "db", "docs", "--id", "3", "--explain").stderr
    (lists,) = json.loads(vecdb("index", "db", "docs", "--set", "ivf", "--output", "json").stdout)
    (first,) = json.loads(vecdb("index", "db", "docs", "--set", "funnel(rotate=TRUE)", "--output", "json").stdout)
    (signs,) = json.loads(vecdb("index", "db", "docs", "--set", "binary", "--output", "json").stdout)
    codes = vecdb("query", "db", "docs", "--id", "3", "--explain", "--ef", "20").stderr
    (back,) = json.loads(vecdb("index", "db", "docs", "--set", "hnsw", "--output", "json").stdout)

    assert [(one["index"], one["rows"]) for one in (made, flat, lists, first, signs, back)] == [
        ("hnsw", {"hnsw": ROWS}),
        ("flat", {"flat": ROWS}),
        ("ivf", {"ivf": ROWS}),
        ("funnel(rotate=true)", {"funnel": ROWS}),
        ("binary", {"binary": ROWS}),
        ("hnsw", {"hnsw": ROWS}),
    ]
    assert b"scan" in plans
    assert b"codes" in codes


def test_new_parameters_build_the_index_again(docs: None, vecdb: Run) -> None:
    vecdb("index", "db", "docs")

    changed = vecdb("index", "db", "docs", "--set", "hnsw(m=32)")
    same = vecdb("index", "db", "docs", "--set", "hnsw(m=32)")

    assert b"300 rows indexed" in changed.stderr
    assert same.stderr == b""
    assert b"hnsw(m=32)" in same.stdout


def test_of_several_vectors_one_is_named_to_be_changed(vecdb: Run) -> None:
    vecdb("create", "db", "docs", "--field", "v:vector(3,hnsw)", "--field", "w:vector(4)", "--field", "n:int64")

    several = vecdb("index", "db", "docs", "--set", "flat", code=2)
    vecdb("index", "db", "docs", "--field", "w", "--set", "flat")

    assert b"v, w" in several.stderr
    assert [(field["field"], field["index"]) for field in status(vecdb)] == [("v", "hnsw"), ("w", "flat")]
    assert [field["field"] for field in status(vecdb, "--field", "w")] == ["w"]
    vecdb("index", "db", "docs", "--field", "n", code=2)
    vecdb("index", "db", "docs", "--field", "nope", code=2)


def test_a_collection_without_vectors_has_no_index(vecdb: Run) -> None:
    vecdb("create", "db", "docs", "--field", "n:int64")

    assert b"no vector field" in vecdb("index", "db", "docs", code=2).stderr


# -- stats ----------------------------------------------------------------------------------------------------------


def test_statistics_show_each_index_in_a_line(docs: None, vecdb: Run) -> None:
    before = vecdb("stats", "db", "docs").stdout.decode()
    vecdb("index", "db", "docs")
    after = vecdb("stats", "db", "docs").stdout.decode()
    all_of_them = vecdb("stats", "db").stdout.decode()

    assert "hnsw: flat 300; 300 rows wait for an index" in before
    assert "hnsw: hnsw 300; " in after
    assert "wait for" not in after
    assert [line.split()[-1] for line in after.splitlines() if line.startswith("indexing ")] == ["nothing"]
    assert "collections.docs.indexes.embedding" in all_of_them
    assert json.loads(vecdb("stats", "db", "docs", "-o", "json").stdout)["indexes"]["embedding"]["rows"] == {
        "hnsw": 300
    }


def test_a_damaged_index_is_told_where_it_was_noticed(docs: None, vecdb: Run, tmp_path: Path) -> None:
    vecdb("index", "db", "docs")
    victim = next((tmp_path / "db").rglob("index-*"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 4
    victim.write_bytes(data)

    done = vecdb("query", "db", "docs", "--id", "3", "--k", "2", "--explain")

    assert b"scan" in done.stderr
    assert victim.name.encode() in done.stderr
    assert len(done.stdout.splitlines()) == 3
