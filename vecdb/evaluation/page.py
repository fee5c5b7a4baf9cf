"""The report as one HTML page that needs no network: tables, and plots by plotly."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecdb.evaluation.extra import library

if TYPE_CHECKING:
    from vecdb.evaluation.report import Report

COLOURS = "#2f4b7c", "#f95d6a"
SHOWN = 20
"""Questions that are listed where the configurations differ most, or where one does worst."""
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .3rem .8rem; border-bottom: 1px solid #ddd }
th { text-align: left } td.number { text-align: right; font-variant-numeric: tabular-nums }
pre { background: #f6f6f6; padding: .8rem; overflow: auto }
"""


def write_page(report: Report, path: str | Path) -> None:
    """Write the page.

    Raises:
        MissingExtraError: plotly is not installed.

    """
    plotly = library("plotly.graph_objects", "a page with plots")
    figures = [_bars(plotly, report), _times(plotly, report)]
    if report.comparisons:
        figures.append(_differences(plotly, report))
    drawn = [
        # The library once: a page that is opened on a train still shows its plots.
        figure.to_html(full_html=False, include_plotlyjs=number == 0)
        for number, figure in enumerate(figures)
    ]
    title = f"{report.collection}: {' and '.join(one.name for one in report.outcomes)}"
    body = [f"<h1>{escape(title)}</h1>", f"<p>{escape(_told(report))}</p>", _means(report)]
    if report.comparisons:
        body += ["<h2>Do they differ?</h2>", _comparisons(report)]
    body += [*drawn, f"<h2>{_heading(report)}</h2>", _questions(report), "<h2>Configurations</h2>"]
    for one in report.outcomes:
        shown = json.dumps(one.query, indent=2, ensure_ascii=False)
        body.append(f"<h3>{escape(one.name)}</h3><pre>{escape(shown)}</pre>")
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    Path(path).write_text(f"<!doctype html><html><head>{head}</head><body>{''.join(body)}</body></html>", "utf-8")


def _told(report: Report) -> str:
    left = f"; {report.unjudged:,} more had no judgement and were left out" if report.unjudged else ""
    return f"{len(report.questions):,} questions to {report.rows:,} rows{left}."


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    def cell(value: Any) -> str:
        if isinstance(value, float):
            return f'<td class="number">{value:.4f}</td>'
        if isinstance(value, int):
            return f'<td class="number">{value:,}</td>'
        return f"<td>{escape(str(value))}</td>"

    heads = "".join(f"<th>{escape(name)}</th>" for name in header)
    lines = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    return f"<table><tr>{heads}</tr>{lines}</table>"


def _means(report: Report) -> str:
    names = [one.name for one in report.outcomes]
    rows: list[Sequence[Any]] = [(name, *(one.mean(name) for one in report.outcomes)) for name in report.measures]
    rows.append(("median ms", *(one.median_ms for one in report.outcomes)))
    rows.append(("95 % below, ms", *(one.p95_ms for one in report.outcomes)))
    return _table(("mean", *names), rows)


def _comparisons(report: Report) -> str:
    header = ("measure", "difference", "95 % interval", "p", "better", "worse", "equal")
    rows = [
        (
            one.measure,
            one.difference,
            f"{one.low:+.4f} to {one.high:+.4f}",
            one.p_value,
            one.better,
            one.worse,
            one.equal,
        )
        for one in report.comparisons
    ]
    first, second = (one.name for one in report.outcomes)
    compared = report.comparisons[0]
    told = (
        f"{second} less {first}, question by question; paired {compared.test} test. Several measures "
        "are several tests: a small p among many is less than it seems."
    )
    return f"<p>{escape(told)}</p>{_table(header, rows)}"


def _heading(report: Report) -> str:
    return "Where they differ most" if report.comparisons else "Where it does worst"


def _main_measure(report: Report) -> str:
    """Return what questions are listed by: the first judged measure, or else recall against exact."""
    return (*report.measures[1:], report.measures[0])[0]


def _questions(report: Report) -> str:
    name = _main_measure(report)
    columns = [one.values[name] for one in report.outcomes]
    if len(columns) == 2:
        order = sorted(range(len(report.questions)), key=lambda at: -abs(columns[1][at] - columns[0][at]))
    else:
        order = sorted(range(len(report.questions)), key=lambda at: columns[0][at])
    rows = [(report.questions[at], report.texts[at][:200], *(column[at] for column in columns)) for at in order[:SHOWN]]
    return _table(("id", "question", *(f"{name}, {one.name}" for one in report.outcomes)), rows)


def _plain(text: str) -> str:
    """Return a text that plotly shows as it is: it reads some HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _bars(plotly: Any, report: Report) -> Any:
    bars = [
        plotly.Bar(
            name=_plain(one.name),
            x=list(report.measures),
            y=[one.mean(measure) for measure in report.measures],
            marker_color=COLOURS[number],
        )
        for number, one in enumerate(report.outcomes)
    ]
    return plotly.Figure(bars, {"title": {"text": "Means"}, "template": "plotly_white", "barmode": "group"})


def _times(plotly: Any, report: Report) -> Any:
    boxes = [
        plotly.Box(name=_plain(one.name), x=list(one.milliseconds), marker_color=COLOURS[number])
        for number, one in enumerate(report.outcomes)
    ]
    axis = {"type": "log", "title": {"text": "ms"}}
    layout = {"title": {"text": "Time of one question"}, "template": "plotly_white", "xaxis": axis}
    return plotly.Figure(boxes, {**layout, "showlegend": False})


def _differences(plotly: Any, report: Report) -> Any:
    name = _main_measure(report)
    first, second = (one.values[name] for one in report.outcomes)
    apart = sorted(
        ((after - before, question) for before, after, question in zip(first, second, report.questions, strict=True)),
        reverse=True,
    )
    bars = plotly.Bar(
        y=[value for value, _ in apart],
        text=[_plain(question) for _, question in apart],
        hovertemplate="%{text}: %{y:+.3f}<extra></extra>",
        marker_color=[COLOURS[0] if value >= 0 else COLOURS[1] for value, _ in apart],
    )
    title = f"{name}, question by question: {report.outcomes[1].name} less {report.outcomes[0].name}"
    return plotly.Figure([bars], {"title": {"text": _plain(title)}, "template": "plotly_white"})
