"""Laws of scalar indexes: with and without them a filter gives the same bits, whatever they had to answer before."""

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.filter_trees import SCHEMA, column, oracle, rows, trees
from vecdb.filters import Expression, bind, ordered, parse
from vecdb.filters import rows as marking
from vecdb.filters.lookup import Asked, ScalarIndex
from vecdb.filters.matching import analyzer_of, index_of
from vecdb.filters.ordered import Ordered
from vecdb.filters.postings import Postings
from vecdb.filters.texts import TextWords
from vecdb.schema import Text
from vecdb_index.inverted.build import build

FIXTURES = [HealthCheck.function_scoped_fixture]


class Part:
    """Rows with an index of every column that can have one, which all filters share."""

    def __init__(self, columns: dict[str, pa.Array], count: int) -> None:
        self.rows = count
        self._columns = columns
        self._indexes: dict[str, ScalarIndex | None] = {}
        self._known: dict[str, np.ndarray] = {}

    def column(self, name: str) -> pa.Array:
        return self._columns[name]

    def take(self, name: str, rows: np.ndarray) -> pa.Array:
        return self._columns[name].take(pa.array(rows))

    def index(self, name: str) -> ScalarIndex | None:
        if name not in self._indexes:
            self._indexes[name] = self._made(name)
        return self._indexes[name]

    def _made(self, name: str) -> ScalarIndex | None:
        values, kind = self._columns[name], SCHEMA[name].field.kind
        if kind == "keyword":
            return Postings.of(values)
        if kind == "text":
            analyzer = analyzer_of(SCHEMA[name].field)
            cuts = [0, len(values) // 3, len(values) // 2, len(values)]
            pieces = [(first, index_of(values[first:stop], analyzer)) for first, stop in pairwise(cuts)]
            return TextWords(len(values), pieces, analyzer, lambda: np.asarray(values.is_valid()))
        return Ordered(values) if kind in ("int64", "float64", "timestamp") else None

    def has_words(self, name: str) -> bool:
        return name in self._indexes

    def check(self) -> None:
        return

    def remembered(self, asked: Asked) -> np.ndarray | None:
        return self._known.get(asked.key)

    def remember(self, asked: Asked, rows: np.ndarray) -> None:
        rows.flags.writeable = False
        self._known[asked.key] = rows


@pytest.mark.parametrize("sorted_after", [0, 3, 1000])
@pytest.mark.parametrize("few", [0, 256])
@settings(deadline=None, max_examples=30, suppress_health_check=FIXTURES)
@given(
    filters=st.lists(trees, min_size=1, max_size=6),
    table=st.lists(rows, max_size=12),
    cut=st.integers(0, 3),
)
def test_indexes_give_the_bits_of_the_columns_and_of_the_oracle(
    sorted_after: int,
    few: int,
    filters: list[Expression],
    table: list[dict[str, Any]],
    cut: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ordered, "SORT_AFTER", sorted_after)
    monkeypatch.setattr(ordered, "COMPARED", sorted_after)
    monkeypatch.setattr(ordered, "SHARE", 1 if sorted_after == 0 else 3)
    monkeypatch.setattr(marking, "FEW", few)
    columns = {one.name: column(one.name, table).slice(cut) for one in SCHEMA}
    table = table[cut:]
    part = Part(columns, len(table))

    for tree in filters:
        bound = bind(tree, SCHEMA)
        found = bound.rows(part)

        assert found.dtype == np.bool_
        assert found.tolist() == bound.mask(columns, len(table)).tolist()
        assert found.tolist() == [oracle(tree, row) is True for row in table]


def test_a_dear_part_is_answered_once_for_all_filters_that_share_it() -> None:
    table = [
        {
            "id": str(n),
            "section": "a" if n % 2 else "b",
            "tags": None,
            "title": None,
            "size": n,
            "price": None,
            "archived": None,
            "added": None,
            "extra": {"a": n % 3},
            "body": None,
            "place": None,
            "embedding": True,
        }
        for n in range(20)
    ]
    columns = {one.name: column(one.name, table) for one in SCHEMA}
    part = Part(columns, len(table))
    first = bind(parse("size < 15 and extra.a = 1"), SCHEMA)
    second = bind(parse("extra.a = 1 and section = 'a'"), SCHEMA)

    first.rows(part)
    del part._columns["extra"]

    assert np.flatnonzero(second.rows(part)).tolist() == [n for n in range(20) if n % 3 == 1 and n % 2]


def test_a_phrase_is_looked_for_in_the_texts_where_an_index_has_no_positions() -> None:
    table = ["chess engine", "engine chess", None]
    columns = {"body": pa.array(table, pa.string())}
    part = Part(columns, len(table))
    analyzer = analyzer_of(Text())
    part._indexes["body"] = TextWords(3, [(0, build(table, analyzer))], analyzer, lambda: np.array([True, True, False]))

    assert bind(parse("not body matches 'engine'"), SCHEMA).rows(part).tolist() == [False, False, False]
    assert bind(parse("body matches '\"chess engine\"'"), SCHEMA).rows(part).tolist() == [True, False, False]
