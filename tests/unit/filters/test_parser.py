"""Filter text: every spelling, and every message."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from vecdb.errors import FilterSyntaxError, InvalidInputError
from vecdb.filters import Expression, col, parse, resolve


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        (
            "section = 'games' and size < 1_000_000",
            (col("section") == "games") & (col("size") < 1_000_000),
        ),
        ("a == 1", col("a") == 1),
        ("a <> 1", col("a") != 1),
        ("a=1", col("a") == 1),
        ("  a\n\t= 1  ", col("a") == 1),
        ("a = +1", col("a") == 1),
        ("a = -1_000.5E-1", col("a") == -100.05),
        ("a = .5", col("a") == 0.5),
        ("a = 1e3", col("a") == 1000.0),
        ("a = 007", col("a") == 7),
        ("a = 18446744073709551615", col("a") == 2**64 - 1),
        ("a = TRUE", col("a") == True),  # noqa: E712
        ("a = 'it''s'", col("a") == "it's"),
        ("a = ''", col("a") == ""),
        ("a = 'two\nlines'", col("a") == "two\nlines"),
        ("a = 'é \U0001f600'", col("a") == "é \U0001f600"),
        ("a IN ('x', 'y')", col("a").isin(["x", "y"])),
        ("a not in (1)", ~col("a").isin([1])),
        ("a in ()", col("a").isin([])),
        ("a between 1 and 2 and b = 3", col("a").between(1, 2) & (col("b") == 3)),
        ("a not between 1 and 2", ~col("a").between(1, 2)),
        ("a is null or b is not null", col("a").is_null() | col("b").is_not_null()),
        ("tags contains 'x'", col("tags").contains("x")),
        ("tags not contains 'x'", ~col("tags").contains("x")),
        ("tags any of ('a','b')", col("tags").any_of(["a", "b"])),
        ("tags all  of ('a')", col("tags").all_of(["a"])),
        ("name startswith 'lib'", col("name").startswith("lib")),
        ("name starts with 'lib'", col("name").startswith("lib")),
        ("name like 'lib%'", col("name").startswith("lib")),
        ("name not like 'lib%'", ~col("name").startswith("lib")),
        (r"name like 'a\_b\%%'", col("name").startswith("a_b%")),
        ("name like 'lib'", col("name") == "lib"),
        ("name like '%'", col("name").startswith("")),
        ("added >= timestamp '2024-05-01T02:00:00+02:00'", col("added") >= datetime(2024, 5, 1, tzinfo=UTC)),
        ("timestamp >= timestamp '2024-05-01'", col("timestamp") >= datetime(2024, 5, 1, tzinfo=UTC)),
        ("any any of ('a') and contains contains 'b'", col("any").any_of(["a"]) & col("contains").contains("b")),
        ('"in" = 1 and "not" is null', (col("in") == 1) & col("not").is_null()),
        (
            "nothing = 1 and inside = 2 and island = 3",
            (col("nothing") == 1) & (col("inside") == 2) & (col("island") == 3),
        ),
        ("extra.a.b[0] = 3", col("extra")["a"]["b"][0] == 3),
        ("extra.or[-1].x = 3", col("extra")["or"][-1]["x"] == 3),
        ('extra."odd ""key""" = 3', col("extra")['odd "key"'] == 3),
        ("extra['odd key'][\"x\"][1] = 3", col("extra")["odd key"]["x"][1] == 3),
        ('extra."" = 3', col("extra")[""] == 3),
        ("not a = 1 and b = 2", ~(col("a") == 1) & (col("b") == 2)),
        ("not (a = 1 and b = 2)", ~((col("a") == 1) & (col("b") == 2))),
        ("a = 1 or b = 2 and c = 3", (col("a") == 1) | ((col("b") == 2) & (col("c") == 3))),
        ("(a = 1 or b = 2) and c = 3", ((col("a") == 1) | (col("b") == 2)) & (col("c") == 3)),
        ("((((a = 1))))", col("a") == 1),
        ("(a=1)and(b=2)", (col("a") == 1) & (col("b") == 2)),
    ],
)
def test_text_means_the_same_as_the_tree_built_in_python(text: str, expression: Expression) -> None:
    assert parse(text) == expression


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 0, "empty.*None"),
        ("  \n ", 0, "empty"),
        ("a = ", 3, "expected a value .*found the end"),
        ("section = games", 10, "put text in single quotes: 'games'"),
        ('section = "games"', 10, "single quotes; double quotes are for field names"),
        ("a = ‘x’", 4, "straight quotes"),
        ("a = 'it's'", 8, "written twice: 'it''s'"),
        ("a = 'open", 4, "text that begins here has no closing quote"),
        ("a = '" + "open " * 20, 4, "no closing quote"),
        ('"open = 1', 0, "name that begins here has no closing quote"),
        ("size > 10kb", 7, "without a unit"),
        ("size > 1.2.3", 7, "found 1.2.3"),
        ("size > 1__0", 7, "found 1__0"),
        ("size > ٣", 7, "expected a value"),
        ("size = null", 7, "size is null"),
        ("size = nan", 7, "finite"),
        ("3 < size", 0, "begin with the field"),
        ("'x' = a", 0, "begin with the field"),
        ("a = (1, 2)", 4, "a list follows 'in'"),
        ("a && b", 2, "write 'and' instead of &&"),
        ("a = 1 || b = 2", 6, "expected 'and', 'or' or the end of the filter, found ||".replace("|", r"\|")),
        ("! a = 1", 0, "write 'not' instead of !"),
        ("a = 1 and and b = 2", 10, "expected a field name, 'not' or '\\(', found and"),
        ("a = 1 and", 9, "expected a field name.*found the end"),
        ("archived and b = 1", 9, "archived = true"),
        ("in = 3", 0, 'written "in"'),
        ("extra.odd-key = 3", 9, "written in quotes"),
        ("extra[a] = 3", 6, "position or a quoted key"),
        ("extra[1.5] = 3", 6, "whole number"),
        ("(a = 1", 6, "expected 'and', 'or' or '\\)', found the end"),
        ("a = 1)", 5, "found \\)"),
        ("a in 1", 5, "expected '\\(' or 'box', found 1"),
        ("a in (1,)", 8, "expected a value .*found \\)"),
        ("a in (1 2)", 8, "expected ',' or '\\)', found 2"),
        (
            "a not 3",
            6,
            "expected 'in', 'between', 'contains', 'any of', 'all of', 'startswith', 'like', 'matches' or 'within'",
        ),
        ("a is 3", 5, "expected 'not' or 'null', found 3"),
        ("a any ('x')", 6, "expected 'of'"),
        ("a starts 'x'", 9, "expected 'with'"),
        ("a startswith 3", 13, "expected text in single quotes, found 3"),
        ("a between 1", 11, "expected 'and', found the end"),
        ("a like 'x_%'", 7, r"prefix with one % at its end.*\\_"),
        ("a like '%x'", 7, "prefix with one %"),
        ("a > 1e999", 4, "too large for a float"),
        ("a = 18446744073709551616", 4, "outside"),
        ("a = " + "9" * 5000, 4, "outside"),
        ("a = timestamp 'soon'", 14, "ISO 8601"),
        ("a = timestamp '0001-01-01T00:00:00+05:00'", 14, "ISO 8601"),
        ("a = 1; drop", 5, "found ;"),
        ("a = 1 \x00", 6, "found \ufffd"),
    ],
)
def test_a_mistake_is_placed_and_explained(text: str, position: int, words: str) -> None:
    with pytest.raises(FilterSyntaxError, match=f"(?s){words}") as caught:
        parse(text)

    assert caught.value.position == position
    assert caught.value.value == text


