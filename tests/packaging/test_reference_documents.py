"""Documents to look things up in name all that there is: settings, variables, extras, errors, values, commands."""

import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from msgspec import Struct

import vecdb
import vecdb_client
from vecdb import errors
from vecdb.schema.known import KINDS
from vecdb_client.cli.main import COMMANDS
from vecdb_server.config import Config, EncoderSection

_VARIABLE = re.compile(r"\b(?:VECDB|NUMBA)_[A-Z_]*[A-Z]\b")
_INTERNAL = {"VECDB_COMPLETE"}
"""Set by the shell's completion, for itself."""


def page(root: Path, name: str) -> str:
    return (root / "docs" / name).read_text("utf-8")


def first_cells(text: str) -> str:
    """Return the first cells of all tables of a document."""
    return "\n".join(re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE))


def named(cells: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", cells))


def test_every_page_is_in_the_navigation_of_the_site(root: Path) -> None:
    pages = {str(path.relative_to(root / "docs")) for path in (root / "docs").rglob("*.md")}

    linked = re.findall(r"[\w/-]+\.md", (root / "mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2])

    assert sorted(linked) == sorted(pages)


@pytest.mark.parametrize("name", ["collections", "settings", "errors"])
def test_the_examples_of_a_page_run_one_after_the_other(
    name: str, root: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    examples = re.findall(r"^```python\n(.*?)^```", page(root, f"{name}.md"), re.MULTILINE | re.DOTALL)

    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(examples)],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip

    assert examples
    assert run.returncode == 0, run.stderr
    told = re.findall(r"print\(.*\)  # (.+)$", "\n".join(examples), re.MULTILINE)
    assert [line for line in told if line not in run.stdout.splitlines()] == []


def test_every_setting_is_told_with_its_default(root: Path) -> None:
    text, _, _ = page(root, "settings.md").partition("\n## Environment")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text, re.MULTILINE))
    sizes = {"MiB": 1 << 20, "GiB": 1 << 30}

    def value(told: str) -> object:
        size = re.fullmatch(r"(\d+) (MiB|GiB)", told)
        return int(size[1]) * sizes[size[2]] if size else eval(told.strip("`"), {"__builtins__": {}})

    assert {name: value(told) for name, told in rows.items()} == {
        one.name: one.default for one in fields(vecdb.Settings)
    }


def test_every_setting_of_a_client_is_told(root: Path) -> None:
    told = named(first_cells(page(root, "client.md")))

    assert {one.name for one in fields(vecdb_client.Settings)} - told == set()


def test_every_variable_that_is_read_is_told(root: Path, tracked: list[Path]) -> None:
    shipped = [
        path for path in tracked if path.suffix == ".py" and path.parts[0] in ("vecdb", "index", "client", "server")
    ]
    read = {name for path in shipped for name in _VARIABLE.findall((root / path).read_text("utf-8"))}

    told = named(first_cells(page(root, "settings.md")))

    assert {name for name in read - _INTERNAL if not name.startswith("VECDB__")} == {
        name for name in told if _VARIABLE.fullmatch(name) and not name.startswith("VECDB__")
    }


def test_every_extra_is_told(root: Path) -> None:
    extras = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]

    assert set(extras) - named(first_cells(page(root, "settings.md"))) == set()


def test_every_error_is_told(root: Path) -> None:
    assert named(first_cells(page(root, "errors.md"))) == set(errors.__all__) - {"VecdbError"}


def values(section: type[Struct], before: str = "") -> set[str]:
    """Return the dotted names of a section's values."""
    found: set[str] = set()
    for name in section.__struct_fields__:
        kind = section.__annotations__[name]
        inside = isinstance(kind, type) and issubclass(kind, Struct)
        found |= values(kind, f"{before}{name}.") if inside else {f"{before}{name}"}
    return found


def test_every_value_of_the_configuration_of_a_server_is_told(root: Path) -> None:
    text = page(root, "server.md")
    configuration, limits = text.partition("\n## Limits")[0], text.partition("\n## Limits")[2]
    told = named(first_cells(configuration)) | {f"limits.{name}" for name in named(first_cells(limits))}

    assert values(Config) - told == set()
    assert set(EncoderSection.__struct_fields__) <= named(text)


def test_every_command_and_every_kind_of_field_is_told(root: Path) -> None:
    cells = first_cells(page(root, "cli.md"))
    told = {name.partition(" ")[0].partition("(")[0] for name in named(cells)}

    assert {command.__name__.rstrip("_").replace("_", "-") for command in COMMANDS} - told == set()
    assert set(KINDS) - told == set()
