"""Figures stand beside the right words: bench/figures.toml names the value of each, and it is what is printed there."""

import re
from pathlib import Path

import pytest

from bench.figures import PART, pages, printed, quoted

NAMED = pages()
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_MEASURED = re.compile(
    r"(?<![\w.])\d*\.?\d+ (?:ms|µs|us|ns|GiB/s|GB/s|MB/s|rows/s)\b|nDCG@10[^.\n|]{0,20} \.\d+|(?<![\w.\d])\.\d{3,}"
)
_SAID = re.compile(r"not\s+from\s+`bench/results/`|no\s+record\s+of\s+them")
# Not measured: what the server and the selection are set to.
_SETTINGS = {"docs/server.md": ["20 ms"], "docs/adr/0009-answers-as-sets.md": [".999"]}


def untraced(text: str) -> list[str]:
    """Return what looks measured outside of measured parts, where the document does not say that it has no record."""
    return [] if _SAID.search(text) else _MEASURED.findall(_FENCE.sub("", PART.sub("", text)))


@pytest.mark.parametrize("name", NAMED)
def test_every_figure_is_the_value_that_it_is_named_after(name: str, root: Path) -> None:
    text = (root / name).read_text("utf-8")

    assert quoted(text, NAMED[name]) == text


def document(cells: str) -> str:
    return f"<!-- measured: begin -->\n| a | b | c |\n|---|---|---|\n| vectors | {cells}\n<!-- measured: end -->\n"


@pytest.mark.parametrize("cells", [".999 | |", "| .999 |", "0.999 % | |", "-.999 | |"])
def test_a_wrong_figure_is_printed_anew(cells: str) -> None:
    names = {"vectors": ["quality > vecdb > mean dense"]}

    anew = quoted(document(cells), names)

    assert anew != document(cells)
    assert quoted(anew, names) == anew


@pytest.mark.parametrize("cells", ["| |", ".649 | .649 |"])
def test_a_line_with_more_or_fewer_figures_than_names_is_refused(cells: str) -> None:
    with pytest.raises(ValueError, match=r"1 names for [02] figures"):
        quoted(document(cells), {"vectors": ["quality > vecdb > mean dense"]})


def test_a_name_without_a_line_is_refused() -> None:
    with pytest.raises(ValueError, match="no line of a measured table begins with"):
        quoted(document("| |"), {"vectors": [], "words": ["quality > vecdb > mean words"]})


@pytest.mark.parametrize(
    ("number", "like", "cell", "expected"),
    [
        (0.6488, ".123", ".123", ".649"),
        (-0.2874, "-.1", "-.1", "-.3"),
        (0.03, "0.51", "0.51", "0.03"),
        (19687.79, "1", "1", "19,688"),
        (0.3812, "12", "12 %", "38"),
    ],
)
def test_a_figure_keeps_its_form(number: float, like: str, cell: str, expected: str) -> None:
    assert printed(number, like, cell) == expected


def test_a_figure_outside_of_measured_parts_is_said_to_have_no_record(root: Path) -> None:
    names = ["README.md", *sorted(str(path.relative_to(root)) for path in (root / "docs").rglob("*.md"))]

    found = {name: untraced((root / name).read_text("utf-8")) for name in names}

    assert {name: figures for name, figures in found.items() if figures} == _SETTINGS


def test_such_a_figure_would_be_found() -> None:
    assert untraced("It took 4.9 ms.\n```\n5 ms\n```\n") == ["4.9 ms"]
    assert untraced("It took 4.9 ms, not from `bench/results/`.") == []
