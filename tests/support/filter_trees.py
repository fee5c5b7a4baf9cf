"""Random filters and rows for them, and an oracle that knows nothing of Arrow.

The oracle evaluates a tree on one Python dict by the rules in the documentation.
"""

import itertools
import math
import operator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pyarrow as pa
from hypothesis import strategies as st

from vecdb.filters import And, Condition, Expression, FieldPath, Not, Or
from vecdb.schema import Bool, Float64, Geo, Id, Int64, Json, Keyword, Schema, Text, Timestamp, Vector

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
    body=Text(),
    place=Geo(),
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

words = st.sampled_from(["chess", "Engine", "engines", "go", "the"])
bodies = st.lists(words, max_size=5).map(" ".join)
latitudes = st.sampled_from([-90.0, -52.5, -0.0, 10.0, 52.5, 89.9, 90.0])
longitudes = st.sampled_from([-180.0, -179.9, -13.4, 0.0, 13.4, 170.0, 180.0])
places = st.tuples(latitudes, longitudes)

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
        "body": st.none() | bodies,
        "place": st.none() | places,
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


asked = st.sampled_from(
    [
        "chess",
        "go",
        "engine",
        "chess engine",
        "chess OR go",
        '"chess engine"',
        "-chess",
        "go -engine",
        "eng*",
        "the",
        "the go",
    ]
)


def conditions_on(path: FieldPath) -> st.SearchStrategy[Expression]:
    """Return the conditions that fit the field of path."""
    is_null = st.just(Condition(path, "is null"))
    if path.field == "embedding":
        return is_null
    booleans = st.builds(
        lambda sign, value: Condition(path, sign, (value,)), st.sampled_from(["=", "!="]), st.booleans()
    )
    if path.field == "place":
        circles = st.tuples(latitudes, longitudes, st.sampled_from([0.0, 30.0, 5000.0, 19000.0, 30000.0]))
        boxes = st.tuples(latitudes, longitudes, latitudes, longitudes).filter(lambda box: box[0] <= box[2])
        return (
            is_null
            | circles.map(lambda numbers: Condition(path, "within", numbers))
            | boxes.map(lambda numbers: Condition(path, "in box", numbers))
        )
    if path.field == "body":
        return is_null | asked.map(lambda text: Condition(path, "matches", (text,)))
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


def has_words(text: str, asked: str) -> bool:
    """Return whether a text of the words above has what is asked for; "the" is no term, "engines" is "engine"."""
    has = ["engine" if word.lower() in ("engine", "engines") else word for word in text.split()]
    pairs = list(itertools.pairwise(has))
    return {
        "chess": "chess" in has,
        "go": "go" in has,
        "engine": "engine" in has,
        "chess engine": "chess" in has and "engine" in has,
        "chess OR go": "chess" in has or "go" in has,
        '"chess engine"': ("chess", "engine") in pairs,
        "-chess": "chess" not in has,
        "go -engine": "go" in has and "engine" not in has,
        "eng*": "engine" in has,
        "the": False,
        "the go": "go" in has,
    }[asked]


def is_within(place: tuple[float, float], lat: float, lon: float, km: float) -> bool:
    """Return whether a place is so near, by the chord between two points of the unit sphere."""
    points = []
    for up, along in ((place[0], place[1]), (lat, lon)):
        up, along = math.radians(up), math.radians(along)
        points.append((math.cos(up) * math.cos(along), math.cos(up) * math.sin(along), math.sin(up)))
    return 2 * 6371.0088 * math.asin(min(1.0, math.dist(*points) / 2)) <= km + 1e-6


def is_in_box(place: tuple[float, float], south: float, west: float, north: float, east: float) -> bool:
    """Return whether a place lies in a box, by going east from west in whole turns."""
    lat, lon = place
    turns = [lon + turn for turn in (-360, 0, 360)]
    return south <= lat <= north and any(west <= one <= (east if west <= east else east + 360) for one in turns)


OF_ONE_KIND: dict[str, Any] = {"matches": has_words, "within": is_within, "in box": is_in_box}


def tree_answer(tree: Condition, found: Any) -> bool | None:
    if tree.operator == "is null":
        return found is None
    if found is None:
        return None
    if tree.operator in OF_ONE_KIND:
        return OF_ONE_KIND[tree.operator](found, *tree.values)
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
    if name == "place":
        values = [None if value is None else {"lat": value[0], "lon": value[1]} for value in values]
    return pa.array(values, SCHEMA[name].field.arrow_type)
