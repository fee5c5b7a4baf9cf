"""A collection as a dict: what the engine must agree with.

A row is a dict with a value for every field, None where there is none; vectors are tuples of small whole numbers,
which every vector dtype holds exactly and which make equal scores frequent.
"""

import itertools
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import vecdb
from vecdb.schema.fields import Field

Id = str | int
Row = dict[str, Any]

ID = "id"
STRING_IDS = ("a", "b", "B", "10", "9", "é", "z" * 300, "\U0001f600", "\uffff", "a'b")
INTEGER_IDS = (0, 1, -1, 2**63 - 1, -(2**63), 10, 9, 2**32, 255, -256)

VECTORS = tuple(vector for vector in itertools.product((0, 1, 2, -1), repeat=3) if any(vector))
DIMENSION = 3
BITS = 24
PACKED = tuple(bytes(pair) for pair in itertools.product((0, 1, 3, 255), repeat=3))
"""Binary vectors, a byte for each number of the others: many are equally far from each other."""

_DOMAINS: dict[str, tuple[Any, ...]] = {
    "int64": (None, 0, 1, 2, -5),
    "bool": (None, False, True),
    "keyword": (None, "u", "v", ""),
    "keywords": (None, [], ["u"], ["u", "v"]),
    "text": (None, "", "it's", "αβγ"),
    "json": (None, {"a": 1}, {"a": [None, "x"]}, [], 0, True),
    "vector": (None, *VECTORS),
}


def domain(field: Field) -> tuple[Any, ...]:
    """Return the values that a field takes in these tests."""
    many = isinstance(field, vecdb.Keyword) and field.many
    if isinstance(field, vecdb.Vector) and field.dtype == "binary":
        return (None, *map(tuple, PACKED))
    return _DOMAINS["keywords" if many else field.kind]


def value_of(name: str, field: Field, seed: int) -> Any:
    """Return the value of a field that a row's seed stands for; 0 stands for the first that is not None."""
    values = domain(field)
    return values[1 if seed == 0 else zlib.crc32(f"{name}/{seed}".encode()) % len(values)]


@dataclass(frozen=True)
class Where:
    """A filter as text, and as a test of a row: True, False, or None for unknown."""

    text: str
    test: Callable[[Row], bool | None]

    def passes(self, row: Row) -> bool:
        return self.test(row) is True

    def negated(self) -> "Where":
        def test(row: Row) -> bool | None:
            found = self.test(row)
            return None if found is None else not found

        return Where(f"not ({self.text})", test)

    def both(self, other: "Where") -> "Where":
        def test(row: Row) -> bool | None:
            pair = (self.test(row), other.test(row))
            return False if False in pair else None if None in pair else True

        return Where(f"({self.text}) and ({other.text})", test)

    def either(self, other: "Where") -> "Where":
        def test(row: Row) -> bool | None:
            pair = (self.test(row), other.test(row))
            return True if True in pair else None if None in pair else False

        return Where(f"({self.text}) or ({other.text})", test)


def _member(value: Any) -> Any:
    return value.get("a") if isinstance(value, dict) else None


def _compared(name: str, text: str, test: Callable[[Any], bool]) -> Where:
    return Where(f"{name} {text}", lambda row: None if row[name] is None else test(row[name]))


def conditions(columns: dict[str, Field], ids: Iterable[Id]) -> list[Where]:
    """Return simple filters on every field, in an order that depends on nothing else."""
    some = next(iter(ids))
    literal = str(some) if isinstance(some, int) else "'" + some.replace("'", "''") + "'"
    found = [_compared(ID, f"!= {literal}", lambda value: value != some)]
    for name, field in columns.items():
        found.append(Where(f"{name} is null", lambda row, name=name: row[name] is None))
        if field.kind == "int64":
            found.append(_compared(name, "< 2", lambda value: value < 2))
            found.append(_compared(name, "in (0, 2)", lambda value: value in (0, 2)))
        elif field.kind == "bool":
            found.append(_compared(name, "= true", lambda value: value))
        elif field.kind == "json":
            found.append(Where(f"{name}.a = 1", lambda row, name=name: _member(row[name]) == 1 or None))
        elif field.kind == "text":
            found.append(_compared(name, "= 'it''s'", lambda value: value == "it's"))
        elif isinstance(field, vecdb.Keyword) and field.many:
            found.append(_compared(name, "contains 'v'", lambda value: "v" in value))
        elif field.kind == "keyword":
            found.append(_compared(name, "!= 'u'", lambda value: value != "u"))
    return found


def where_number(number: int, columns: dict[str, Field], ids: Iterable[Id]) -> Where:
    """Return one of many filters, simple ones and combinations."""
    simple = conditions(columns, ids)
    first = simple[number % len(simple)]
    second = simple[number // 4 % len(simple)]
    return (first, first.negated(), first.both(second), first.either(second.negated()))[number % 4]


class Model:
    """Rows by id, and the fields besides the id."""

    def __init__(self, ids: tuple[Id, ...], columns: dict[str, Field], rows: dict[Id, Row] | None = None) -> None:
        self.ids = ids
        self.columns = columns
        self.rows = {} if rows is None else rows

    def frozen(self) -> "Model":
        """Return a copy that later changes leave alone."""
        return Model(self.ids, dict(self.columns), {value: dict(row) for value, row in self.rows.items()})

    def vectors(self) -> list[str]:
        return [name for name, field in self.columns.items() if field.kind == "vector"]

    def row(self, number: int, seed: int) -> Row:
        """Return the whole row that stands for an id's number and a seed."""
        values = {name: value_of(name, field, seed) for name, field in self.columns.items()}
        return {ID: self.ids[number % len(self.ids)], **values}

    def matching(self, where: Where | None) -> list[Row]:
        return [row for row in self.rows.values() if where is None or where.passes(row)]

    def upsert(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.rows[row[ID]] = {name: row.get(name) for name in (ID, *self.columns)}

    def delete(self, ids: Iterable[Id]) -> int:
        return sum(self.rows.pop(value, None) is not None for value in set(ids))

    def patch(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.rows[row[ID]].update(row)

    def add_column(self, name: str, field: Field) -> None:
        self.columns[name] = field
        for row in self.rows.values():
            row[name] = None

    def drop_column(self, name: str) -> None:
        del self.columns[name]
        for row in self.rows.values():
            del row[name]

    def rename_column(self, old: str, new: str) -> None:
        self.columns = {new if name == old else name: field for name, field in self.columns.items()}
        for row in self.rows.values():
            row[new] = row.pop(old)
