"""What ARCHITECTURE.md and CONTRIBUTING.md name is there."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = re.compile(r"`([A-Za-z_][A-Za-z_/0-9]*\.py)`")
NAME_IN_FILE = re.compile(r"`(\w+)`\s+in\s+`([A-Za-z_/0-9]+\.py)`")


def sources(name: str) -> list[Path]:
    """Return the files whose path ends with a name."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / path for path in listed.stdout.split() if f"/{path}".endswith(f"/{name}")]


@pytest.mark.parametrize("guide", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_file_that_a_guide_names_exists(guide: str) -> None:
    named = set(FILE.findall((ROOT / guide).read_text()))

    assert len(named) > 20
    assert [name for name in sorted(named) if not sources(name)] == []


@pytest.mark.parametrize("guide", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_name_that_a_guide_places_in_a_file_is_in_it(guide: str) -> None:
    placed = NAME_IN_FILE.findall((ROOT / guide).read_text())

    missing = [
        f"{name} in {file}"
        for name, file in placed
        if not any(re.search(rf"\b{name}\b", source.read_text()) for source in sources(file))
    ]
    assert missing == []
