"""The options of `vecdb query` that choose the answer as a set, and the stage that they mean."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vecdb_client.cli import complete
from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.numbers import whole

if TYPE_CHECKING:
    from vecdb.collection import Collection
    from vecdb.query.selection import Budget, Cells, Select
    from vecdb_client.cli.asked import Options

METHODS = "coverage", "mmr", "dpp", "dispersion"
FORMS = "graph_cut", "facility_location", "saturated", "words", "communities"
NEED_SELECT = (
    "balance", "form", "quota", "grid", "budget_tokens", "budget_field", "distinct", "fixed", "forbidden", "min_gain",
    "pool", "by_links", "select_field", "universe",
)  # fmt: skip
"""Options that say nothing without --select."""


def _methods(incomplete: str) -> list[str]:
    return [name for name in METHODS if name.startswith(incomplete)]


def _forms(incomplete: str) -> list[str]:
    return [name for name in FORMS if name.startswith(incomplete)]


SelectOption = Annotated[
    str | None,
    typer.Option(
        "--select",
        metavar="METHOD",
        help="Choose the answer as a set, without repetition: coverage, mmr, dpp or dispersion.",
        autocompletion=_methods,
    ),
]
Balance = Annotated[
    float | None,
    typer.Option("--balance", metavar="SHARE", help="With --select: from 0, the best rows, to 1, without relevance."),
]
Form = Annotated[
    str | None,
    typer.Option(
        "--form",
        metavar="NAME",
        help="With --select coverage: graph_cut, facility_location, saturated, words or communities [graph_cut].",
        autocompletion=_forms,
    ),
]
QuotaOption = Annotated[
    list[str] | None,
    typer.Option(
        "--quota",
        metavar="FIELD[:VALUE]=LOW..HIGH",
        help="With --select: how many rows may have each value of a field, or a certain one, e.g. section=0..3.",
        autocompletion=complete.fields,
    ),
]
GridOption = Annotated[
    list[str] | None,
    typer.Option(
        "--grid",
        metavar="FIELD[:BINS]",
        help="With --select: one row of each cell of these fields at most; numbers in so many bins.",
        autocompletion=complete.fields,
    ),
]
BudgetTokens = Annotated[
    float | None,
    typer.Option(
        "--budget-tokens", metavar="N", help="With --select: tokens that the rows' texts may have together, about."
    ),
]
BudgetField = Annotated[
    str | None,
    typer.Option(
        "--budget-field",
        metavar="FIELD",
        help="With --budget-tokens: the text, or a number field that holds the tokens.",
        autocompletion=complete.fields,
    ),
]
Distinct = Annotated[
    float | None,
    typer.Option("--distinct", metavar="SIMILARITY", help="With --select: rows as similar as this count as the same."),
]
Fixed = Annotated[list[str] | None, typer.Option("--fixed", metavar="ID", help="With --select: choose this row first.")]
Forbidden = Annotated[
    list[str] | None, typer.Option("--forbidden", metavar="ID", help="With --select: never choose this row.")
]
MinGain = Annotated[
    float | None,
    typer.Option(
        "--min-gain", metavar="SHARE", help="With --select: stop at rows that add less than this share of the first."
    ),
]
ByLinks = Annotated[
    bool | None, typer.Option("--by-links", help="With --select: links tell how similar rows are, not vectors.")
]
PoolOption = Annotated[
    int | None, typer.Option("--pool", metavar="N", min=1, help="With --select: candidates to choose from.")
]
SelectField = Annotated[
    str | None,
    typer.Option(
        "--select-field",
        metavar="FIELD",
        help="With --select: the vectors or multi-vectors that tell how similar rows are [those of the query].",
        autocompletion=complete.fields,
    ),
]
UniverseOption = Annotated[
    str | None,
    typer.Option(
        "--universe",
        metavar="N|cells:N|ID,ID",
        help="With --form facility_location or saturated: what is represented: so many of the nearest rows, those in so"
        " many cells of inverted lists, or these.",
    ),
]


def needs(asked: "Options") -> list[tuple[bool, str, str]]:
    """Return for each option whether it lacks another one, and both their names.

    Raises:
        CommandError: a page is asked for behind a set.

    """
    if asked.select is not None and asked.after is not None:
        raise CommandError("--select has one page: give it without --after")
    lacking = asked.select is None
    out = [
        (lacking and getattr(asked, name) not in (None, ()), f"--{name.replace('_', '-')}", "--select")
        for name in NEED_SELECT
    ]
    out.append((asked.form is not None and asked.select != "coverage", "--form", "--select coverage"))
    out.append((asked.budget_field is not None and asked.budget_tokens is None, "--budget-field", "--budget-tokens"))
    return out


def selection_of(target: "Collection", asked: "Options") -> "Select":
    """Return the stage that the options mean.

    Raises:
        CommandError: an option cannot be read.
        InvalidInputError: a value is wrong.

    """
    from vecdb.query.selection import Quota, Select, method_of
    from vecdb_client.cli.session import parse_ids

    told: dict[str, Any] = {"kind": asked.select}
    told |= {name: value for name, value in (("balance", asked.balance), ("form", asked.form)) if value is not None}
    return Select(
        method_of(told),
        asked.select_field,
        quotas=tuple(Quota(*_quota(target, entry)) for entries in asked.quota for entry in entries.split(",")),
        grid=_grid(asked.grid),  # pyright: ignore[reportArgumentType]
        fixed=tuple(parse_ids(target, asked.fixed)),
        forbidden=tuple(parse_ids(target, asked.forbidden)),
        distinct=asked.distinct,
        budget=_budget(target, asked),
        min_gain=asked.min_gain or 0.0,
        pool=asked.pool,
        similarity="links" if asked.by_links else None,
        universe=None if asked.universe is None else _universe(target, asked.universe),
    )


def _universe(target: "Collection", text: str) -> "int | Cells | tuple[str | int, ...]":
    """Return what a set represents, of `500`, `cells:4` or `d1,d2`."""
    from vecdb.query.selection import Cells
    from vecdb_client.cli.session import parse_ids

    rows = whole(text)
    if rows is not None:
        return rows
    name, colon, probes = text.partition(":")
    if name == "cells":
        cells = whole(probes)
        if colon and cells is None:
            raise CommandError(f"--universe {text!r}: {probes!r} is no number of cells")
        return Cells() if cells is None else Cells(cells)
    return tuple(parse_ids(target, tuple(text.split(","))))


def _quota(target: "Collection", entry: str) -> tuple[str, int, int | None, Any]:
    """Return field, bounds and value of `section=0..3` or `section:games=1..`."""
    named, equals, bounds = entry.rpartition("=")
    low, dots, high = bounds.partition("..")
    field, colon, value = named.strip().partition(":")
    try:
        if not (equals and dots and field):
            raise ValueError
        least, most = int(low or 0), int(high) if high else None
    except ValueError:
        raise CommandError(
            f"--quota {entry!r} is no quota", hint="write section=0..3, or section:games=1..3 for one value"
        ) from None
    return field, least, most, _value(target, field, value) if colon else None


def _value(target: "Collection", field: str, text: str) -> Any:
    kind = target.schema[field].field.kind
    try:
        if kind in ("int64", "float64"):
            return int(text) if kind == "int64" else float(text)
        if kind == "bool":
            return {"true": True, "false": False}[text.lower()]
    except (ValueError, KeyError):
        raise CommandError(f"--quota: {text!r} is no value of {field!r}, which is {kind}") from None
    return text


def _grid(entries: tuple[str, ...]) -> dict[str, int | None]:
    out: dict[str, int | None] = {}
    for entry in (one for each in entries for one in each.split(",")):
        field, colon, bins = entry.strip().partition(":")
        out[field] = whole(bins)
        if colon and out[field] is None:
            raise CommandError(f"--grid {entry!r}: {bins!r} is no number of bins")
    return out


def _budget(target: "Collection", asked: "Options") -> "Budget | None":
    from vecdb.query.selection import Budget

    if asked.budget_tokens is None:
        return None
    field = asked.budget_field
    if field is None:
        texts = [column.name for column in target.schema.columns if column.field.kind == "text"]
        if len(texts) != 1:
            known = ", ".join(texts) or "none"
            raise CommandError(f"--budget-tokens needs --budget-field: which text? There are: {known}")
        field = texts[0]
    return Budget(asked.budget_tokens, field)
