"""The arguments of `search` as a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vecdb.arguments import effort_of
from vecdb.arguments import sought as field_of
from vecdb.errors import InvalidInputError
from vecdb.query.arms import Arm, Match, Near, Terms, Tokens, refuse_effort
from vecdb.query.fusion import fusion_from
from vecdb.query.query import Query
from vecdb.query.relevance import relevance_of
from vecdb.query.selection import Select, method_of
from vecdb.query.stages import GroupBy, MinScore, OrderBy, Stage
from vecdb.schema.given import listed, whole_number
from vecdb.schema.schema import Column, Schema

SEARCHED = "vector", "multivector", "text", "sparse"
"""Kinds of fields in which something may be sought."""


def query_of(
    schema: Schema,
    arms: Mapping[str, Any],
    *,
    k: int,
    where: Any,
    fields: Sequence[str] | None,
    exact: bool,
    recall: float | None,
    ef: int | None,
    probes: int | None,
    plan: str | None,
    fetch: int | None,
    fusion: Any,
    min_score: float | None,
    cut: Any,
    group_by: str | None,
    per_group: int,
    order_by: str | Sequence[str] | None,
    select: Any,
    after: str | None,
    allow_partial: bool,
) -> Query:
    """Return the query that `search` means: an arm for each field that something is sought in.

    Raises:
        InvalidInputError: nothing is sought, in no field that can be searched, or a value is wrong.

    """
    if not arms and order_by is None:
        known = ", ".join(repr(column.name) for column in schema.columns if column.field.kind in SEARCHED)
        raise InvalidInputError(
            f"name a field and what is sought in it (there are: {known or 'none'}), or order_by; got neither"
        )
    effort_of(exact, recall, ef, plan, probes)
    per_group = whole_number("per_group", per_group)
    gathered = [
        _arm(field_of(schema, name), sought, (recall, ef, probes, plan), fetch) for name, sought in arms.items()
    ]
    stages: list[Stage] = []
    if min_score is not None:
        stages.append(MinScore(min_score))
    if cut is not None:
        stages.append(relevance_of(cut, {}))
    if order_by is not None:
        stages.append(OrderBy(order_by))  # pyright: ignore[reportArgumentType]
    if select is not None:
        stages.append(select if isinstance(select, Select) else Select(method_of(select)))
    if group_by is not None:
        stages.append(GroupBy(group_by, per_group))
    return Query(
        k,
        tuple(gathered),
        None if fusion is None else fusion_from(fusion),
        where,
        tuple(stages),
        None if fields is None else fields,  # pyright: ignore[reportArgumentType]
        exact,
        after,
        allow_partial,
    )


def _arm(column: Column, sought: Any, effort: tuple[Any, Any, Any, Any], fetch: int | None) -> Arm:
    name, kind = column.name, column.field.kind
    if kind == "vector":
        return Near(name, sought, *effort, fetch=fetch)
    if kind == "multivector":
        refuse_effort(name, effort)
        return Tokens(name, sought, fetch=fetch)
    if kind == "text":
        return Match(name, sought, fetch=fetch)
    if kind == "sparse":
        return Terms(name, sought, fetch=fetch)
    raise InvalidInputError(
        f"field {name!r} is {kind}: vectors, sparse ones too, and texts are searched, others filtered by where",
        field=name,
    )


def one_arm_each(column: Column, asked: Any, whole: Query, effort: tuple[Any, Any, Any, Any]) -> list[Query]:
    """Return a query for each question of a batch in a field of sparse vectors or of multi-vectors.

    Raises:
        InvalidInputError: they are no list of questions, or recall, ef, probes or plan are given for multi-vectors.

    """
    name = column.name
    if column.field.kind == "sparse":
        from vecdb.schema.sparse import rows_of_scipy

        rows = rows_of_scipy(asked) if hasattr(asked, "tocsr") else asked
        return [whole.terms(name, one) for one in listed(f"the queries for {name!r}", rows, "sparse vectors")]
    refuse_effort(name, effort)
    return [whole.gather(Tokens(name, one)) for one in listed(f"the queries for {name!r}", asked, "matrices")]
