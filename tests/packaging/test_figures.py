"""Figures of the documents come from records: every number of a measured table rounds a value of a record it names.

A part between `<!-- measured: begin` and `<!-- measured: end -->` names its records in backticks or as files. In its
tables the head and the first column say what was measured; every number in another cell must be a value of one of
these records, or its inverse, in some unit, rounded as it is printed. That a number stands in the right row is not
checked here.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

_PART = re.compile(r"<!-- measured: begin(.*?)<!-- measured: end -->", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.,])\d{1,3}(?:,\d{3})+(?:\.\d+)?|(?<![\w.,])\d*\.?\d+")
# Not figures: units over one (1 / 2.2), dates, names of sizes, codes and levels.
_NOT_A_FIGURE = re.compile(r"`[^`]*`|\d{4}-\d\d-\d\d|\b1 / |@\d+|recall(?:@10)? \.\d+|\b\d+ threads?")
_UNITS = (1.0, 100.0, 1e3, 1e6, 1e-3, 1e-6)


def values(record: dict[str, Any]) -> set[float]:
    """Return all that a record reports: medians and ends of ranges, ratios, parameters, set-up figures."""
    told = [*record["ratios"].values(), *(row for one in record["systems"].values() for row in one["summary"].values())]
    found = {float(row[key]) for row in told for key in ("median", "min", "max")}
    return found | {float(value) for value in record["parameters"].values() if isinstance(value, int | float)}


def has_source(number: str, known: set[float]) -> bool:
    """Return whether some value, in some unit or over one, rounds to the number as it is printed."""
    digits = number.replace(",", "")
    places = len(digits.partition(".")[2])
    # 226,000 is a figure of three digits.
    spare = 0 if "." in digits else len(digits) - len(digits.rstrip("0"))
    half = 0.5000001 * 10.0 ** (spare - places)
    candidates = [value for one in known for value in ((one, 1 / one) if one else (one,))]
    return any(abs(abs(value) * unit - float(digits)) <= half for value in candidates for unit in _UNITS)


def without_source(part: str, results: Path) -> list[str]:
    """Return the numbers of a part's tables that no record named in it has."""
    names = set(re.findall(r"`([\w-]+)`", part)) | set(re.findall(r"results/([\w-]+)\.json", part))
    records = [path for name in sorted(names) if (path := results / f"{name}.json").exists()]
    known = set().union(*(values(json.loads(path.read_text("utf-8"))) for path in records))
    lost = []
    for table in re.findall(r"(?:^\|.*\n)+", part, re.MULTILINE):
        for line in table.splitlines()[2:]:
            for cell in line.strip("|").split("|")[1:]:
                lost += [f"{found} in {line}" for found in _NUMBER.findall(_NOT_A_FIGURE.sub("", cell))
                         if not has_source(found, known)]  # fmt: skip
    return lost


@pytest.mark.parametrize("name", ["README.md", "docs/muvera.md", "docs/planning.md", "docs/relevance.md"])
def test_every_number_of_a_measured_table_has_a_source(name: str, root: Path) -> None:
    parts = _PART.findall((root / name).read_text("utf-8"))

    assert parts
    assert [lost for part in parts for lost in without_source(part, root / "bench" / "results")] == []


def test_a_number_without_a_source_is_found(root: Path) -> None:
    part = " `growth` -->\n| What | Figure |\n|---|---|\n| codes at 10,000 rows | 577 |\n| made up | 123.457 |\n"

    assert without_source(part, root / "bench" / "results") == ["123.457 in | made up | 123.457 |"]
