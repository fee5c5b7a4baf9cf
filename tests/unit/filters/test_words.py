"""What is typed to look for words, as a tree; and which texts match, against plain Python."""

import re

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecdb.errors import FilterSyntaxError
from vecdb.filters.matching import can_answer, index_of, rows_matching
from vecdb.filters.words import MAX_DEPTH, MAX_WORDS, Either, Every, Phrase, Prefix, Without, Word, Words, parse
from vecdb_index.inverted.analysis import Analyzer
from vecdb_index.inverted.build import build

CHESS, ENGINE, GO = Word("chess"), Word("engine"), Word("go")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("chess", CHESS),
        ("  chess\tengine ", Every((CHESS, ENGINE))),
        ("chess AND engine", Every((CHESS, ENGINE))),
        ("chess and engine", Every((CHESS, Word("and"), ENGINE))),
        ("chess OR engine go", Either((CHESS, Every((ENGINE, GO))))),
        ("(chess OR engine) go", Every((Either((CHESS, ENGINE)), GO))),
        ("chess OR (engine OR go)", Either((CHESS, ENGINE, GO))),
        ('"chess  engine" go', Every((Phrase("chess engine"), GO))),
        ('chess"engine"', Every((CHESS, Phrase("engine")))),
        ("chess -engine", Every((CHESS, Without(ENGINE)))),
        ("chess NOT engine", Every((CHESS, Without(ENGINE)))),
        ('-"chess engine"', Without(Phrase("chess engine"))),
        ("-(chess go)", Without(Every((CHESS, GO)))),
        ("engin*", Prefix("engin")),
        ("state-of-the-art", Word("state-of-the-art")),
        ("chess - engine", Every((CHESS, Word("-"), ENGINE))),
        ("C++ it's", Every((Word("C++"), Word("it's")))),
        ('"OR"', Phrase("OR")),
    ],
)
def test_what_is_typed_becomes_a_tree(text: str, tree: Words) -> None:
    assert parse(text) == tree
    assert parse(str(tree)) == tree


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 0, "no word"),
        ("  ", 0, "no word"),
        ('a "b', 2, "no closing quote"),
        ("a (b", 2, "not closed"),
        ("a b)", 3, "closes none"),
        ("OR a", 0, 'found OR; in quotes, "OR" is a word'),
        ("a OR", 4, "found the end"),
        ("a AND OR b", 6, "found OR"),
        ("()", 1, r"found \)"),
        ("a *", 2, "end of a word"),
        ("a*b", 1, "end of a word"),
        ('"a b*"', 4, "a phrase takes no"),
        ("(" * (MAX_DEPTH + 1) + "a" + ")" * (MAX_DEPTH + 1), MAX_DEPTH, "levels deep"),
        ("NOT " * 10_000 + "a", 4 * MAX_WORDS, f"more than {MAX_WORDS} words"),
        ("NOT " * MAX_DEPTH + "a", 4 * MAX_DEPTH, "levels deep"),
        ("a " * 33_000, 65_536, "66000 characters"),
    ],
)
def test_a_mistake_has_a_place_and_a_reason(text: str, position: int, reason: str) -> None:
    with pytest.raises(FilterSyntaxError, match=reason) as caught:
        parse(text)

    assert caught.value.position == position


@settings(deadline=None, max_examples=1_000)
@given(text=st.text(st.sampled_from('ab*-()" \tOR'), max_size=14) | st.text(max_size=20))
def test_any_text_is_refused_or_prints_as_text_of_an_equal_tree(text: str) -> None:
    try:
        tree = parse(text)
    except FilterSyntaxError as error:
        tree, place = None, error.position
        is_placed = place is not None and 0 <= place <= len(text)
    else:
        is_placed = True

    assert is_placed
    assert tree is None or parse(str(tree)) == tree


LETTERS = st.sampled_from(["ab", "abc", "b", "a-b", "Ab"])
TEXTS = st.lists(st.none() | st.lists(LETTERS, max_size=6).map(" ".join), max_size=12)
LEAVES: st.SearchStrategy[Words] = st.one_of(
    LETTERS.map(Word),
    st.sampled_from(["a", "ab", "b", "a-b", "x"]).map(Prefix),
    st.lists(LETTERS, max_size=3).map(lambda parts: Phrase(" ".join(parts))),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(Without),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Every(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Either(tuple(parts))),
    ),
    max_leaves=6,
)


def matches(tree: Words, words: list[str]) -> bool | None:
    """Return whether a text of these words matches; None where nothing is asked for."""
    if isinstance(tree, Every | Either):
        answers = [answer for part in tree.parts if (answer := matches(part, words)) is not None]
        return (all(answers) if isinstance(tree, Every) else any(answers)) if answers else None
    if isinstance(tree, Without):
        answer = matches(tree.part, words)
        return None if answer is None else not answer
    assert isinstance(tree, Word | Phrase | Prefix)
    asked = re.findall("[a-z]+", tree.text.lower())
    runs = [words[at : at + len(asked)] for at in range(len(words) - len(asked) + 1)]
    if isinstance(tree, Prefix):
        return any(run[:-1] == asked[:-1] and run[-1].startswith(asked[-1]) for run in runs)
    return asked in runs if asked else None


@settings(deadline=None, max_examples=300)
@given(texts=TEXTS, tree=TREES)
def test_texts_that_match_are_those_that_a_look_at_every_word_finds(texts: list[str | None], tree: Words) -> None:
    plain = Analyzer(language=None)
    split = [re.findall("[a-z]+", (text or "").lower()) for text in texts]

    found = rows_matching(tree, index_of(pa.array(texts, pa.string()), plain), plain)

    assert found.tolist() == [matches(tree, words) is True for words in split]


def test_stems_match_and_a_prefix_longer_than_the_stem_still_finds_its_word() -> None:
    texts = pa.array(["the runs of ships", "a runner", "state of the art", "art of state"])
    analyzer = Analyzer()
    index = index_of(texts, analyzer)

    def found(text: str) -> list[bool]:
        return rows_matching(parse(text), index, analyzer).tolist()

    assert found("Running") == [True, False, False, False]
    assert found("run*") == [True, True, False, False]
    assert found("running*") == [True, False, False, False]
    assert found("state-of-the-art") == [False, False, True, False]
    assert found("of the") == [False, False, False, False]
    assert found("-(of the)") == [False, False, False, False]
    assert found("the art") == [False, False, True, True]


def test_an_index_without_positions_answers_all_but_phrases() -> None:
    analyzer = Analyzer()
    index = build(["chess engine", "engine chess"], analyzer)

    assert can_answer(index, parse("chess -engin*"), analyzer)
    assert not can_answer(index, parse('go OR "chess engine"'), analyzer)
    assert not can_answer(index, parse("-chess-engine"), analyzer)