def test_the_message_shows_the_line_with_a_caret_under_the_mistake() -> None:
    with pytest.raises(FilterSyntaxError) as caught:
        parse("section = 'games'\n  and size > large\n  and a = 1")

    assert str(caught.value) == (
        "cannot read the filter: expected a value ('text', 12, 1.5, true, false, timestamp '2024-05-01'), found large\n"
        "    and size > large\n"
        "               ^\n"
        "put text in single quotes: 'large'"
    )


@pytest.mark.parametrize(
    ("text", "line", "caret"),
    [
        ("x" * 100 + " = 1 and b = c or " + "y" * 100 + " = 1", None, 63),
        ("a = '日本' or b = c", "  a = '日本' or b = c", 20),
        ("a = 'e\u0301' or b = c", "  a = 'e\u0301' or b = c", 17),
        ("a\t= \x1b", "  a = \ufffd", 6),
    ],
)
def test_the_caret_is_right_for_long_lines_and_wide_characters(text: str, line: str | None, caret: int) -> None:
    with pytest.raises(FilterSyntaxError) as caught:
        parse(text)

    shown, below = str(caught.value).split("\n")[1:3]
    assert below == " " * caret + "^"
    assert shown == line if line else shown.startswith("  …") and shown.endswith("…") and len(shown) < 130


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not " * 32 + "a = 1", "33 levels"),
        (" or ".join(["a = 1"] * 1024), "1025 conditions"),
        ("a in (" + "1, " * 10_000 + "1)", "10001 values"),
        ("a in (" + "'x', " * 10_000 + "'it''s')", "10001 values"),
        ("a in (" + "1, " * 10_000 + "true)", "10001 values"),
        ("a" + ".b" * 65 + " = 1", "64 keys"),
        ("a = '" + "x" * 2**22 + "'", "characters, more than"),
        (" or ".join(["a = 1"] * 60_000), "more than 200000 words"),
        ('"" = 1', "non-empty"),
    ],
)
def test_text_beyond_a_limit_is_refused_at_a_place(text: str, words: str) -> None:
    with pytest.raises(FilterSyntaxError, match=words) as caught:
        parse(text)

    assert caught.value.position is not None
    assert 0 <= caught.value.position <= len(text)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a in ('x','it''s' , '')", ["x", "it's", ""]),
        ("a in ( 1, -2.5,1_000 , .5 )", [1, -2.5, 1000, 0.5]),
        ("a in ('x', 1)", ["x", 1]),
        ("a in ('x', 'y', true)", ["x", "y", True]),
        ("a in (007, 18446744073709551615)", [7, 2**64 - 1]),
        ("a in ('(', ')', ',')", ["(", ")", ","]),
    ],
)
def test_a_list_of_one_kind_reads_as_its_values_do_one_by_one(text: str, values: list[Any]) -> None:
    assert parse(text) == col("a").isin(values)


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("a in ('x', 'y', )", 16, "expected a value"),
        ("a in ('x', 'y'", 14, "expected ',' or '\\)', found the end"),
        ("a in (1, 2x)", 9, "found 2x"),
        ("a in (1, 99999999999999999999)", 9, "outside -2"),
        ("a in (" + "'x', " * 9_999 + "'x'", 6 + 5 * 9_999 + 3, "found the end"),
    ],
)
def test_a_mistake_in_a_list_is_found_at_its_place(text: str, position: int, words: str) -> None:
    with pytest.raises(FilterSyntaxError, match=words) as caught:
        parse(text)

    assert caught.value.position == position


