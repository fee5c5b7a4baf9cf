"""Filters mean what SQL means: DuckDB answers the same trees, written as SQL, over the same rows with nulls."""

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from vecdb.filters import And, Condition, Expression, FieldPath, Not, Or, bind
from vecdb.schema import Bool, Float64, Geo, Id, Int64, Keyword, Schema, Text, Timestamp

SCHEMA = Schema(
    id=Id("int64"),
    section=Keyword(),
    tags=Keyword(many=True),
    title=Text(),
    size=Int64(),
    price=Float64(),
    archived=Bool(),
    added=Timestamp(),
    place=Geo(),
)
ROWS = 40
START = datetime(2024, 5, 1, tzinfo=UTC)

texts = st.sampled_from(["", "a", "ab", "b", "B", "é", "it's", "日", "z"])
integers = st.integers(-3, 4)
floats = st.sampled_from([-1.5, -0.0, 0.0, 0.5, 1.0, 1.5, 2.5])
moments = st.integers(-3, 3).map(lambda hours: START + timedelta(hours=hours))
degrees = st.tuples(st.integers(-90, 90), st.integers(-180, 180))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "section": texts,
    "tags": st.lists(texts, max_size=3),
    "title": texts,
    "size": integers,
    "price": floats,
    "archived": st.booleans(),
    "added": moments,
    "place": degrees.map(lambda pair: {"lat": float(pair[0]), "lon": float(pair[1])}),
}
COMPARED = {"section": texts, "title": texts, "size": integers | floats, "price": integers | floats, "added": moments}


def conditions(name: str) -> st.SearchStrategy[Expression]:
    """Return the conditions that fit a field, but for words, which SQL does not have, and circles."""
    path = FieldPath(name)

    def built(operator: Any, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Expression]:
        return values.map(lambda drawn: Condition(path, operator, tuple(drawn)))

    found = [built("is null", st.just(()))]
    if name in COMPARED:
        one = COMPARED[name]
        found += [built(operator, st.tuples(one)) for operator in ("=", "!=", "<", "<=", ">", ">=")]
        found += [built("in", st.lists(one, max_size=4)), built("between", st.tuples(one, one))]
    if name in ("section", "title"):
        found.append(built("startswith", st.tuples(texts)))
    if name == "tags":
        found += [built("contains", st.tuples(texts))]
        found += [built(operator, st.lists(texts, max_size=3)) for operator in ("any of", "all of")]
    if name == "archived":
        found += [built(operator, st.tuples(st.booleans())) for operator in ("=", "!=")]
    if name == "place":
        boxes = st.tuples(degrees, degrees).filter(lambda ends: ends[0][0] <= ends[1][0])
        found.append(built("in box", boxes.map(lambda ends: (*ends[0], *ends[1]))))
    return st.one_of(found)


trees: st.SearchStrategy[Expression] = st.recursive(
    st.sampled_from(sorted(VALUES)).flatmap(conditions),
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: And(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Or(tuple(parts))),
    ),
    max_leaves=8,
)
tables = st.fixed_dictionaries(
    {name: st.lists(st.none() | values, min_size=ROWS, max_size=ROWS) for name, values in VALUES.items()}
)


def literal(value: Any) -> str:
    """Return a value as SQL."""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, datetime):
        return f"TIMESTAMPTZ '{value.isoformat()}'"
    return f"{value!r}::DOUBLE" if isinstance(value, float) else repr(value)


def listed(values: tuple[Any, ...]) -> str:
    return f"[{', '.join(map(literal, values))}]::VARCHAR[]"


def sql(tree: Expression) -> str:
    """Return a tree as SQL."""
    if isinstance(tree, Not):
        return f"(NOT {sql(tree.part)})"
    if isinstance(tree, And | Or):
        return "(" + f" {tree.word.upper()} ".join(map(sql, tree.parts)) + ")"
    assert isinstance(tree, Condition)
    name = tree.path.field
    values: Any = tree.values
    if tree.operator == "is null":
        return f"({name} IS NULL)"
    if tree.operator == "in":
        # SQL has no empty list: nothing equals one of no values, but for a null that is unknown.
        members = ", ".join(map(literal, values))
        return f"({name} IN ({members}))" if values else f"(CASE WHEN {name} IS NULL THEN NULL ELSE FALSE END)"
    if tree.operator == "between":
        return f"({name} BETWEEN {literal(values[0])} AND {literal(values[1])})"
    if tree.operator == "startswith":
        return f"starts_with({name}, {literal(values[0])})"
    if tree.operator == "contains":
        return f"list_contains({name}, {literal(values[0])})"
    if tree.operator in ("any of", "all of"):
        return f"list_has_{tree.operator[:3]}({name}, {listed(values)})"
    if tree.operator == "in box":
        south, west, north, east = (literal(value) for value in values)
        lat, lon = f"{name}.lat", f"{name}.lon"
        # The line of 180 degrees has two names.
        both = [
            f"({lon} + {turn} BETWEEN {west} AND {east} + {360 * (values[1] > values[3])})" for turn in (-360, 0, 360)
        ]
        inside = f"({lat} BETWEEN {south} AND {north}) AND ({' OR '.join(both)})"
        return f"(CASE WHEN {name} IS NULL THEN NULL ELSE {inside} END)"
    return f"({name} {tree.operator} {literal(values[0])})"


@settings(deadline=None, max_examples=75)
@given(table=tables, drawn=st.lists(trees, min_size=1, max_size=8))
def test_any_tree_agrees_with_duckdb(table: dict[str, list[Any]], drawn: list[Expression]) -> None:
    arrays = {name: pa.array(values, SCHEMA[name].field.arrow_type) for name, values in table.items()}
    arrays["id"] = pa.array(range(ROWS), pa.int64())
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("data", pa.table(arrays))
        for tree in drawn:
            bound = bind(tree, SCHEMA)
            columns = {name: arrays[name] for name in bound.columns}

            found = np.flatnonzero(bound.mask(columns, ROWS)).tolist()

            answer = connection.execute(f"SELECT id FROM data WHERE {sql(tree)} ORDER BY id").fetchall()
            assert found == [row for (row,) in answer], str(tree)
