"""Figures stand beside the right words: bench/figures.toml names the value of each, and it is what is printed there."""

from pathlib import Path

import pytest

from bench.figures import pages, printed, quoted

NAMED = pages()


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
