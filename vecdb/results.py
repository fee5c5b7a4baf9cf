"""What reads and writes give back. Columnar: Python objects are made only for the rows that are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

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


class SearchResult:
    """The hits of one query, best first.

    `score`: higher is better: cosine, dot product, or minus the squared Euclidean distance. `distance` keeps the
    metric's own direction: 1 - cosine, minus the dot product, or the squared Euclidean distance.
    """

    def __init__(
        self,
        scores: np.ndarray,
        metric: str,
        fetch_ids: Callable[[], pa.Table],
        fetch_fields: Callable[[], pa.Table],
        json_fields: frozenset[str] = frozenset(),
        missing: tuple[str, ...] = (),
    ) -> None:
        self.scores = scores
        self.missing = missing
        self._metric = metric
        self._fetch_ids = fetch_ids
        self._fetch_fields = fetch_fields
        self._json_fields = json_fields

    @property
    def distances(self) -> np.ndarray:
        """One distance per hit, float32."""
        return (1 - self.scores).clip(0) if self._metric == "cosine" else 0 - self.scores

    @cached_property
    def _ids(self) -> pa.Table:
        return self._fetch_ids()

    @cached_property
    def _fields(self) -> pa.Table:
        return self._fetch_fields()

    @property
    def ids(self) -> list[Any]:
        """The ids, best first."""
        return self._ids.column(0).to_pylist()

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
        columns = [
            (name, to_python(self._fields.column(name), name in self._json_fields))
            for name in self._fields.column_names
        ]
        fields = [{name: values[at] for name, values in columns} for at in range(len(ids))]
        return [Hit(*hit) for hit in zip(ids, self.scores.tolist(), self.distances.tolist(), fields, strict=True)]

    def to_arrow(self) -> pa.Table:
        """Return a table: the id column, score, distance, then the fields."""
        import pyarrow as pa

        table = self._ids.append_column("score", pa.array(self.scores))
        table = table.append_column("distance", pa.array(self.distances))
        for name, column in zip(self._fields.column_names, self._fields.columns, strict=True):
            table = table.append_column(name, column)
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


def to_python(column: pa.ChunkedArray | pa.Array, is_json: bool = False) -> list[Any]:
    """Return a column as Python values: vectors as NumPy arrays, JSON parsed, everything else as Arrow makes it."""
    import pyarrow as pa

    if is_json:
        from orjson import loads

        return [None if text is None else loads(text) for text in column.to_pylist()]
    if not pa.types.is_fixed_size_list(column.type):
        return column.to_pylist()
    return [None if value.values is None else value.values.to_numpy() for value in column]


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
