"""Figures stand beside the right words: bench/figures.toml names the value of each, and it is what is printed there."""

import re
from pathlib import Path

import pytest

from bench.figures import NOT_A_FIGURE, PART, pages, printed, quoted, value

NAMED = pages()
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_MEASURED = re.compile(
    r"(?<![\w.])\d*\.?\d+ (?:ms|µs|us|ns|GiB/s|GB/s|MB/s|rows/s)\b|nDCG@10[^.\n|]{0,20} \.\d+|(?<![\w.\d])\.\d{3,}"
)
_TABLE = re.compile(r"^\|.*\n", re.MULTILINE)
_SAID = re.compile(r"not\s+from\s+`bench/results/`|no\s+record\s+of\s+them")
# Not measured: what the server and the selection are set to.
_SETTINGS = {"docs/server.md": ["20 ms"], "docs/adr/0009-answers-as-sets.md": [".999"]}


def untraced(text: str) -> list[str]:
    """Return what looks measured outside of measured tables, where the document does not say that it has no record."""
    prose = PART.sub(lambda part: NOT_A_FIGURE.sub("", _TABLE.sub("", part[0])), text)
    return [] if _SAID.search(text) else _MEASURED.findall(_FENCE.sub("", prose))


@pytest.mark.parametrize("name", NAMED)
def test_every_figure_is_the_value_that_it_is_named_after(name: str, root: Path) -> None:
    text = (root / name).read_text("utf-8")

    assert quoted(text, NAMED[name]) == text


def test_every_page_with_measured_tables_has_names(root: Path) -> None:
    texts = {name: (root / name).read_text("utf-8") for name in documents(root)}

    assert {name for name, text in texts.items() if PART.search(text)} == set(NAMED)


def documents(root: Path) -> list[str]:
    return ["README.md", *sorted(str(path.relative_to(root)) for path in (root / "docs").rglob("*.md"))]


def document(cells: str) -> str:
    return f"<!-- measured: begin -->\n| a | b | c |\n|---|---|---|\n| vectors | {cells}\n<!-- measured: end -->\n"


@pytest.mark.parametrize("cells", [".999 | |", "| .999 |", "0.999 % | |", "-.999 | |"])
def test_a_wrong_figure_is_printed_anew(cells: str) -> None:
    names = {"vectors": ["quality > vecdb > mean dense"]}

    anew = quoted(document(cells), names)

    assert anew != document(cells)
    assert quoted(anew, names) == anew


def test_a_line_with_more_figures_than_names_is_refused() -> None:
    with pytest.raises(ValueError, match="1 names for 2 figures"):
        quoted(document(".649 | .649 |"), {"vectors": ["quality > vecdb > mean dense"]})


def test_a_name_without_a_figure_is_refused() -> None:
    with pytest.raises(ValueError, match="more names than figures"):
        quoted(document("| |"), {"vectors": ["quality > vecdb > mean dense"]})


def test_lines_that_begin_alike_share_their_names_in_order() -> None:
    text = document(".123 | |") * 2
    names = {"vectors": ["quality > vecdb > mean dense", "quality > vecdb > mean words"]}

    first, second = (value(name) for name in names["vectors"])

    assert re.findall(r"\.\d{3}", quoted(text, names)) == [f"{one:.3f}"[1:] for one in (first, second)]


@pytest.mark.parametrize("cell", ["`k=5` |", "1 / 2.5 of 2026-11-27 |", "recall .99 with 2 threads |"])
def test_codes_dates_levels_and_units_over_one_are_no_figures(cell: str) -> None:
    ratio = "ann > ratio > build cpu_s: hnswlib / vecdb"
    names = {"vectors": [ratio] if "2.5" in cell else []}

    assert quoted(document(cell), names) == document(cell.replace("2.5", f"{value(ratio):.1f}"))


def test_a_name_may_be_an_end_of_a_ratio_or_a_quotient() -> None:
    ratio = "ann > ratio > build cpu_s: hnswlib / vecdb"

    assert value(f"{ratio} > min") <= value(ratio) <= value(f"{ratio} > max")
    assert value(f"1 ÷ {ratio}") == pytest.approx(1 / value(ratio))
    assert value("ann > hnswlib > build cpu_s ÷ ann > vecdb > build cpu_s") == pytest.approx(value(ratio), rel=0.1)


def test_a_name_without_a_line_is_refused() -> None:
    with pytest.raises(ValueError, match="no line of a measured table begins with"):
        quoted(document("| |"), {"vectors": [], "words": ["quality > vecdb > mean words"]})


@pytest.mark.parametrize(
    ("number", "like", "behind", "expected"),
    [
        (0.6488, ".123", "", ".649"),
        (-0.2874, "-.1", "", "-.3"),
        (0.0631, "+.1", "", "+.1"),
        (-0.0631, "+.12", "", "-.06"),
        (0.03, "0.51", "", "0.03"),
        (19687.79, "1", " ms", "19,688"),
        (226311.2, "12,000", " rows/s", "226,000"),
        (0.3812, "12", " % of it", "38"),
        (0.3812, "1.2", ", 5 %", "0.4"),
    ],
)
def test_a_figure_keeps_its_form(number: float, like: str, behind: str, expected: str) -> None:
    assert printed(number, like, behind) == expected


def test_a_figure_outside_of_measured_parts_is_said_to_have_no_record(root: Path) -> None:
    found = {name: untraced((root / name).read_text("utf-8")) for name in documents(root)}

    assert {name: figures for name, figures in found.items() if figures} == _SETTINGS


def test_such_a_figure_would_be_found() -> None:
    assert untraced(f"{document('|')}".replace("| a", "It took 4.9 ms.\n| a")) == ["4.9 ms"]
    assert untraced("It took 4.9 ms.\n```\n5 ms\n```\n") == ["4.9 ms"]
    assert untraced("It took 4.9 ms, not from `bench/results/`.") == []
