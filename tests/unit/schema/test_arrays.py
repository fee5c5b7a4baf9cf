"""Arrow arrays made of plain values are what pyarrow makes of them, and come back."""

import sys
from datetime import UTC, datetime, timedelta, timezone
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from vecdb.schema.arrays import (
    array_of,
    bools_array,
    bools_of,
    numbers_array,
    numbers_of,
    python_array,
    scalar_of,
    true_of,
)

MOMENTS = [
    datetime(2024, 5, 1, 12, tzinfo=timezone(timedelta(hours=2))),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(1969, 12, 31),
]


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        (["a", "", "ü 𝄞", "a"], pa.string()),
        ([True, False, True] * 5, pa.bool_()),
        ([0, -(2**63), 2**63 - 1], pa.int64()),
        ([0.5, -0.0, 1e308], pa.float64()),
        (MOMENTS, pa.timestamp("us", tz="UTC")),
    ],
)
def test_arrays_of_values_are_those_of_pyarrow(values: list[Any], type_: pa.DataType) -> None:
    found = array_of(values, type_)

    found.validate(full=True)
    assert found.equals(pa.array(values, type_))
    assert array_of([], type_).equals(pa.array([], type_))
    assert scalar_of(values[0], type_).equals(pa.scalar(values[0], type_))
    assert array_of([None, *values, None], type_).equals(pa.array([None, *values, None], type_))
    array_of([None, *values, None], type_).validate(full=True)


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(
    ("values", "type_"),
    [
        (["a", None], pa.string()),
        ([1, None], pa.int64()),
        ([["a"], None], pa.list_(pa.string())),
        ([{"lat": 1.0, "lon": 2.0}, None], pa.struct([("lat", pa.float64()), ("lon", pa.float64())])),
    ],
)
def test_a_few_values_are_an_array_whether_pandas_is_loaded_or_not(
    monkeypatch: pytest.MonkeyPatch, values: list[Any], type_: pa.DataType, there: bool
) -> None:
    if there:
        monkeypatch.setitem(sys.modules, "pandas", ModuleType("pandas"))
    else:
        monkeypatch.delitem(sys.modules, "pandas", raising=False)

    assert python_array(values, type_).equals(pa.array(values, type_))


def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        array_of(["\ud800"], pa.string())


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 64, 100])
@pytest.mark.parametrize("first", [0, 1, 7, 8, 13])
def test_truth_values_come_back_from_anywhere_in_an_array(length: int, first: int) -> None:
    rng = np.random.default_rng(length)
    bools, missing = rng.random((2, first + length)) < 0.5
    whole, holed = bools_array(bools)[first:], bools_array(bools, missing)[first:]

    assert whole.to_pylist() == bools[first:].tolist()
    assert bools_of(whole).tolist() == bools[first:].tolist()
    assert holed.equals(pa.array(bools, mask=missing)[first:])
    assert true_of(holed).tolist() == (bools & ~missing)[first:].tolist()


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32, np.float32, np.float64])
def test_numbers_share_memory_both_ways(dtype: Any) -> None:
    numbers = np.arange(10, dtype=dtype)

    array = numbers_array(numbers)

    assert array.equals(pa.array(numbers))
    assert np.shares_memory(numbers_of(array[2:]), numbers)
    assert numbers_of(array[2:]).tolist() == numbers[2:].tolist()
    assert numbers_array(numbers[::2]).equals(pa.array(numbers[::2]))
