"""`vecdb eval`: how good the answers to the user's own questions are, and whether another configuration is better."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vecdb_client.cli import options
from vecdb_client.cli.errors import NOT_FOUND, CommandError, note
from vecdb_client.cli.options import Plain

if TYPE_CHECKING:
    from vecdb.evaluation import Report


class Paired(StrEnum):
    """The paired tests."""

    RANDOMISATION = "randomisation"
    T = "t"


@options.example(
    "vecdb eval ./library papers --queries questions.parquet --config nearest.json",
    "vecdb eval ./library papers --queries questions.jsonl --judgements qrels.txt"
    " --config nearest.json --config diverse.json --report report.html",
)
def eval_(
    path: options.DatabasePath,
    collection: options.CollectionName,
    queries: Annotated[
        Path, typer.Option("--queries", metavar="FILE", help="Questions: .parquet, .jsonl, .csv or .tsv with ids.")
    ],
    config: Annotated[
        list[Path],
        typer.Option("--config", metavar="FILE", help='A query as JSON with places such as "$text"; twice: compare.'),
    ],
    judgements: Annotated[
        Path | None,
        typer.Option("--judgements", "--qrels", metavar="FILE", help="TREC qrels, or .parquet, .jsonl, .csv, .tsv."),
    ] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option("--measure", metavar="NAME", help="A measure of ir-measures, such as nDCG@10. Repeatable."),
    ] = None,
    test: Annotated[
        Paired, typer.Option("--test", metavar="NAME", help="How two are compared: randomisation or t.")
    ] = Paired.RANDOMISATION,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Also write an .html page with plots, or a .json.")
    ] = None,
    output: options.ReportFormat = Plain.TABLE,
) -> None:
    """Measure answers to your own questions.

    Every question fills the places of a configuration: "$text" in the JSON stands for its column `text`. It is asked as
    it is and exactly; with judgements, nDCG, reciprocal rank and recall are measured too, and subtopics where they are
    judged. Two configurations are compared question by question, with a test and a 95 % interval.

    Judged measures, tests and the page need the extra 'evaluate'.
    """
    from vecdb import evaluation
    from vecdb.evaluation.templates import read_template
    from vecdb_client.cli.progress import LoadProgress
    from vecdb_client.cli.session import opened_collection

    _check_report(report)
    for file in config:
        if not file.is_file():
            raise CommandError(f"no such file: {file}", NOT_FOUND)
    templates = {template.name: template for template in map(read_template, config)}
    if len(templates) < len(config):
        raise CommandError("two configurations have the same name, that of their files")
    questions = evaluation.read_questions(queries)
    judged = [] if judgements is None else evaluation.read_judgements(judgements)
    with opened_collection(path, collection) as target, LoadProgress("asking") as bar:
        found = evaluation.evaluate(
            target,
            questions,
            templates,
            judged,
            measure,
            test.value,
            lambda done, total: bar.update(done, 1.0, done / total),
        )
    if found.unjudged:
        note(f"{found.unjudged:,} questions have no judgement and were left out")
    _write_report(report, found)
    _print(found, output)


def _check_report(file: Path | None) -> None:
    """Refuse before anything is asked what cannot be written after it."""
    if file is None:
        return
    if file.suffix.lower() not in (".html", ".json"):
        raise CommandError(f"cannot write {file}", hint="the name of the report ends in .html or .json")
    if not file.parent.is_dir():
        raise CommandError(f"no such directory: {file.parent}", NOT_FOUND)
    if file.suffix.lower() == ".html":
        from vecdb.evaluation.extra import library

        library("plotly.graph_objects", "a page with plots")


def _write_report(file: Path | None, found: "Report") -> None:
    from vecdb import evaluation
    from vecdb_client.cli.render import json_bytes

    if file is None:
        return
    if file.suffix.lower() == ".html":
        evaluation.write_page(found, file)
    else:
        file.write_bytes(json_bytes(found.to_json()) + b"\n")
    note(f"wrote {file}")


def _print(found: "Report", output: Plain) -> None:
    from vecdb_client.cli.options import Output
    from vecdb_client.cli.render import json_bytes, write_bytes, write_records

    if output is Plain.JSON:
        write_bytes(json_bytes(found.to_json()) + b"\n")
        return
    rows = [
        {"measure": name} | {one.name: round(one.mean(name), 4) for one in found.outcomes} for name in found.measures
    ]
    rows.append({"measure": "median ms"} | {one.name: round(one.median_ms, 3) for one in found.outcomes})
    columns = ["measure", *(one.name for one in found.outcomes)]
    for row, compared in zip(rows, found.comparisons, strict=False):
        row["difference"] = f"{compared.difference:+.4f} ({compared.low:+.4f} to {compared.high:+.4f})"
        row["p"] = f"{compared.p_value:.4f}"
    write_records(rows, Output.TABLE, [*columns, *(["difference", "p"] if found.comparisons else [])])
