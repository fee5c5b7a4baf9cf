"""Any JSON value as canonical text: compact, keys sorted, so equal values have equal text.

A str is taken as JSON text and must parse; every other Python value is written as JSON. The surprise is how much
orjson lets pass: it writes NaN as null and reads integers beyond 64 bits as floats, so both are looked for here.
"""

import json
import re
from typing import Any

import orjson

_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS
_LONG_NUMBER = re.compile(r"\d{19}")


def json_text(value: Any, depth: int) -> str | None:
    """Return the canonical text of value; None for None and for the text `null`.

    Raises:
        ValueError: with a sentence: the text does not parse, the value cannot be written as JSON (NaN, infinity, an
            integer beyond 64 bits, a key that is no str, another type), or it is nested deeper than depth.

    """
    from_text = isinstance(value, str)
    try:
        if from_text:
            parsed = orjson.loads(value)
            if _LONG_NUMBER.search(value):
                json.loads(value, parse_int=_int64)
        else:
            parsed = value
        text = orjson.dumps(parsed, default=_plain, option=_OPTIONS)
        # NaN was written as null: only a value that has a null can have held one.
        if not from_text and b"null" in text:
            json.dumps(value, allow_nan=False, default=_plain_for_json)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is not JSON ({error}); a str is read as JSON text, json.dumps makes one of it") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"cannot be written as JSON: {error}") from error
    if text.count(b"[") + text.count(b"{") > depth and _deeper_than(orjson.loads(text), depth):
        raise ValueError(f"is nested deeper than {depth} levels")
    return None if text == b"null" else text.decode()


def _int64(digits: str) -> int:
    number = int(digits)
    if not -(2**63) <= number < 2**64:
        raise ValueError(f"the integer {digits:.40} does not fit 64 bits")
    return number


def _plain(value: Any) -> Any:
    """Turn NumPy scalars and arrays into Python ones; refuse the rest."""
    import numpy as np

    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"a value of type {type(value).__name__} is not JSON")


def _plain_for_json(value: Any) -> Any:
    """As `_plain`, and let pass what orjson knows beyond the standard library (times, UUIDs): no NaN hides there."""
    try:
        return _plain(value)
    except TypeError:
        return None


def _deeper_than(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth + 1):
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            return False
        level = [child for item in containers for child in (item.values() if isinstance(item, dict) else item)]
    return True
