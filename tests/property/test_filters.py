"""Laws of filters: masks agree with a row-by-row oracle, text and trees are each other's inverse.

The oracle below knows nothing of Arrow: it evaluates a tree on one Python dict by the rules in the documentation.
"""

import contextlib
import operator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from vecdb.errors import InvalidInputError
from vecdb.filters import And, Condition, Expression, FieldPath, Not, Or, bind, parse
from vecdb.schema import Bool, Float64, Id, Int64, Json, Keyword, Schema, Text, Timestamp, Vector

SCHEMA = Schema(
    id=Id(),
    section=Keyword(),
    tags=Keyword(many=True),
    title=Text(),
    size=Int64(),
    price=Float64(),
    archived=Bool(),
    added=Timestamp(),
    extra=Json(),
    embedding=Vector(2),
)

# Few and close values, so that conditions are often true; the edges of exact comparison among them.
texts = st.sampled_from(["", "a", "ab", "b", "B", "é", "it's", "日"])
integers = st.sampled_from([-(2**63), -1, 0, 1, 2, 2**53, 2**53 + 1, 2**63 - 1])
floats = st.sampled_from([-1.5, -0.0, 0.0, 1.0, 1.5, 2.0**53, 2.0**63, -(2.0**63), 1e300])
numbers = integers | floats | st.just(2**64 - 1)
moments = st.integers(-3, 3).map(lambda hours: datetime(2024, 5, 1, tzinfo=UTC) + timedelta(hours=hours))
scalars = st.none() | st.booleans() | numbers | texts | moments.map(datetime.isoformat)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)

rows = st.fixed_dictionaries(
    {
        "id": texts,
        "section": st.none() | texts,
        "tags": st.none() | st.lists(texts, max_size=3),
        "title": st.none() | texts,
        "size": st.none() | integers,
        "price": st.none() | floats,
        "archived": st.none() | st.booleans(),
        "added": st.none() | moments,
        "extra": documents,
        "embedding": st.booleans(),
    }
)

paths = st.builds(
    FieldPath,
    st.just("extra"),
    st.lists(st.sampled_from(["a", "b", "c", 0, 1, -1]), max_size=3).map(tuple),
)
values_of_field = {
    "id": texts,
    "section": texts,
    "title": texts,
    "size": numbers,
    "price": numbers,
    "added": moments,
    "extra": texts | numbers | moments,
}


def conditions_on(path: FieldPath) -> st.SearchStrategy[Expression]:
    """Return the conditions that fit the field of path."""
    is_null = st.just(Condition(path, "is null"))
    if path.field == "embedding":
        return is_null
    booleans = st.builds(
        lambda sign, value: Condition(path, sign, (value,)), st.sampled_from(["=", "!="]), st.booleans()
    )
    if path.field == "archived":
        return is_null | booleans
    items = texts if path.field == "tags" else values_of_field[path.field]
    lists = st.one_of(
        items.map(lambda item: Condition(path, "contains", (item,))),
        st.builds(
            lambda sign, members: Condition(path, sign, tuple(members)),
            st.sampled_from(["any of", "all of"]),
            st.lists(items, max_size=3),
        ),
    )
    if path.field == "tags":
        return is_null | lists
    ordered = st.one_of(
        st.builds(
            lambda sign, value: Condition(path, sign, (value,)),
            st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
            items,
        ),
        st.lists(items, max_size=4).map(lambda members: Condition(path, "in", tuple(members))),
        st.one_of(
            *(st.tuples(kind, kind) for kind in ([texts, numbers, moments] if path.field == "extra" else [items]))
        ).map(lambda ends: Condition(path, "between", ends)),
    )
    prefixes = texts.map(lambda prefix: Condition(path, "startswith", (prefix,)))
    found = is_null | ordered
    if path.field in ("id", "section", "title", "extra"):
        found |= prefixes
    return found | lists | booleans if path.field == "extra" else found


fields = st.sampled_from([column.name for column in SCHEMA])
conditions = fields.flatmap(
    lambda name: paths.flatmap(conditions_on) if name == "extra" else conditions_on(FieldPath(name))
)
trees = st.recursive(
    conditions,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: And(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Or(tuple(parts))),
    ),
    max_leaves=8,
)

COMPARE = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def step(found: Any, key: str | int) -> Any:
    """Return the part of a JSON value under key, None where there is none."""
    container: type = dict if isinstance(key, str) else list
    if type(found) is not container:
        return None
    try:
        return found[key]
    except (KeyError, IndexError):
        return None


