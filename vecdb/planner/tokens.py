"""Search by the multi-vectors of one column over one state, and scoring of rows by them: MaxSim, exactly.

Every score is the exact one and does not depend on how rows are spread over parts. Rows without tokens are not found.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from vecdb.errors import CorruptionError, DimensionMismatchError, InvalidInputError
from vecdb.filters.evaluate import BoundFilter
from vecdb.planner.dense import HIT_BYTES
from vecdb.planner.found import Candidates, Found, PartPlan, merged
from vecdb.planner.masks import allowed as allowed_rows
from vecdb.query.matrix import Matrix
from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Column, Schema
from vecdb.storage.snapshot import Part, State
from vecdb_index.dense.allowed import Allowed
from vecdb_index.multivector.maxsim import Question, best

SEARCHING = "a search by tokens"
SKIP, SCAN = "skip", "maxsim"
"""What `explain` says of a part: no row can be found; all rows that may be found were compared."""


def search(
    state: State,
    column: Column[MultiVector],
    question: Question,
    k: int,
    where: BoundFilter | None = None,
    pool: ThreadPoolExecutor | None = None,
    *,
    exact: bool = False,
    allow_partial: bool = False,
) -> Found:
    """Return the k best rows that have tokens and pass the filter, equal scores by id; fewer only when fewer match.

    Args:
        state: what is searched.
        column: of multi-vectors.
        question: what its rows are compared with.
        k: at least 1.
        where: rows that do not pass are not considered.
        pool: threads that help.
        exact: compare floats only; finds the same, more slowly where the column has codes.
        allow_partial: leave damaged segments out, and name them in `missing`.

    Raises:
        CorruptionError: a segment is damaged.

    """
    state.hold(SEARCHING, HIT_BYTES * k)
    gathered: list[Candidates] = []
    plans: list[PartPlan] = []
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
        plans.append(_plan(part, allowed, tokens.token_bytes))
        if plans[-1].plan == SKIP:
            continue
        state.hold(SEARCHING, 4 * plans[-1].matching)
        rows = None if allowed is None else allowed.rows.astype(np.int64)
        found = best(tokens, question, k, rows, exact=exact, pool=pool)
        gathered.append(Candidates(number, found.rows, found.scores))
    return merged(state.parts, gathered, k, tuple(missing), tuple(plans))


def plans(state: State, column: Column[MultiVector], where: BoundFilter | None, allow_partial: bool) -> list[PartPlan]:
    """Return how `search` goes through each part."""
    out = []
    for part in state.parts:
        try:
            allowed = allowed_rows(part, state.schema, where, column, state.budget)
        except CorruptionError:
            if not allow_partial:
                raise
            continue
        if part.rows:
            out.append(_plan(part, allowed, 0))
    return out


def _plan(part: Part, allowed: Allowed | None, token_bytes: int) -> PartPlan:
    count = part.rows if allowed is None else allowed.count
    return PartPlan(part.uuid, part.told, count, SCAN if count else SKIP, 0, row_bytes=token_bytes)


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
