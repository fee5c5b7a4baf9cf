"""The program as a whole: help, start-up, exit codes, errors, pipes, completion."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vecdb as api
from integration.cli.program import ROOT, Run, environment
from vecdb_client.cli.errors import EXIT_CODES
from vecdb_client.cli.main import COMMANDS

NAMES = [command.__name__.rstrip("_").replace("_", "-") for command in COMMANDS]
COMMAND = [sys.executable, "-m", "vecdb_client.cli"]


def test_help_lists_every_command_and_the_exit_codes(program: Run) -> None:
    done = program("--help")

    text = done.stdout.decode()
    assert [name for name in NAMES if not re.search(rf"^  {name} ", text, re.MULTILINE)] == []
    for line in EXIT_CODES.splitlines():
        assert line.strip() in text
    assert "..." not in text.split("Commands:")[1].split("Example:")[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_with_an_example_of_itself(name: str, vecdb: Run) -> None:
    done = vecdb(name, "--help")

    assert f"  vecdb {name}" in done.stdout.decode().split("Example:")[1]


def test_no_arguments_show_the_help(vecdb: Run) -> None:
    assert vecdb().stdout == vecdb("--help").stdout


HEAVY = ("numpy", "pyarrow", "numba", "rich", "orjson", "lark", "vecdb")


@pytest.mark.parametrize(("arguments", "heavy"), [(["--help"], (*HEAVY, "pydantic")), (["load", "--help"], HEAVY)])
def test_help_imports_nothing_heavy(arguments: list[str], heavy: tuple[str, ...]) -> None:
    code = f"""
