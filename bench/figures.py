"""Figures in documents: which value of which record each is, and `python -m bench.figures`, which prints them anew.

A part between `<!-- measured: begin` and `<!-- measured: end -->` claims to be measured. figures.toml names, for every
line of the tables in such parts, the values of its cells in their order. A figure keeps the form in which it is
printed: its decimals, the zeros at its end, its sign, a zero before the point or none, hundredths before a %.
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

_FIGURE = re.compile(rf"{NOT_A_FIGURE.pattern}|(?P<figure>[-+]?(?:{NUMBER.pattern}))")
_ENDS = (" > min", " > max")

Names = dict[str, list[str]]
"""The first cell of a line, and the names of its figures: "record > system > metric" or "record > ratio > name".

The ends of a ratio have " > min" or " > max" behind them, and "a ÷ b" is a quotient of two names, or of a name and a
number: "startup > vecdb > first_answer_ms ÷ 1000" are seconds. Lines with the same first cell share a list.
"""


def pages() -> dict[str, Names]:
    """Return the names of all figures, by document."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


def value(name: str) -> float:
    """Return the value of a name."""
    above, divided, below = name.partition(" ÷ ")
    if divided:
        return _operand(above) / _operand(below)
    record, where, what = name.split(" > ", 2)
    column = what[-3:] if what.endswith(_ENDS) else "median"
    told = json.loads((RESULTS / f"{record}.json").read_text("utf-8"))
    rows = told["ratios"] if where == "ratio" else told["systems"][where]["summary"]
    return float(rows[what.removesuffix(f" > {column}")][column])


def _operand(text: str) -> float:
    return value(text) if " > " in text else float(text)


def printed(number: float, like: str, behind: str) -> str:
    """Return a value in the form that another figure has, which has `behind` behind it."""
    number *= 100.0 if behind.lstrip().startswith("%") else 1.0
    whole, _, decimals = like.partition(".")
    zeros = (
        0 if decimals or "," not in whole else len(whole) - len(whole.replace(",", "").rstrip("0")) - whole.count(",")
    )
    if zeros > 1:  # 226,000 is a figure of three digits
        number = round(number, -zeros)
    text = f"{number:{'+' if like.startswith('+') else ''},.{len(decimals)}f}"
    return text.replace("0.", ".", 1) if like.lstrip("+-").startswith(".") and abs(number) < 1 else text


def quoted(text: str, names: Names) -> str:
    """Return a document with its figures as the records have them.

    Raises:
        ValueError: a line has more or fewer figures than names, or a name has no line.

    """
    left = {label: list(told) for label, told in names.items()}
    seen = set()

    def line_anew(line: str) -> str:
        head, label, cells = line.split("|", 2)
        told = left.get(label.strip(), [])
        figures = [found for found in _FIGURE.finditer(cells) if found["figure"]]
        if len(figures) > len(told):
            raise ValueError(f"{len(told)} names for {len(figures)} figures in: {line}")
        seen.add(label.strip())
        return f"{head}|{label}|" + _FIGURE.sub(lambda found: anew(found, told) if found["figure"] else found[0], cells)

    def anew(found: re.Match[str], told: list[str]) -> str:
        return printed(value(told.pop(0)), found["figure"], found.string[found.end() :])

    def part_anew(part: re.Match[str]) -> str:
        lines = part[0].split("\n")
        heads = {at for at, below in enumerate(lines[1:]) if below.startswith("|---")}
        rows = {at for at, line in enumerate(lines) if line.startswith("|") and not line.startswith("|---")} - heads
        return "\n".join(line_anew(line) if at in rows else line for at, line in enumerate(lines))

    page = PART.sub(part_anew, text)
    if missing := names.keys() - seen:
        raise ValueError(f"no line of a measured table begins with {sorted(missing)}")
    if more := {label: told for label, told in left.items() if told}:
        raise ValueError(f"more names than figures: {more}")
    return page


def main() -> None:
    """Print all figures that have names anew."""
    for name, names in pages().items():
        page = ROOT / name
        page.write_text(quoted(page.read_text("utf-8"), names), "utf-8")


if __name__ == "__main__":
    main()
