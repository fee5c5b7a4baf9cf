"""How good the answers are, and how hard a search has to look: measured against the exact scan, on the user's rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vecdb.arguments import as_vectors, query_matrix
from vecdb.errors import InvalidInputError
from vecdb.planner import dense
from vecdb.planner.route import any_searcher
from vecdb.query.effort import RECALL, Effort
from vecdb.results import RecallReport, TuneReport
from vecdb.schema.fields import Vector
from vecdb.schema.schema import Column
from vecdb_index.dense import calibrate

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from vecdb.encoders.attached import Attached
    from vecdb.filters import BoundFilter
    from vecdb.planner.found import Found
    from vecdb.storage.snapshot import State
    from vecdb.token_trials import TokenTrial

BATCH = 256
"""Questions that are answered exactly at once."""
FEWEST = 30
"""Questions of which fewer tell little."""
DRAWN = 16
"""Rows that are drawn for one that a question is made of: many may be equal."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Questions to one state, and their true answers."""

    state: State
    column: Column[Vector]
    questions: np.ndarray
    k: int
    where: BoundFilter | None
    pool: ThreadPoolExecutor | None

    def answers(self, effort: Effort) -> list[Found]:
        """Return the answer to each question, in batches."""
        found: list[Found] = []
        for start in range(0, len(self.questions), BATCH):
            some = self.questions[start : start + BATCH]
            found += dense.search(self.state, self.column, some, self.k, self.where, self.pool, effort)
        return found

    def timed(self, effort: Effort) -> tuple[list[Found], np.ndarray]:
        """Return the answer to each question, asked alone, and the milliseconds that it took."""
        found, took = [], np.empty(len(self.questions))
        for at in range(len(self.questions)):
            begun = time.perf_counter()
            found += dense.search(
                self.state, self.column, self.questions[at : at + 1], self.k, self.where, self.pool, effort
            )
            took[at] = 1e3 * (time.perf_counter() - begun)
        return found, took


def questions(state: State, column: Column[Vector], given: Any, sample: int, encoders: Attached) -> np.ndarray:
    """Return what is asked: the user's own queries, or rows of the collection, each with half of another one added.

    Raises:
        InvalidInputError: there is nothing to ask.

    """
    if given is not None:
        asked = query_matrix(column, as_vectors(column, given, encoders), 2)
        if len(asked) == 0:
            raise InvalidInputError("queries is empty: give at least one, or none at all for rows of the collection")
        return asked
    if column.field.dtype == "binary":
        rows = _sampled(state, column, sample)
        if len(rows):
            return rows  # every search of them is exact: what is asked does not matter
    rows = _sampled(state, column, 2 * sample)
    if len(rows) == 0:
        raise InvalidInputError(f"no row has a vector in {column.name!r}: there is nothing to ask for", field="queries")
    first, second = rows[: (len(rows) + 1) // 2], rows[len(rows) // 2 :]
    mixed = calibrate.mixed(first, second)
    usable = mixed[mixed.any(axis=1)]
    return usable if len(usable) else rows


def _sampled(state: State, column: Column[Vector], count: int) -> np.ndarray:
    """Return vectors of live rows, at most so many, drawn from all parts with a fixed seed; of equal ones only one."""
    places: list[tuple[np.ndarray, np.ndarray]] = []
    for part in state.parts:
        held = part.vectors(column)
        if held is None:
            continue
        matrix, present, _ = held
        live = part.live()
        mask = np.ones(part.rows, bool) if live is None else live
        places.append((matrix, np.flatnonzero(mask if present is None else mask & present)))
    total = sum(len(rows) for _, rows in places)
    chosen = np.random.default_rng(total).permutation(total)[: DRAWN * count]
    held = column.field.arrow_type
    found, before = [np.empty((0, held.list_size), held.value_type.to_pandas_dtype())], 0
    for matrix, rows in places:
        mine = chosen[(chosen >= before) & (chosen < before + len(rows))] - before
        found.append(matrix[rows[mine]])
        before += len(rows)
    together = np.concatenate(found)
    together = together[calibrate.distinct(together)]
    return together[np.random.default_rng(total + 1).permutation(len(together))[:count]]


def shares(found: list[Found], true: list[Found]) -> np.ndarray:
    """Return for each question the share of the true answer that was found; 1 where nothing matches.

    A row that is as good as the last of the true answer is as good an answer: which of equal rows come is chance.
    """
    out = np.ones(len(true))
    for at, (mine, best) in enumerate(zip(found, true, strict=True)):
        if len(best.row):
            out[at] = np.count_nonzero(mine.score >= best.score[-1]) / len(best.row)
    return out


def recall(trial: Trial | TokenTrial, effort: Effort) -> RecallReport:
    """Ask every question both ways, one at a time."""
    true, exact_ms = trial.timed(Effort(exact=True))
    found, ms = trial.timed(effort)
    reached = shares(found, true)
    kinds: dict[str, int] = {}
    for answer in found:
        for plan in answer.plans:
            kinds[plan.plan] = kinds.get(plan.plan, 0) + 1
    return RecallReport(
        recall=float(reached.mean()),
        worst=float(reached.min()),
        k=trial.k,
        queries=len(true),
        short=sum(len(mine.row) < len(best.row) for mine, best in zip(found, true, strict=True)),
        p50_ms=float(np.median(ms)),
        p95_ms=float(np.percentile(ms, 95)),
        exact_p50_ms=float(np.median(exact_ms)),
        codes_compared=float(np.mean([answer.reads for answer in found])),
        plans=kinds,
    )


def curve(trial: Trial) -> TuneReport:
    """Return the recall at growing widths of the search.

    Raises:
        InvalidInputError: no segment has an index yet, or any search for k rows returns all that there are.

    """
    searcher = any_searcher(trial.state, trial.column)
    if searcher is None:
        raise InvalidInputError(f"{trial.column.name!r} has no index yet: every search of it is exact", field="field")
    true = trial.answers(Effort(exact=True))
    least = min(len(best.row) for best in true)
    if least < trial.k:
        told = f"k is {trial.k}, but only {least} rows have a vector: every search finds all of them"
        raise InvalidInputError(told, field="k", value=trial.k)
    points: list[tuple[int, float]] = []
    for width in searcher.widths:
        found = trial.answers(Effort(width=searcher.wider(width, trial.k)))
        reached = float(shares(found, true).mean())
        points.append((width, max(reached, points[-1][1] if points else 0.0)))
        if reached >= calibrate.ENOUGH:
            break
    return TuneReport(trial.k, len(true), tuple(points), tuple(_warnings(len(true), points[-1][1])))


def _warnings(asked: int, reached: float) -> Iterator[str]:
    """Say why a curve may be worth little."""
    if asked < FEWEST:
        queries = "1 query" if asked == 1 else f"{asked} queries"
        yield f"only {queries} asked: the recall of others may be quite another; a hundred or more tell it"
    if reached < RECALL:
        yield f"no width that was tried found more than {reached:.1%} of the nearest rows"
