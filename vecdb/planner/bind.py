"""From a query to what can be run: its arms, filters and stages checked against the fields."""

from __future__ import annotations

from vecdb.arguments import effort_of
from vecdb.planner.bind_stages import Around, bound_stages
from vecdb.planner.bound import BoundArm, BoundQuery, Encode
from vecdb.planner.columns import (
    bound_filter,
    check_ids,
    returned,
    sparse_column,
    terms_of,
    text_column,
    tokens_of,
    vector_column,
    vector_of,
)
from vecdb.planner.tokens import multivector_column
from vecdb.query.arms import Arm, Like, Match, Near, Nested, Terms, Tokens, refuse_effort
from vecdb.query.fusion import Rrf
from vecdb.query.graph import Linked
from vecdb.query.query import Query
from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Schema

_USUAL = Rrf()
"""How several arms are fused where the query does not say."""


def bind_query(query: Query, schema: Schema, encode: Encode) -> BoundQuery:
    """Check a query against the fields.

    Raises:
        UnknownFieldError: a name is no field.
        InvalidInputError: a field is of another kind, a vector or a filter does not fit.

    """
    where = None if query.filter is None else bound_filter(query.filter, schema)
    labels: list[str] = []
    arms = []
    for arm in query.arms:
        label, number = arm.label, 2
        while label in labels:
            label, number = f"{arm.label}#{number}", number + 1
        labels.append(label)
        arms.append(_bound_arm(arm, label, query, schema, encode))
    fusion = _USUAL if query.fusion is None else query.fusion
    if len(arms) > 1:
        fusion.check(len(arms))
    stages = bound_stages(Around(query, schema, encode, tuple(arms), where))
    return BoundQuery(query, tuple(arms), where, stages, fusion, returned(query.fields, schema))


def _bound_arm(arm: Arm, label: str, query: Query, schema: Schema, encode: Encode) -> BoundArm:
    both = query.filter
    if arm.where is not None:
        both = arm.where if both is None else both & arm.where
    where = None if both is None else bound_filter(both, schema)
    usual = effort_of(query.exact, None, None, None)
    if isinstance(arm, Near) and isinstance(schema[arm.field].field, MultiVector):
        arm = _of_tokens(arm)
    if isinstance(arm, Near):
        column = vector_column(schema, arm.field)
        effort = usual if query.exact else effort_of(False, arm.recall, arm.ef, arm.plan, arm.probes)
        return BoundArm(arm, label, (column,), where, effort, vector_of(column, arm.vector, encode))
    if isinstance(arm, Like):
        check_ids(schema, (*arm.like, *arm.unlike))
        effort = usual if query.exact else effort_of(False, arm.recall, None, None)
        return BoundArm(arm, label, (vector_column(schema, arm.field),), where, effort)
    if isinstance(arm, Linked):
        check_ids(schema, arm.ids)
        if arm.through is not None:
            bound_filter(arm.through, schema)
        return BoundArm(arm, label, (), where, usual)
    if isinstance(arm, Match):
        return BoundArm(arm, label, tuple(text_column(schema, name) for name in arm.fields), where, usual)
    if isinstance(arm, Terms):
        column = sparse_column(schema, arm.field)
        return BoundArm(arm, label, (column,), where, usual, terms=terms_of(column, arm.terms, encode))
    if isinstance(arm, Tokens):
        column = multivector_column(schema, arm.field)
        asked = tokens_of(column, arm.tokens, arm.weights, encode)
        effort = usual if query.exact else effort_of(False, arm.recall, arm.ef, None)
        return BoundArm(arm, label, (column,), where, effort, question=asked)
    assert isinstance(arm, Nested)
    inner = arm.query.exactly(arm.query.exact or query.exact)
    inner = inner if both is None else inner.where(both)
    return BoundArm(arm, label, (), where, usual, inner=bind_query(inner, schema, encode))


def _of_tokens(arm: Near) -> Tokens:
    """Return what an arm means by a field of multi-vectors: a text, or one vector."""
    refuse_effort(arm.field, (arm.recall, arm.ef, arm.probes, arm.plan))
    sought = arm.vector if isinstance(arm.vector, str) else arm.vector.array[None]
    return Tokens(arm.field, sought, fetch=arm.fetch, where=arm.where, name=arm.name)  # pyright: ignore[reportArgumentType]
