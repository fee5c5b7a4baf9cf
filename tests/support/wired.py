"""What hypothesis draws to be sent: values that are fine, and messages of any content."""

from datetime import UTC
from functools import cache
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import vecdb
from support.filter_trees import trees
from vecdb import formula
from vecdb.filters import And, Condition, Expression, FieldPath, Not, Or
from vecdb.query.arms import Arm
from vecdb.query.fusion import NORMALISE, Fusion
from vecdb.query.stages import Stage
from vecdb.schema.fields import Field
from vecdb.schema.schema import RESERVED, Schema

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True)
texts = st.text(max_size=8)
finite = st.floats(-1e9, 1e9)
moments = st.datetimes(timezones=st.just(UTC))
integers = st.integers(-(2**63), 2**64 - 1)
scalars = texts | integers | finite | st.booleans() | moments

# -- filters -----------------------------------------------------------------------------------------------------------

keys = st.lists(texts | st.integers(-9, 9), max_size=3).map(tuple)
paths = st.builds(FieldPath, names, keys)
listed = st.sampled_from(["in", "any of", "all of"])
conditions: st.SearchStrategy[Expression] = st.one_of(
    paths.map(lambda path: Condition(path, "is null")),
    st.builds(Condition, paths, st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "contains"]), st.tuples(scalars)),
    st.builds(Condition, paths, listed, st.lists(scalars, max_size=4).map(tuple)),
    *(
        st.builds(Condition, paths, listed, st.lists(kind, max_size=4).map(tuple))
        for kind in (texts, integers, moments)
    ),
    st.builds(Condition, paths, st.just("between"), st.tuples(scalars, scalars)),
    st.builds(Condition, paths, st.just("startswith"), st.tuples(texts)),
)
filters: st.SearchStrategy[Expression] = trees | st.recursive(
    conditions,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: And(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Or(tuple(parts))),
    ),
    max_leaves=6,
)

# -- formulas ----------------------------------------------------------------------------------------------------------

places = st.tuples(st.floats(-90, 90), st.floats(-180, 180))
origins: st.SearchStrategy[Any] = st.just("now") | finite | places | moments
leaves: st.SearchStrategy[formula.Formula] = st.one_of(
    finite.map(formula.Constant),
    st.just(formula.score),
    st.builds(formula.value, names, finite),
    st.builds(formula.arm, names, finite),
    st.builds(
        formula.decay,
        names,
        origins,
        st.floats(0.1, 1e6),
        offset=st.floats(0, 10),
        at_scale=st.floats(0.1, 0.9),
        shape=st.sampled_from(formula.SHAPES),
        missing=finite,
    ),
    places.flatmap(lambda place: st.builds(formula.away, names, st.just(place[0]), st.just(place[1]), finite)),
)
formulas = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(
            lambda operator, parts: formula.Operation(operator, parts),
            st.sampled_from(formula.OPERATORS),
            st.tuples(inner, inner),
        ),
        st.builds(formula.Function, st.sampled_from(formula.FUNCTIONS), inner),
        st.builds(formula.when, conditions, inner, inner),
    ),
    max_leaves=5,
)

# -- queries -----------------------------------------------------------------------------------------------------------

dtypes = st.sampled_from(["f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
vectors = dtypes.flatmap(
    lambda dtype: arrays.arrays(
        np.dtype(dtype),
        st.integers(1, 9),
        elements=st.floats(-1e6, 1e6, width=32) if dtype == "f4" else None,
    )
)
weights = st.dictionaries(st.integers(0, 2**32 - 1), st.floats(0.125, 1e6, width=32), max_size=4)
ids = texts | st.integers(-(2**63), 2**63 - 1)
efforts: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.floats(0.01, 0.99).map(lambda recall: {"recall": recall}),
    st.integers(1, 10_000).map(lambda ef: {"ef": ef}),
    st.integers(1, 10_000).map(lambda probes: {"probes": probes}),
    st.sampled_from(["scan", "codes", "graph"]).map(lambda plan: {"plan": plan}),
)
common = st.fixed_dictionaries(
    {},
    optional={"fetch": st.integers(1, 10_000_000), "where": conditions, "name": st.text(min_size=1, max_size=4)},
)


def _near(field: str, sought: Any, effort: dict[str, Any], rest: dict[str, Any]) -> Arm:
    return vecdb.Near(field, sought, **effort, **rest)


link_types = st.dictionaries(st.sampled_from(["*", "cites", "<cites", ">cites"]), st.floats(0, 1e3), min_size=1)
walking = st.fixed_dictionaries(
    {"links": link_types | st.sampled_from(["*", "cites"])},
    optional={
        "direction": st.sampled_from(["both", "out", "in"]),
        "links_where": conditions,
        "through": conditions,
        "hops": st.integers(1, 16),
    },
)
expansions = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["pagerank", "paths"]),
        "damping": st.floats(0.1, 0.9),
        "seeds": st.integers(1, 10_000),
        "hub": st.floats(0, 1),
        "balanced": st.booleans(),
        "fan_out": st.integers(1, 10_000),
        "epsilon": st.floats(1e-8, 0.5),
        "gate": st.booleans(),
    },
)
ageing = st.just({}) | st.builds(lambda half, by: {"half_life": half, "aged_by": by}, st.floats(0.1, 1e9), names)


