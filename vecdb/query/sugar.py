"""The arguments of `search` as a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vecdb.arguments import effort_of
from vecdb.arguments import sought as field_of
from vecdb.errors import InvalidInputError
from vecdb.query.arms import Match, Near, Terms
from vecdb.query.fusion import fusion_from
from vecdb.query.query import Query
from vecdb.query.selection import Select, method_of
from vecdb.query.stages import GroupBy, MinScore, OrderBy, Stage
from vecdb.schema.given import whole_number
from vecdb.schema.schema import Schema


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
        known = ", ".join(
            repr(column.name) for column in schema.columns if column.field.kind in ("vector", "text", "sparse")
        )
        raise InvalidInputError(
            f"name a field and what is sought in it (there are: {known or 'none'}), or order_by; got neither"
        )
    effort_of(exact, recall, ef, plan, probes)
    per_group = whole_number("per_group", per_group)
    gathered = []
    for name, sought in arms.items():
        column = field_of(schema, name)
        if column.field.kind == "vector":
            gathered.append(Near(name, sought, recall, ef, probes, plan, fetch=fetch))
        elif column.field.kind == "text":
            gathered.append(Match(name, sought, fetch=fetch))
        elif column.field.kind == "sparse":
            gathered.append(Terms(name, sought, fetch=fetch))
        else:
            raise InvalidInputError(
                f"field {name!r} is {column.field.kind}: vectors, sparse ones too, and texts are searched, others"
                " filtered by where",
                field=name,
            )
    stages: list[Stage] = []
    if min_score is not None:
        stages.append(MinScore(min_score))
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
