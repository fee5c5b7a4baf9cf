"""Laws of filters: masks agree with a row-by-row oracle, text and trees are each other's inverse."""

import contextlib
from datetime import UTC
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from support.filter_trees import SCHEMA, column, oracle, rows, trees
from vecdb.errors import InvalidInputError
from vecdb.filters import Condition, Expression, FieldPath, bind, parse


@settings(deadline=None, max_examples=300)
@given(tree=trees, table=st.lists(rows, max_size=8), cut=st.integers(0, 3))
def test_a_mask_agrees_with_the_oracle_on_every_row(tree: Expression, table: list[dict[str, Any]], cut: int) -> None:
    bound = bind(tree, SCHEMA)
    columns = {name: column(name, table).slice(cut) for name in bound.columns}
    table = table[cut:]

    mask = bound.mask(columns, len(table))

    assert mask.tolist() == [oracle(tree, row) is True for row in table]


@settings(deadline=None, max_examples=200)
@given(tree=trees)
def test_the_text_of_any_tree_reads_back_to_an_equal_tree(tree: Expression) -> None:
    again = parse(str(tree))

    assert again == tree
    assert hash(again) == hash(tree)
    assert str(again) == str(tree)


names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=8)


@settings(deadline=None, max_examples=300)
@given(
    name=names,
    keys=st.lists(names | st.just("") | st.integers(-5, 5), max_size=3),
    value=names
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    # The zone database is not needed for what the years around 1 and 9999 show.
    | st.datetimes().map(lambda moment: moment.replace(tzinfo=UTC)),
)
def test_any_names_and_values_survive_the_way_through_text(name: str, keys: list[str | int], value: Any) -> None:
    tree = Condition(FieldPath(name, tuple(keys)), "=", (value,))

    assert parse(str(tree)) == tree


WORDS = (
    "a size extra.a tags = != <> < <= ( ) [ ] , . and or not in is null between like contains any all of starts with"
    " startswith timestamp matches within box km 5km"
    " of true false 'x' 'x%' '2024-05-01' \"b\" \" ' 1 -2.5 1e9 1_0 & | ! ; é \\ \n"
)


@settings(deadline=None, max_examples=2_000)
@given(text=st.lists(st.sampled_from(WORDS.split(" ")), max_size=12).map(" ".join) | st.text(max_size=30))
def test_no_text_raises_anything_but_the_errors_of_filters(text: str) -> None:
    with contextlib.suppress(InvalidInputError):
        tree = parse(text)
        assert parse(str(tree)) == tree
        bind(tree, SCHEMA)
