from typing import Any

import numpy as np
import pytest

import vecdb
from vecdb import Query, formula
from vecdb.errors import InvalidInputError
from vecdb.query.arms import ARMS
from vecdb.query.fusion import FUSIONS
from vecdb.query.stages import STAGES
from vecdb.wire import filters, formulas, queries
from vecdb_proto.v1 import formula_pb2
from vecdb_proto.v1 import query_pb2 as pb
from vecdb_proto.v1.values_pb2 import DTYPE_FLOAT32, Id, SparseVector, Vector


def near(**parts: Any) -> pb.Query:
    return pb.Query(k=1, arms=[pb.Arm(near=pb.Near(field="a", **parts))])


def floats(*numbers: float) -> Vector:
    return Vector(dtype=DTYPE_FLOAT32, dimension=len(numbers), data=np.array(numbers, "f4").tobytes())


def staged(**stage: Any) -> pb.Query:
    return pb.Query(k=1, stages=[pb.Stage(**stage)])


def of_formula(**parts: Any) -> pb.Query:
    return staged(rank=pb.Rank(formula=formula_pb2.Formula(**parts)))


NAN, INFINITE = float("nan"), float("inf")


def test_every_kind_of_arm_fusion_and_stage_has_a_message() -> None:
    for kind, known in ((pb.Arm, ARMS), (pb.Fusion, FUSIONS), (pb.Stage, STAGES)):
        assert {field.name for field in kind.DESCRIPTOR.oneofs_by_name["kind"].fields} == set(known)


def test_every_operation_of_a_formula_has_a_number() -> None:
    assert set(formulas.OPERATIONS) == {*formula.OPERATORS, *formula.FUNCTIONS}
    assert sorted(formulas.OPERATIONS.values()) == sorted(set(formula_pb2.Operation.values()) - {0})


