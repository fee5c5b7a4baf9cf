"""Many questions to one state: those that ask for the same are answered in one pass over the rows.

Questions with equal column, filter, k and effort form a group. A filter is evaluated once for each segment, its rows
are read once for the whole group and scored by the batch kernel, and a question that comes twice is answered once
(the single-machine part of HQI, Mohoney et al., SIGMOD 2023). Scores have the same bits as alone, so answers are the
same too.

Small groups go to threads, one thread a group. Large ones are shared by all threads, one group after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from vecdb.filters.evaluate import BoundFilter
from vecdb.planner import dense, depth, paging
from vecdb.planner.bound import BoundQuery
from vecdb.planner.found import Found
from vecdb.planner.route import route
from vecdb.planner.run import Answer, run
from vecdb.query.arms import Near
from vecdb.query.effort import Effort
from vecdb.schema.schema import Column
from vecdb.storage.snapshot import State
from vecdb_index.slices import SLICE_WORK, Slice, shared

QUESTION_BYTES = 64 << 10
"""A question costs at least about as much as reading so many bytes; it decides whether helpers are woken."""


class Ask(NamedTuple):
    """What the questions of a group have in common."""

    column: Column
    where: BoundFilter | None
    k: int
    effort: Effort
    allow_partial: bool

    @property
    def key(self) -> tuple[Any, ...]:
        """What is equal for equal asks."""
        return self.column.id, "" if self.where is None else self.where.key, self.k, self.effort, self.allow_partial


class Group(NamedTuple):
    """Questions that ask for the same: each vector once, with its place among them."""

    ask: Ask
    places: dict[bytes, int]
    vectors: list[np.ndarray]


class Questions:
    """Questions to one state, collected by group."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._groups: dict[tuple[Any, ...], Group] = {}
        self._places: list[tuple[Group, int]] = []

    def group(self, ask: Ask) -> Group:
        """Return the group of the questions that ask for this."""
        return self._groups.setdefault(ask.key, Group(ask, {}, []))

    def add(self, group: Group, vector: np.ndarray) -> int:
        """Take a question, (d,) as `query_matrix` gives it, and return its number."""
        place = group.places.setdefault(vector.tobytes(), len(group.vectors))
        if place == len(group.vectors):
            group.vectors.append(vector)
        self._places.append((group, place))
        return len(self._places) - 1

    def answers(self, pool: ThreadPoolExecutor | None) -> list[Found]:
        """Return what was found for each question, by its number; the same object for equal ones.

        Raises:
            CorruptionError: as `dense.search`.

        """
        # Filters in a row: the masks of few are remembered at a time.
        groups = sorted(self._groups.values(), key=lambda group: group.ask.key[1])
        found: dict[int, list[Found]] = {}
        large: deque[Group] = deque()

        def work(todo: Iterator[Slice]) -> None:
            for at, _ in todo:
                group = groups[at]
                if len(groups) > 1 and self._work(group) <= SLICE_WORK:
                    found[id(group)] = self._search(group, None)
                else:
                    large.append(group)

        size = QUESTION_BYTES * len(self._places)
        shared(work, [(at, at + 1) for at in range(len(groups))], size, pool)
        for group in large:
            found[id(group)] = self._search(group, pool)
        return [found[id(group)][place] for group, place in self._places]

    def _work(self, group: Group) -> int:
        """Return how many bytes are read times questions, as slices of a scan count it."""
        column, where, k, effort, allow_partial = group.ask
        total = 0
        for leg in route(self._state, column, k, where, effort, allow_partial).legs:
            if leg.plan is not None:
                return SLICE_WORK + 1  # an index shares its questions among threads
            matrix = leg.target.matrix
            rows = len(matrix) if leg.allowed is None else leg.allowed.count
            total += rows * matrix.shape[1] * matrix.itemsize
        return total * len(group.vectors)

    def _search(self, group: Group, pool: ThreadPoolExecutor | None) -> list[Found]:
        column, where, k, effort, allow_partial = group.ask
        queries = np.stack(group.vectors)
        return dense.search(self._state, column, queries, k, where, pool, effort, allow_partial)


def search_each(state: State, asks: Sequence[Ask], queries: np.ndarray, pool: ThreadPoolExecutor | None) -> list[Found]:
    """Return what each of the (q, d) queries finds by its own ask.

    Raises:
        CorruptionError: as `dense.search`.

    """
    if len(asks) == 0:
        return []
    if all(ask is asks[0] for ask in asks) and not _may_repeat(queries):
        column, where, k, effort, allow_partial = asks[0]
        return dense.search(state, column, queries, k, where, pool, effort, allow_partial)
    questions = Questions(state)
    groups: dict[int, Group] = {}
    for ask, query in zip(asks, queries, strict=True):
        group = groups.get(id(ask))
        if group is None:
            group = groups[id(ask)] = questions.group(ask)
        questions.add(group, query)
    return questions.answers(pool)


def _may_repeat(queries: np.ndarray) -> bool:
    """Tell whether some queries may be equal: equal ones have equal sums, which cost a fraction of comparing them."""
    sums = queries.sum(axis=1, dtype=np.float64)
    return len(np.unique(sums)) < len(sums)


def run_batch(state: State, bounds: Sequence[BoundQuery], pool: ThreadPoolExecutor | None) -> list[Answer]:
    """Return what `run` answers to each query; the searches that their arms begin with are made together.

    Raises:
        CorruptionError: as `run`.
        InvalidInputError: a cursor is of no use.

    """
    questions = Questions(state)
    asked: dict[tuple[int, int], int] = {}
    for bound in bounds:
        _collect(bound, lambda key, ask, vector: asked.update({key: questions.add(questions.group(ask), vector)}))
    found = questions.answers(pool)
    ready = {key: found[number] for key, number in asked.items()}
    return [run(state, bound, pool, ready) for bound in bounds]


def _collect(bound: BoundQuery, add: Callable[[tuple[int, int], Ask, np.ndarray], None]) -> None:
    """Add the question of each arm that begins with a search by one vector, those of nested queries too."""
    fetches = depth.of_page(bound, paging.read(bound.query))
    for arm, wanted in zip(bound.arms, fetches, strict=True):
        if arm.inner is not None:
            _collect(arm.inner, add)
        elif isinstance(arm.arm, Near) and arm.vectors is not None:
            ask = Ask(arm.columns[0], arm.where, wanted, arm.effort, bound.query.allow_partial)
            add((id(arm), wanted), ask, arm.vectors[0])
