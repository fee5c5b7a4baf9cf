"""Vector columns: conversion, nulls, slices, and every number checked."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import vecdb
from vecdb.errors import DimensionMismatchError, InvalidInputError
from vecdb.schema import Id, Schema, Vector, validated_batch
from vecdb.schema.fields import Metric, VectorDtype


def vectors(values: Any, dtype: VectorDtype = "float32", metric: Metric = "cosine", dimension: int = 2) -> pa.Array:
    schema = Schema(id=Id("int64"), x=Vector(dimension, dtype, metric))
    batch = validated_batch({"id": list(range(len(values))), "x": values}, schema)
    batch.validate(full=True)
    column = batch.column("x")
    assert column.type == schema["x"].field.arrow_type
    assert (column.offset, column.values.offset, column.values.null_count) == (0, 0, 0)
    assert len(column.values) == len(values) * dimension
    return column


ROWS = [[1.0, 2.0], None, [3.0, -4.0]]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize(
    "source",
    [
        ROWS,
        [np.array([1, 2], np.float32), None, [3, -4]],
        [(1, 2), None, np.array([3, -4], np.int8)],
        pa.array(ROWS),
        pa.array(ROWS, pa.list_(pa.float64(), 2)),
        pa.array(ROWS, pa.list_(pa.float32(), 2)),
        pa.array(ROWS, pa.large_list(pa.float32())),
        pa.array([[1, 2], None, [3, -4]], pa.list_(pa.int8(), 2)),
        pa.array([[1, 2], None, [3, -4]], pa.list_view(pa.int64())),
        pa.array([[9.0, 9.0], *ROWS, None], pa.list_(pa.float32(), 2)).slice(1, 3),
        pa.array([[9.0], *ROWS, [9.0, 9.0, 9.0]]).slice(1, 3),
        pa.chunked_array([pa.array(ROWS[:2]), pa.array(ROWS[2:])]),
    ],
)
def test_every_form_of_vectors_is_read_into_every_dtype(source: Any, dtype: VectorDtype) -> None:
    column = vectors(source, dtype)

    assert column.to_pylist() == ROWS
    np.testing.assert_array_equal(column.values.to_numpy(), [1, 2, 0, 0, 3, -4])


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_a_numpy_matrix_is_read_into_every_dtype(dtype: VectorDtype) -> None:
    for source in (
        np.array([[1, 2], [3, 4]]),
        np.array([[1, 2], [3, 4]], np.float16),
        np.array([[1, 2], [3, 4]], "u1"),
    ):
        assert vectors(source, dtype).to_pylist() == [[1, 2], [3, 4]]


def test_the_numbers_under_null_rows_are_zeroed() -> None:
    hidden = pa.array([7, 7, float("nan"), 7, 3, 4], pa.float32())
    source = pa.FixedSizeListArray.from_arrays(hidden, 2, mask=pa.array([False, True, False]))

    column = vectors(source)

    np.testing.assert_array_equal(column.values.to_numpy(), [7, 7, 0, 0, 3, 4])
    assert column.is_null().to_pylist() == [False, True, False]


@pytest.mark.parametrize(
    "source", [[None, None], pa.nulls(2), pa.nulls(2, pa.list_(pa.float32(), 7)), pa.nulls(2, pa.string())]
)
def test_a_column_without_any_vector_is_null_over_zeros(source: Any) -> None:
    column = vectors(source)

    assert column.null_count == 2
    np.testing.assert_array_equal(column.values.to_numpy(), [0, 0, 0, 0])


def test_no_rows_of_any_type_are_no_vectors() -> None:
    for source in ([], np.empty((0, 5)), pa.array([], pa.list_(pa.string())), pa.array([], pa.int64())):
        assert len(vectors(source)) == 0


@pytest.mark.parametrize(
    "source",
    [
        [[1, 2], [1, 2, 3]],
        [[1, 2], []],
        [np.ones(2), np.ones(3)],
        [None, [1, 2, 3]],
        pa.array([[1.0, 2.0], [1.0, 2.0, 3.0]]),
        pa.array([None, [1.0]]),
        pa.array([None, [1.0]], pa.list_(pa.float32(), 1)),
        pa.chunked_array([pa.array([[1.0, 2.0]]), pa.array([[1.0]])]),
    ],
)
def test_another_dimension_is_refused_with_its_row(source: Any) -> None:
    with pytest.raises(DimensionMismatchError, match=r"field 'x', row 1: the vector has . values, .* dimension 2"):
        vectors(source)


def test_a_matrix_of_another_dimension_is_refused() -> None:
    with pytest.raises(DimensionMismatchError, match="row 0: the vector has 3 values, the field has dimension 2"):
        vectors(np.ones((2, 3)))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_a_number_that_is_not_finite_is_refused(bad: float, dtype: VectorDtype, metric: Metric) -> None:
    rows = np.ones((600, 3), dtype=dtype)
    rows[555, 2] = bad

    for source in (rows, list(rows), rows.astype(np.float64), pa.array(list(rows)), [None, *rows[1:]]):
        with pytest.raises(InvalidInputError, match=f"field 'x', row 555: the vector's number 2 is {bad}") as caught:
            vectors(source, dtype, metric, dimension=3)
        assert caught.value.row == 555


@pytest.mark.parametrize(
    ("dtype", "value"), [("float32", 1e39), ("float32", -1e300), ("float16", 65_520.0), ("float16", 100_000)]
)
def test_a_number_too_large_for_the_dtype_is_refused_as_it_was_given(dtype: VectorDtype, value: float) -> None:
    with pytest.raises(InvalidInputError, match=r"which float.. cannot hold") as caught:
        vectors([[1, 1], [1, value]], dtype)

    assert caught.value.value == value


@pytest.mark.parametrize(
    ("dtype", "value"), [("float32", 3e38), ("float32", 1e-44), ("float16", 65_504.0), ("float16", 6e-8)]
)
def test_the_largest_and_smallest_numbers_of_a_dtype_are_accepted(dtype: VectorDtype, value: float) -> None:
    for source in ([[value, 0.0], [0.0, -value]], np.array([[value, 0], [0, -value]], dtype)):
        column = vectors(source, dtype)

        np.testing.assert_array_equal(column.values.to_numpy(), np.array([value, 0, 0, -value], dtype))


@pytest.mark.parametrize(
    ("metric", "value", "told"),
    [
        ("dot", 7e18, r"dot takes vectors of a length up to 9e\+18"),
        ("l2", 7e18, r"l2 takes vectors of a length up to 9e\+18"),
        ("l2", 3e38, r"l2 takes vectors of a length up to 9e\+18"),
        ("cosine", 3e38, r"cosine takes vectors of a length up to 3.4e\+38"),
    ],
)
def test_a_vector_whose_scores_would_overflow_is_refused(metric: Metric, value: float, told: str) -> None:
    for source in ([[1, 1], [value, -value]], np.array([[1, 1], [value, -value]], np.float32)):
        with pytest.raises(InvalidInputError, match=rf"field 'x', row 1: the vector is .* long: {told}"):
            vectors(source, "float32", metric)
    with vecdb.connect(":memory:") as database:
        field = vecdb.Vector(2, metric=metric)
        docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id("int64"), x=field))
        docs.upsert({"id": 1, "x": [1, 1]})
        with pytest.raises(InvalidInputError, match=told):
            docs.upsert({"id": 2, "x": np.array([value, value], np.float32)})
        for query in ([value, value], np.array([value, value], np.float32)):
            with pytest.raises(InvalidInputError, match=f"query 0 for 'x' is .* long: {told}"):
                docs.search(x=query)
        assert docs.count() == 1


@pytest.mark.parametrize("metric", ["dot", "l2"])
def test_scores_of_the_longest_vectors_are_finite(metric: Metric) -> None:
    value = np.float32(8.99e18 / np.sqrt(2))
    rows = np.array([[value, value], [-value, -value], [value, -value]], np.float32)
    with vecdb.connect(":memory:") as database:
        field = vecdb.Vector(2, metric=metric)
        docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id("int64"), x=field))
        docs.upsert({"id": [0, 1, 2], "x": rows})

        found = docs.search(x=rows[0])

        assert found.ids == [0, 2, 1]
        assert np.isfinite(found.scores).all()


@pytest.mark.parametrize("value", [1.5, 128, -129, float("nan"), float("inf"), 1e300])
def test_an_int8_vector_takes_whole_numbers_of_its_range_only(value: float) -> None:
    with pytest.raises(InvalidInputError, match=r"row 300: .* not a whole number from -128 to 127"):
        vectors([[1, -128]] * 300 + [[127, value]], "int8")


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_a_zero_vector_is_refused_by_cosine_only(dtype: VectorDtype) -> None:
    rows = np.ones((3, 2), dtype=dtype)
    rows[1] = [0, -0.0]

    for source in (rows, list(rows), pa.array(list(rows))):
        with pytest.raises(InvalidInputError, match=r"row 1: the vector is all zeros, .* cosine"):
            vectors(source, dtype, "cosine")
        assert vectors(source, dtype, "dot").to_pylist()[1] == [0, 0]
        assert vectors(source, dtype, "l2").to_pylist()[1] == [0, 0]


def test_a_vector_that_becomes_zero_in_the_dtype_is_refused_by_cosine() -> None:
    with pytest.raises(InvalidInputError, match="row 0: the vector is all zeros"):
        vectors([[1e-60, 0.0]])


@pytest.mark.parametrize(
    ("source", "row", "message"),
    [
        ([[1, 2], [1, None]], 1, "number 1 is None, which is not a number"),
        ([[1, 2], [1, "2"]], 1, "number 1 is '2', which is not a number"),
        ([[1, 2], [True, False]], 1, "number 0 is True, which is not a number"),
        ([[1, 2], [2.0, True]], 1, "number 1 is True, which is not a number"),
        ([np.ones(2), np.ones(2, bool)], 1, "number 0 is True, which is not a number"),
        ([[1, 2], [1, 2j]], 1, "number 1 is 2j, which is not a number"),
        ([[1, 2], "ab"], 1, "'ab' is not a list or an array of 2 numbers"),
        ([[1, 2], 5], 1, "5 is not a list or an array of 2 numbers"),
        ([[1, 2], [[1, 2]]], 1, "is not a list or an array of 2 numbers"),
        ([[1, 2], {"a": 1}], 1, "is not a list or an array of 2 numbers"),
        ([[1, 2], [1, 10**400]], 1, "is not a list or an array of 2 numbers"),
        ([[1, 2], np.ma.masked_array([1, 2], [True, False])], 1, "number 0 is masked, which is not"),
        (pa.array([[1.0, 2.0], [None, 1.0]]), 1, "number 0 is null"),
        (pa.array([None, [1.0, None]], pa.list_(pa.float32(), 2)), 1, "number 1 is null"),
        (pa.array([None, ["a", "b"]]), 1, "a vector of string values is not a vector of numbers"),
        (pa.array([None, "ab"]), 1, "a column of string cannot hold vectors"),
        (pa.array([None, {"a": 1}]), 1, "cannot hold vectors"),
    ],
)
def test_what_is_no_vector_is_refused_with_its_row(source: Any, row: int, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as caught:
        vectors(source)

    assert caught.value.row == row


@pytest.mark.parametrize(
    "source", [np.ones(2), np.ones((2, 2), bool), np.array([["a", "b"]] * 2), np.ones((2, 2), complex)]
)
def test_an_array_that_is_no_matrix_of_numbers_is_refused(source: Any) -> None:
    with pytest.raises(InvalidInputError, match="field 'x': an array of"):
        vectors(source)
