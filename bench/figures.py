"""Figures in documents: which value of which record each is, and `python -m bench.figures`, which prints them anew.

A part between `<!-- measured: begin` and `<!-- measured: end -->` claims to be measured. figures.toml names, for every
line of the tables in such parts, the values of its cells in their order. A figure keeps the form in which it is
printed: its decimals, its unit (a cell with % has hundredths), a zero before the point or none.
"""

import json
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
PART = re.compile(r"<!-- measured: begin(.*?)<!-- measured: end -->", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?:\.\d+)?|(?<![\w.,])\d*\.?\d+")
NOT_A_FIGURE = re.compile(r"`[^`]*`|\d{4}-\d\d-\d\d|\b1 / |@\d+|recall(?:@10)? \.\d+|\b\d+ threads?")
"""Units over one (1 / 2.2), dates, names of sizes, codes and levels."""

_FIGURE = re.compile(rf"-?(?:{NUMBER.pattern})")

Names = dict[str, list[str]]
"""The first cell of a line, and the names of its figures: "record > system > metric" or "record > ratio > name"."""


def pages() -> dict[str, Names]:
    """Return the names of all figures, by document."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


def value(name: str) -> float:
    """Return the value of a name."""
    record, where, what = name.split(" > ", 2)
    told = json.loads((RESULTS / f"{record}.json").read_text("utf-8"))
    rows = told["ratios"] if where == "ratio" else told["systems"][where]["summary"]
    return float(rows[what]["median"])


def printed(number: float, like: str, cell: str) -> str:
    """Return a value in the form that another figure of a cell has."""
    scale = 100.0 if "%" in cell else 1.0
    text = f"{number * scale:,.{len(like.partition('.')[2])}f}"
    return text.replace("0.", ".", 1) if like.lstrip("-").startswith(".") and abs(number * scale) < 1 else text


def quoted(text: str, names: Names) -> str:
    """Return a document with its figures as the records have them.

    Raises:
        ValueError: a line has more or fewer figures than names, or a name has no line.

    """
    seen = set()

    def line_anew(line: str) -> str:
        head, label, cells = line.split("|", 2)
        told = names.get(label.strip(), [])
        figures = [(figure, cell) for cell in cells.split("|") for figure in _FIGURE.findall(cell)]
        if len(figures) != len(told):
            raise ValueError(f"{len(told)} names for {len(figures)} figures in: {line}")
        anew = iter([printed(value(name), figure, cell) for name, (figure, cell) in zip(told, figures, strict=True)])
        seen.add(label.strip())
        return f"{head}|{label}|" + _FIGURE.sub(lambda _: next(anew), cells)

    def part_anew(part: re.Match[str]) -> str:
        lines = part[0].split("\n")
        heads = {at for at, below in enumerate(lines[1:]) if below.startswith("|---")}
        rows = {at for at, line in enumerate(lines) if line.startswith("|") and not line.startswith("|---")} - heads
        return "\n".join(line_anew(line) if at in rows else line for at, line in enumerate(lines))

    anew = PART.sub(part_anew, text)
    if missing := names.keys() - seen:
        raise ValueError(f"no line of a measured table begins with {sorted(missing)}")
    return anew


def main() -> None:
    """Print all figures that have names anew."""
    for name, names in pages().items():
        page = ROOT / name
        page.write_text(quoted(page.read_text("utf-8"), names), "utf-8")


if __name__ == "__main__":
    main()
