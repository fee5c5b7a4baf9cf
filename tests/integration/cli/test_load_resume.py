"""A load that was stopped, killed or made obsolete, and the next run of the same command."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import vecdb as api
from integration.cli.program import Run, environment

ROWS = 60_000
COMMAND = [sys.executable, "-m", "vecdb_client.cli"]


def write_lines(path: Path, rows: int = ROWS) -> None:
    path.write_text("".join(f'{{"id": {n}, "embedding": [{n + 1}, 1, 2, 3]}}\n' for n in range(rows)))


def records(path: Path) -> list[Path]:
    return list((path / "loads").glob("*.json"))


def rows_in(path: Path) -> dict[int, float]:
    """Ids with the first number of their vectors."""
    with api.connect(path, read_only=True) as database:
        batches = list(database.collection("docs").scan())
    return {row["id"]: row["embedding"][0] for batch in batches for row in batch.to_pylist()}


def expected(rows: int) -> dict[int, float]:
    return {n: float(n + 1) for n in range(rows)}


def started(directory: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start a load with small commits and wait until the first of them is recorded."""
    process = subprocess.Popen(
        [*COMMAND, "load", "db", "docs", *arguments, "--commit-rows", "500"],
        cwd=directory,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and not any(b'"next_row": 0' not in f.read_bytes() for f in records(directory / "db")):
        time.sleep(0.002)
    return process


@pytest.mark.parametrize("name", ["a.jsonl", "a.npy"])
def test_a_killed_load_continues_without_losing_or_repeating_a_row(name: str, vecdb: Run, tmp_path: Path) -> None:
    if name == "a.npy":
        numbers = np.arange(1, 10 * ROWS + 1, dtype=np.float32)
        np.save(tmp_path / name, np.stack([numbers, *np.ones((3, 10 * ROWS), np.float32)], axis=1))
        rows = 10 * ROWS
    else:
        write_lines(tmp_path / name)
        rows = ROWS
    kills = 0
    while kills < 3:
        process = started(tmp_path, name)
        process.kill()
        kills += 1
        if process.wait() == 0:
            break
        process.communicate()

    assert kills > 1
    interim = rows_in(tmp_path / "db")
    assert interim == expected(len(interim))
    done = vecdb("load", "db", "docs", name, "--no-index")  # to build one would take longer than all the rest

    assert b"rows are in, going on at row" in done.stderr
    assert rows_in(tmp_path / "db") == expected(rows)


def test_an_interrupt_stores_what_was_read_and_says_how_to_continue(vecdb: Run, tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl")
    process = started(tmp_path, "a.jsonl")

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()

    assert process.returncode == 130
    interim = rows_in(tmp_path / "db")
    assert 0 < len(interim) < ROWS
    assert interim == expected(len(interim))
    assert f"a.jsonl: {len(interim):,} rows are in; run the same command again to continue" in errors.decode()
    assert b"Traceback" not in errors
    vecdb("load", "db", "docs", "a.jsonl")
    assert rows_in(tmp_path / "db") == expected(ROWS)


def test_the_report_of_bad_rows_is_not_repeated_after_a_kill(vecdb: Run, tmp_path: Path) -> None:
    lines = [f'{{"id": {n}, "embedding": [{n + 1}, 1]}}' if n % 100 else "bad" for n in range(ROWS)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    process = started(tmp_path, "a.jsonl", "--on-error", "skip")
    process.kill()
    process.communicate()

    vecdb("load", "db", "docs", "a.jsonl", "--on-error", "skip")

    report = (tmp_path / "a.jsonl.rejected.jsonl").read_bytes().splitlines()
    assert len(report) == len(set(report)) == ROWS // 100
    assert rows_in(tmp_path / "db") == {n: float(n + 1) for n in range(ROWS) if n % 100}


def test_a_finished_load_is_not_repeated_unless_told_to(vecdb: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((5, 4), np.float32))
    vecdb("load", "db", "docs", "a.npy")

    again = vecdb("load", "db", "docs", "a.npy")
    restarted = vecdb("load", "db", "docs", "a.npy", "--restart")

    assert b"already loaded (5 rows)" in again.stderr
    assert b"5 rows loaded" in restarted.stdout
    assert sorted(rows_in(tmp_path / "db")) == [0, 1, 2, 3, 4]


def test_a_changed_file_is_loaded_again(vecdb: Run, tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", 10)
    vecdb("load", "db", "docs", "a.jsonl")
    write_lines(tmp_path / "a.jsonl", 20)

    vecdb("load", "db", "docs", "a.jsonl")

    assert rows_in(tmp_path / "db") == expected(20)


def test_a_file_of_the_same_size_but_another_time_is_loaded_again(vecdb: Run, tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", 10)
    vecdb("load", "db", "docs", "a.jsonl")
    os.utime(tmp_path / "a.jsonl", ns=(1, 1))

    done = vecdb("load", "db", "docs", "a.jsonl")

    assert b"10 rows loaded" in done.stdout


def test_progress_does_not_outlive_the_collection(vecdb: Run, tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", 10)
    vecdb("load", "db", "docs", "a.jsonl")
    with api.connect(tmp_path / "db") as database:
        schema = database.collection("docs").schema
        database.drop_collection("docs")
        database.create_collection("docs", schema)

    done = vecdb("load", "db", "docs", "a.jsonl")

    assert b"rows that were loaded are no longer there" in done.stderr
    assert rows_in(tmp_path / "db") == expected(10)


def test_dropping_a_collection_forgets_its_progress(vecdb: Run, tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", 10)
    vecdb("load", "db", "docs", "a.jsonl")
    vecdb("load", "db", "other", "a.jsonl")

    vecdb("drop", "db", "docs")

    assert len(records(tmp_path / "db")) == 1


def test_another_mapping_begins_again(vecdb: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 1, "x": 1, "y": 2}\n')
    vecdb("create", "db", "docs", "--field", "id:id(int64)", "--field", "z:int64")
    vecdb("load", "db", "docs", "a.jsonl", "--map", "x=z", "--map", "y=")

    done = vecdb("load", "db", "docs", "a.jsonl", "--map", "y=z", "--map", "x=")

    assert b"with another mapping" in done.stderr
    with api.connect(tmp_path / "db", read_only=True) as database:
        assert database.collection("docs").get(1) == {"id": 1, "z": 2}


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"version": 99}', b'{"version": 1, "odd": 1}'])
def test_a_damaged_record_means_loading_from_the_beginning(damage: bytes, vecdb: Run, tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", 10)
    vecdb("load", "db", "docs", "a.jsonl")
    (record,) = records(tmp_path / "db")
    record.write_bytes(damage)

    done = vecdb("load", "db", "docs", "a.jsonl")

    assert b"10 rows loaded into docs" in done.stdout
    assert b"10 of them replaced rows" in done.stdout
    assert rows_in(tmp_path / "db") == expected(10)