def oracle(tree: Expression, row: dict[str, Any]) -> bool | None:
    """Return what tree says about one row: true, false or unknown."""
    if isinstance(tree, Not):
        answer = oracle(tree.part, row)
        return None if answer is None else not answer
    if isinstance(tree, And | Or):
        answers = [oracle(part, row) for part in tree.parts]
        decisive = isinstance(tree, Or)
        return decisive if decisive in answers else None if None in answers else not decisive
    assert isinstance(tree, Condition)
    if tree.path.field == "embedding":
        return not row["embedding"]
    found = row[tree.path.field]
    for key in tree.path.keys:
        found = step(found, key)
    return tree_answer(tree, found)


def tree_answer(tree: Condition, found: Any) -> bool | None:
    if tree.operator == "is null":
        return found is None
    if found is None:
        return None
    if tree.operator in ("contains", "any of", "all of"):
        if not isinstance(found, list):
            return None
        hits = [any(compared("=", element, value) for element in found) for value in tree.values]
        return all(hits) if tree.operator == "all of" else any(hits)
    if tree.operator == "in":
        answers = [compared("=", found, value) for value in tree.values]
        return True if True in answers else None if answers and set(answers) == {None} else False
    if tree.operator == "between":
        answers = [compared(">=", found, tree.values[0]), compared("<=", found, tree.values[1])]
        return None if None in answers else all(answers)
    if tree.operator == "startswith":
        return found.startswith(str(tree.values[0])) if isinstance(found, str) else None
    return compared(tree.operator, found, tree.values[0])


def compared(sign: str, found: Any, value: Any) -> bool | None:
    """Compare two values of one kind; values of two kinds give unknown."""
    if isinstance(value, datetime) and isinstance(found, str):
        try:
            found = datetime.fromisoformat(found)
        except ValueError:
            return None
    kinds = [
        next(kind for kind in (bool, (int, float), str, datetime, object) if isinstance(one, kind))
        for one in (found, value)
    ]
    return COMPARE[sign](found, value) if kinds[0] == kinds[1] else None


def column(name: str, table: list[dict[str, Any]]) -> pa.Array:
    values = [row[name] for row in table]
    if name == "embedding":
        return pa.array(values, pa.bool_())
    if name == "extra":
        values = [None if value is None else orjson.dumps(value).decode() for value in values]
    return pa.array(values, SCHEMA[name].field.arrow_type)


@settings(deadline=None, max_examples=300)
@given(tree=trees, table=st.lists(rows, max_size=8), cut=st.integers(0, 3))
def test_a_mask_agrees_with_the_oracle_on_every_row(tree: Expression, table: list[dict[str, Any]], cut: int) -> None:
    bound = bind(tree, SCHEMA)
    columns = {name: column(name, table).slice(cut) for name in bound.columns}
    table = table[cut:]

    mask = bound.mask(columns, len(table))

    assert mask.tolist() == [oracle(tree, row) is True for row in table]


@settings(deadline=None, max_examples=200)
@given(tree=trees)
def test_the_text_of_any_tree_reads_back_to_an_equal_tree(tree: Expression) -> None:
    again = parse(str(tree))

    assert again == tree
    assert hash(again) == hash(tree)
    assert str(again) == str(tree)


names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)


@settings(deadline=None, max_examples=300)
@given(
    name=names,
    keys=st.lists(names | st.just("") | st.integers(-5, 5), max_size=3),
    value=names
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    # The zone database is not needed for what the years around 1 and 9999 show.
    | st.datetimes().map(lambda moment: moment.replace(tzinfo=UTC)),
)
def test_any_names_and_values_survive_the_way_through_text(name: str, keys: list[str | int], value: Any) -> None:
    tree = Condition(FieldPath(name, tuple(keys)), "=", (value,))

    assert parse(str(tree)) == tree


WORDS = (
    "a size extra.a tags = != <> < <= ( ) [ ] , . and or not in is null between like contains any all of starts with"
    " startswith timestamp true false 'x' 'x%' '2024-05-01' \"b\" \" ' 1 -2.5 1e9 1_0 & | ! ; é \\ \n"
)


@settings(deadline=None, max_examples=2_000)
@given(text=st.lists(st.sampled_from(WORDS.split(" ")), max_size=12).map(" ".join) | st.text(max_size=30))
def test_no_text_raises_anything_but_the_errors_of_filters(text: str) -> None:
    with contextlib.suppress(InvalidInputError):
        tree = parse(text)
        assert parse(str(tree)) == tree
        bind(tree, SCHEMA)
