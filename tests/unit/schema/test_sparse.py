"""Sparse vectors in every form in which they come, and each way in which they are refused."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse as sp

from vecdb.errors import InvalidInputError
from vecdb.schema import Id, Schema, Sparse, field_from_json, validated_batch

SCHEMA = Schema(id=Id("int64"), terms=Sparse(1000))
PLAIN = [{"index": 3, "value": 0.5}, {"index": 700, "value": 1.25}]


def stored(value: Any, schema: Schema = SCHEMA) -> Any:
    return validated_batch([{"id": 1, "terms": value}, {"id": 2}], schema).column("terms").to_pylist()[0]


FORMS: list[Any] = [
    {3: 0.5, 700: 1.25},
    {700: 1.25, 3: 0.5, 9: 0, 10: 0.0, 11: 1e-60},
    {"700": 1.25, "3": 0.5},
    {np.int64(3): np.float32(0.5), 700: 1.25},
    ([700, 3], [1.25, 0.5]),
    [[3, 700], [0.5, 1.25]],
    (np.array([3, 700], np.uint32), np.array([0.5, 1.25], np.float16)),
    {"indices": [3, 700], "values": [0.5, 1.25]},
    [{"index": 700, "value": 1.25}, {"index": 3, "value": 0.5}],
    sp.csr_matrix(([1.25, 0.5], ([0, 0], [700, 3])), (1, 1000)),
    sp.coo_array(([0.5, 1.25], ([3, 700],)), (1000,)),
]


@pytest.mark.parametrize("value", FORMS)
def test_one_vector_comes_in_any_form(value: Any) -> None:
    assert stored(value) == PLAIN
    assert validated_batch({"id": 1, "terms": value}, SCHEMA).column("terms").to_pylist() == [PLAIN]


def test_nothing_is_not_the_same_as_no_terms() -> None:
    assert stored(None) is None
    assert stored({}) == stored([]) == stored(([], [])) == stored({4: 0}) == []


COLUMNS: list[Any] = [
    pa.array([[], None, PLAIN], pa.list_(pa.struct({"index": pa.int16(), "value": pa.float64()}))),
    pa.array([[], None, PLAIN], pa.large_list(pa.struct({"value": pa.float32(), "index": pa.uint64()}))),
    pa.array([[], None, [(700, 1.25), (3, 0.5)]], pa.map_(pa.int32(), pa.float32())),
    pa.array([{"indices": [], "values": []}, None, {"indices": [700, 3], "values": [1.25, 0.5]}]),
    pa.chunked_array([pa.array([[]], Sparse().arrow_type), pa.array([None, PLAIN], Sparse().arrow_type)]),
    pa.array([PLAIN, [], None, PLAIN, []], Sparse().arrow_type).slice(1, 3),
    pa.array([[(5, 2.0)], [], None, [(700, 1.25), (3, 0.5)]], pa.map_(pa.int32(), pa.float32())).slice(1, 3),
]


@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_comes_as_lists_maps_or_structs_of_arrow(column: Any) -> None:
    batch = validated_batch(pa.table({"id": [1, 2, 3], "terms": column}), SCHEMA)

    batch.validate(full=True)
    assert batch.column("terms").to_pylist() == [[], None, PLAIN]


@pytest.mark.parametrize("made", [sp.csr_matrix, sp.csr_array, sp.coo_matrix, sp.csc_array])
def test_a_column_comes_as_a_matrix_of_scipy(made: Any) -> None:
    matrix = made(sp.csr_matrix(([1.25, 0.5, 7], ([2, 2, 0], [700, 3, 5])), (3, 1000)))

    batch = validated_batch({"id": [1, 2, 3], "terms": matrix}, SCHEMA)

    assert batch.column("terms").to_pylist() == [[{"index": 5, "value": 7}], [], PLAIN]


def test_rows_of_a_matrix_are_taken_from_the_middle() -> None:
    matrix = sp.csr_matrix(np.eye(5, dtype=np.float32))

    batch = validated_batch({"id": [1, 2], "terms": matrix[2:4]}, SCHEMA)

    assert batch.column("terms").to_pylist() == [[{"index": 2, "value": 1}], [{"index": 3, "value": 1}]]


WRONG: list[tuple[Any, str]] = [
    (5, "5 is not a sparse vector"),
    ("x", "'x' is not a sparse vector"),
    ([1, 2, 3], "is not a sparse vector"),
    ({"a": 1}, "'a' among its indices"),
    ({1.5: 1}, "for its indices, expected whole numbers"),
    ({True: 1}, "True among its indices"),
    ({1: "x"}, "'x' among its values"),
    ({1: None}, "None among its values"),
    ({1: -0.5}, "weight -0.5, which is not from 0"),
    ({1: float("nan")}, "weight nan"),
    ({1: float("inf")}, "weight inf"),
    ({1: 1e17}, "weight 1e+17"),
    ({-1: 1}, "index -1, which is not from 0 to 999"),
    ({1000: 1}, "index 1000, which is not from 0 to 999"),
    ({2**64 - 1: 1}, "index"),
    ({2**70: 1}, "indices"),
    (([1, 2], [1]), "2 indices and 1 values"),
    (([4, 9, 4], [1, 2, 3]), "index 4 twice"),
    ({"1": 1, 1: 2}, "index 1 twice"),
    (([[1]], [[1]]), "indices"),
    (sp.csr_matrix(np.eye(2)), "shape (2, 2)"),
]


@pytest.mark.parametrize(("value", "told"), WRONG)
def test_what_does_not_fit_is_refused_with_field_row_and_value(value: Any, told: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        validated_batch([{"id": 1, "terms": {1: 1}}, {"id": 2, "terms": value}], SCHEMA)

    assert told in str(caught.value)
    assert (caught.value.field, caught.value.row) == ("terms", 1)
    with pytest.raises(InvalidInputError, match="row 0"):
        validated_batch({"id": 2, "terms": value}, SCHEMA)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[{"index": 1, "value": 1.0}], [{"index": -1, "value": 1.0}]]),
        pa.array([[{"index": 1, "value": 1.0}], [{"index": 1, "value": None}]]),
        pa.array([[{"index": 1, "value": 1.0}], [{"index": None, "value": 1.0}]]),
        pa.array([[{"index": 1, "value": 1.0}], [None]]),
        pa.array([[{"index": 1, "value": 1.0}], [{"index": 2, "value": 1.0}, {"index": 2, "value": 1.0}]]),
        pa.array([[(1, 1.0)], [(2, 1.0), (2, 3.0)]], pa.map_(pa.int32(), pa.float32())),
        pa.array([None, "x"]),
        pa.array([None, [1.0, 2.0, 3.0]]),
        sp.csr_matrix(([1, -1], ([0, 1], [2, 3]))),
    ],
)
def test_a_column_that_does_not_fit_is_refused_with_the_first_row(column: Any) -> None:
    with pytest.raises(InvalidInputError) as caught:
        validated_batch({"id": [1, 2], "terms": column}, SCHEMA)

    assert (caught.value.field, caught.value.row) == ("terms", 1)


def test_a_vector_has_a_limit_of_entries() -> None:
    assert len(stored((np.arange(1 << 16), np.ones(1 << 16)), Schema(id=Id("int64"), terms=Sparse()))) == 1 << 16

    with pytest.raises(InvalidInputError, match="65537 entries, at most 65536"):
        stored((np.arange((1 << 16) + 1), np.ones((1 << 16) + 1)), Schema(id=Id("int64"), terms=Sparse()))


@pytest.mark.parametrize("dimension", [0, -1, True, 1.5, 2**32 + 1, "x"])
def test_a_dimension_out_of_range_is_refused(dimension: Any) -> None:
    with pytest.raises(InvalidInputError, match="dimension"):
        Sparse(dimension)


@pytest.mark.parametrize("field", [Sparse(), Sparse(30522), Sparse(2**32)])
def test_a_field_is_the_same_after_a_way_through_json(field: Sparse) -> None:
    assert field_from_json(field.to_json()) == field
