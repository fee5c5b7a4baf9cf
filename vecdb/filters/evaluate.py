"""From a tree and a schema to the rows that match.

`bind` settles everything that does not depend on rows; `BoundFilter.mask` then only calls Arrow.

Invariant: inside, answers are true, false or null (SQL's three-valued logic); null becomes false at the very end.

The surprise: in a filter joined by `and`, the parts that look into json run last and only on the rows that the
other parts leave, because parsing a row costs a hundred times as much as comparing one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from vecdb.errors import InvalidInputError
from vecdb.filters.columns import test_of
from vecdb.filters.expression import And, Condition, Expression, Not, Or
from vecdb.filters.jsonpath import JsonTest, answers, json_test
from vecdb.schema.fields import Json
from vecdb.schema.schema import Schema

_Rows: TypeAlias = "Callable[[_Batch], Any]"
"""From the rows to a pa.BooleanArray with nulls."""

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
        plain: list[Expression] = []
        json: list[Expression] = []
        for part in expression.parts if isinstance(expression, And) else (expression,):
            (json if _looks_into_json(part, schema) else plain).append(part)
        self._plain = _Compiled(plain, schema) if plain else None
        self._json = _Compiled(json, schema) if json else None
        compiled = [part for part in (self._plain, self._json) if part is not None]
        self.columns: frozenset[str] = frozenset[str]().union(*(part.columns for part in compiled))

    def mask(self, columns: Mapping[str, pa.Array], rows: int) -> NDArray[np.bool_]:
        """Return which of the rows match: a new array of `rows` booleans.

        columns has an array of `rows` values, typed as in the schema, for each of `self.columns`; for a vector
        column a boolean array that is true where the row has a vector. Null counts as no match.

        Raises:
            CorruptionError: a json column holds text that is not JSON.

        """
        matches = _true(self._plain.answer(columns)) if self._plain else np.ones(rows, dtype=np.bool_)
        if self._json is None:
            return matches
        left = np.flatnonzero(matches)
        if len(left) < rows:
            indices = pa.array(left)
            columns = {name: columns[name].take(indices) for name in self._json.columns}
        matches[left] = _true(self._json.answer(columns))
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
        self._schema = schema
        self._json_tests: dict[str, list[tuple[tuple[str | int, ...], JsonTest]]] = {}
        names: set[str] = set()
        self._functions = [self._compile(part, names) for part in parts]
        self.columns = frozenset(names)

    def answer(self, columns: Mapping[str, pa.Array]) -> Any:
        """Return the three-valued answer for every row."""
        batch = _Batch(columns, self._json_tests)
        return _folded(_compute.and_kleene, self._functions, batch)

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
        if isinstance(field, Json):
            tests = self._json_tests.setdefault(name, [])
            tests.append((condition.path.keys, json_test(condition)))
            number = len(tests) - 1
            return lambda batch: batch.json_answer(name, number)
        if condition.path.keys:
            raise InvalidInputError(
                f"{condition.path} leads into field {name!r}, which is of kind {field.kind}:"
                " only json fields have paths",
                field=name,
            )
        test = test_of(condition, field)
        return lambda batch: test(batch.columns[name])


def _looks_into_json(node: Expression, schema: Schema) -> bool:
    if isinstance(node, Condition):
        return isinstance(schema[node.path.field].field, Json)
    if isinstance(node, Not):
        return _looks_into_json(node.part, schema)
    return isinstance(node, And | Or) and any(_looks_into_json(part, schema) for part in node.parts)


def _folded(join: Callable[[Any, Any], Any], functions: list[_Rows], batch: _Batch) -> Any:
    answer = functions[0](batch)
    for function in functions[1:]:
        answer = join(answer, function(batch))
    return answer


def _true(answer: Any) -> NDArray[np.bool_]:
    """Return a writable array that is true where answer is."""
    return np.array(_compute.fill_null(answer, False).to_numpy(zero_copy_only=False), dtype=np.bool_)
