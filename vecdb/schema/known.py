"""All kinds of field by their names, as stored schemas have them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vecdb.errors import InvalidInputError
from vecdb.schema.fields import (
    Bool,
    Field,
    Float64,
    Geo,
    Id,
    Int64,
    Json,
    Keyword,
    Sparse,
    Text,
    Timestamp,
    Vector,
)
from vecdb.schema.multivector import MultiVector

VECTORS = frozenset({"vector", "multivector"})
"""Kinds of which filters only know whether a row has a value."""

RESERVED_KINDS = frozenset({"link"})

KINDS: dict[str, type[Field]] = {
    cls.kind: cls
    for cls in (Id, Text, Keyword, Bool, Int64, Float64, Timestamp, Json, Geo, Vector, Sparse, MultiVector)
}


def field_from_json(data: Mapping[str, Any]) -> Field:
    """Return the field that `to_json` described.

    Raises:
        InvalidInputError: the kind is unknown here (a newer vecdb may have written it), or the rest is wrong.

    """
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        known = "reserved for a later version" if kind in tuple(RESERVED_KINDS) else "unknown"
        raise InvalidInputError(f"the field kind {kind!r} is {known}: was it written by a newer vecdb?", value=kind)
    return KINDS[kind].from_json(data)
