"""Reading filter text, and explaining what is wrong with it to the person who typed it.

A message says what was expected and found, shows the line with a caret below the place, and where the mistake is
a common one, what to write instead:

    cannot read the filter: expected a value ('text', 12, 1.5, true, false, timestamp '2024-05-01'), found games
      section = games
                ^
    put text in single quotes: 'games'

The surprise: lark is loaded at the first text and not before; a program that builds filters with `col` never
waits for it.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from vecdb.errors import FilterSyntaxError, InvalidInputError
from vecdb.filters.expression import RESERVED_WORDS, Expression
from vecdb.filters.operand import Operand
from vecdb.filters.values import shortened
from vecdb.schema.blame import printed

if TYPE_CHECKING:
    from lark import Lark

MAX_TEXT = 4 * 2**20
"""The longest filter text, in characters: 10,000 ids of 400 characters. `col(...).isin(...)` takes longer ones."""

MAX_TOKENS = 200_000
"""The most words, values and signs of a text, so that no text keeps the parser busy for more than about a second."""

# Longer texts are rarely typed again and would fill the cache with their lists.
_CACHED_TEXT = 4_096

_WINDOW = 60
"""So many characters are shown on each side of the caret."""

_OPERATORS = (
    "=, !=, <, <=, >, >=, in, between, is null, contains, any of, all of, startswith, like, matches, within, in box"
)
_VALUES = "'text', 12, 1.5, true, false, timestamp '2024-05-01'"

_PHRASES = {
    "NAME": "a field name",
    "NOT": "'not'",
    "_NOT": "'not'",
    "STRING": "text in single quotes",
    "NUMBER": "a number",
    "_AND": "'and'",
    "_OR": "'or'",
    "_IN": "'in'",
    "_NULL": "'null'",
    "_BETWEEN": "'between'",
    "_CONTAINS": "'contains'",
    "_ANY": "'any of'",
    "_ALL": "'all of'",
    "_OF": "'of'",
    "_STARTSWITH": "'startswith'",
    "_WITH": "'with'",
    "_LIKE": "'like'",
    "_MATCHES": "'matches'",
    "_WITHIN": "'within'",
    "DISTANCE": "a distance such as 5 km or 500 m",
    "COMMA": "','",
    "LPAR": "'('",
    "_BOX": "'box'",
    "RPAR": "')'",
    "RSQB": "']'",
    "$END": "the end of the filter",
}
"""What the terminals of the grammar are called in messages, in the order in which they are listed."""

_FOUND = re.compile(r"\w[\w.]*|'[^'\n]*'?|\"[^\"\n]*\"?|[<>=!&|]+|.", re.DOTALL)


def parse(text: str) -> Expression:
    """Return the tree of a filter text such as `section = 'games' and size < 1_000_000`.

    Raises:
        FilterSyntaxError: text is not a filter, or exceeds a limit of length, depth, nodes or values; `position` is
            where reading stopped.

    """
    return _parse_cached(text) if len(text) <= _CACHED_TEXT else _parse(text)


def resolve(where: str | Expression | None) -> Expression | None:
    """Return what a `where` argument means: text is read, a tree and None stay.

    Raises:
        FilterSyntaxError: the text is not a filter, or exceeds a limit.
        InvalidInputError: where is something else.

    """
    if where is None or isinstance(where, Expression):
        return where
    if isinstance(where, str):
        return parse(where)
    hint = ": compare the field with a value" if isinstance(where, Operand) else ""
    raise InvalidInputError(
        f"where takes filter text, an expression of vecdb.col(...) or None, found {shortened(printed(where))}{hint}",
        value=where,
    )


@cache
def _lark() -> Lark:
    from vecdb.filters.grammar import build

    return build()


def _parse(text: str) -> Expression:
    from lark.exceptions import UnexpectedInput

    if not text.strip():
        raise FilterSyntaxError(
            "the filter is empty: to match every row, pass None or leave the filter out", position=0, value=text
        )
    if len(text) > MAX_TEXT:
        raise _explained(text, MAX_TEXT, f"it has {len(text)} characters, more than {MAX_TEXT}")
    place = 0
    try:
        reading = _lark().parse_interactive(text)
        for number, token in enumerate(reading.iter_parse()):
            place = token.start_pos or 0
            if number >= MAX_TOKENS:
                raise InvalidInputError(f"the filter has more than {MAX_TOKENS} words, values and signs")
        return reading.feed_eof()
    except FilterSyntaxError as error:
        raise _explained(text, error.position or 0, str(error)) from None
    except InvalidInputError as error:
        # What was read is refused as a whole (a limit, a latitude of 100): the place is where that became known.
        raise _explained(text, place, str(error)) from None
    except UnexpectedInput as error:
        # The token that stands for the end borrows the place of the last real one.
        at_end = getattr(getattr(error, "token", None), "type", "") == "$END"
        position = len(text.rstrip()) if at_end else error.pos_in_stream or 0
        raise _unexpected(text, position) from None


_parse_cached = lru_cache(maxsize=256)(_parse)


def _unexpected(text: str, position: int) -> FilterSyntaxError:
    """Say what could have stood at position and what does."""
    # Read again up to the mistake: having seen the wrong token, the parser has already given up some ways on.
    reading = _lark().parse_interactive(text[:position])
    reading.exhaust_lexer()
    possible = reading.accepts()
    match = _FOUND.match(text, position)
    found = match[0].strip() if match else ""
    shown = _printable(shortened(found, 30)) or "the end"
    message = f"expected {_expected(possible)}, found {shown}"
    return _explained(text, position, message, _hint(text, position, found, possible))


def _expected(possible: set[str]) -> str:
    if "COMPARE" in possible:
        return f"an operator ({_OPERATORS})"
    phrases: list[str] = []
    if "_TRUE" in possible:
        phrases.append(f"a value ({_VALUES})")
        possible = possible - {"STRING", "NUMBER"}
    elif {"NUMBER", "QUOTED"} <= possible:
        return "a position or a quoted key"
    phrases += dict.fromkeys(phrase for terminal, phrase in _PHRASES.items() if terminal in possible)
    return " or ".join(filter(None, (", ".join(phrases[:-1]), phrases[-1])))


def _hint(text: str, position: int, found: str, possible: set[str]) -> str:
    """Return what to write instead, for the mistakes that people make; else nothing."""
    word = found.lower()
    first = found[:1]
    signs = {"&": "and", "&&": "and", "|": "or", "||": "or", "!": "not"}
    if found in signs:
        return f"write '{signs[found]}' instead of {found}"
    if first and first in "‘’“”":
        return "use straight quotes: 'text'"
    if first and first in "'\"" and (len(found) == 1 or found[-1] != first):
        kind = "text" if first == "'" else "name"
        return f"the {kind} that begins here has no closing quote; a quote inside is written twice"
    if "_TRUE" in possible:
        return _value_hint(found, word)
    if "NAME" in possible:
        return _field_hint(found, word)
    if "COMPARE" in possible and (not found or word in ("and", "or", ")")):
        return "a field alone is no condition: for a bool field, write it as in archived = true"
    if "DOT_NAME" in possible and first == "-" and text[position - 1] != " ":
        return 'a JSON key that is no word is written in quotes: extra."odd-key"'
    if "_AND" in possible and text[:position].endswith("'") and first.isalnum():
        return "a quote inside text is written twice: 'it''s'"
    return ""


def _field_hint(found: str, word: str) -> str:
    if word in RESERVED_WORDS - {"and", "or"}:
        return f'{found} is a keyword: a field of this name is written "{found}"'
    if found[:1] in ("'", "-", "+", ".") or found[:1].isdigit():
        return "begin with the field: size > 3 instead of 3 < size" if found else ""
    return ""


def _value_hint(found: str, word: str) -> str:
    if word in ("null", "none", "nil"):
        return "to look for missing values, write it as in: size is null"
    if word in ("nan", "inf", "infinity"):
        return "stored numbers are finite; a missing one is null: size is null"
    if found.startswith('"'):
        return "put text in single quotes; double quotes are for field names"
    if found[:1].isdigit():
        return "a number is written as in 12, 1_000, -1.5 or 2e9, without a unit"
    if found.startswith("("):
        return "one value is expected here; a list follows 'in', 'any of' and 'all of'"
    if found[:1].isalpha():
        return f"put text in single quotes: '{shortened(found)}'"
    return ""


def _explained(text: str, position: int, message: str, hint: str = "") -> FilterSyntaxError:
    """Add the line of the mistake, with a caret below it, and the hint."""
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    left, right = max(start, position - _WINDOW), min(end, position + _WINDOW)
    before = _printable(("…" if left > start else "") + text[left:position])
    after = _printable(text[position:right] + ("…" if right < end else ""))
    lines = [f"cannot read the filter: {message}", f"  {before}{after}", f"  {' ' * _width(before)}^"]
    return FilterSyntaxError("\n".join([*lines, hint] if hint else lines), position=position, value=text)


def _printable(text: str) -> str:
    """Return text with one visible character for each that a terminal would obey instead of showing."""
    return "".join(
        character if character.isprintable() else " " if character.isspace() else "\ufffd" for character in text
    )


def _width(text: str) -> int:
    """Return how many columns of a terminal text takes."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )
