"""Ranked rows of several parts: keeping the best, and fetching their values."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from vecdb.planner.paths import PathColumn
from vecdb.schema.arrays import numbers_array
from vecdb.storage.snapshot import Part
from vecdb_index.types import Answers


class Work(NamedTuple):
    """What the search of one part by its index took.

    Attributes:
        codes: how many were compared.
        scored: rows that were scored exactly.
        met: candidates that there were.

    """

    codes: int
    scored: int
    met: int


NO_WORK = Work(0, 0, 0)


class PartPlan(NamedTuple):
    """How one part was searched.

    Attributes:
        part: the segment's name; None for rows that are in memory and the log only.
        rows: of the part.
        matching: rows that are alive, have a vector and pass the filter; for words, that have what must be there.
        plan: skip, scan (exact), codes, graph, wide, two_hops or lists; for words, "words" or "words in memory".
        ef: candidates that a walk kept, lists that were read, or rows that codes left to be scored; 0 where the plan
            has no width.
        problem: why the part's index could not be used, if it is damaged.
        cost: what the plan is supposed to cost, in codes read in order; 0 where nobody estimated it.
        reason: why it was chosen, and what the others would have cost.
        codes: codes that it is supposed to compare; 0 where nobody estimated it.
        code_bytes: bytes of a row's code in the index; 0 without one.
        row_bytes: bytes of a row's vector.
        matches: for words and terms, about how many of the matching rows have one; 0 where nobody estimated it.
        postings: entries of the words' or terms' lists, the most that is read; 0 where nobody counted them.
        blocks: the blocks of postings that they lie in.

    """

    part: str | None
    rows: int
    matching: int
    plan: str
    ef: int
    problem: str | None = None
    cost: float = 0.0
    reason: str = ""
    codes: int = 0
    code_bytes: int = 0
    row_bytes: int = 0
    matches: int = 0
    postings: int = 0
    blocks: int = 0

    def told(self) -> dict[str, Any]:
        """Return what was planned, as plain values."""
        return self._asdict()

    def done(self, work: Work) -> dict[str, Any]:
        """Return what was planned and what came of it, as plain values.

        Beside the plan's own: `done`, the plan that was carried out in the end; `compared` and `scored`, codes that
        were compared and rows that were scored; `bytes` of both.
        """
        if self.plan == "scan":
            work = Work(0, self.matching, 0)
        if not self.row_bytes:
            return self.told()
        # A walk meets no more than it has room for; only a look at all codes meets all that match.
        switched = self.plan in ("wide", "two_hops", "graph") and work.met >= self.matching > self.ef
        return self._asdict() | {
            "done": "codes" if switched else self.plan,
            "compared": work.codes,
            "scored": work.scored,
            "bytes": work.codes * self.code_bytes + work.scored * self.row_bytes,
        }


class SharedIds:
    """The ids of a batch's answers, all from one part: fetched together when the first of them is looked at."""

    __slots__ = ("_lines", "_part", "_rows")

    def __init__(self, part: Part, rows: np.ndarray) -> None:
        self._part = part
        self._rows = rows
        self._lines: list[list[Any]] | None = None

    def line(self, at: int, count: int) -> list[Any]:
        """Return the ids of one answer, which has so many rows."""
        if self._lines is None:
            width = self._rows.shape[1]
            flat = self._part.ids_of(self._rows.ravel())
            self._lines = [flat[start : start + width] for start in range(0, len(flat), width)]
        return self._lines[at][:count]


class Found(NamedTuple):
    """Ranked rows: for each the part, the row in it, the score.

    `part` is None when all rows are of the first part. `missing` names the parts left out because of damage; `reads`
    counts the codes that were compared, where an index was used; `work` has the same of each plan but those that skip,
    or nothing. `shared` has the ids of this and other answers, this one's at place `at`. `paths` says how links led to
    the rows, where they did.
    """

    parts: Sequence[Part]
    part: np.ndarray | None
    row: np.ndarray
    score: np.ndarray
    missing: tuple[str, ...] = ()
    plans: tuple[PartPlan, ...] = ()
    reads: int = 0
    shared: SharedIds | None = None
    at: int = 0
    work: tuple[Work, ...] = ()
    paths: PathColumn | None = None

    def told(self) -> list[dict[str, Any]]:
        """Return how each part was searched, as plain values; with what it took, where that is known."""
        if not self.work:
            return [plan.told() for plan in self.plans]
        left = iter(self.work)
        return [plan.told() if plan.plan == "skip" else plan.done(next(left)) for plan in self.plans]

    def ids(self) -> list[Any]:
        """Return the ids of the rows, in their order."""
        if len(self.row) == 0:
            return []
        if self.shared is not None:
            return self.shared.line(self.at, len(self.row))
        if self.part is None or len(self.parts) == 1:
            return self.parts[0].ids_of(self.row)
        out: list[Any] = [None] * len(self.row)
        for number in np.unique(self.part).tolist():
            places = np.flatnonzero(self.part == number)
            for place, value in zip(places.tolist(), self.parts[number].ids_of(self.row[places]), strict=True):
                out[place] = value
        return out

    def places(self) -> list[tuple[Part, int]]:
        """Return the part and the row in it of each."""
        if self.part is None or len(self.parts) == 1:
            return [(self.parts[0], row) for row in self.row.tolist()]
        return [(self.parts[part], row) for part, row in zip(self.part.tolist(), self.row.tolist(), strict=True)]

    def some(self, at: np.ndarray) -> "Found":
        """Return only the rows at these places."""
        part = None if self.part is None else self.part[at]
        return self._replace(part=part, row=self.row[at], score=self.score[at], shared=None)

    def take(self, values: Callable[[Part, np.ndarray], pa.Array]) -> pa.Array:
        """Return one value per row, in their order: values(part, rows) gives those of one part."""
        if self.part is None:
            return values(self.parts[0], self.row)
        return take(self.parts, self.part, self.row, values)


