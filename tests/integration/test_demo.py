"""The demo from end to end: what it prints is true, and what it prints can be pasted."""

import io
import json
import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

import vecdb
from vecdb import demo
from vecdb.demo import ways
from vecdb.demo.searches import LIKE, RECALL_PYTHON, K, get_command, recall_command, vector_folder
from vecdb.errors import ConflictError, InvalidInputError, UnavailableError
from vecdb_client.cli.main import main

ROOT = Path(__file__).parents[2]
# The checkout itself, for a subprocess: the package need not be installed.
SOURCES = [str(ROOT / folder) for folder in (".", "index", "proto", "server", "client")]
ENV = {**os.environ, "PYTHONPATH": os.pathsep.join([*SOURCES, *sys.path[1:]])}
ROWS = 6828


def tour(path: Path, width: int = 100, terminal: bool = False) -> str:
    """Run the demo and return what it printed."""
    output = io.StringIO()
    demo.run(path, Console(file=output, width=width, force_terminal=terminal, color_system=None))
    return output.getvalue()


def pasted(lines: str, folder: Path) -> str:
    """Run Python lines in a new process and return what they printed."""
    return subprocess.run(
        [sys.executable, "-"], input=lines, capture_output=True, text=True, check=True, cwd=folder, env=ENV
    ).stdout


