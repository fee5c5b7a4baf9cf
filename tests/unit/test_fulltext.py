"""What is asked of texts: how it is read, printed and stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecdb.errors import InvalidInputError
from vecdb.fulltext import LONGEST, Clause, TextQuery, parse_text, text_query


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("", []),
        ("  ", []),
        ("chess  engine", [("chess engine", "words", "should")]),
        ("+chess engine", [("chess", "words", "must"), ("engine", "words", "should")]),
        ("a -b c d", [("a", "words", "should"), ("b", "words", "not"), ("c d", "words", "should")]),
        ('"the  chess engine"', [("the chess engine", "phrase", "must")]),
        ('-"a b" +"c d"', [("a b", "phrase", "not"), ("c d", "phrase", "must")]),
        ("prog*", [("prog", "prefix", "should")]),
        ("+prog* -Eng**", [("prog", "prefix", "must"), ("Eng", "prefix", "not")]),
        ("well-known C++ 3-5", [("well-known C++ 3-5", "words", "should")]),
        ('never "closed', [("never", "words", "should"), ("closed", "phrase", "should")]),
        ('""', []),
        ("*", []),
        ("+ -", [("+ -", "words", "should")]),
        (
            'say"hello there"now',
            [("say", "words", "should"), ("hello there", "phrase", "should"), ("now", "words", "should")],
        ),
    ],
)
def test_how_texts_are_read(text: str, clauses: list[tuple[str, ...]]) -> None:
    expected = tuple(Clause(*clause) for clause in clauses)  # pyright: ignore[reportArgumentType]

    assert parse_text(text).clauses == expected


@given(st.text(alphabet='ab "+-*\té', max_size=30))
def test_every_text_can_be_read_and_what_was_read_prints_as_text_that_reads_the_same(text: str) -> None:
    asked = parse_text(text)

    assert parse_text(str(asked)) == asked
    assert TextQuery.from_json(asked.to_json()) == asked
    assert hash(parse_text(str(asked))) == hash(asked)


@pytest.mark.parametrize(
    "clause",
    ["chess", {"text": "a"}, {"text": 1, "kind": "words", "occur": "must"}, {"text": "a", "kind": "x", "occur": "not"}],
)
def test_json_that_is_no_question_is_refused(clause: object) -> None:
    with pytest.raises(InvalidInputError, match="text"):
        TextQuery.from_json([clause])  # pyright: ignore[reportArgumentType]


def test_what_is_no_text_or_too_long_is_refused_by_the_fields_name() -> None:
    with pytest.raises(InvalidInputError, match="the query for 'body' is 7, not a text") as refused:
        text_query(7, "body")
    with pytest.raises(InvalidInputError, match=f"at most {LONGEST}"):
        text_query("a" * (LONGEST + 1), "body")

    assert refused.value.field == "body"
