"""Rules that hold for every Python file of the tree."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

LONGEST = 500
PICKLES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
CALLS = {"eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load"}
STARTERS = {"run", "Popen", "call", "check_call", "check_output"}


def dangers(source: str) -> Iterator[str]:
    """Yield what could run code that came with data, each with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
            yield from (f"{node.lineno}: import {name}" for name in names if name.partition(".")[0] in PICKLES)
        elif isinstance(node, ast.ImportFrom):
            if (node.module or "").partition(".")[0] in PICKLES:
                yield f"{node.lineno}: from {node.module}"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in CALLS:
                yield f"{node.lineno}: {called}()"
            switches = {"allow_pickle", "shell"} if called.rpartition(".")[2] in STARTERS else {"allow_pickle"}
            for keyword in node.keywords:
                off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
                if keyword.arg in switches and not off:
                    yield f"{node.lineno}: {keyword.arg}={ast.unparse(keyword.value)}"


def python_files(tracked: list[Path]) -> list[Path]:
    """Return the Python files that a person wrote."""
    return [path for path in tracked if path.suffix == ".py" and "_pb2" not in path.name]


def test_no_file_is_longer_than_five_hundred_lines(tracked: list[Path], root: Path) -> None:
    lengths = {str(path): len((root / path).read_text("utf-8").splitlines()) for path in python_files(tracked)}

    assert {path: length for path, length in lengths.items() if length > LONGEST} == {}


def test_nothing_that_is_shipped_or_measured_runs_code_that_came_with_data(tracked: list[Path], root: Path) -> None:
    found = [
        f"{path}:{danger}"
        for path in python_files(tracked)
        if path.parts[0] != "tests"
        for danger in dangers((root / path).read_text("utf-8"))
    ]

    assert found == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("import pickle", 1),
        ("from pickle import loads", 1),
        ("import json, dill", 1),
        ("eval(text)", 1),
        ("numpy.load(file, allow_pickle=True)", 1),
        ("numpy.load(file, allow_pickle=choice)", 1),
        ("numpy.load(file, allow_pickle=False)", 0),
        ("subprocess.run(line, shell=True)", 1),
        ("Popen(line, shell=choice)", 1),
        ("completion_script(shell=shell)", 0),
        ("yaml.load(text)", 1),
        ("yaml.safe_load(text)", 0),
        ("'eval() and pickle in a text'", 0),
        ("tree.eval()", 0),
    ],
)
def test_the_search_for_dangers_finds_them(source: str, count: int) -> None:
    assert len(list(dangers(source))) == count