def typed(line: str, folder: Path, *more: str) -> str:
    """Run a command line in a shell and return what it printed."""
    words = shlex.join([sys.executable, "-m", "vecdb_client.cli"])
    assert line.startswith("vecdb ")
    command = f"{words} {line.removeprefix('vecdb ')} {shlex.join(more)}"
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, cwd=folder, env=ENV).stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A demo database and what making it printed."""
    path = tmp_path_factory.mktemp("made") / "first look"
    return path, tour(path)


@pytest.fixture(scope="module")
def words(made: tuple[Path, str]) -> "Iterator[vecdb.Collection]":
    with vecdb.connect(made[0], read_only=True) as database:
        yield database.collection(demo.COLLECTION)


def test_every_row_is_stored_as_it_was_loaded(words: "vecdb.Collection") -> None:
    table = demo.load()

    stored = {row["id"]: row for batch in words.scan() for row in batch.to_pylist()}

    assert len(words) == len(table) == ROWS
    assert stored == {row["id"]: row for row in table.to_pylist()}


def test_the_tour_tells_what_it_did_and_whose_data_it_is(made: tuple[Path, str]) -> None:
    path, printed = made

    assert f"Stored {ROWS:,} rows in {path}" in printed
    assert "Built an index of their vectors" in printed
    assert "WordNet 3.0, Copyright 2006 by Princeton University" in printed
    assert "What to try next" in printed
    assert "\x1b" not in printed


def test_the_tour_prints_every_answer_and_how_to_repeat_it(made: tuple[Path, str], words: "vecdb.Collection") -> None:
    path, printed = made

    for search in demo.searches(path):
        assert search.title in printed
        assert f"\n{search.command}\n" in printed
        assert f"\n{search.python}\n" in printed
        for hit in search.run(words):
            assert f"{hit.score:.3f}  {hit.id}" in printed


def test_the_searches_show_what_they_promise(made: tuple[Path, str], words: "vecdb.Collection") -> None:
    asked, filtered, near, both = (search.run(words) for search in demo.searches(made[0]))

    assert {hit["lexname"] for hit in asked} == {"noun.animal", "noun.food"}
    assert asked.ids[0] == "slug.n.07"
    assert {hit["lexname"] for hit in filtered} == {"noun.food"}
    assert filtered.ids != asked.ids
    assert {hit["lexname"] for hit in near} == {"noun.animal", "noun.food", "verb.consumption"}
    assert LIKE not in near.ids
    assert [len(result) for result in (asked, filtered, near, both)] == [K, K, K, K]
    assert {"embedding", "text"} == {arm for hit in both for arm in hit.arms}
    assert both[0].arms.keys() == {"embedding", "text"}
    assert both.ids != asked.ids


def test_the_answers_are_those_of_a_full_scan(made: tuple[Path, str], words: "vecdb.Collection") -> None:
    table = demo.load()
    vectors = table.column("embedding").combine_chunks().flatten().to_numpy().reshape(ROWS, -1).astype("float64")
    ids = table.column("id").to_pylist()
    own = vectors[ids.index(LIKE)]

    *single, both = demo.searches(made[0])
    assert both.words is not None
    for search in single:
        scores = vectors @ (own if search.vector is None else search.vector)
        food = [name == "noun.food" for name in table.column("lexname").to_pylist()]
        allowed = [
            (score, name)
            for score, name, edible in zip(scores, ids, food, strict=True)
            if (edible or "food" not in (search.where or "")) and not (search.vector is None and name == LIKE)
        ]
        assert search.run(words).ids == [name for _, name in sorted(allowed, reverse=True)[:K]]


def test_the_python_lines_can_be_pasted(made: tuple[Path, str], words: "vecdb.Collection", tmp_path: Path) -> None:
    found = demo.searches(made[0])

    printed = pasted("\n\n".join(search.python for search in found), tmp_path).splitlines()

    expected = [hit for search in found for hit in search.run(words)]
    assert printed == [f"{hit.score:.3f}  {hit.id:<22}  {hit['text']}" for hit in expected]


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_the_command_lines_can_be_pasted(
    number: int, made: tuple[Path, str], words: "vecdb.Collection", tmp_path: Path
) -> None:
    search = demo.searches(made[0])[number]

    answers = json.loads(typed(search.command, tmp_path, "--output", "json"))

    expected = search.run(words)
    assert [answer["id"] for answer in answers] == expected.ids
    assert [answer["score"] for answer in answers] == pytest.approx(expected.scores.tolist(), abs=1e-6)
    assert all({"lexname", "text"} <= answer.keys() for answer in answers)


def test_the_tour_tells_how_near_to_exact_the_index_is_and_how_to_measure_it(
    made: tuple[Path, str], words: "vecdb.Collection", tmp_path: Path
) -> None:
    path, printed = made
    report = words.recall()

    told = json.loads(typed(recall_command(path), tmp_path, "--output", "json"))
    pasted_report = pasted("\n".join((demo.searches(path)[0].python, RECALL_PYTHON)), tmp_path)

    assert report.plans == {"graph": report.queries}
    assert 0.95 < report.recall <= 1
    assert f"found {100 * report.recall:.1f} % of the {report.k} nearest" in printed
    assert f"looked at {report.codes_compared:,.0f} of {ROWS:,} rows" in printed
    assert f"\n{recall_command(path)}\n" in printed
    assert f"\n{RECALL_PYTHON}\n" in printed
    assert told["recall"] == report.recall
    assert f"RecallReport(recall={report.recall}, " in pasted_report


def test_one_question_is_answered_four_ways_and_the_set_repeats_itself_least(
    made: tuple[Path, str], words: "vecdb.Collection", tmp_path: Path
) -> None:
    nearest, diverse, linked, filtered = (ways.answer(way, words) for way in ways.ways())
    printed = made[1]

    assert all(len(one.ids) == ways.K for one in (nearest, diverse, linked, filtered))
    assert diverse.alike < nearest.alike - 0.05
    assert set(linked.ids) - set(nearest.ids)
    assert all(row is not None and row["senses"] > 1 for row in map(words.get, filtered.ids))
    for one in (nearest, diverse, linked, filtered):
        assert f"  {', '.join(one.ids)}\n" in printed
    python = printed.partition("from vecdb.demo import data as demo")[2].partition("\n\n")[0]
    first = demo.searches(made[0])[0].python
    lines = pasted(f"{first}\nfrom vecdb.demo import data as demo{python}", tmp_path).splitlines()[-4:]
    assert lines == [str(one.ids) for one in (nearest, diverse, linked, filtered)]


def test_the_demo_serves_what_it_made(made: tuple[Path, str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vecdb_client.cli", "demo", str(made[0]), "--serve", "--port", str(port)]
    with subprocess.Popen(command, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while True:
                assert server.poll() is None
                try:
                    with vecdb.connect(f"grpc://127.0.0.1:{port}") as database:
                        assert len(database.collection(demo.COLLECTION)) == ROWS
                    break
                except UnavailableError:
                    time.sleep(0.2)
        finally:
            server.terminate()


def test_a_tour_without_the_index_says_so(tmp_path: Path) -> None:
    with vecdb.connect(tmp_path / "bare", settings=vecdb.Settings(background=False)) as database:
        words = database.create_collection(demo.COLLECTION, demo.schema())
        words.upsert(demo.load())

    printed = tour(tmp_path / "bare")

    assert "There is no index yet" in printed


def test_what_to_try_next_works(made: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    path, printed = made
    _, advice = printed.split("What to try next")
    commands = [line for line in advice.splitlines() if line.startswith("vecdb ")]
    outputs = []

    for line in commands:
        assert main(shlex.split(line)[1:]) == 0
        outputs.append(capsys.readouterr().out)

    assert get_command(path, "dog.n.01") in commands
    assert len(commands) >= 4
    assert all(outputs)


def test_relative_paths_work_from_where_the_demo_was_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    printed = tour(Path("-odd [bold]name"))

    assert "'./-odd [bold]name'" in printed
    (first, *_) = demo.searches(Path("-odd [bold]name"))
    assert first.command in printed
    assert len(json.loads(typed(first.command, tmp_path, "--output", "json"))) == K
    assert len(pasted(first.python, tmp_path).splitlines()) == K


def test_a_second_run_uses_the_database_again(made: tuple[Path, str]) -> None:
    path, first = made
    files = sorted(path.rglob("*.arrow"))

    second = tour(path)

    assert f"Using the database that is already there: {path}" in second
    assert "Stored" not in second
    assert sorted(path.rglob("*.arrow")) == files
    assert [line for line in second.splitlines() if line.startswith("0.")] == [
        line for line in first.splitlines() if line.startswith("0.")
    ]


def test_the_tour_can_be_repeated_while_another_session_writes(made: tuple[Path, str]) -> None:
    with vecdb.connect(made[0]):
        assert "Using the database" in tour(made[0])


def test_missing_rows_come_back_and_added_rows_stay(tmp_path: Path) -> None:
    path = tmp_path / "changed"
    tour(path)
    with vecdb.connect(path) as database:
        words = database.collection(demo.COLLECTION)
        words.delete(ids=[LIKE, "dog.n.01"])
        words.upsert({"id": "mine", "text": "my own row"})

    printed = tour(path)

    assert "lacks 2 of the demo's rows" in printed
    with vecdb.connect(path, read_only=True) as database:
        words = database.collection(demo.COLLECTION)
        assert len(words) == ROWS + 1
        assert None not in words.get([LIKE, "dog.n.01", "mine"])


def test_an_interrupted_run_is_completed(tmp_path: Path) -> None:
    path = tmp_path / "interrupted"
    with vecdb.connect(path) as database:
        database.create_collection(demo.COLLECTION, demo.schema())

    tour(path)

    with vecdb.connect(path, read_only=True) as database:
        assert len(database.collection(demo.COLLECTION)) == ROWS


@pytest.mark.parametrize(
    ("name", "field", "complaint"),
    [("papers", vecdb.Text(), "holds other collections"), ("words", vecdb.Text(), "is not the demo's")],
)
def test_somebody_elses_database_is_left_alone(name: str, field: vecdb.Text, complaint: str, tmp_path: Path) -> None:
    with vecdb.connect(tmp_path / "theirs") as database:
        database.create_collection(name, vecdb.Schema(id=vecdb.Id(), lexname=field))

    with pytest.raises(ConflictError, match=complaint):
        tour(tmp_path / "theirs")

    with vecdb.connect(tmp_path / "theirs") as database:
        assert database.collections() == [name]
        assert len(database.collection(name)) == 0


def test_memory_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="directory"):
        demo.run(":memory:", Console(file=io.StringIO()))


def test_the_vector_files_lie_beside_the_database(made: tuple[Path, str]) -> None:
    folder = vector_folder(made[0])

    assert folder.parent == made[0].parent
    assert {file.stem for file in folder.iterdir()} == set(demo.queries().column("id").to_pylist())


def test_a_narrow_terminal_gets_a_bar_and_whole_command_lines(tmp_path: Path) -> None:
    path = tmp_path / "narrow"

    printed = tour(path, width=50, terminal=True)

    assert f"\n{demo.searches(path)[0].command}\n" in printed


def test_the_database_is_sound_after_the_tour(made: tuple[Path, str]) -> None:
    report = vecdb.check(made[0])

    assert report.ok, report.problems


def test_the_command_works_without_a_terminal_and_without_unicode(tmp_path: Path) -> None:
    program = "from vecdb.demo import run; run('plain')"

    found = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env={**ENV, "PYTHONIOENCODING": "ascii:strict"},
    )

    assert b"3. More like this" in found.stdout
    assert b"\x1b" not in found.stdout
