"""A load of links that was stopped, killed or made obsolete, and the next run of the same command."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vecdb as api
from integration.cli.program import Run, environment

LINKS = 60_000
COMMAND = [sys.executable, "-m", "vecdb_client.cli"]


@pytest.fixture(autouse=True)
def collection(tmp_path: Path) -> None:
    with api.connect(tmp_path / "db") as database:
        database.create_collection("docs", api.Schema(id=api.Id("int64")))


def write_links(path: Path, links: int = LINKS, bad: int | None = None) -> None:
    lines = [f'{{"src": {n}, "dst": {n + 1}, "type": "next", "weight": {n % 7}}}\n' for n in range(links)]
    if bad is not None:
        lines[bad] = "bad\n"
    path.write_text("".join(lines))


def record(path: Path) -> dict[str, object]:
    (found,) = (path / "loads").glob("*.json")
    return json.loads(found.read_bytes())


def links_in(path: Path) -> dict[int, tuple[int, float]]:
    with api.connect(path, read_only=True) as database:
        batches = list(database["docs"].links())
    found = [(row["src"], row["dst"], row["weight"]) for batch in batches for row in batch.to_pylist()]
    assert len({src for src, *_ in found}) == len(found)
    return {src: (dst, weight) for src, dst, weight in found}


def expected(links: int) -> dict[int, tuple[int, float]]:
    return {n: (n + 1, float(n % 7)) for n in range(links)}


def killed(directory: Path) -> int:
    """Start a load with small commits, kill it when a further one is recorded, and return its exit code."""
    held = [file.read_bytes() for file in (directory / "db" / "loads").glob("*.json")]
    process = subprocess.Popen(
        [*COMMAND, "load", "db", "docs", "--links", "edges.jsonl", "--commit-rows", "500"],
        cwd=directory, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None and held == [f.read_bytes() for f in (directory / "db" / "loads").glob("*.json")]:
        time.sleep(0.002)
    process.kill()
    return process.wait()


def test_a_killed_load_of_links_goes_on_where_it_was(vecdb: Run, tmp_path: Path) -> None:
    write_links(tmp_path / "edges.jsonl")
    kills = 0
    while kills < 3 and killed(tmp_path):
        kills += 1

    assert kills
    interim = links_in(tmp_path / "db")
    assert interim == expected(len(interim))
    done = vecdb("load", "db", "docs", "--links", "edges.jsonl")

    assert b"links are in, going on at row" in done.stderr
    assert links_in(tmp_path / "db") == expected(LINKS)


def test_a_finished_load_of_links_is_not_repeated_unless_told_to(vecdb: Run, tmp_path: Path) -> None:
    write_links(tmp_path / "edges.jsonl", 5)
    vecdb("load", "db", "docs", "--links", "edges.jsonl")
    with api.connect(tmp_path / "db") as database:
        database["docs"].unlink(src=1)

    again = vecdb("load", "db", "docs", "--links", "edges.jsonl")
    left = links_in(tmp_path / "db")
    restarted = vecdb("load", "db", "docs", "--links", "edges.jsonl", "--restart")

    assert b"already loaded (5 links)" in again.stderr
    assert 1 not in left
    assert b"5 links loaded" in restarted.stdout
    assert links_in(tmp_path / "db") == expected(5)


def test_links_before_a_bad_one_are_stored_and_the_mended_rest_follows(vecdb: Run, tmp_path: Path) -> None:
    write_links(tmp_path / "edges.jsonl", 10, bad=6)

    done = vecdb("load", "db", "docs", "--links", "edges.jsonl", code=2)

    assert b"line 7" in done.stderr
    assert b"6 links are in" in done.stderr
    assert links_in(tmp_path / "db") == expected(6)
    assert (record(tmp_path / "db")["next_row"], record(tmp_path / "db")["done"]) == (6, False)
    again = vecdb("load", "db", "docs", "--links", "edges.jsonl", code=2)
    assert b"6 links are in, going on at row 6" in again.stderr


def test_progress_of_links_does_not_outlive_them(vecdb: Run, tmp_path: Path) -> None:
    write_links(tmp_path / "edges.jsonl", 10)
    vecdb("load", "db", "docs", "--links", "edges.jsonl")
    with api.connect(tmp_path / "db") as database:
        database["docs"].unlink(type="next")

    done = vecdb("load", "db", "docs", "--links", "edges.jsonl")

    assert b"links that were loaded are no longer there" in done.stderr
    assert links_in(tmp_path / "db") == expected(10)


def test_other_names_or_directions_begin_again(vecdb: Run, tmp_path: Path) -> None:
    write_links(tmp_path / "edges.jsonl", 4)
    vecdb("load", "db", "docs", "--links", "edges.jsonl")

    done = vecdb("load", "db", "docs", "--links", "edges.jsonl", "--undirected")

    assert b"with another mapping" in done.stderr
    with api.connect(tmp_path / "db", read_only=True) as database:
        assert sum(batch.num_rows for batch in database["docs"].links()) == 8


def test_a_file_of_rows_that_are_links_too_has_progress_as_either(vecdb: Run, tmp_path: Path) -> None:
    (tmp_path / "both.jsonl").write_text('{"id": 1, "src": 1, "dst": 2}\n')

    vecdb("load", "db", "docs", "both.jsonl", "--map", "src=", "--map", "dst=")
    vecdb("load", "db", "docs", "--links", "both.jsonl", "--link-map", "weight=id")

    assert links_in(tmp_path / "db") == {1: (2, 1.0)}
    assert len(list((tmp_path / "db" / "loads").glob("*.json"))) == 2
