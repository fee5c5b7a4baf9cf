"""Conditions on numbers as closed intervals: `size < 10` is everything from the smallest integer to 9.

What an index of a sorted column is asked. Moments are microseconds here, as Arrow keeps them.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vecdb.filters.columns import converted, kind_of, members_of, on_floats, on_integers
from vecdb.filters.expression import Condition, Operator
from vecdb.schema.arrays import array_of, numbers_of, scalar_of
from vecdb.schema.fields import Field

_DTYPES = {"int64": np.int64, "timestamp": np.int64, "float64": np.float64}
_VIEWS = {"int64": pa.int64(), "timestamp": pa.int64(), "float64": pa.float64()}
_RANGES: dict[type, tuple[Any, Any]] = {np.int64: (-(2**63), 2**63 - 1), np.float64: (-math.inf, math.inf)}


class Intervals(NamedTuple):
    """Which values are meant: those in any of the intervals lows[i] to highs[i], or with `others` those in none.

    Both are int64 or float64, (m,), and ascend; no interval is empty.
    """

    lows: NDArray[Any]
    highs: NDArray[Any]
    others: bool


def intervals_of(condition: Condition, field: Field) -> Intervals | None:
    """Return what a condition that fits its field asks of it; None where the field does not hold numbers."""
    kind = kind_of(field)
    if kind not in _DTYPES or condition.operator == "is null":
        return None
    values = condition.values
    if kind == "timestamp":
        values = tuple(converted(value, kind, condition) for value in values)
    if condition.operator == "in":
        points = np.sort(numbers_of(array_of(members_of(values, kind), field.arrow_type).view(_VIEWS[kind])))
        return Intervals(points, points, False)
    values = [scalar_of(value, field.arrow_type).value if kind == "timestamp" else value for value in values]
    if condition.operator == "between":
        low, high = _interval(">=", values[0], kind), _interval("<=", values[1], kind)
        pairs = [(low[0], high[1])] if low and high else []
    else:
        pair = _interval("=" if condition.operator == "!=" else condition.operator, values[0], kind)
        pairs = [pair] if pair else []
    kept = np.array([pair for pair in pairs if pair[0] <= pair[1]], _DTYPES[kind]).reshape(-1, 2)
    return Intervals(kept[:, 0], kept[:, 1], condition.operator == "!=")


def _interval(operator: Operator, value: Any, kind: str) -> tuple[Any, Any] | None:
    """Return the first and the last value of the column's type that the comparison holds for; None for none."""
    least, most = _RANGES[_DTYPES[kind]]
    exact: Any = operator, value
    if kind == "int64":
        exact = on_integers(operator, value)
    elif kind == "float64" and isinstance(value, int):
        exact = on_floats(operator, value)
    if isinstance(exact, bool):
        return (least, most) if exact else None
    operator, value = exact
    if operator == "<":
        return (least, _before(value, kind)) if value > least else None
    if operator == ">":
        return (_behind(value, kind), most) if value < most else None
    return {"=": (value, value), "<=": (least, value), ">=": (value, most)}[operator]


def _before(value: Any, kind: str) -> Any:
    return math.nextafter(value, -math.inf) if kind == "float64" else value - 1


def _behind(value: Any, kind: str) -> Any:
    return math.nextafter(value, math.inf) if kind == "float64" else value + 1