def _weighed(made: Any, field: str, tokens: Any, share: float | None, rest: dict[str, Any]) -> Any:
    weights = None if share is None or isinstance(tokens, str) else [share] * len(tokens)
    return made(field, tokens, weights, **rest)


matrices = arrays.arrays(
    np.dtype("f4"),
    st.tuples(st.integers(1, 4), st.integers(1, 5)),
    elements=st.floats(-1e6, 1e6, width=32),
)
weighed = st.none() | st.floats(0, 1e3)
plain_arms: st.SearchStrategy[Arm] = st.one_of(
    st.builds(
        lambda start, path, walked, rest: vecdb.Linked(tuple(start), path=tuple(path), **walked, **rest),
        st.lists(ids, min_size=1, max_size=3),
        st.lists(st.sampled_from(["*", "<cites"]), max_size=2),
        walking,
        common,
    ),
    st.builds(_weighed, st.just(vecdb.Tokens), names, matrices | texts, weighed, common),
    st.builds(_near, names, vectors | texts, efforts, common),
    st.builds(
        lambda field, text, rest: vecdb.Match(field, text, **rest),
        names | st.dictionaries(names, st.floats(0.1, 1e3), min_size=1, max_size=3),
        texts,
        common,
    ),
    st.builds(lambda field, terms, rest: vecdb.Terms(field, terms, **rest), names, weights | texts, common),
    st.builds(
        lambda field, like, unlike, strategy, rest: vecdb.Like(field, tuple(like), tuple(unlike), strategy, **rest),
        names,
        st.lists(ids, min_size=1, max_size=3),
        st.lists(ids, max_size=3),
        st.sampled_from(["average", "best", "sum"]),
        common,
    ),
)
shares = st.none() | st.lists(st.floats(0.5, 9), min_size=1, max_size=3).map(tuple)
fusions: st.SearchStrategy[Fusion] = st.one_of(
    st.builds(vecdb.Rrf, st.integers(0, 100_000), shares),
    st.builds(vecdb.Interleave, shares),
    st.builds(vecdb.WeightedSum, shares, st.sampled_from(NORMALISE)),
    st.just(vecdb.AutoFusion()),
)
tops = st.none() | st.integers(1, 10_000_000)
orders = st.builds(lambda name, way: f"{name} {way}", names, st.sampled_from(["asc", "desc"]))
scoring: st.SearchStrategy[Stage] = st.builds(vecdb.Rank, formulas, tops) | st.builds(
    vecdb.Rescore, names, vectors | texts, tops
)
cuts: st.SearchStrategy[Stage] = st.builds(
    vecdb.Relevance,
    st.sampled_from(["zscore", "evt", "higher_criticism", "adapter"]),
    st.floats(0.001, 100),
    st.none() | st.floats(0.001, 0.999),
    st.floats(0.5, 0.99),
    st.none() | names,
    names,
    st.integers(0, 9),
    st.integers(100, 5000),
    st.integers(0, 9),
    st.integers(0, 9),
)
stages: st.SearchStrategy[Stage] = st.one_of(
    cuts,
    st.builds(
        vecdb.Cascade,
        st.lists(scoring, min_size=1, max_size=3).map(tuple),
        st.integers(1, 100),
        st.floats(0, 9),
        st.booleans(),
        tops,
    ),
    st.builds(vecdb.MinScore, finite),
    st.builds(vecdb.Collapse, names, st.floats(0.1, 1)),
    st.builds(vecdb.OrderBy, st.lists(orders, min_size=1, max_size=3).map(tuple)),
    st.builds(vecdb.Rank, formulas, tops),
    st.builds(vecdb.Rescore, names, vectors | texts, tops),
    st.builds(lambda walked, told, aged: vecdb.Expand(**walked, **told, **aged), walking, expansions, ageing),
    st.builds(
        lambda head, tail, entities, top: vecdb.PathPooling(head, tail, tuple(entities), top),
        names,
        names,
        st.lists(ids, max_size=3),
        tops,
    ),
    st.builds(_weighed, st.just(vecdb.MaxSim), names, matrices | texts, weighed, st.fixed_dictionaries({"top": tops})),
)
groupings = st.builds(vecdb.GroupBy, names, st.integers(1, 10_000))


