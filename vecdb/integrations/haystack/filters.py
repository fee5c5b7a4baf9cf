"""Haystack's filters, dicts of comparisons and connectives, as filters over a collection of documents."""

from collections.abc import Mapping
from typing import Any

from haystack.errors import FilterError

from vecdb.filters import col
from vecdb.filters.expression import Expression
from vecdb.integrations.metadata import ID, TEXT, Metadata, both, condition, either, everything, moment, nothing

_OWN = {"id": ID, "content": TEXT}
_ORDERED = ("<", "<=", ">", ">=")
_COMPARISONS = ("==", "!=", *_ORDERED, "in", "not in")


def expression(metadata: Metadata, filters: Any, negated: bool = False) -> Expression:
    """Return the filter that Haystack's means, or its complement.

    Raises:
        FilterError: it is malformed, or compares what has no order.

    """
    if not isinstance(filters, Mapping):
        raise FilterError(f"a filter is a dict, found {filters!r}")
    if "field" in filters:
        return _comparison(metadata, filters, negated)
    if "operator" not in filters or "conditions" not in filters:
        raise FilterError(f"a filter has 'field', 'operator' and 'value', or 'operator' and 'conditions': {filters!r}")
    operator, conditions = filters["operator"], filters["conditions"]
    if operator not in ("AND", "OR", "NOT"):
        raise FilterError(f"{operator!r} joins no conditions: there are AND, OR and NOT")
    if not isinstance(conditions, list) or not conditions:
        raise FilterError(f"{operator} takes a list of conditions, found {conditions!r}")
    negated ^= operator == "NOT"
    parts = [expression(metadata, one, negated) for one in conditions]
    return either(parts) if (operator == "OR") != negated else both(parts)


def _comparison(metadata: Metadata, given: Mapping[str, Any], negated: bool) -> Expression:
    for key in ("operator", "value"):
        if key not in given:
            raise FilterError(f"the condition {dict(given)!r} has no {key!r}")
    name, operator, value = given["field"], given["operator"], given["value"]
    if operator not in _COMPARISONS:
        raise FilterError(f"{operator!r} compares nothing: there are {', '.join(_COMPARISONS)}")
    if operator in ("in", "not in") and not isinstance(value, list):
        raise FilterError(f"{operator!r} takes a list, found {value!r}")
    if operator in _ORDERED:
        if value is None:  # nothing is less or greater than nothing
            return everything() if negated else nothing()
        value = _ordered(operator, value)
    if operator in ("in", "not in") and None in value:
        there = {"field": name, "operator": operator, "value": [one for one in value if one is not None]}
        none = {"field": name, "operator": "==" if operator == "in" else "!=", "value": None}
        connective = "OR" if operator == "in" else "AND"
        return expression(metadata, {"operator": connective, "conditions": [there, none]}, negated)
    if name in _OWN:
        return condition(col(_OWN[name]), operator, value, negated)
    return metadata.condition(name.removeprefix("meta.").split("."), operator, value, negated)


def _ordered(operator: str, value: Any) -> Any:
    """Return a value that has an order: a number, or the moment of a text."""
    if isinstance(value, str):
        found = moment(value)
        if found is None:
            raise FilterError(f"{operator!r} compares numbers and dates in ISO 8601, found {value!r}")
        return found
    if isinstance(value, list | dict | bool):
        raise FilterError(f"{operator!r} compares numbers and dates, found {value!r}")
    return value
