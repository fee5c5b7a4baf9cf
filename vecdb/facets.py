"""How often the values of fields occur: what `facets` returns, and how its ranges are given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from vecdb.errors import InvalidInputError
from vecdb.schema.blame import shown
from vecdb.schema.given import is_finite, listed, names
from vecdb.schema.schema import Column, Schema
from vecdb.schema.timestamps import timestamp_micros

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

EDGES = 10_000
"""The most edges of the ranges of one field."""
COUNTED = frozenset(("text", "keyword", "bool", "int64", "float64", "timestamp"))
"""Kinds of field whose values can be counted."""
MEASURED = frozenset(("int64", "float64", "timestamp"))
"""Kinds of field that have a least, a mean and ranges."""


class Range(NamedTuple):
    """Values from `low` on and below `high`; None: without an end."""

    low: Any
    high: Any

    def __str__(self) -> str:
        low, high = (None if end is None else _shown(end) for end in self)
        if high is None:
            return f"{low} and more" if low is not None else "all"
        return f"{low} to {high}" if low is not None else f"below {high}"


class Count(NamedTuple):
    """A value, or a `Range` of values, and in how many rows it occurs."""

    value: Any
    count: int  # pyright: ignore[reportIncompatibleMethodOverride]


@dataclass(frozen=True, slots=True, repr=False)
class Facet:
    """The values of one field. It is iterated, indexed and measured like its `counts`.

    Attributes:
        field: its name.
        counts: the values that occur in most rows, equal ones in their own order; or each of the ranges that were
            asked for, in their order. A row counts once for each value of a list.
        rows: how many were looked at.
        nulls: how many of them have no value.
        distinct: how many values there are, those that are not in `counts` too; None with ranges.
        outside: with ranges, how many rows have a value in none of them.
        least: the smallest value, of a number or a timestamp.
        greatest: the largest.
        mean: of the values.

    """

    field: str
    counts: tuple[Count, ...]
    rows: int
    nulls: int
    distinct: int | None = None
    outside: int = 0
    least: Any = None
    greatest: Any = None
    mean: Any = None

    def __iter__(self) -> Iterator[Count]:
        return iter(self.counts)

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, at: int) -> Count:
        """Return a count by its place."""
        return self.counts[at]

    def to_dict(self) -> dict[Any, int]:
        """Return each value's count."""
        return dict(self.counts)

    def to_list(self) -> list[dict[str, Any]]:
        """Return one dict per count: value and count; low, high and count with ranges."""
        return [
            {"low": value.low, "high": value.high, "count": count}
            if isinstance(value, Range)
            else {"value": value, "count": count}
            for value, count in self.counts
        ]

    def to_arrow(self) -> pa.Table:
        """Return `to_list` as a table."""
        import pyarrow as pa

        names = ("value",) if self.distinct is not None else ("low", "high")
        rows = self.to_list()
        columns = {name: pa.array([row[name] for row in rows]) for name in names}
        return pa.table({**columns, "count": pa.array([row["count"] for row in rows], pa.int64())})

    def to_pandas(self) -> pd.DataFrame:
        """Return `to_arrow` as a pandas frame; pandas must be installed."""
        return self.to_arrow().to_pandas()

    def __repr__(self) -> str:
        told = [f"{_shown(value)} {count:,}" for value, count in self.counts[:10]]
        if self.distinct is None:
            told += [] if len(self.counts) <= 10 else [f"… {len(self.counts) - 10:,} more ranges"]
            told += [f"outside {self.outside:,}"] if self.outside else []
        elif self.distinct > len(told):
            told.append(f"… {self.distinct - len(told):,} more values")
        if self.nulls:
            told.append(f"null {self.nulls:,}")
        if self.least is not None:
            told.append(f"from {_shown(self.least)} to {_shown(self.greatest)}, mean {_shown(self.mean)}")
        return f"{self.field}: {' · '.join(told) or 'no rows'}"