def _queries(arms: st.SearchStrategy[Arm], cursors: st.SearchStrategy[str | None]) -> st.SearchStrategy[vecdb.Query]:
    return st.builds(
        lambda k, arms, fusion, where, stages, group, fields, exact, cursor, partial: vecdb.Query(
            k, tuple(arms), fusion, where, (*stages, *group), fields, exact, cursor, partial
        ),
        st.integers(1, 10_000_000),
        st.lists(arms, max_size=3),
        st.none() | fusions,
        st.none() | filters,
        st.lists(stages, max_size=3),
        st.lists(groupings, max_size=1),
        st.none() | st.lists(names, max_size=3).map(tuple),
        st.booleans(),
        cursors,
        st.booleans(),
    )


nested = _queries(plain_arms, st.none()).map(vecdb.Query().gather).map(lambda query: query.arms[0])
queries = _queries(plain_arms | nested, st.none() | texts)

# -- schemas -----------------------------------------------------------------------------------------------------------

spaces = st.builds(
    lambda model, dimension, normalized, parts: vecdb.Space(model, dimension, normalized, **parts),
    st.text(min_size=1, max_size=5),
    st.just(8),
    st.booleans(),
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(("weights", "version", "pooling", "query_prompt", "document_prompt"), texts),
    ),
)
fulltexts = st.builds(
    vecdb.FullText,
    st.sampled_from([None, "english", "german"]),
    st.booleans() | st.lists(st.text(min_size=1, max_size=4), max_size=3),
    st.floats(0, 1000),
    st.floats(0, 1),
    st.booleans(),
    st.integers(1, 64),
)
indexes = st.one_of(
    st.just(vecdb.Auto()),
    st.just(vecdb.Flat()),
    st.just(vecdb.Binary()),
    st.builds(vecdb.Hnsw, st.integers(4, 128), st.integers(8, 10_000), st.none() | st.sampled_from(["8bit", "4bit"])),
    st.builds(vecdb.Ivf, st.none() | st.integers(1, 1_000_000), st.sampled_from(["8bit", "4bit", "product", "rabitq"])),
    st.builds(vecdb.Funnel, st.none() | st.integers(1, 8), st.booleans()),
)
muveras = st.builds(
    vecdb.Muvera,
    repetitions=st.none() | st.integers(1, 64),
    bits=st.none() | st.integers(4, 6),
    projection=st.none() | st.integers(4, 32),
    directions=st.sampled_from(["orthogonal", "dense", "sparse"]),
    final=st.none() | st.integers(64, 1000),
    centred=st.booleans(),
    renormalise=st.booleans(),
    codes=st.none() | st.sampled_from(["8bit", "4bit", "product", "rabitq"]),
    lists=st.none() | st.integers(1, 1000),
    seed=st.integers(0, (1 << 63) - 1),
)
fields: st.SearchStrategy[Field] = st.one_of(
    st.sampled_from([vecdb.Bool(), vecdb.Int64(), vecdb.Float64(), vecdb.Timestamp(), vecdb.Json(), vecdb.Geo()]),
    st.builds(vecdb.Text, st.booleans() | fulltexts),
    st.builds(vecdb.Keyword, st.booleans()),
    st.builds(
        lambda dtype, metric, index, space: vecdb.Vector(8, dtype, metric, index, space=space),
        st.sampled_from(["float32", "float16"]),
        st.sampled_from(["cosine", "dot", "l2"]),
        indexes,
        st.none() | spaces,
    ),
    st.builds(lambda dimension: vecdb.Vector(8 * dimension, dtype="binary"), st.integers(1, 9)),
    st.builds(lambda index: vecdb.MultiVector(8, index=index), muveras | st.just(vecdb.Flat())),
    st.builds(
        lambda dtype, factor, pooling, protect, space: vecdb.MultiVector(
            8, dtype, factor, pooling, protect, normalise=protect > 3, space=space
        ),
        st.sampled_from(["float16", "float32", "int8", "int4", "sign", "residual4", "residual2"]),
        st.floats(1, 64),
        st.sampled_from(["ward", "kmeans", "sequential", "pylate"]),
        st.integers(0, 9),
        st.none() | spaces,
    ),
    st.builds(lambda fixed: vecdb.MultiVector(8, fixed=fixed, index="flat"), st.integers(1, 99)),
    st.builds(
        lambda dimension, space: vecdb.Sparse(dimension, space=space),
        st.none() | st.integers(1, 1 << 32),
        st.none() | spaces,
    ),
)