def test_ten_thousand_parentheses_need_no_stack() -> None:
    assert parse("(" * 10_000 + "a = 1" + ")" * 10_000) == (col("a") == 1)
    with pytest.raises(FilterSyntaxError, match="found the end"):
        parse("(" * 10_000)


def test_many_threads_may_parse_at_once() -> None:
    texts = [f"a = {number} and b in ('{number}', 'x') or not c is null" for number in range(200)]

    with ThreadPoolExecutor(4) as pool:
        trees = list(pool.map(parse, texts))

    assert trees == [
        ((col("a") == number) & col("b").isin([str(number), "x"])) | ~col("c").is_null() for number in range(200)
    ]


def test_resolve_reads_text_and_passes_trees_and_none_through() -> None:
    tree = col("a") == 1

    assert resolve("a = 1") == tree
    assert resolve(tree) is tree
    assert resolve(None) is None


@pytest.mark.parametrize(
    ("where", "words"), [(3, "found 3"), (col("a"), "compare the field"), ({"a": 1}, "found {'a'")]
)
def test_resolve_refuses_anything_else(where: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        resolve(where)


def test_importing_filters_and_building_one_loads_neither_lark_nor_pyarrow() -> None:
    program = (
        "import sys, vecdb.filters as filters\n"
        "expression = (filters.col('a') == 1) & filters.col('b').isin(['x'])\n"
        "assert str(filters.resolve(expression)) == \"a = 1 and b in ('x')\"\n"
        "loaded = {'lark', 'pyarrow', 'orjson'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )

    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True)

    assert done.returncode == 0, done.stderr.decode()


def test_every_public_name_can_be_imported() -> None:
    import vecdb.filters as filters

    for name in filters.__all__:
        assert getattr(filters, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        filters.nothing  # noqa: B018