@dataclass(frozen=True, slots=True, repr=False)
class Facets(Mapping[str, Facet]):
    """The facets that were asked for, by the field's name, in the order asked.

    Attributes:
        rows: how many rows were looked at.
        facets: one for each field.

    """

    rows: int
    facets: tuple[Facet, ...]

    def __getitem__(self, name: str) -> Facet:
        """Return the facet of a field."""
        for facet in self.facets:
            if facet.field == name:
                return facet
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (facet.field for facet in self.facets)

    def __len__(self) -> int:
        return len(self.facets)

    def to_list(self) -> list[dict[str, Any]]:
        """Return one dict per count: the field, the value (a range as text), and the count."""
        return [
            {"field": facet.field, "value": str(value) if isinstance(value, Range) else value, "count": count}
            for facet in self.facets
            for value, count in facet
        ]

    def to_arrow(self) -> pa.Table:
        """Return a table: field, value as text, count. `Facet.to_arrow` keeps the type of the values."""
        import pyarrow as pa

        rows = self.to_list()
        return pa.table(
            {
                "field": pa.array([row["field"] for row in rows], pa.string()),
                "value": pa.array([_shown(row["value"]) for row in rows], pa.string()),
                "count": pa.array([row["count"] for row in rows], pa.int64()),
            }
        )

    def to_pandas(self) -> pd.DataFrame:
        """Return `to_arrow` as a pandas frame; pandas must be installed."""
        return self.to_arrow().to_pandas()

    def __repr__(self) -> str:
        lines = [f"Facets({self.rows:,} rows)", *(f"  {facet!r}" for facet in self.facets)]
        return "\n".join(lines)


class Asked(NamedTuple):
    """A field whose values are counted: the k most frequent ones, or those in ranges.

    `edges` has what the user gave, and `bounds` the same as stored numbers: microseconds, or whole numbers.
    """

    column: Column
    edges: tuple[Any, ...] | None
    bounds: tuple[Any, ...] | None


def asked_fields(schema: Schema, fields: Any) -> list[Asked]:
    """Return which fields to count, as a user named them: one, several, or a dict with edges of ranges.

    Raises:
        UnknownFieldError: a name is no field.
        InvalidInputError: the values of a field cannot be counted, or the edges are none.

    """
    if isinstance(fields, str):
        fields = (fields,)
    if not isinstance(fields, Mapping):
        fields = dict.fromkeys(names("fields", listed("fields", fields, "fields, or a dict with edges")))
    if not fields:
        raise InvalidInputError("facets of no fields: name at least one", field="fields")
    asked = []
    for name, edges in fields.items():
        column = schema[name]
        if column.field.kind not in COUNTED:
            raise InvalidInputError(f"facets cannot count field {name!r}, which is {column.field.kind}", field=name)
        if edges is None:
            asked.append(Asked(column, None, None))
        else:
            asked.append(Asked(column, *_edges(column, edges)))
    return asked


def _edges(column: Column, edges: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    name, kind = column.name, column.field.kind
    if kind not in MEASURED:
        raise InvalidInputError(f"field {name!r} is {kind}: ranges are of numbers and timestamps", field=name)
    given = listed(f"edges of {name!r}", edges, "values")
    ends = tuple(edge.item() if getattr(edge, "shape", None) == () else edge for edge in given)
    if not 2 <= len(ends) <= EDGES:
        raise InvalidInputError(f"{name!r} has {len(ends)} edges, expected 2 to {EDGES:,}", field=name)
    bounds = []
    for at, edge in enumerate(ends):
        if edge is None and at not in (0, len(ends) - 1):
            raise InvalidInputError(f"an edge of {name!r} is None: only the first and the last may be", field=name)
        bounds.append(None if edge is None else _bound(name, kind, edge))
    known = [bound for bound in bounds if bound is not None]
    for low, high in pairwise(known):
        if not low < high:
            raise InvalidInputError(f"the edges of {name!r} do not ascend: {shown(ends)}", field=name, value=ends)
    return ends, tuple(bounds)


def _bound(name: str, kind: str, edge: Any) -> Any:
    """Return an edge as a number that stored ones are compared with, exactly."""
    if kind == "timestamp":
        try:
            found = timestamp_micros(edge)
        except (ValueError, TypeError) as error:
            raise InvalidInputError(f"edge {shown(edge)} of {name!r} {error}", field=name, value=edge) from None
        if found is None:
            raise InvalidInputError(f"edge {shown(edge)} of {name!r} is no moment", field=name, value=edge)
        return found
    if not is_finite(edge):
        raise InvalidInputError(
            f"edge {shown(edge)} of {name!r} is no finite number; None as first or last edge leaves that end open",
            field=name,
            value=edge,
        )
    return edge


def _shown(value: Any) -> str:
    if isinstance(value, str | Range):
        return str(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
