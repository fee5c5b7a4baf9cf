"""Questions of several vectors to one state, answered through its indexes and exactly: what `recall` measures."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.planner import tokens
from vecdb.query.matrix import matrices
from vecdb_index.muvera.questions import made

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from vecdb.filters import BoundFilter
    from vecdb.planner.found import Found
    from vecdb.query.effort import Effort
    from vecdb.schema.multivector import MultiVector
    from vecdb.schema.schema import Column
    from vecdb.storage.snapshot import State
    from vecdb_index.multivector.maxsim import Question


@dataclass(frozen=True, slots=True)
class TokenTrial:
    """Questions to one column of one state."""

    state: State
    column: Column[MultiVector]
    questions: list[Question]
    k: int
    where: BoundFilter | None
    pool: ThreadPoolExecutor | None

    def timed(self, effort: Effort) -> tuple[list[Found], np.ndarray]:
        """Return the answer to each question, and the milliseconds that it took."""
        found, took = [], np.empty(len(self.questions))
        for at, asked in enumerate(self.questions):
            begun = time.perf_counter()
            found.append(tokens.search(self.state, self.column, asked, self.k, self.where, self.pool, effort))
            took[at] = 1e3 * (time.perf_counter() - begun)
        return found, took


def questions(state: State, column: Column[MultiVector], given: Any, sample: int) -> list[Question]:
    """Return what is asked: the user's own questions, or tokens of rows, each with some of another row's added.

    Raises:
        InvalidInputError: there is nothing to ask, or one of them is no matrix of the column's dimension.

    """
    if given is not None:
        return [tokens.question_of(column, one, None) for one in matrices(column.name, given)]
    total = sum(part.rows for part in state.parts)
    found: list[Question] = []
    for part in state.parts:
        if part.rows:
            count = max(1, round(sample * part.rows / total))
            found += made(part.tokens(column), min(count, sample - len(found)))
    if not found:
        raise InvalidInputError(f"no row has tokens in {column.name!r}: there is nothing to ask for", field="queries")
    return found
