"""Figures of the documents come from records: every number of a measured table rounds a value of a record it names.

A part between `<!-- measured: begin` and `<!-- measured: end -->` names its records in backticks or as files. In its
tables the head and the first column say what was measured; every number in another cell must be a value of one of
the record that its line, its column or the part names, in the unit of the cell, rounded as it is printed. That it
stands beside the right words is checked for those with names: test_named_figures.py.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench import workloads
from bench.context import parse_settings
from bench.figures import NOT_A_FIGURE, NUMBER, PART
from bench.suites import SUITES

_RECORD = re.compile(r"`([\w-]+)`|results/([\w-]+)\.json")


def values(record: dict[str, Any]) -> set[float]:
    """Return what a record reports: medians, the ends of ratios, both ways round, vecdb's share of others' medians.

    Points of sweeps ("at ...") are left out: there are so many that every number would be near one.
    """
    found = {float(row[key]) for row in record["ratios"].values() for key in ("median", "min", "max")}
    found |= {1 / value for value in found if value}
    medians = {
        name: {metric: float(row["median"]) for metric, row in told["summary"].items() if not metric.startswith("at ")}
        for name, told in record["systems"].items()
    }
    ours = medians.get("vecdb", {})
    for told in medians.values():
        found |= set(told.values())
        found |= {ours[metric] / value for metric, value in told.items() if value and metric in ours}
    return found


def has_source(number: str, known: set[float], cell: str) -> bool:
    """Return whether some value, in a unit that the cell has, rounds to the number as it is printed."""
    digits = number.replace(",", "")
    spare = 0 if "." in digits else len(digits) - len(digits.rstrip("0"))  # 226,000 is a figure of three digits
    half = 0.5000001 * 10.0 ** (spare - len(digits.partition(".")[2]))
    units = [1.0] + [100.0] * ("%" in cell) + [1e-6] * ("MB" in cell) + [1e-3] * bool(re.search(r"\bs\b", cell))
    return any(abs(abs(one) * unit - float(digits)) <= half for one in known for unit in units)


def without_source(part: str, results: Path) -> list[str]:
    """Return the numbers of a part's tables that have no source.

    The record is the one that the line names, else the head of the column, else any that the part names.
    """

    def known(text: str) -> set[float]:
        names = [name for found in _RECORD.findall(text) for name in found if (results / f"{name}.json").exists()]
        return set().union(*(values(json.loads((results / f"{name}.json").read_text("utf-8"))) for name in names))

    lost = []
    for table in re.findall(r"(?:^\|.*\n)+", part, re.MULTILINE):
        head, _, *lines = table.splitlines()
        columns = [known(cell) for cell in head.strip("|").split("|")]
        for line in lines:
            for column, cell in zip(columns[1:], line.strip("|").split("|")[1:], strict=False):
                for number in NUMBER.findall(NOT_A_FIGURE.sub("", cell)):
                    if not has_source(number, known(line) or column or known(part), cell):
                        lost.append(f"{number} in {line}")
    return lost


@pytest.mark.parametrize(
    "name", ["README.md", "docs/graph.md", "docs/muvera.md", "docs/planning.md", "docs/relevance.md"]
)
def test_every_number_of_a_measured_table_has_a_source(name: str, root: Path) -> None:
    parts = PART.findall((root / name).read_text("utf-8"))

    assert parts
    assert [lost for part in parts for lost in without_source(part, root / "bench" / "results")] == []


def test_a_number_without_a_source_is_found(root: Path) -> None:
    part = " `growth` -->\n| What | Figure |\n|---|---|\n| codes at 10,000 rows | 574 |\n| made up | 123.457 |\n"

    assert without_source(part, root / "bench" / "results") == ["123.457 in | made up | 123.457 |"]


def test_one_command_makes_every_record_that_a_measured_part_names(root: Path) -> None:
    made = {f"{run.workload}-{run.label}".rstrip("-") for run in SUITES["readme"]}
    results = root / "bench" / "results"
    named = set()
    for path in (root / "README.md", *(root / "docs").glob("*.md")):
        for part in PART.findall(path.read_text("utf-8")):
            named |= {name for found in _RECORD.findall(part) for name in found if (results / f"{name}.json").exists()}

    assert named
    assert named - made == set()


def test_the_suite_asks_for_what_the_records_were_made_with(root: Path) -> None:
    for run in SUITES["readme"]:
        record = json.loads(
            (root / "bench" / "results" / f"{run.workload}-{run.label}.json".replace("-.", ".")).read_text("utf-8")
        )
        workload = workloads.load(run.workload)
        asked = {**workload.FULL, **parse_settings(run.settings, workload.FULL)}

        assert {name: record["parameters"].get(name, value) for name, value in asked.items()} == asked, run
