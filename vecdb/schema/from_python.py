"""One column of Python values as an array of its field's type.

Arrow's own conversion is too friendly (it takes bytes for strings, 1.0 for an integer, True for a number), so the
types of a column are collected first: one set lookup per kind of field, and a search for the culprit only when the
set holds something unusual.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from vecdb.schema.blame import Blame, shown
from vecdb.schema.fields import Bool, Field, Float64, Geo, Id, Int64, Json, Keyword, Sparse, Timestamp, Vector
from vecdb.schema.json_text import json_text
from vecdb.schema.limits import Limits
from vecdb.schema.multivector import MultiVector
from vecdb.schema.places import places_from_python
from vecdb.schema.sparse import sparse_from_python
from vecdb.schema.timestamps import timestamp_micros
from vecdb.schema.tokens import tokens_array
from vecdb.schema.vectors import vector_array

_NONE = type(None)
_NO_STR = "is not a str"


def from_python(values: list[Any], field: Field, blame: Blame, limits: Limits) -> pa.Array:
    """Return values, with None as null, as an array of field.arrow_type.

    Raises:
        InvalidInputError: a value has another type or does not fit the field.

    """
    if isinstance(field, Vector | MultiVector | Sparse):
        return _numbers(values, field, blame)
    if isinstance(field, Json):
        return json_array(values, blame, limits)
    if isinstance(field, Timestamp):
        return timestamp_array(values, blame)
    if isinstance(field, Geo):
        return places_from_python(values, blame)
    if isinstance(field, Keyword) and field.many:
        return _lists(values, field, blame)
    if isinstance(field, Bool):
        return _array(_checked(values, {bool}, (bool, np.bool_), "is not a bool", blame), field, blame)
    if isinstance(field, Float64):
        return _floats(values, field, blame)
    if isinstance(field, Int64) or (isinstance(field, Id) and field.type == "int64"):
        integers = _checked(values, {int}, (int, np.integer), "is not an int", blame)
        return _array(integers, field, blame, lambda value: -(2**63) <= value < 2**63, "does not fit 64 bits")
    return _array(_checked(values, {str}, (str,), _NO_STR, blame), field, blame, _is_unicode, "is not valid Unicode")


def _numbers(values: list[Any], field: Vector | MultiVector | Sparse, blame: Blame) -> pa.Array:
    if isinstance(field, Sparse):
        return sparse_from_python(values, field, blame)
    return vector_array(values, field, blame) if isinstance(field, Vector) else tokens_array(values, field, blame)


def json_array(values: list[Any], blame: Blame, limits: Limits) -> pa.Array:
    """Return the canonical JSON text of each value, null for None."""
    return _each(values, lambda value: json_text(value, limits.json_depth), pa.string(), blame)


def timestamp_array(values: list[Any], blame: Blame) -> pa.Array:
    """Return the UTC microsecond that each value means, null for None."""
    unusual = set(map(type, values)) - {datetime, date, str, _NONE}
    if any(not issubclass(kind, datetime | date | str | np.datetime64) for kind in unusual):
        kinds = (datetime, date, str, np.datetime64)
        _checked(values, set(), kinds, "is not a datetime, a date or an ISO-8601 str", blame)
    return _each(values, timestamp_micros, Timestamp().arrow_type, blame)


def _each(values: list[Any], convert: Callable[[Any], Any], type_: pa.DataType, blame: Blame) -> pa.Array:
    converted = []
    for row, value in enumerate(values):
        try:
            converted.append(convert(value))
        except ValueError as error:
            raise blame.error(row, f"{shown(value)} {error}", value) from error
    return _one_array(pa.array(converted, type_), blame)


def _checked(values: list[Any], usual: set[type], kinds: tuple[type, ...], reason: str, blame: Blame) -> list[Any]:
    """Return values when each is None or of one of kinds (and True is no number); raise about the first other."""
    if set(map(type, values)) <= usual | {_NONE}:
        return values
    for row, value in enumerate(values):
        if value is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
            hint = "; a missing value is None" if isinstance(value, float) and math.isnan(value) else ""
            raise blame.error(row, f"{shown(value)} ({type(value).__name__}) {reason}{hint}", value)
    return values


def _array(
    values: list[Any],
    field: Field,
    blame: Blame,
    fits: Callable[[Any], bool] = lambda _: True,
    reason: str = "does not fit",
) -> pa.Array:
    """Convert; where Arrow refuses, name the first value that does not fit."""
    try:
        return _one_array(pa.array(values, field.arrow_type), blame)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
        for row, value in enumerate(values):
            if value is not None and not fits(value):
                raise blame.error(row, f"{shown(value)} {reason}", value) from error
        raise blame.column(f"the values are not a column of {field.kind}: {error}") from error


def _one_array(array: pa.Array | pa.ChunkedArray, blame: Blame) -> pa.Array:
    if isinstance(array, pa.ChunkedArray):
        raise blame.column("the column has more than 2 GiB in one batch: write it in several")
    return array


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _floats(values: list[Any], field: Float64, blame: Blame) -> pa.Array:
    kinds = (float, int, np.floating, np.integer)
    values = _checked(values, {float}, kinds, "is not a number", blame)
    floats: list[float | None] = []
    for row, value in enumerate(values):
        if value is None:
            floats.append(None)
            continue
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise blame.error(row, f"{shown(value)} is not finite; a missing value is None", value)
        if number != value and not isinstance(value, float | np.floating):
            raise blame.error(row, f"{shown(value)} has more than the 53 bits that a float64 holds exactly", value)
        floats.append(number)
    return _array(floats, field, blame)


def _lists(values: list[Any], field: Keyword, blame: Blame) -> pa.Array:
    hint = 'is not a list of str; a single keyword is written ["..."]'
    lists: list[list[str] | None] = []
    for row, value in enumerate(_checked(values, {list}, (list, tuple, np.ndarray), hint, blame)):
        if value is None:
            lists.append(None)
            continue
        items = list(value) if isinstance(value, list | tuple) else value.tolist()
        if not isinstance(items, list):  # an array without axes
            raise blame.error(row, f"{shown(value)} ({type(value).__name__}) {hint}", value)
        for item in items:
            if not isinstance(item, str) or not _is_unicode(item):
                raise blame.error(row, f"{shown(item)} in the list {_NO_STR} of valid Unicode", item)
        lists.append(items)
    return _array(lists, field, blame)