def _schema(id_type: Any, named: dict[str, Field], dropped: int) -> Schema:
    schema = Schema(key=vecdb.Id(id_type), **named)
    for name in list(named)[:dropped]:
        schema = schema.without_column(name)
    return schema


schemas = st.builds(
    _schema,
    st.sampled_from(["string", "int64"]),
    st.dictionaries(names.filter(lambda name: name not in RESERVED | {"id", "key"}), fields, max_size=5),
    st.integers(0, 2),
)

# -- messages of any content -------------------------------------------------------------------------------------------

_SCALARS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
    FieldDescriptor.TYPE_FLOAT: st.floats(width=32),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_STRING: texts
    | names
    | st.sampled_from(["float32", "l2", "cosine", "average", "exp", "string"]),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=24),
    FieldDescriptor.TYPE_UINT32: st.integers(0, 12) | st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 12) | st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-3, 12) | st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SINT64: st.integers(-3, 12) | st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_ENUM: st.integers(0, 17) | st.integers(-(2**31), 2**31 - 1),
}


def _values(field: Any, depth: int) -> st.SearchStrategy[Any]:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return any_of(field.message_type, depth - 1)
    return _SCALARS[field.type]


@cache
def any_of(kind: Any, depth: int) -> st.SearchStrategy[Message]:
    """Return messages of a kind with any content, so many levels deep."""
    usable = [
        field
        for field in kind.fields
        if (depth > 0 or field.type != FieldDescriptor.TYPE_MESSAGE)
        and not (field.message_type and field.message_type.GetOptions().map_entry)
    ]
    given: dict[str, st.SearchStrategy[Any]] = {}
    for field in usable:
        one = _values(field, depth)
        given[field.name] = st.lists(one, max_size=3) if field.is_repeated else one
    return st.fixed_dictionaries({}, optional=given).map(lambda content: GetMessageClass(kind)(**content))


@st.composite
def changed(draw: st.DrawFn, messages: st.SearchStrategy[Message]) -> Message:
    """Return a message that was fine, with something in it cleared, replaced or doubled."""
    message = draw(messages)
    for _ in range(draw(st.integers(1, 3))):
        at: Any = message
        while True:
            below = [value for _, value in at.ListFields() for value in _messages_in(value)]
            if not below or draw(st.integers(0, 3)) == 0:
                break
            at = below[draw(st.integers(0, len(below) - 1))]
        _change(draw, at)
    return message


def _messages_in(value: Any) -> list[Message]:
    held = list(value) if hasattr(value, "append") else [value]
    return [one for one in held if isinstance(one, Message)]


def _change(draw: st.DrawFn, at: Any) -> None:
    fields = list(at.DESCRIPTOR.fields)
    if not fields:
        return
    field = fields[draw(st.integers(0, len(fields) - 1))]
    if draw(st.booleans()):
        at.ClearField(field.name)
    value = draw(_values(field, 2))
    if field.is_repeated:
        getattr(at, field.name).append(value)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        getattr(at, field.name).CopyFrom(value)
    else:
        setattr(at, field.name, value)
