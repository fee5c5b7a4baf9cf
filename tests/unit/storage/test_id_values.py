"""Ids read from Arrow's buffers are those that Arrow itself gives."""

import numpy as np
import pyarrow as pa
import pytest

from vecdb.storage.id_values import IdValues


@pytest.mark.parametrize("ids", [pa.array(["a", "", "über", "日本"]), pa.array([-(1 << 63), 0, 7, (1 << 63) - 1])])
def test_ids_are_those_that_arrow_gives(ids: pa.Array) -> None:
    rows = np.array([3, 0, 0, 2, 1])
    assert IdValues(ids).at(rows) == ids.take(pa.array(rows)).to_pylist()


@pytest.mark.parametrize("ids", [pa.array(["aa", "b", "ccc", "d"]), pa.array([10, 20, 30, 40])])
def test_ids_of_a_slice_are_counted_from_its_beginning(ids: pa.Array) -> None:
    assert IdValues(ids.slice(1, 2)).at(np.array([1, 0])) == ids.slice(1, 2).to_pylist()[::-1]


@pytest.mark.parametrize("kind", [pa.string(), pa.int64()])
def test_of_no_ids_none_are_read(kind: pa.DataType) -> None:
    assert IdValues(pa.array([], kind)).at(np.empty(0, np.int64)) == []
