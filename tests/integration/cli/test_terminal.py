"""What only a person at a terminal sees: a bar, a question, a table that fits."""

import os
import re
import select
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import vecdb as api
from integration.cli.program import Run, environment

pty = pytest.importorskip("pty")
COLUMNS = 70


def at_terminal(directory: Path, *arguments: str, answer: bytes = b"") -> tuple[str, int]:
    """Run the program on a pseudo-terminal, answer its question, return what the screen got and the exit code."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(directory)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores it, and so would the program
        variables = environment(TERM="xterm", COLUMNS=str(COLUMNS), LINES="30")
        os.execve(sys.executable, [sys.executable, "-m", "vecdb_client.cli", *arguments], variables)
    shown = b""
    quiet = 0
    while True:
        # A signal that comes just before the program waits for input does not wake it: answer when it has been
        # quiet for a moment, and again when it stays quiet for long.
        if not select.select([terminal], [], [], 0.5)[0]:
            if answer and b"[y/N]" in shown and quiet % 20 == 0:
                os.write(terminal, answer)
            quiet += 1
            continue
        try:
            data = os.read(terminal, 65_536)
        except OSError:
            break
        if not data:
            break
        shown += data
        quiet = 0
    os.close(terminal)
    return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@pytest.fixture(autouse=True)
def collection(vecdb: Run, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((200, 16), np.float32)
    texts = [f"a rather long text that has to be cut, number {n}" for n in range(200)]
    ids = [f"document-{n}" for n in range(200)]
    np.savez(tmp_path / "a.npz", id=ids, text=texts, year=range(200), embedding=vectors)
    vecdb("load", "db", "docs", "a.npz")


@pytest.mark.parametrize(("answer", "code", "left"), [(b"n\n", 130, 200), (b"\x03", 130, 200), (b"y\n", 0, 150)])
def test_delete_asks_and_obeys(answer: bytes, code: int, left: int, vecdb: Run, tmp_path: Path) -> None:
    shown, returned = at_terminal(tmp_path, "delete", "db", "docs", "--where", "year < 50", answer=answer)

    assert "Delete 50 of 200 rows? [y/N]" in shown
    assert returned == code
    assert vecdb("count", "db", "docs").stdout == b"%d\n" % left


def test_delete_does_not_ask_when_told_not_to(tmp_path: Path) -> None:
    shown, returned = at_terminal(tmp_path, "delete", "db", "docs", "document-1", "--yes")

    assert (shown, returned) == ("deleted 1 rows\r\n", 0)


def test_drop_asks(vecdb: Run, tmp_path: Path) -> None:
    _, returned = at_terminal(tmp_path, "drop", "db", "docs", answer=b"\n")

    assert returned == 130
    assert vecdb("count", "db", "docs").stdout == b"200\n"


def test_a_table_fits_the_terminal_and_keeps_ids_and_numbers_whole(tmp_path: Path) -> None:
    shown, _ = at_terminal(tmp_path, "get", "db", "docs", "document-7", "document-17", "document-77")

    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in shown.splitlines()]
    assert max(len(line) for line in lines) <= COLUMNS
    assert len(re.findall(r"document-\d+ ", shown)) == 3
    assert "…" in shown


def test_a_load_draws_a_bar_and_takes_it_away(tmp_path: Path) -> None:
    shown, _ = at_terminal(tmp_path, "load", "db", "docs", "a.npz", "--restart", "--commit-rows", "10")

    assert "rows/s" in shown.split("a.npz:")[0]
    assert "a.npz: 200 rows loaded into docs" in shown


def test_building_an_index_draws_a_bar_and_takes_it_away(vecdb: Run, tmp_path: Path) -> None:
    shown, returned = at_terminal(tmp_path, "index", "db", "docs", "--set", "hnsw", "--output", "json")

    bar, _, result = shown.rpartition("docs: 200 rows indexed in ")
    assert returned == 0
    assert "docs: index" in bar
    assert "rows/s" in bar
    assert '"rows":{"hnsw":200}' in result


BINARY = {
    "get": ("get", "db", "docs", "document-1", "-o", "arrow"),
    "export": ("export", "db", "docs", "-", "--format", "parquet"),
    "query": ("query", "db", "docs", "--id", "document-1", "-o", "arrow"),
}


@pytest.mark.parametrize("command", BINARY)
def test_binary_output_does_not_reach_the_terminal(command: str, tmp_path: Path) -> None:
    shown, returned = at_terminal(tmp_path, *BINARY[command])

    assert returned == 2
    assert "is binary" in shown.splitlines()[0]


@pytest.mark.parametrize(("name", "section"), [("row", "games"), ("a-text-with-words", "a long section")])
def test_long_texts_give_way_to_groups_ids_and_ranks(name: str, section: str, vecdb: Run, tmp_path: Path) -> None:
    schema = api.Schema(id=api.Id(), body=api.Text(search=True), section=api.Keyword(), embedding=api.Vector(2))
    with api.connect(tmp_path / "db") as database:
        rows = [{"id": f"{name}-{n}", "body": "words " * 60, "section": section, "embedding": [1, n]} for n in range(3)]
        database.create_collection("texts", schema).upsert(rows)

    shown, code = at_terminal(
        tmp_path, "query", "db", "texts", "--vector", "[1,0]", "--match", "words", "--group-by", "section",
        "--per-group", "3", "--show", "body",
    )  # fmt: skip

    assert code == 0
    lines = re.sub(r"\x1b\[[0-9;]*m", "", shown).splitlines()
    (head,) = [line for line in lines if "group" in line]
    assert head.split() == ["group", "id", "score", "#embedding", "#body", "body"]
    assert name != "row" or all(any(f"games   row-{n} " in line for line in lines) for n in range(3))
    assert "\x1b[1;33mwords\x1b[0m" in shown or name != "row"
