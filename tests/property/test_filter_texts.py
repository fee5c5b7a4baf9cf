"""Whatever is typed is read or refused: with a place, a reason, and never another exception."""

import random
import string

import pytest

from vecdb.errors import FilterSyntaxError
from vecdb.filters import Expression, parse

VALID = (
    "section = 'games' and size < 1_000_000",
    "not (a in (1, 2.5, 'x') or b not between timestamp '2024-05-01' and timestamp '2024-06-01T00:00:00Z')",
    "tags any of ('a', 'it''s') or tags all of () and not tags contains 'c'",
    'extra."odd ""key""".list[-1]["x"] != true',
    "name like 'lib%' and name starts with 'li' or \"in\" is not null",
    "place within 5 km of (52.5, 13.4) and place not in box (-10, 170, 10, -170)",
    "text matches 'chess \"quiet engine\" OR (go -shogi) engin*' and text not matches '-x'",
)
WORDS = (
    "a size extra.a \"b\" '' 'x' 'x%' 'it''s' 1 -2.5 1e9 1e999 1_0 99999999999999999999 = == != <> < <= > >= ( ) [ ] ,"
    " . and or not in is null between like contains any all of starts with startswith timestamp true false matches"
    " within box km 5km 500 m '2024-05-01' '2024-13-01' \" ' & && | ! ; -- /* \\ é 日 \u2018 \u00a0 \n \t \x00 '-' '(a'"
    " '\"' 91 (91,0) (0,181)"
)
TOKENS = (*WORDS.split(" "), "'chess OR'", "matches 'a \"b'", "within 5 km of (1,", "in box (1, 2, 3, 4)")


def mutated(draw: random.Random) -> str:
    """Return a valid filter with a few letters or words lost, doubled, swapped or replaced."""
    valid: str = draw.choice(VALID)
    text = [str(part) for part in (valid if draw.random() < 0.5 else valid.split(" "))]
    glue = "" if len(text[0]) == 1 and all(len(part) == 1 for part in text) else " "
    for _ in range(draw.randint(1, 3)):
        place, other = draw.randrange(len(text) + 1), draw.randrange(len(text) + 1)
        kind = draw.randrange(4)
        if kind == 0:
            del text[place : place + draw.randint(1, 3)]
        elif kind == 1:
            text[place:place] = text[other : other + 4]
        elif kind == 2:
            text[place:place] = [draw.choice(TOKENS)]
        else:
            text[place : place + 1] = [chr(draw.choice([draw.randrange(128), draw.randrange(0x3000)]))]
    return glue.join(text)


def soup(draw: random.Random) -> str:
    """Return words and signs of filters in any order."""
    return draw.choice(["", " ", " ", " "]).join(draw.choices(TOKENS, k=draw.randint(0, 30)))


def letters(draw: random.Random) -> str:
    """Return anything: ASCII, any Unicode, halves of surrogate pairs among it."""
    some = string.printable if draw.random() < 0.5 else [chr(draw.randrange(0x110000)) for _ in range(20)]
    return "".join(draw.choices(some, k=draw.randint(0, 60)))


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_random_texts_are_read_or_refused_with_place_and_reason(count: int) -> None:
    draw = random.Random(count)
    read = refused = 0

    for number in range(count):
        text = (mutated, soup, letters)[number % 3](draw)
        try:
            tree, refusal = parse(text), None
        except FilterSyntaxError as error:
            tree, refusal = None, error

        if refusal is None:
            read += 1
            assert isinstance(tree, Expression)
            assert parse(str(tree)) == tree, text
        else:
            refused += 1
            assert isinstance(refusal.position, int), text
            assert 0 <= refusal.position <= len(text), text
            assert str(refusal).startswith(("cannot read the filter: ", "the filter is empty")), text

    assert read > count // 100
    assert refused > count // 2
