"""The notebook runs from its first cell to its last, and shows what it prints."""

import json
import re
from pathlib import Path

from support.notebook import code_cells, printed, stored

LARGEST = 30_000
_TIME = re.compile(r"[\d.]+ ms")


def test_the_notebook_prints_what_it_shows_but_for_times(root: Path, environment: dict[str, str]) -> None:
    path = root / "docs" / "demo.ipynb"
    notebook = json.loads(path.read_text("utf-8"))

    found = printed(notebook, environment)

    shown = [stored(cell) for cell in code_cells(notebook)]
    assert [_TIME.sub("", text) for text in found] == [_TIME.sub("", text) for text in shown]
    assert sum(map(len, shown)) > 500
    assert path.stat().st_size < LARGEST