import sys
from vecdb_client.cli.main import main
code = main({arguments})
found = set({heavy}) & set(sys.modules)
sys.exit(f"imported {{found}}" if found else code)
"""

    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")


def test_the_documents_name_every_command_and_exit_code() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()

    assert [name for name in NAMES if f"`{name}" not in text] == []
    assert [code for code in re.findall(r"^  (\d+) ", EXIT_CODES, re.MULTILINE) if f"| {code} |" not in text] == []


@pytest.mark.parametrize(("given", "passed"), [([], []), (["--port", "0"], ["--port", "0"])])
def test_a_server_listens_where_its_configuration_says_unless_a_port_is_given(
    given: list[str], passed: list[str], vecdb: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, line: lines.append(line))

    vecdb("serve", "db", "--config", "server.toml", *given)

    assert [line[4:] for line in lines] == [["db", *passed, "--config", "server.toml"]]


def test_the_version_is_printed(vecdb: Run) -> None:
    assert vecdb("--version").stdout.decode().strip() == f"vecdb {api.__version__}"


WRONG = {
    "unknown command": ["serach"],
    "unknown option": ["count", "db", "docs", "--nope"],
    "missing argument": ["count", "db"],
    "surplus argument": ["count", "db", "docs", "more"],
    "number expected": ["query", "db", "docs", "--k", "many"],
    "number too small": ["query", "db", "docs", "--id", "a", "--k", "0"],
    "unknown choice": ["query", "db", "docs", "--id", "a", "--output", "xml"],
    "neither vector nor id": ["query", "db", "docs"],
    "both vector and id": ["query", "db", "docs", "--id", "a", "--vector", "[1]"],
    "neither ids nor filter": ["delete", "db", "docs"],
    "both ids and filter": ["delete", "db", "docs", "a", "--where", "x = 1"],
    "no fields": ["create", "db", "docs"],
    "unknown shell": ["completion", "tcsh"],
    "unknown format": ["export", "db", "docs", "a.xml"],
    "file for stdin": ["query", "db", "docs", "--vector", "north"],
    "exact and less": ["query", "db", "docs", "--id", "a", "--exact", "--recall", "0.9"],
    "no kind of index": ["index", "db", "docs", "--set", "tree"],
    "no share": ["tune", "db", "docs", "--target", "95"],
    "no picture": ["tune", "db", "docs", "--plot", "curve"],
    "a dimension of thousands of digits": ["create", "db", "docs", "--field", f"v:vector({'9' * 5000})"],
    "a dimension of sparse vectors": ["create", "db", "docs", "--field", f"v:sparse({'9' * 5000})"],
    "a dimension of multi-vectors": ["create", "db", "docs", "--field", f"v:multivector({'9' * 5000})"],
    "clusters of thousands of digits": ["clusters", "db", "docs", "--k", "9" * 5000],
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments_are_one_line_and_exit_code_2(case: str, vecdb: Run) -> None:
    done = vecdb(*WRONG[case], code=2)

    first, *hints = done.stderr.decode().splitlines()
    assert first.startswith("error: ")
    assert all(line.startswith("hint: ") for line in hints)
    assert done.stdout == b""


@pytest.mark.parametrize(
    "arguments",
    [["count", "nowhere", "docs"], ["check", "nowhere"], ["restore", "nowhere", "db"], ["repair", "nowhere"]],
)
def test_a_database_that_does_not_exist_is_not_found_and_not_made(
    arguments: list[str], vecdb: Run, tmp_path: Path
) -> None:
    vecdb(*arguments, code=3)

    assert list(tmp_path.iterdir()) == []


def test_an_unknown_collection_is_not_found(vecdb: Run) -> None:
    vecdb("create", "db", "docs", "--field", "title:text")

    assert b"papers" in vecdb("count", "db", "papers", code=3).stderr


def test_a_folder_that_is_no_database_is_left_alone(vecdb: Run, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")

    vecdb("create", "home", "docs", "--field", "title:text", code=4)
    vecdb("count", "home", "docs", code=3)

    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letter.txt"]


NO_DATABASE = [["count", "letter.txt", "docs"], ["check", "letter.txt"], ["stats", "letter.txt"]]


@pytest.mark.parametrize("arguments", NO_DATABASE)
def test_a_file_is_no_database(arguments: list[str], vecdb: Run, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")

    vecdb(*arguments, code=3)
    vecdb("create", "letter.txt", "docs", "--field", "title:text", code=4)


def test_a_database_in_memory_makes_no_sense_here(vecdb: Run, tmp_path: Path) -> None:
    vecdb("create", ":memory:", "docs", "--field", "title:text", code=2)


def test_a_damaged_catalog_is_corruption(vecdb: Run, tmp_path: Path) -> None:
    vecdb("create", "db", "docs", "--field", "title:text")
    for manifest in (tmp_path / "db" / "catalog" / "manifests").iterdir():
        manifest.write_bytes(manifest.read_bytes()[:-20])

    done = vecdb("count", "db", "docs", code=5)

    assert done.stderr.startswith(b"error: ")
    assert b"hint: `vecdb check" in done.stderr


def test_a_bad_filter_shows_where_it_went_wrong(vecdb: Run) -> None:
    vecdb("create", "db", "docs", "--field", "year:int64")

    done = vecdb("count", "db", "docs", "--where", "year >> 3", code=2)

    assert done.stderr.startswith(b"error: ")
    assert b"^" in done.stderr


def test_the_traceback_is_shown_only_on_request(tmp_path: Path) -> None:
    command = [*COMMAND, "count", "nowhere", "docs"]

    quiet = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, check=False)
    loud = subprocess.run(command, cwd=tmp_path, env=environment(VECDB_DEBUG="1"), capture_output=True, check=False)

    assert len(quiet.stderr.splitlines()) == 1
    assert b"Traceback" in loud.stderr
    assert loud.stderr.endswith(quiet.stderr)
    assert quiet.returncode == loud.returncode == 3


@pytest.mark.parametrize("output", ["jsonl", "json", "table", "arrow"])
def test_a_reader_that_goes_away_ends_the_program_silently(output: str, vecdb: Run, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).standard_normal((5_000, 8), np.float32))
    vecdb("load", "db", "docs", "a.npy")
    ids = [str(n) for n in range(5_000)]
    process = subprocess.Popen(
        [*COMMAND, "get", "db", "docs", *ids, "--output", output],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()

    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait() == 0
    process.stderr.close()


def test_a_closed_pipe_is_no_error_even_when_everything_fits_the_buffer(vecdb: Run, tmp_path: Path) -> None:
    vecdb("create", "db", "docs", "--field", "title:text")
    read, write = os.pipe()
    os.close(read)

    done = subprocess.run(
        [*COMMAND, "count", "db", "docs"],
        cwd=tmp_path,
        env=environment(),
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)

    assert (done.returncode, done.stderr) == (0, b"")


def test_an_interrupt_is_exit_code_130_without_a_traceback(vecdb: Run, tmp_path: Path) -> None:
    vecdb("create", "db", "docs", "--field", "embedding:vector(2)")
    process = subprocess.Popen(
        [*COMMAND, "query", "db", "docs", "--vector", "-"],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    # The first bytes wait in the pipe until the program asks for its vector; then it waits for the end of them.
    assert process.stdin is not None
    process.stdin.write(b"[1," + b" " * (1 << 17))
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()

    assert process.returncode == 130
    assert errors == b"interrupted\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed_and_name_the_program(shell: str, vecdb: Run) -> None:
    assert b"_VECDB_COMPLETE" in vecdb("completion", shell).stdout


def test_completion_completes_commands_and_options(tmp_path: Path) -> None:
    def complete(words: str, position: int) -> list[str]:
        variables = {"_VECDB_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(position)}
        done = subprocess.run(COMMAND, cwd=tmp_path, env=environment(**variables), capture_output=True, check=False)
        assert done.stderr == b""
        return done.stdout.decode().split()

    assert complete("vecdb col", 1) == ["collections"]
    assert "--where" in complete("vecdb query db docs --wh", 4)
    assert complete("vecdb index db docs --set fl", 5) == ["flat"]
    assert complete("vecdb rec", 1) == ["recall"]
