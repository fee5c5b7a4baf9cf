"""What reads and writes give back. Columnar: Python objects are made only for the rows that are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, overload

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class WriteResult:
    """An acknowledged write.

    Attributes:
        lsn: its number in the collection's log; later writes have greater ones. Upserts of single rows that
            several threads made at the same moment may share a number.
        rows: rows stored, or for a delete the rows that were there and are gone.
        durable: True when the write survives a power cut from now on.

    """

    lsn: int
    rows: int
    durable: bool


@dataclass(frozen=True, slots=True)
class Hit:
    """One result. `hit["section"]` is short for `hit.fields["section"]`."""

    id: str | int
    score: float
    distance: float
    fields: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        """Return a field's value."""
        return self.fields[name]


class Rows(Protocol):
    """What a result asks of the state that it was found in."""

    scores: np.ndarray
    missing: tuple[str, ...]

    def ids(self) -> list[Any]:
        """Return the ids."""
        ...

    def id_table(self) -> pa.Table:
        """Return the ids as a table of one column."""
        ...

    def field_table(self) -> pa.Table:
        """Return the fields that were asked for."""
        ...

    def field_values(self) -> list[tuple[str, list[Any]]]:
        """Return the fields that were asked for, by name, as Python values."""
        ...

    def explain(self) -> dict[str, Any]:
        """Return how the rows were found."""
        ...


class SearchResult:
    """The hits of one query, best first.

    `score`: higher is better: cosine, dot product, or minus the squared Euclidean distance. `distance` keeps the
    metric's own direction: 1 - cosine, minus the dot product, or the squared Euclidean distance.
    """

    def __init__(self, rows: Rows, metric: str) -> None:
        self._rows = rows
        self._metric = metric
        self.scores = rows.scores
        self._listed: list[Any] | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """Segments left out because of damage, when the search allowed it."""
        return self._rows.missing

    @property
    def explain(self) -> dict[str, Any]:
        """How the answer was found: for each part of the collection the plan, and how many codes were compared."""
        return self._rows.explain()

    @property
    def distances(self) -> np.ndarray:
        """One distance per hit, float32."""
        return (1 - self.scores).clip(0) if self._metric == "cosine" else 0 - self.scores

    @cached_property
    def _ids(self) -> pa.Table:
        return self._rows.id_table()

    @cached_property
    def _fields(self) -> pa.Table:
        return self._rows.field_table()

    @property
    def ids(self) -> list[Any]:
        """The ids, best first."""
        if self._listed is None:
            self._listed = self._rows.ids()
        return self._listed

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self._hits)

    @overload
    def __getitem__(self, at: int) -> Hit: ...
    @overload
    def __getitem__(self, at: slice) -> list[Hit]: ...
    def __getitem__(self, at: int | slice) -> Hit | list[Hit]:
        """Return the hit at a rank, from 0."""
        return self._hits[at]

    @cached_property
    def _hits(self) -> list[Hit]:
        ids = self.ids
        columns = self._rows.field_values()
        fields = [{name: values[at] for name, values in columns} for at in range(len(ids))]
        return [Hit(*hit) for hit in zip(ids, self.scores.tolist(), self.distances.tolist(), fields, strict=True)]

    def to_arrow(self) -> pa.Table:
        """Return a table: the id column, score, distance, then the fields."""
        import pyarrow as pa

        table = self._ids.append_column("score", pa.array(self.scores))
        table = table.append_column("distance", pa.array(self.distances))
        for field, column in zip(self._fields.schema, self._fields.columns, strict=True):
            table = table.append_column(field, column)
        return table

    def to_pandas(self) -> pd.DataFrame:
        """Return to_arrow() as a pandas frame; pandas must be installed."""
        return self.to_arrow().to_pandas()

    def to_polars(self) -> pl.DataFrame:
        """Return to_arrow() as a polars frame; polars must be installed."""
        import polars as pl

        frame = pl.from_arrow(self.to_arrow())
        assert isinstance(frame, pl.DataFrame)
        return frame

    def to_list(self) -> list[dict[str, Any]]:
        """Return one dict per hit: the id under its name, score, distance, then the fields."""
        return [
            {self._ids.column_names[0]: hit.id, "score": hit.score, "distance": hit.distance, **hit.fields}
            for hit in self
        ]

    def __repr__(self) -> str:
        shown = ", ".join(f"{hit.id!r} {hit.score:.4f}" for hit in self[:3])
        return f"SearchResult({len(self)} hits{': ' + shown if shown else ''}{', …' if len(self) > 3 else ''})"


@dataclass(frozen=True, slots=True)
class RecallReport:
    """How good and how fast answers are, measured against the exact scan.

    Attributes:
        recall: the mean share of the true k best rows that were found.
        worst: the smallest share of any query.
        k: rows asked for.
        queries: how many were asked.
        short: answers with fewer rows than the exact one has; never any.
        p50_ms: median time of a search.
        p95_ms: 95 of 100 took no longer.
        exact_p50_ms: median time of the exact search.
        codes_compared: codes of an index that a search compared, on average.
        plans: how often which plan was carried out, over all segments.

    """

    recall: float
    worst: float
    k: int
    queries: int
    short: int
    p50_ms: float
    p95_ms: float
    exact_p50_ms: float
    codes_compared: float
    plans: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TuneReport:
    """What recall a search reaches at which width (ef, for 10 rows), measured with so many queries for k rows."""

    k: int
    queries: int
    curve: tuple[tuple[int, float], ...]

    def ef_for(self, recall: float) -> int | None:
        """Return the smallest measured width that reaches a recall; None when none did."""
        return next((ef for ef, reached in self.curve if reached >= recall), None)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that `check` found.

    severity is "error" (data cannot be read), "derived" (repair rebuilds it) or "note" (as a crash leaves it: nothing
    to do).
    """

    path: str
    message: str
    severity: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Everything that `check` found, and how much it read."""

    problems: tuple[Problem, ...]
    files: int
    bytes: int

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; notes do not count."""
        return all(problem.severity == "note" for problem in self.problems)


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What `repair` did, a sentence each, and how many rows could not be brought back."""

    actions: tuple[str, ...]
    rows_lost: int
