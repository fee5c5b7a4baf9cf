"""How single values look in a table and in JSON."""

import datetime
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vecdb_client.cli.render import cell, json_bytes


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "true"),
        (7, "7"),
        (0.1 + 0.2, "0.3"),
        ("plain", "plain"),
        ("tab\tline\nescape\x1b[2J", r"tab\tline\nescape\x1b[2J"),
        ("right\u202eleft", r"right\u202eleft"),
        (["a", "b"], '["a","b"]'),
        (datetime.datetime(2024, 5, 1, 10, tzinfo=datetime.UTC), "2024-05-01T10:00:00Z"),
        (np.array([0.5, 0.25], np.float32), "[0.5, 0.25]"),
        (np.arange(100, dtype=np.int8), "[0, 1, 2, ... 100 numbers]"),
    ],
)
def test_a_cell_is_one_line_without_control_characters(value: Any, shown: str) -> None:
    assert cell(value) == shown


FINITE = {"allow_nan": False, "allow_infinity": False}


@given(arrays.arrays(st.sampled_from([np.float32, np.float16]), 5, elements=FINITE))
def test_vectors_survive_json_bit_by_bit(vector: np.ndarray) -> None:
    again = np.array(orjson.loads(json_bytes({"v": vector}))["v"], vector.dtype)

    assert again.tobytes() == vector.tobytes()


def test_a_slice_of_a_matrix_is_written_too() -> None:
    assert json_bytes(np.arange(6, dtype=np.float32).reshape(2, 3)[:, 1]) == b"[1.0,4.0]"


def test_times_are_iso_8601_in_utc() -> None:
    moment = datetime.datetime(2024, 5, 1, 10, 0, 0, 250_000, tzinfo=datetime.UTC)

    assert json_bytes({"when": moment}) == b'{"when":"2024-05-01T10:00:00.250000Z"}'
