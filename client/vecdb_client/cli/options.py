"""Arguments and options that several commands share, so that they read the same everywhere."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, TypeVar

import typer

from vecdb_client.cli import complete
from vecdb_client.cli.target import Target


class Output(StrEnum):
    """How results are written to stdout."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    ARROW = "arrow"


class Plain(StrEnum):
    """How reports are written to stdout."""

    TABLE = "table"
    JSON = "json"


DatabasePath = Annotated[
    Target,
    typer.Argument(
        metavar="PATH",
        help="The database: a directory, or a server such as grpc://localhost:7700.",
        show_default=False,
        parser=Target.parse,
    ),
]
CollectionName = Annotated[
    str,
    typer.Argument(
        metavar="COLLECTION", help="The collection.", show_default=False, autocompletion=complete.collections
    ),
]
Where = Annotated[
    str | None,
    typer.Option("--where", "-w", metavar="FILTER", help='Only rows that match, e.g. "year >= 2020".'),
]
Show = Annotated[
    str | None,
    typer.Option(
        "--show",
        "-s",
        metavar="FIELDS",
        help="Fields to show, separated by commas.",
        autocompletion=complete.fields,
    ),
]
OutputFormat = Annotated[
    Output,
    typer.Option("--output", "-o", metavar="FORMAT", help="table, json, jsonl or arrow (an IPC stream)."),
]
ReportFormat = Annotated[Plain, typer.Option("--output", "-o", metavar="FORMAT", help="table or json.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
VectorField = Annotated[
    str | None,
    typer.Option(
        "--field", metavar="NAME", help="Which field, when there are several.", autocompletion=complete.searched
    ),
]
Recall = Annotated[
    float | None,
    typer.Option("--recall", metavar="SHARE", help="The share of the true nearest to find, below 1 [0.99]."),
]
Ef = Annotated[
    int | None,
    typer.Option("--ef", metavar="N", min=1, help="Instead of --recall: candidates that a walk keeps, or codes leave."),
]
Probes = Annotated[
    int | None,
    typer.Option("--probes", metavar="N", min=1, help="Instead of --recall: lists of an inverted file that are read."),
]
NoIndex = Annotated[bool, typer.Option("--no-index", help="Leave building indexes to another time.")]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="SOURCE=FIELD",
        help="Store column SOURCE as FIELD. 'SOURCE=' leaves it out; 'v*=embedding' joins v0, v1, ... into a vector.",
    ),
]
IdOption = Annotated[
    str | None,
    typer.Option("--id", metavar="COLUMN", help="The column with the ids, or 'auto' to number the rows."),
]
MetricOption = Annotated[
    str, typer.Option("--metric", metavar="METRIC", help="For inferred vectors: cosine, dot, l2 or hamming.")
]
FormatOption = Annotated[
    str | None,
    typer.Option("--format", metavar="FORMAT", help="parquet, arrow, jsonl, csv, tsv, npy or npz; else by extension."),
]


C = TypeVar("C", bound=Callable[..., None])


def example(*lines: str) -> Callable[[C], C]:
    """Give a command examples, which its help shows at the end."""

    def attach(command: C) -> C:
        command.__dict__["examples"] = lines
        return command

    return attach


def field_list(show: str | None) -> list[str] | None:
    """Split `a,b` into names; None stays None."""
    return None if show is None else [name.strip() for name in show.split(",") if name.strip()]


def confirmed(question: str, yes: bool) -> None:
    """Ask on a terminal unless told not to; scripts are not asked. A refusal ends the program with 130."""
    import sys

    from vecdb_client.cli.errors import Stopped

    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        print(file=sys.stderr)
        agreed = False
    if not agreed:
        raise Stopped("nothing was changed")
