"""Filters: conditions on the fields of a record, typed as text or built with `col`.

    parse("section = 'games' and size < 10")        text  -> Expression
    (col("section") == "games") & (col("size") < 10)         the same Expression
    bind(expression, schema)                         -> BoundFilter, checked against the fields
    bound.mask(columns, rows)                        -> which rows match
    distances(places, lat, lon)                      -> kilometres from a point

The surprise: importing this package loads neither lark (first text) nor pyarrow (first `bind`).
"""

from typing import TYPE_CHECKING, Any

from vecdb.filters.expression import And, Condition, Expression, FieldPath, Not, Or
from vecdb.filters.operand import Operand, col
from vecdb.filters.parser import parse, resolve

if TYPE_CHECKING:
    from vecdb.filters.evaluate import BoundFilter, bind
    from vecdb.filters.geo import distances

__all__ = [
    "And",
    "BoundFilter",
    "Condition",
    "Expression",
    "FieldPath",
    "Not",
    "Operand",
    "Or",
    "bind",
    "col",
    "distances",
    "parse",
    "resolve",
]


def __getattr__(name: str) -> Any:
    """Load what needs pyarrow when it is first asked for."""
    if name in ("BoundFilter", "bind"):
        from vecdb.filters import evaluate

        return getattr(evaluate, name)
    if name == "distances":
        from vecdb.filters.geo import distances

        return distances
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