def test_the_largest_formula_inside_the_deepest_query_can_be_read() -> None:
    deep: Any = formula.score
    where: Any = vecdb.col("a") == 1
    for _ in range(31):
        where = ~where
    deep = formula.when(where, deep)
    while deep.depth < formula.DEPTH:
        deep = -deep
    query = Query().rank(deep)
    for _ in range(3):
        query = Query().gather(query)

    content = queries.to_message(query).SerializeToString()

    assert queries.from_message(pb.Query.FromString(content)) == query


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (pb.Query(), "k is 0"),
        (pb.Query(k=2**32 - 1), "k is 4294967295, at most"),
        (pb.Query(k=1, arms=[pb.Arm()]), "an arm is of no known kind"),
        (pb.Query(k=1, stages=[pb.Stage()]), "a stage is of no known kind"),
        (pb.Query(k=1, fusion=pb.Fusion()), "the fusion is of no known kind"),
        (pb.Query(k=1, fusion=pb.Fusion(rrf=pb.RrfFusion(k=2**31))), "k of fusion"),
        (pb.Query(k=1, fusion=pb.Fusion(interleave=pb.InterleaveFusion(weights=[NAN]))), "weights of fusion"),
        (pb.Query(k=1, fusion=pb.Fusion(weighted=pb.WeightedFusion(normalise="x"))), "normalise 'x'"),
        (near(), "nothing is sought in 'a'"),
        (near(vector=Vector()), "unknown dtype 0"),
        (near(vector=floats()), "1 to 65536 numbers"),
        (near(vector=floats(1, NAN)), "NaN or infinity"),
        (near(vector=floats(1, INFINITE)), "NaN or infinity"),
        (near(vector=floats(*range(65_537))), "1 to 65536 numbers"),
        (near(vector=floats(1), recall=NAN), "recall is nan"),
        (near(vector=floats(1), recall=1.5), "recall is 1.5"),
        (near(vector=floats(1), ef=0), "ef is 0"),
        (near(vector=floats(1), ef=5, probes=5), "only one of"),
        (near(vector=floats(1), plan="magic"), "plan 'magic'"),
        (near(text="a" * 65_537), "65537 characters"),
        (pb.Query(k=1, arms=[pb.Arm(match=pb.Match(text="a"))]), "a field's name"),
        (
            pb.Query(k=1, arms=[pb.Arm(match=pb.Match(boosts=pb.Match.Boosts(fields=["a"]), text="a"))]),
            "1 fields and 0 boosts",
        ),
        (
            pb.Query(k=1, arms=[pb.Arm(match=pb.Match(boosts=pb.Match.Boosts(fields=["a"], boosts=[NAN]), text="a"))]),
            "boost of 'a' is nan",
        ),
        (
            pb.Query(
                k=1, arms=[pb.Arm(terms=pb.Terms(field="a", terms=SparseVector(terms=bytes(8), weights=bytes(4))))]
            ),
            "2 indices and 1 values",
        ),
        (
            pb.Query(k=1, arms=[pb.Arm(terms=pb.Terms(field="a", terms=SparseVector(terms=bytes(3), weights=b"")))]),
            "no multiple of 4",
        ),
        (pb.Query(k=1, arms=[pb.Arm(like=pb.Like(field="a", strategy="average"))]), "names no id"),
        (pb.Query(k=1, arms=[pb.Arm(like=pb.Like(field="a", like=[Id(text="x")]))]), "strategy ''"),
        (
            pb.Query(k=1, arms=[pb.Arm(like=pb.Like(field="a", like=[Id(integer=at) for at in range(1025)]))]),
            "1025 ids",
        ),
        (staged(min_score=pb.MinScore(score=NAN)), "min_score is nan"),
        (staged(collapse=pb.Collapse(field="a", similarity=0)), "similarity is 0"),
        (staged(group_by=pb.GroupBy(field="a")), "per_group is 0"),
        (staged(order_by=pb.OrderBy()), "order_by names 0 fields"),
        (staged(order_by=pb.OrderBy(keys=[pb.SortKey(field="a b")])), "nothing to order by"),
        (staged(rescore=pb.Rescore(field="a")), "nothing is sought"),
        (staged(rank=pb.Rank()), "empty"),
        (of_formula(constant=NAN), "nan"),
        (of_formula(operation=formula_pb2.OPERATION_ADD), "has 2 parts in a formula, found 0"),
        (of_formula(operation=99), "operation 99"),
        (of_formula(constant=1, parts=[formula_pb2.Formula(constant=1)]), "has 0 parts"),
        (of_formula(field=formula_pb2.FieldLeaf()), "a name in a formula"),
        (of_formula(decay=formula_pb2.DecayLeaf(field="a", scale=1, at_scale=0.5, shape="exp")), "no origin"),
        (
            of_formula(decay=formula_pb2.DecayLeaf(field="a", number=INFINITE, scale=1, at_scale=0.5, shape="exp")),
            "origin is inf",
        ),
        (of_formula(away=formula_pb2.AwayLeaf(field="a", place=formula_pb2.Place(latitude=91))), "no place"),
        (pb.Query(k=1, arms=[pb.Arm(match=pb.Match(field="a", text="a"))] * 33), "33 arms"),
    ],
)
def test_a_message_that_is_no_query_is_refused(message: pb.Query, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        queries.from_message(message)


def test_queries_too_deep_inside_each_other_are_refused() -> None:
    message = pb.Query(k=1)
    for _ in range(4):
        message = pb.Query(k=1, arms=[pb.Arm(nested=message)])

    with pytest.raises(InvalidInputError, match="more than 4 deep"):
        queries.from_message(message)


def test_arms_of_nested_queries_are_counted_before_they_are_read() -> None:
    message = pb.Query(k=1)
    for _ in range(3):
        message = pb.Query(k=1, arms=[pb.Arm(nested=message)] * 32)

    with pytest.raises(InvalidInputError, match="more than 1024 arms"):
        queries.from_message(message)


def test_lists_of_all_filters_are_counted_together() -> None:
    """Those of arms and formulas too, and small ones that were read before."""
    listed = filters.to_message(vecdb.col("a").isin(range(1_000)))
    small = filters.to_message(vecdb.col("a").isin([True] * 1_000))
    one, half = formula_pb2.Formula(constant=1), formula_pb2.Formula()
    half.when.CopyFrom(small)
    half.parts.extend([one, one])
    nested = pb.Query(k=1, arms=[pb.Arm(match=pb.Match(field="a", text="a"), where=listed)] * 30)
    stages = [pb.Stage(rank=pb.Rank(formula=half))] * 10
    message = pb.Query(k=1, arms=[pb.Arm(nested=nested)] * 3, stages=stages, filter=listed)

    with pytest.raises(InvalidInputError, match="more than 100000 values together"):
        queries.from_message(message)
    del message.stages[9:]
    assert len(queries.from_message(message).stages) == 9


def test_parts_of_a_formula_are_counted_before_they_are_read() -> None:
    leaf = formula_pb2.Formula(constant=1)
    message = formula_pb2.Formula(operation=formula_pb2.OPERATION_ADD, parts=[leaf] * 100_000)

    with pytest.raises(InvalidInputError, match="more than 256 parts"):
        formulas.from_message(message)


def test_a_query_with_a_python_function_cannot_be_sent() -> None:
    with pytest.raises(InvalidInputError, match="Python function"):
        queries.to_message(Query().near("a", [1.0]).score_by(lambda rows: [1.0 for _ in rows]))


@pytest.mark.parametrize(
    "query", [Query().match("a", "\ud800"), Query().near("\ud800", [1.0]), Query().like("a", 2**63)]
)
def test_a_query_that_no_message_can_hold_is_refused(query: Query) -> None:
    with pytest.raises(InvalidInputError):
        queries.to_message(query)


def test_a_vector_that_arrives_cannot_be_changed() -> None:
    query = queries.from_message(queries.to_message(Query().near("a", [1.0, 2.0])))

    (arm,) = query.arms
    assert isinstance(arm, vecdb.Near)
    assert not isinstance(arm.vector, str)
    assert not arm.vector.array.flags.writeable


def test_small_filters_are_read_once() -> None:
    message = filters.to_message(vecdb.col("a") == 4711)

    assert filters.from_message(message) is filters.from_message(message)
