"""The suite of the README makes every record that a document names, with the parameters that the record has."""

import json
from pathlib import Path

from bench import workloads
from bench.context import parse_settings
from bench.figures import pages
from bench.suites import SUITES


def test_one_command_makes_every_record_that_a_figure_is_from() -> None:
    made = {f"{run.workload}-{run.label}".rstrip("-") for run in SUITES["readme"]}
    names = [name for names in pages().values() for told in names.values() for name in told]
    named = {part.split(" > ")[0] for name in names for part in name.split(" ÷ ") if " > " in part}

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
