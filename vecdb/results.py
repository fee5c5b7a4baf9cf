"""What reads and writes give back. Columnar: Python objects are made only for the rows that are looked at."""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, overload

from vecdb.errors import InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from vecdb.highlights import Highlight


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
class Refreshed:
    """What `refresh_similar` did: rows that were searched for, links that were written, and deleted."""

    searched: int
    written: int
    deleted: int


class ArmScore(NamedTuple):
    """What one arm of a query says of a hit: its rank from 1, and its score."""

    rank: int
    score: float


class PathStep(NamedTuple):
    """A step of the way to a hit.

    Attributes:
        id: of the row that the step leads to; at first, of the one where the path begins.
        type: of the link that was followed; None at first, and between facts.
        ahead: whether the link was followed as it points.

    """

    id: str | int
    type: str | None
    ahead: bool = True


class Paths(NamedTuple):
    """How links led to hits, as columns: the steps of all hits, one hit behind the other.

    Attributes:
        lengths: how many steps each hit has; 0 where no link led to it.
        ids: what each step leads to.
        types: types of links, by their codes.
        links: the code of the type of the link that each step follows; -1 for none.
        ahead: whether the link is followed as it points.

    """

    lengths: Sequence[int]
    ids: Sequence[str | int]
    types: Sequence[str]
    links: Sequence[int]
    ahead: Sequence[bool]

    def of_each(self) -> list[tuple[PathStep, ...]]:
        """Return the path of each hit."""
        types = {code: self.types[code] for code in set(self.links) if code >= 0}
        steps = [
            PathStep(value, types.get(code), ahead)
            for value, code, ahead in zip(self.ids, self.links, self.ahead, strict=True)
        ]
        ends = accumulate(self.lengths)
        return [tuple(steps[end - length : end]) for end, length in zip(ends, self.lengths, strict=True)]


class Member(NamedTuple):
    """A row that a chosen one represents, and how similar they are."""

    id: str | int
    similarity: float


class Pick(NamedTuple):
    """What a selection says of a hit.

    Attributes:
        order: the place in which it was chosen, from 1.
        gain: what it added to the set, by the selection's own measure.
        members: candidates that it stands for, most similar first: those that are closer to it than to any other chosen
            row, and at least half way from the median similarity of candidates to being the same.

    """

    order: int
    gain: float
    members: tuple[Member, ...]


class Selected(NamedTuple):
    """What a selection says of the answer as a whole.

    Attributes:
        method: "graph_cut", "facility_location", "saturated", "words", "communities", "mmr", "dpp" or "dispersion".
        pool: candidates that it chose from.
        coverage: from 0 to 1, how well the answer represents them, or the universe: the mean similarity to the closest
            hit, counted from the median of the candidates, by relevance.
        ended: why there are no more hits: "full", there are k; "candidates", no others may be chosen; "gain", others
            would add too little.

    """

    method: str
    pool: int
    coverage: float
    ended: str


NO_ARMS: Mapping[str, ArmScore] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Hit:
    """One result. `hit["section"]` is short for `hit.fields["section"]`.

    `distance` is None where the score is not that of one vector field. `arms` has what each arm of a query with several
    ones says, by the arm's name; arms that did not find the hit are left out. `path` is how links led to it, from the
    row where the path begins to the hit: empty where none did. `pick` is what a selection says of it.
    """

    id: str | int
    score: float
    distance: float | None
    fields: Mapping[str, Any]
    arms: Mapping[str, ArmScore] = field(default_factory=lambda: NO_ARMS)
    path: tuple[PathStep, ...] = ()
    pick: Pick | None = None

    def __getitem__(self, name: str) -> Any:
        """Return a field's value."""
        return self.fields[name]


@dataclass(frozen=True, slots=True)
class Group:
    """The hits that share a value of the field that a query groups by, best first."""

    value: Any
    hits: Sequence[Hit]


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

    def highlights(self, length: int) -> list[dict[str, Highlight]]:
        """Return, for each row, what of the texts that were searched has the words, by field."""
        ...

    def explain(self) -> dict[str, Any]:
        """Return how the rows were found."""
        ...

    def arms(self) -> list[tuple[str, list[int], list[float]]]:
        """Return each arm's name, and its rank (0: not found) and score of each row; none of a query with one arm."""
        ...

    def paths(self) -> Paths | None:
        """Return how links led to each row; None where nothing was walked."""
        ...

    def groups(self) -> Sequence[tuple[Any, int, int]] | None:
        """Return the value, first and last place of each group; None where nothing was grouped."""
        ...

    def cursor(self) -> str | None:
        """Return where the next page begins; None behind the last one."""
        ...

    def fetches(self) -> tuple[int, ...]:
        """Return what each arm gathered, where the cursor follows from that, the query and the last hit; else ()."""
        ...

    def selected(self) -> Selected | None:
        """Return what a selection says of the rows as a whole; None without one."""
        ...

    def picks(self) -> list[Pick]:
        """Return what a selection says of each row."""
        ...