class Candidates(NamedTuple):
    """Rows of one part, best first, that compete for one query."""

    part: int
    rows: np.ndarray
    scores: np.ndarray


def merged(
    parts: Sequence[Part],
    candidates: list[Candidates],
    k: int,
    missing: tuple[str, ...] = (),
    plans: tuple[PartPlan, ...] = (),
    reads: int = 0,
    work: tuple[Work, ...] = (),
) -> Found:
    """Return the k best of all parts, equal scores by id."""
    if not candidates:
        none = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
        return Found(parts, *none, missing, plans, reads, work=work)
    score = np.concatenate([found.scores for found in candidates])
    row = np.concatenate([found.rows for found in candidates]).astype(np.int64)
    part = np.repeat([found.part for found in candidates], [len(found.rows) for found in candidates])
    if len(score) > k:
        least = np.partition(score, len(score) - k)[len(score) - k]
        keep = score >= least
        score, row, part = score[keep], row[keep], part[keep]
    order = np.argsort(-score, kind="stable")
    score, row, part = score[order], row[order], part[order]
    if len(score) > 1 and (score[1:] == score[:-1]).any():
        order = _by_id(parts, part, row, score)
        score, row, part = score[order], row[order], part[order]
    return Found(parts, part[:k], row[:k], score[:k], missing, plans, reads, work=work)


def of_one_part(
    parts: Sequence[Part],
    rows: np.ndarray,
    scores: np.ndarray,
    k: int,
    missing: tuple[str, ...],
    plans: tuple[PartPlan, ...],
    reads: int,
    work: tuple[Work, ...] = (),
) -> Found:
    """Return the k best rows of the only part, sorted already, equal scores by id."""
    (equal,) = (scores[1:] == scores[:-1]).nonzero()
    if len(equal):
        rows = rows[ties_by_id(len(rows), equal, lambda tied: parts[0].ids_of(rows[tied]))]
    if len(rows) > k:
        rows, scores = rows[:k], scores[:k]
    return Found(parts, None, rows, scores, missing, plans, reads, work=work)


def ties_by_id(count: int, equal: np.ndarray, ids_at: Callable[[np.ndarray], Sequence[Any]]) -> np.ndarray:
    """Return the order of so many rows, sorted by score already, with equal scores by id.

    `equal` are the places, ascending, of rows that score as much as the next one. Only ids that decide are asked for.
    """
    as_before = np.zeros(count + 1, bool)
    as_before[equal + 1] = True
    (tied,) = (as_before[:-1] | as_before[1:]).nonzero()
    ids, scores = ids_at(tied), np.cumsum(~as_before[tied]).tolist()
    # Two sorts, of which the second keeps what the first did, need no pair of score and id for each row.
    order = sorted(range(len(tied)), key=ids.__getitem__)
    order.sort(key=scores.__getitem__)
    out = np.arange(count)
    out[tied] = tied[order]
    return out


def of_one_index(
    parts: Sequence[Part], found: Answers, k: int, missing: tuple[str, ...], plans: tuple[PartPlan, ...]
) -> list[Found]:
    """Return the k best rows of each answer of the only part's index, equal scores by id."""
    if len(found.met) == 1:  # one question: no array is worth more than its one line
        ((row, score),) = found.lines(k)
        reads = int(found.reads[0])
        work = Work(reads, int(found.scored[0]), int(found.met[0]))
        return [of_one_part(parts, row, score, k, missing, plans, reads, (work,))]
    rows, scores = found.rows[:, :k], found.scores[:, :k]
    width = rows.shape[1]
    counts = np.minimum(found.met, width)
    equal = scores[:, 1:] == scores[:, :-1]
    tied = (equal & (np.arange(1, width) < counts[:, None])).any(axis=1).tolist()
    whole = counts.min() == width  # behind the end of a shorter line there are no row numbers
    shared = SharedIds(parts[0], rows) if whole else None
    out = []
    for at, (count, work) in enumerate(zip(counts.tolist(), works(found), strict=True)):
        row, score = rows[at, :count], scores[at, :count]
        if tied[at]:
            out.append(of_one_part(parts, row, score, k, missing, plans, work.codes, (work,)))
        else:
            out.append(Found(parts, None, row, score, missing, plans, work.codes, shared, at, (work,)))
    return out


def works(found: Answers) -> list[Work]:
    """Return what each answer of an index took."""
    return list(map(Work, found.reads.tolist(), found.scored.tolist(), found.met.tolist()))


def _by_id(parts: Sequence[Part], part: np.ndarray, row: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Return the order by score, then id."""
    ids, listed = Found(parts, part, row, score).ids(), score.tolist()
    return np.array(sorted(range(len(ids)), key=lambda at: (-listed[at], ids[at])))


def take(
    parts: Sequence[Part], part: np.ndarray, row: np.ndarray, values: Callable[[Part, np.ndarray], pa.Array]
) -> pa.Array:
    """Return one value per (part, row), in their order: values(part, rows) gives those of one part."""
    if len(parts) == 1:
        return values(parts[0], row)
    used = np.unique(part)
    if len(used) == 1:
        return values(parts[int(used[0])], row)
    places = [np.flatnonzero(part == number) for number in used]
    pieces = [values(parts[int(number)], row[at]) for number, at in zip(used, places, strict=True)]
    back = np.empty(len(row), np.int64)
    back[np.concatenate(places)] = np.arange(len(row))
    return pa.concat_arrays(pieces).take(numbers_array(back))
