"""From a tree and a schema to the rows that match.

`bind` settles everything that does not depend on rows. `BoundFilter.mask` then only calls Arrow; `BoundFilter.rows`
gives the same bits through the indexes of a part (lookup.py), and by the ways of `mask` where there are none.

Invariant: inside, answers are true, false or null (SQL's three-valued logic); null becomes false at the very end.

The surprise: in a filter joined by `and`, the parts that look into json or read the words of texts run last and only
on the rows that the other parts leave, because parsing a row costs a hundred times as much as comparing one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vecdb.errors import InvalidInputError
from vecdb.filters.columns import test_of
from vecdb.filters.expression import And, Condition, Expression, Not, Or
from vecdb.filters.jsonpath import JsonTest, answers, json_test
from vecdb.filters.lookup import Answer, Source, lookup, true_rows
from vecdb.filters.values import shortened
from vecdb.schema.arrays import numbers_array
from vecdb.schema.fields import Json
from vecdb.schema.schema import Schema

_Rows: TypeAlias = "Callable[[_Batch], Any]"
"""From the rows to a pa.BooleanArray with nulls."""

SLICE_ROWS = 1 << 14
"""Rows of which a dear group is answered at once; between slices the call may be ended."""
WHOLE = 4
"""With more rows left than one in so many, a dear group is answered for all rows, and remembered for other filters."""

_compute: Any = pc  # pyarrow builds its functions at import, where no type checker sees them


class BoundFilter:
    """A filter checked against a schema, ready to run on any number of row groups and from any thread.

    `columns` names the columns that `mask` needs.
    """

    def __init__(self, expression: Expression, schema: Schema) -> None:
        """Check and compile; see `bind`."""
        self.expression = expression
        self.key = str(expression)
        """The filter as text: equal for filters that mean the same words, and for no others."""
        groups: dict[str, list[Expression]] = {"plain": [], "words": [], "json": []}
        for part in expression.parts if isinstance(expression, And) else (expression,):
            groups[_cost(part, schema)].append(part)
        self._plain, self._words, self._json = (
            _Compiled(parts, schema) if parts else None for parts in groups.values()
        )
        compiled = [group for group in (self._plain, self._words, self._json) if group is not None]
        self.columns: frozenset[str] = frozenset[str]().union(*(group.columns for group in compiled))

    def mask(self, columns: Mapping[str, pa.Array], rows: int) -> NDArray[np.bool_]:
        """Return which of the rows match: a new array of `rows` booleans.

        columns has an array of `rows` values, typed as in the schema, for each of `self.columns`; for a vector
        column a boolean array that is true where the row has a vector. Null counts as no match.

        Raises:
            CorruptionError: a json column holds text that is not JSON.

        """
        matches = true_rows(self._plain.answer(columns)) if self._plain else np.ones(rows, dtype=np.bool_)
        for group in (self._words, self._json):
            if group is not None:
                left = np.flatnonzero(matches)
                indices = numbers_array(left) if len(left) < rows else None
                taken = columns if indices is None else {name: columns[name].take(indices) for name in group.columns}
                matches[left] = true_rows(group.answer(taken))
        return matches

    def rows(self, source: Source) -> NDArray[np.bool_]:
        """Return which of the rows of a part match: a new array. The bits are those of `mask`.

        Raises:
            CorruptionError: as `mask`, or a file of the part is damaged.

        """
        matches = self._plain.lookup(source) if self._plain else np.ones(source.rows, dtype=np.bool_)
        for group in (self._words, self._json):
            if group is not None:
                _narrow(matches, group, source, by_index=group is self._words)
        return matches

    def __repr__(self) -> str:
        return f"<BoundFilter {self.expression!r}>"


def bind(expression: Expression, schema: Schema) -> BoundFilter:
    """Check expression against the fields of schema.

    Text compared with a timestamp field is read as ISO 8601; integers and floats compare with each other, exactly;
    a vector field only takes `is null`.

    Raises:
        UnknownFieldError: a field is not in the schema; the message names close ones.
        InvalidInputError: an operator or a value does not fit the type of its field.

    """
    return BoundFilter(expression, schema)


class _Batch:
    """The columns of one call, and the answers of the json conditions once they were asked for."""

    def __init__(
        self, columns: Mapping[str, pa.Array], json_tests: dict[str, list[tuple[tuple[str | int, ...], JsonTest]]]
    ) -> None:
        self.columns = columns
        self._json_tests = json_tests
        self._json_answers: dict[str, list[Any]] = {}

    def json_answer(self, field: str, number: int) -> Any:
        """Return the answer of the test of this number; the first call for a field runs all its tests at once."""
        if field not in self._json_answers:
            self._json_answers[field] = answers(self.columns[field], self._json_tests[field], field)
        return self._json_answers[field][number]


class _Compiled:
    """Parts joined by `and`, as functions."""

    def __init__(self, parts: list[Expression], schema: Schema) -> None:
        self.expression = parts[0] if len(parts) == 1 else And(tuple(parts))
        self._key: str | None = None
        self.texts: set[str] = set()
        """The text fields whose words are looked at."""
        self._schema = schema
        self._json_tests: dict[str, list[tuple[tuple[str | int, ...], JsonTest]]] = {}
        names: set[str] = set()
        self._functions = [self._compile(part, names) for part in parts]
        self.columns = frozenset(names)

    def answer(self, columns: Mapping[str, pa.Array]) -> Any:
        """Return the three-valued answer for every row."""
        batch = _Batch(columns, self._json_tests)
        return _folded(_compute.and_kleene, self._functions, batch)

    @property
    def key(self) -> str:
        """The parts as text; thousands of values are not printed unless somebody asks."""
        if self._key is None:
            self._key = str(self.expression)
        return self._key

    @cached_property
    def lookup(self) -> Answer:
        """The function that gives the rows for which the parts, none of which looks into json, are all true."""
        return lookup(self.expression, self._schema)

    def _compile(self, node: Expression, names: set[str]) -> _Rows:
        if isinstance(node, Condition):
            return self._condition(node, names)
        if isinstance(node, Not):
            part = self._compile(node.part, names)
            return lambda batch: _compute.invert(part(batch))
        if isinstance(node, And | Or):
            join = _compute.and_kleene if isinstance(node, And) else _compute.or_kleene
            functions = [self._compile(part, names) for part in node.parts]
            return lambda batch: _folded(join, functions, batch)
        raise InvalidInputError(f"{node!r} is not a filter", value=node)

    def _condition(self, condition: Condition, names: set[str]) -> _Rows:
        name = condition.path.field
        field = self._schema[name].field
        names.add(name)
        if condition.operator == "matches":
            self.texts.add(name)
        if isinstance(field, Json):
            tests = self._json_tests.setdefault(name, [])
            tests.append((condition.path.keys, json_test(condition)))
            number = len(tests) - 1
            return lambda batch: batch.json_answer(name, number)
        if condition.path.keys:
            raise InvalidInputError(
                f"{shortened(str(condition.path))} leads into field {name!r}, which is of kind {field.kind}:"
                " only json fields have paths",
                field=name,
            )
        test = test_of(condition, field)
        return lambda batch: test(batch.columns[name])


def _narrow(matches: NDArray[np.bool_], group: _Compiled, source: Source, by_index: bool) -> None:
    """Take away from matches the rows for which a dear group is not true."""
    known = source.remembered(group)
    if known is None:
        left = np.flatnonzero(matches)
        if by_index and all(source.has_words(name) for name in group.texts):
            known = group.lookup(source)
        elif len(left) * WHOLE <= source.rows:
            taken = {name: source.take(name, left) for name in group.columns}
            matches[left] = _by_slices(group, taken, len(left), source)
            return
        elif by_index:
            known = group.lookup(source)
        else:
            known = _by_slices(group, {name: source.column(name) for name in group.columns}, source.rows, source)
        source.remember(group, known)
    matches &= known


def _by_slices(group: _Compiled, columns: Mapping[str, pa.Array], rows: int, source: Source) -> NDArray[np.bool_]:
    """Return for which rows a group is true, as one answer for all of them would."""
    found = np.zeros(rows, np.bool_)
    for first in range(0, rows, SLICE_ROWS):
        source.check()
        some = {name: values.slice(first, SLICE_ROWS) for name, values in columns.items()}
        found[first : first + SLICE_ROWS] = true_rows(group.answer(some))
    return found


def _cost(node: Expression, schema: Schema) -> str:
    """Return what is dear about a part: "json", "words" or, "plain", nothing."""
    if isinstance(node, Condition):
        if isinstance(schema[node.path.field].field, Json):
            return "json"
        return "words" if node.operator == "matches" else "plain"
    if isinstance(node, Not):
        return _cost(node.part, schema)
    costs = {_cost(part, schema) for part in node.parts} if isinstance(node, And | Or) else set[str]()
    return next((cost for cost in ("json", "words") if cost in costs), "plain")


def _folded(join: Callable[[Any, Any], Any], functions: list[_Rows], batch: _Batch) -> Any:
    answer = functions[0](batch)
    for function in functions[1:]:
        answer = join(answer, function(batch))
    return answer
