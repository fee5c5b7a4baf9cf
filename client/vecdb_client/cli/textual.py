"""Text cells as values: a column of strings (or raw bytes) becomes a column that fits its field.

Whole columns are converted at once; only after a failure is the first bad row looked for.
"""

from collections.abc import Callable
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from vecdb.errors import InvalidInputError
from vecdb_client.cli.badrows import first_bad

_PLACE = 'a place such as "52.5, 13.4" (latitude first), {"lat":52.5,"lon":13.4} or a GeoJSON point'
_TERMS = 'a JSON object of terms and weights such as {"12":0.5,"907":1.25}'
_PLAIN = {"text", "json", "timestamp"}


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column's values are text or raw bytes."""
    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    )


def from_text(values: pa.Array, name: str, field: Any) -> pa.Array:
    """Convert a column of text to something that the schema's own checks accept for this field.

    Raises:
        InvalidInputError: a cell cannot be read; row is its place in values.

    """
    if _holds_bits(values, field):
        return values
    text = decoded(values, name)
    if field.kind in _PLAIN or (field.kind == "keyword" and not field.many):
        return text
    if field.kind == "id":
        return text if field.type == "string" else _cast(text, pa.int64(), name, "a whole number")
    if field.kind == "keyword":
        return _lists(text, name, pa.list_(pa.string()), 'a JSON array of strings such as ["a","b"]')
    if field.kind == "geo":
        return _located(_parsed_places, text, name, _PLACE)
    if field.kind == "sparse":
        return _located(lambda part: _parsed_terms(part, field), text, name, _TERMS)
    if field.kind == "multivector":
        return _lists(text, name, pa.list_(pa.list_(pa.float64())), "a JSON array of vectors such as [[0.5,1],[1,0]]")
    if field.kind == "vector":
        item = pa.int64() if field.dtype in ("int8", "binary") else pa.float64()
        return _lists(text, name, pa.list_(item), "a JSON array of numbers such as [0.5,1]")
    kinds = {
        "bool": (pa.bool_(), "true or false"),
        "int64": (pa.int64(), "a whole number"),
        "float64": (pa.float64(), "a number"),
    }
    return _cast(text, kinds[field.kind][0], name, kinds[field.kind][1])


def _holds_bits(values: pa.Array, field: Any) -> bool:
    """Tell whether cells are the bytes of binary vectors: as text, not even one of so few characters has that many."""
    if getattr(field, "dtype", "") != "binary" or not (
        pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type)
    ):
        return False
    lengths = pc.call_function("unique", [pc.call_function("binary_length", [values])])
    return set(lengths.to_pylist()) <= {field.dimension // 8, None}


def decoded(values: pa.Array, name: str) -> pa.Array:
    """Return text as `string`, checking that bytes are UTF-8."""
    return _located(lambda part: part.cast(pa.string()), values, name, "UTF-8 text")


def numbers(values: pa.Array, name: str, kind: pa.DataType) -> pa.Array:
    """Convert a column of text or numbers to numbers of this kind."""
    if is_text(values.type):
        return _cast(decoded(values, name), kind, name, "a number")
    return _located(lambda part: part.cast(kind), values, name, "a number")


def _cast(values: pa.Array, kind: pa.DataType, name: str, what: str) -> pa.Array:
    return _located(lambda part: part.cast(kind), pc.call_function("utf8_trim_whitespace", [values]), name, what)


def _lists(values: pa.Array, name: str, kind: pa.DataType, what: str) -> pa.Array:
    return _located(lambda part: _parsed_lists(part, kind), values, name, what)


def _parsed_lists(values: pa.Array, kind: pa.DataType) -> pa.Array:
    parsed = [None if text is None else orjson.loads(text) for text in values.to_pylist()]
    if any(not isinstance(item, list) for item in parsed if item is not None):
        raise pa.ArrowInvalid("not a list")
    if any(entry is None or isinstance(entry, bool) for item in parsed if item is not None for entry in item):
        raise pa.ArrowInvalid("not a list of values")
    return pa.array(parsed, kind)


def _parsed_terms(values: pa.Array, field: Any) -> pa.Array:
    from vecdb.schema.blame import Blame
    from vecdb.schema.sparse import sparse_from_python

    bare = [None if text is None or not text.strip() else orjson.loads(text) for text in values.to_pylist()]
    return sparse_from_python(bare, field, Blame(""))


def _parsed_places(values: pa.Array) -> pa.Array:
    from vecdb.schema import Geo
    from vecdb.schema.places import place_of

    places: list[dict[str, float] | None] = []
    for text in values.to_pylist():
        if text is None or not text.strip():
            places.append(None)
            continue
        bare = text.lstrip()[0] not in "[{"
        latitude, longitude = place_of(orjson.loads(f"[{text.strip().strip('()')}]" if bare else text))
        places.append({"lat": latitude, "lon": longitude})
    return pa.array(places, Geo().arrow_type)


def _located(convert: Callable[[pa.Array], pa.Array], values: pa.Array, name: str, what: str) -> pa.Array:
    """Convert, and name the first bad row if that fails."""

    def attempt(cells: "_Cells") -> pa.Array:
        try:
            return convert(cells.values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError, TypeError) as error:
            raise InvalidInputError(what) from error

    try:
        return attempt(_Cells(values))
    except InvalidInputError:
        found = first_bad(attempt, _Cells(values))
        row = found[0] if found else 0
        raw = values[row].as_py()
        value = _shown(raw)
        message = f"field {name!r}, row {row}: {raw!r} is not {what}"
        raise InvalidInputError(message, field=name, row=row, value=value) from None


def _shown(value: Any) -> Any:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


class _Cells:
    """One column, sliceable the way `first_bad` slices rows."""

    def __init__(self, values: pa.Array) -> None:
        self.values = values
        self.num_rows = len(values)

    def slice(self, start: int, rows: int) -> "_Cells":
        """Return a part, without copying."""
        return _Cells(self.values.slice(start, rows))
