from datetime import UTC, datetime

import pytest

from vecdb import col
from vecdb.errors import FilterSyntaxError, InvalidInputError
from vecdb.filters import And, Condition, Expression, FieldPath, Not, Or, parse
from vecdb.filters.expression import MAX_DEPTH, MAX_LIST, MAX_NODES
from vecdb.wire import filters
from vecdb_proto.v1 import filter_pb2 as pb
from vecdb_proto.v1.values_pb2 import Value


def test_every_operator_has_a_number() -> None:
    from typing import get_args

    from vecdb.filters.expression import Operator

    assert set(filters.OPERATORS) == set(get_args(Operator))
    assert sorted(filters.OPERATORS.values()) == sorted(set(pb.Operator.values()) - {0})


def test_values_of_one_type_stand_in_one_list() -> None:
    moment = datetime(2024, 5, 1, tzinfo=UTC)
    for values, name in (
        (["a", "b"], "texts"),
        ([1, -2], "integers"),
        ([1.5], "numbers"),
        ([True], "booleans"),
        ([moment], "timestamps"),
        ([1, "a"], "mixed"),
        ([1, 1.0, True], "mixed"),
        ([2**64 - 1], "mixed"),
    ):
        message = filters.to_message(col("a").isin(values)).condition

        assert len(getattr(message, name)) == len(values)
        found = filters.from_message(filters.to_message(col("a").isin(values)))
        assert isinstance(found, Condition)
        assert found.types == tuple(map(type, values))


def test_equal_values_of_different_types_stay_different() -> None:
    for one, other in ((1, 1.0), (1, True), (0, False)):
        assert filters.from_message(filters.to_message(col("a") == one)) == (col("a") == one)
        assert filters.from_message(filters.to_message(col("a") == one)) != (col("a") == other)


def test_the_largest_filters_arrive() -> None:
    deep: Expression = col("a") == 1
    for _ in range(MAX_DEPTH - 1):
        deep = Not(deep)
    wide = Or(tuple(Condition(FieldPath("a"), "=", (number,)) for number in range(MAX_NODES - 1)))
    long = col("a").isin(range(MAX_LIST))

    for tree in (deep, wide, long):
        content = filters.to_message(tree).SerializeToString()
        assert filters.from_message(pb.Filter.FromString(content)) == tree


def condition(**values: object) -> pb.Filter:
    return pb.Filter(condition=pb.Condition(field="a", operator=pb.OPERATOR_EQUAL, **values))  # pyright: ignore[reportArgumentType]


def junction(count: int) -> pb.Filter:
    return pb.Filter(connective=pb.CONNECTIVE_AND, parts=[condition(integers=[1])] * count)


NAN = float("nan")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (pb.Filter(), "neither a condition"),
        (pb.Filter(parts=[condition(texts=["a"])]), "neither a condition"),
        (pb.Filter(connective=99), "connective 99"),  # pyright: ignore[reportArgumentType]
        (pb.Filter(connective=pb.CONNECTIVE_NOT), "negates one filter, found 0"),
        (pb.Filter(connective=pb.CONNECTIVE_AND), "joins two or more"),
        (pb.Filter(connective=pb.CONNECTIVE_OR, parts=[condition(texts=["a"])]), "joins two or more"),
        (
            pb.Filter(connective=pb.CONNECTIVE_AND, condition=condition(texts=["a"]).condition),
            "both a condition and a connective",
        ),
        (condition(), "takes 1 values, found 0"),
        (condition(texts=["a"], integers=[1]), "several lists"),
        (condition(numbers=[NAN]), "nan"),
        (condition(numbers=[float("inf")]), "inf"),
        (condition(timestamps=[2**62]), "outside the years"),
        (condition(mixed=[Value()]), "a value is empty"),
        (condition(keys=[pb.Key()], texts=["a"]), "neither a name nor a position"),
        (condition(keys=[pb.Key(position=0)] * 65, texts=["a"]), "at most 64 keys"),
        (pb.Filter(condition=pb.Condition(field="a", operator=99)), "operator 99"),  # pyright: ignore[reportArgumentType]
        (pb.Filter(condition=pb.Condition(operator=pb.OPERATOR_IS_NULL)), "field name"),
        (
            pb.Filter(condition=pb.Condition(field="a", operator=pb.OPERATOR_IN, integers=range(MAX_LIST + 1))),
            "has 10001 values",
        ),
        (
            pb.Filter(condition=pb.Condition(field="a", operator=pb.OPERATOR_WITHIN, numbers=[91, 0, 1])),
            "latitude",
        ),
        (junction(MAX_NODES + 1), "more than 1024"),
    ],
)
def test_a_message_that_is_no_filter_is_refused(message: pb.Filter, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        filters.from_message(message)


def test_words_that_cannot_be_read_are_a_syntax_error() -> None:
    message = pb.Filter(condition=pb.Condition(field="a", operator=pb.OPERATOR_MATCHES, texts=['"open']))

    with pytest.raises(FilterSyntaxError) as caught:
        filters.from_message(message)

    assert caught.value.position == 0


def test_more_levels_than_filters_may_have_are_refused() -> None:
    message = condition(integers=[1])
    for _ in range(60):
        message = pb.Filter(connective=pb.CONNECTIVE_NOT, parts=[message])

    with pytest.raises(InvalidInputError, match="more than 32"):
        filters.from_message(message)


def test_parts_of_parts_are_counted_before_they_are_read() -> None:
    message = pb.Filter(connective=pb.CONNECTIVE_OR, parts=[junction(1_000) for _ in range(200)])

    with pytest.raises(InvalidInputError, match="more than 1024"):
        filters.from_message(message)


def test_lists_that_are_long_together_are_refused() -> None:
    part = pb.Filter(condition=pb.Condition(field="a", operator=pb.OPERATOR_IN, integers=range(MAX_LIST)))

    with pytest.raises(InvalidInputError, match="more than 100000 values"):
        filters.from_message(pb.Filter(connective=pb.CONNECTIVE_OR, parts=[part] * 11))


def test_nested_parts_of_one_kind_are_taken_apart() -> None:
    inner = filters.to_message(parse("a = 1 and b = 2"))
    message = pb.Filter(connective=pb.CONNECTIVE_AND, parts=[inner, condition(integers=[3])])

    assert filters.from_message(message) == And(tuple(parse(text) for text in ("a = 1", "b = 2", "a = 3")))


@pytest.mark.parametrize("path", [FieldPath("\ud800"), FieldPath("a", (2**63,))])
def test_a_filter_that_no_message_can_hold_is_refused(path: FieldPath) -> None:
    with pytest.raises(InvalidInputError):
        filters.to_message(Condition(path, "is null"))
