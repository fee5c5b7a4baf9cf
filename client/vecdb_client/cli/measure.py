"""`vecdb recall` and `vecdb tune`: how good the answers of indexes are, against the exact scan, on the user's rows."""

import importlib.util
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vecdb_client.cli import options
from vecdb_client.cli.errors import NOT_FOUND, UNAVAILABLE, CommandError, note
from vecdb_client.cli.options import Plain

if TYPE_CHECKING:
    import numpy as np

    from vecdb.collection import Collection
    from vecdb.results import TuneReport

PICTURES = (".png", ".svg", ".pdf")

Queries = Annotated[
    Path | None,
    typer.Option(
        "--queries", metavar="FILE", help="Real queries: a .npy matrix, or any data file with a column of vectors."
    ),
]
Sample = Annotated[
    int | None,
    typer.Option("--sample", metavar="N", min=1, help="How many queries: the first of the file, or made from rows."),
]
K = Annotated[int, typer.Option("--k", "-k", min=1, help="How many rows each query asks for.")]


@options.example(
    "vecdb recall ./library papers",
    'vecdb recall ./library papers --queries questions.npy --where "year >= 2020" --recall 0.95',
    "vecdb recall ./library papers --queries questions.parquet --sample 500 --ef 64 --output json",
)
def recall(
    path: options.DatabasePath,
    collection: options.CollectionName,
    queries: Queries = None,
    sample: Sample = None,
    k: K = 10,
    where: options.Where = None,
    recall: options.Recall = None,
    ef: options.Ef = None,
    probes: options.Probes = None,
    field: options.VectorField = None,
    output: options.ReportFormat = Plain.TABLE,
) -> None:
    """Compare searches with exact ones.

    Every query is asked through the index and exactly. Without --queries they are made from 100 rows, each with half
    of another one added, which is about as hard as real questions. recall: the share of the k nearest that was found.
    """
    from vecdb_client.cli.session import opened_collection, vector_field

    with opened_collection(path, collection) as target:
        name = vector_field(target, field)
        asked = _asked(target, name, queries, sample)
        effort = {"recall": recall, "ef": ef, "probes": probes}
        report = target.recall(asked, field=name, sample=sample or 100, k=k, where=where, **effort)
        _warn(target, name)
    _write_pairs({**asdict(report), "plans": dict(report.plans)}, output)


@options.example(
    "vecdb tune ./library papers",
    "vecdb tune ./library papers --queries questions.npy --target 0.95 --plot curve.png",
    "vecdb tune ./library papers --reset",
)
def tune(
    path: options.DatabasePath,
    collection: options.CollectionName,
    queries: Queries = None,
    sample: Sample = None,
    k: K = 10,
    target: Annotated[
        float, typer.Option("--target", metavar="SHARE", min=0, max=1, help="Say what reaches this recall.")
    ] = 0.99,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the curve: a .png, .svg or .pdf.")
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Forget it, and go back to what the indexes measured themselves.")
    ] = False,
    field: options.VectorField = None,
    output: options.ReportFormat = Plain.TABLE,
) -> None:
    """Measure recall at each effort, and keep it.

    Searches take the number of candidates (ef), or of lists (probes), that reached here the recall that they ask for.
    An index measures itself when it is built; real queries are better, a hundred of them or more. What is kept holds
    until --reset.
    """
    from vecdb_client.cli.session import opened_collection, vector_field

    if reset and not (queries is None and sample is None and plot is None):
        raise CommandError("--reset measures nothing: give it alone")
    if plot is not None:
        _check_plot(plot)
    with opened_collection(path, collection, write=True) as opened:
        name = vector_field(opened, field)
        if reset:
            opened.tune(field=name, reset=True)
            note(f"{name}: forgotten what was measured; the indexes' own figures count again")
            return
        asked = _asked(opened, name, queries, sample)
        report = opened.tune(asked, field=name, sample=sample or 200, k=k)
        assert report is not None
        _warn(opened, name)
        kinds = opened.stats()["indexes"][name]["rows"]
    width = "probes" if "ivf" in kinds and "hnsw" not in kinds else "ef"
    if plot is not None:
        _plot(plot, report, target, width, f"{collection}, {name}")
    _write_curve(report, target, width, output)


def _asked(collection: "Collection", name: str, file: Path | None, most: int | None) -> "np.ndarray | None":
    if file is None:
        return None
    from vecdb_client.cli.questions import read_questions

    vector: Any = collection.schema[name].field
    return read_questions(file, name, vector, most)


def _warn(collection: "Collection", name: str) -> None:
    """Say what makes the figures less than they seem."""
    told = collection.stats()["indexes"][name]
    scanned = told["rows"].get("flat", 0)
    if scanned and scanned == sum(told["rows"].values()):
        note("no row has an index: every search is an exact scan")
    elif told["pending_rows"]:
        note(f"{told['pending_rows']:,} rows have no index yet and were scanned; `vecdb index` builds it")


def _write_pairs(content: dict[str, Any], output: Plain) -> None:
    from vecdb_client.cli.render import cell, json_bytes, write_bytes

    if output is Plain.JSON:
        write_bytes(json_bytes(content) + b"\n")
        return
    plans = ", ".join(f"{plan} {count:,}" for plan, count in content["plans"].items())
    pairs = {**content, "plans": plans}
    width = max(map(len, pairs))
    for name, value in pairs.items():
        print(f"{name.ljust(width)}  {cell(value)}")


def _write_curve(report: "TuneReport", target: float, width: str, output: Plain) -> None:
    from vecdb_client.cli.options import Output
    from vecdb_client.cli.render import json_bytes, write_bytes, write_records

    best = report.ef_for(target)
    curve = [{width: at, "recall": reached} for at, reached in report.curve]
    if output is Plain.JSON:
        told = {"k": report.k, "queries": report.queries, "curve": curve, "target": target, width: best}
        told["warnings"] = list(report.warnings)
        write_bytes(json_bytes(told) + b"\n")
    else:
        write_records(curve, Output.TABLE, [width, "recall"])
    reaches = f"no {width} that was tried reaches {target:g}" if best is None else f"{width} {best} reaches {target:g}"
    note(f"{reaches} (the {report.k} nearest, {report.queries:,} queries)")
    for warning in report.warnings:
        note(warning)


def _check_plot(file: Path) -> None:
    """Refuse before anything is measured what cannot be drawn after it."""
    if file.suffix.lower() not in PICTURES:
        raise CommandError(f"cannot draw {file}", hint=f"the name of the file ends in {', '.join(PICTURES)}")
    if not file.parent.is_dir():
        raise CommandError(f"no such directory: {file.parent}", NOT_FOUND)
    if importlib.util.find_spec("matplotlib") is None:
        raise CommandError("--plot needs matplotlib, which is not installed", UNAVAILABLE, "pip install matplotlib")


def _plot(file: Path, report: "TuneReport", target: float, width: str, title: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(*zip(*report.curve, strict=True), marker="o")
    axes.axhline(target, linestyle=":", color="grey")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(width)
    axes.set_ylabel(f"recall@{report.k}")
    axes.set_title(f"{title}: {report.queries:,} queries")
    axes.grid(alpha=0.3)
    figure.savefig(file, dpi=150)
    note(f"drew {file}")