class SearchResult:
    """The hits of one query, best first.

    `score`: higher is better: cosine, dot product, or minus the squared Euclidean or the Hamming distance, or
    BM25 of words. Scores are float32, those that a formula or a function made float64. `distance` keeps the metric's
    own direction: 1 - cosine, minus the dot product, the squared Euclidean or the Hamming distance; None where the
    score is not that of one vector field, as with words, or several arms.
    """

    def __init__(self, rows: Rows, metric: str | None) -> None:
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
    def distances(self) -> np.ndarray | None:
        """One distance per hit, float32; None where scores are not those of one vector field."""
        if self._metric is None:
            return None
        return (1 - self.scores).clip(0) if self._metric == "cosine" else 0 - self.scores

    @property
    def cursor(self) -> str | None:
        """The place behind the last hit, for `search(after=...)` with the same query; None behind the last page."""
        return self._rows.cursor()

    @property
    def groups(self) -> list[Group] | None:
        """The hits by groups, those of the best hit first; None where the query does not group."""
        told = self._rows.groups()
        return None if told is None else [Group(value, self._hits[first:last]) for value, first, last in told]

    @property
    def selection(self) -> Selected | None:
        """What a selection says of the answer; None where nothing was selected. Each hit's `pick` tells of itself."""
        return self._rows.selected()

    def highlights(self, length: int = 160) -> list[dict[str, Highlight]]:
        """Return, for each hit of a search by words, the part of the text that has most of them, by field.

        Args:
            length: characters of a part, about; at least 1.

        """
        if isinstance(length, bool) or not isinstance(length, numbers.Integral) or length < 1:
            raise InvalidInputError(
                f"length is {length!r:.80}, expected a whole number of at least 1", field="length", value=length
            )
        return self._rows.highlights(int(length))

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
        distances = self.distances
        told = [None] * len(ids) if distances is None else distances.tolist()
        hits = zip(ids, self.scores.tolist(), told, fields, strict=True)
        arms, paths, selected = self._rows.arms(), self._rows.paths(), self._rows.selected()
        if not arms and paths is None and selected is None:
            return [Hit(*hit) for hit in hits]
        steps = [()] * len(ids) if paths is None else paths.of_each()
        picks: Sequence[Pick | None] = [None] * len(ids) if selected is None else self._rows.picks()
        return [
            Hit(
                *hit,
                {name: ArmScore(ranks[at], scores[at]) for name, ranks, scores in arms if ranks[at]} or NO_ARMS,
                steps[at],
                picks[at],
            )
            for at, hit in enumerate(hits)
        ]

    def to_arrow(self) -> pa.Table:
        """Return a table: the id column, score, distance where there is one, then the fields."""
        import pyarrow as pa

        table = self._ids.append_column("score", pa.array(self.scores))
        if self.distances is not None:
            table = table.append_column("distance", pa.array(self.distances))
        for shown, column in zip(self._fields.schema, self._fields.columns, strict=True):
            table = table.append_column(shown, column)
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
        """Return one dict per hit: the id under its name, score, distance where there is one, then the fields."""
        name = self._ids.column_names[0]
        return [
            {name: hit.id, "score": hit.score}
            | ({} if hit.distance is None else {"distance": hit.distance})
            | dict(hit.fields)
            for hit in self
        ]

    def __repr__(self) -> str:
        first = zip(self.ids[:3], self.scores[:3].tolist(), strict=True)  # without their fields
        shown = ", ".join(f"{id!r} {score:.4f}" for id, score in first)
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
    """What recall a search reaches at which width (ef, for 10 rows), measured with so many queries for k rows.

    `warnings` says in sentences why it may be worth little.
    """

    k: int
    queries: int
    curve: tuple[tuple[int, float], ...]
    warnings: tuple[str, ...] = ()

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
