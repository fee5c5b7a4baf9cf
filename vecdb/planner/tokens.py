"""Search by the multi-vectors of one column over one state, and scoring of rows by them: MaxSim.

Every score is the exact one and does not depend on how rows are spread over parts. Rows without tokens are not found.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from vecdb.errors import CorruptionError, DimensionMismatchError, InvalidInputError
from vecdb.filters.evaluate import BoundFilter
from vecdb.planner.found import Candidates, Found, PartPlan, Work, merged
from vecdb.planner.masks import allowed as allowed_rows
from vecdb.planner.muvera import SKIP, way
from vecdb.query.effort import USUAL, Effort
from vecdb.query.matrix import Matrix
from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Column, Schema
from vecdb.storage.snapshot import State
from vecdb_index.multivector.maxsim import Question, best

SEARCHING = "a search by tokens"


def search(
    state: State,
    column: Column[MultiVector],
    question: Question,
    k: int,
    where: BoundFilter | None = None,
    pool: ThreadPoolExecutor | None = None,
    effort: Effort = USUAL,
    *,
    allow_partial: bool = False,
) -> Found:
    """Return about the k best rows that have tokens and pass the filter, equal scores by id.

    Fewer come only when fewer match. Parts without an index are compared as a whole.

    Args:
        state: what is searched.
        column: of multi-vectors.
        question: what its rows are compared with.
        k: at least 1.
        where: rows that do not pass are not considered.
        pool: threads that help.
        effort: how hard to look; exact: compare all rows, and floats only.
        allow_partial: leave damaged segments out, and name them in `missing`.

    Raises:
        CorruptionError: a segment is damaged.

    """
    state.hold_hits(SEARCHING, k)
    gathered: list[Candidates] = []
    plans: list[PartPlan] = []
    work: list[Work] = []
    missing: list[str] = []
    for number, part in enumerate(state.parts):
        state.check(SEARCHING)
        try:
            tokens, allowed = part.tokens(column), allowed_rows(part, state.schema, where, column, state.budget)
        except CorruptionError:
            if not allow_partial or part.uuid is None:
                raise
            missing.append(part.uuid)
            continue
        if part.rows == 0:
            continue
        how = way(part, column, tokens, len(question.tokens), k, allowed, effort)
        plans.append(how.told)
        if how.told.plan == SKIP:
            continue
        state.hold(SEARCHING, 4 * plans[-1].matching)
        reads = 0
        if how.searcher is None or how.plan is None:
            rows = None if allowed is None else allowed.rows.astype(np.int64)
            found = best(tokens, question, k, rows, exact=effort.exact, pool=pool)
        else:
            found, reads = how.searcher.answer(question, k, how.plan, allowed, pool)
        work.append(Work(reads, found.scored, found.scored))
        gathered.append(Candidates(number, found.rows, found.scores))
    return merged(state.parts, gathered, k, tuple(missing), tuple(plans), sum(one.codes for one in work), tuple(work))


def plans(
    state: State,
    column: Column[MultiVector],
    question: Question,
    k: int,
    where: BoundFilter | None,
    effort: Effort,
    allow_partial: bool,
) -> list[PartPlan]:
    """Return how `search` goes through each part."""
    out = []
    for part in state.parts:
        try:
            tokens, allowed = part.tokens(column), allowed_rows(part, state.schema, where, column, state.budget)
        except CorruptionError:
            if not allow_partial:
                raise
            continue
        if part.rows:
            out.append(way(part, column, tokens, len(question.tokens), k, allowed, effort).told)
    return out


def question_of(
    column: Column[MultiVector], tokens: np.ndarray | Matrix, weights: tuple[float, ...] | None
) -> Question:
    """Return a question as it is compared: of unit vectors where the column's are.

    Raises:
        DimensionMismatchError: its vectors have another number of values than the column's.
        InvalidInputError: one is too long, or has no direction.

    """
    from vecdb.schema.tokens import token_problem

    matrix = tokens.array if isinstance(tokens, Matrix) else np.asarray(tokens, np.float32)
    name, field = column.name, column.field
    if matrix.ndim != 2 or matrix.shape[1] != field.dimension:
        raise DimensionMismatchError(
            f"the query has vectors of {matrix.shape[-1]} values, field {name!r} has {field.dimension}", field=name
        )
    problem = token_problem(matrix, matrix, field.normalise)
    if problem is not None:
        raise InvalidInputError(f"the query for {name!r}: its vector {problem[0]} {problem[1]}", field=name)
    if field.normalise:
        lengths = np.sqrt(np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64))
        matrix = (matrix / lengths[:, None]).astype(np.float32)
    counted = np.ones(len(matrix), np.float32) if weights is None else np.array(weights, np.float32)
    return Question(np.ascontiguousarray(matrix), counted)


def multivector_column(schema: Schema, name: str) -> Column[MultiVector]:
    """Return a column of multi-vectors by its name.

    Raises:
        UnknownFieldError: there is no such field.
        InvalidInputError: it is of another kind.

    """
    column = schema[name]
    if not isinstance(column.field, MultiVector):
        known = ", ".join(repr(each.name) for each in schema.multivectors) or "none"
        told = f"field {name!r} is {column.field.kind}, not of multi-vectors (there are: {known})"
        raise InvalidInputError(told, field=name)
    return column
