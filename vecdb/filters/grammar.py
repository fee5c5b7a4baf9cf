"""The grammar of filter text, and how each rule becomes a part of the tree.

Invariant: the left side of a condition is a path and the right side is made of values. The lexer therefore knows
from the place alone whether `timestamp`, `contains` or `any` is a keyword or the name of a field, and only the
words in `RESERVED_WORDS` need quotes as names.

Only `vecdb.filters.parser` imports this module, at the first filter text: it loads lark.
"""

import re
from datetime import datetime

from lark import Lark, Token, Transformer, v_args

from vecdb.errors import FilterSyntaxError, InvalidInputError
from vecdb.filters.expression import RESERVED_WORDS, And, Condition, Expression, FieldPath, Not, Operator, Or
from vecdb.filters.values import LARGEST_INTEGER, SMALLEST_INTEGER, Value, moment_from_text

# ASCII digits only: \d is also true of the digits of other scripts.
_DIGITS = "[0-9]+(?:_[0-9]+)*"

_NUMBER = rf"[+-]?(?:{_DIGITS}(?:\.{_DIGITS})?|\.{_DIGITS})(?:e[+-]?[0-9]+)?"
# Possessive: a long list that is no list after all is given up at once.
_TEXT = "'[^']*+(?:''[^']*+)*+'"

_GRAMMAR = rf"""
    ?filter: junction
    ?junction: conjunction (_OR conjunction)*                       -> either
    ?conjunction: negation (_AND negation)*                         -> both
    ?negation: _NOT negation                                        -> negated
        | "(" junction ")"
        | condition

    ?condition: path COMPARE value                                  -> compare
        | path [NOT] _IN values                                     -> one_of
        | path [NOT] _BETWEEN value _AND value                      -> between
        | path _IS [NOT] _NULL                                      -> is_null
        | path [NOT] _CONTAINS value                                -> contains
        | path [NOT] _ANY _OF values                                -> any_of
        | path [NOT] _ALL _OF values                                -> all_of
        | path [NOT] (_STARTSWITH | _STARTS _WITH) STRING           -> startswith
        | path [NOT] _LIKE STRING                                   -> like
        | path [NOT] _MATCHES STRING                                -> matches
        | path [NOT] _WITHIN DISTANCE _OF "(" NUMBER "," NUMBER ")" -> within
        | path [NOT] _IN _BOX "(" NUMBER "," NUMBER "," NUMBER "," NUMBER ")" -> in_box

    path: (NAME | QUOTED) (DOT_NAME | DOT_QUOTED | "[" (NUMBER | STRING | QUOTED) "]")*
    values: TEXTS   -> texts
        | NUMBERS   -> numbers
        | "(" [value ("," value)*] ")"
    ?value: STRING          -> text
        | NUMBER            -> number
        | _TRUE             -> true
        | _FALSE            -> false
        | _TIMESTAMP STRING -> moment

    COMPARE: "<=" | ">=" | "<>" | "!=" | "==" | "=" | "<" | ">"
    NAME: /(?!(?:{"|".join(sorted(RESERVED_WORDS))})\b)[^\W\d]\w*/i
    QUOTED: /"(?:[^"]|"")*"/
    DOT_NAME: /\.[^\W\d]\w*/
    DOT_QUOTED: /\."(?:[^"]|"")*"/
    STRING: /'(?:[^']|'')*'/
    NUMBER: /{_NUMBER}(?![\w.])/i

    // A list of one kind is one token: read value by value, ten thousand would take a third of a second.
    TEXTS.1: /\(\s*{_TEXT}(?:\s*,\s*{_TEXT})+\s*\)/
    NUMBERS.1: /\(\s*{_NUMBER}(?:\s*,\s*{_NUMBER})+\s*\)/i

    DISTANCE: /(?!-){_NUMBER}\s*k?m\b/i

    _AND: /and\b/i
    _OR: /or\b/i
    NOT: /not\b/i
    _NOT: NOT
    _IN: /in\b/i
    _IS: /is\b/i
    _NULL: /null\b/i
    _BETWEEN: /between\b/i
    _CONTAINS: /contains\b/i
    _ANY: /any\b/i
    _ALL: /all\b/i
    _OF: /of\b/i
    _STARTSWITH: /startswith\b/i
    _STARTS: /starts\b/i
    _WITH: /with\b/i
    _LIKE: /like\b/i
    _MATCHES: /matches\b/i
    _WITHIN: /within\b/i
    _BOX: /box\b/i
    _TRUE: /true\b/i
    _FALSE: /false\b/i
    _TIMESTAMP: /timestamp\b/i

    %ignore /\s+/
"""

_ONE_TEXT = re.compile(_TEXT)
_ONE_NUMBER = re.compile(_NUMBER, re.IGNORECASE)

_Values = tuple[Value, ...]


def _unquoted(token: Token) -> str:
    """Return what stands between the quotes; a doubled quote is one."""
    quote = token[-1]
    return token[1:-1].replace(quote * 2, quote)


def _condition(negation: Token | None, path: FieldPath, operator: Operator, values: _Values) -> Expression:
    condition = Condition(path, operator, values)
    return condition if negation is None else Not(condition)


def _placed(token: Token, negation: Token | None, path: FieldPath, operator: Operator, values: _Values) -> Expression:
    """Return a condition on places; what is wrong with its numbers is found at the first of them."""
    try:
        return _condition(negation, path, operator, values)
    except InvalidInputError as error:
        raise _refused(token, str(error)) from None


@v_args(inline=True)
class _Builder(Transformer[Token, Expression]):
    """One method per rule of the grammar: takes what the rule's parts became, returns what the rule becomes."""

    def either(self, *parts: Expression) -> Expression:
        return parts[0] if len(parts) == 1 else Or(parts)

    def both(self, *parts: Expression) -> Expression:
        return parts[0] if len(parts) == 1 else And(parts)

    def negated(self, part: Expression) -> Expression:
        return Not(part)

    def compare(self, path: FieldPath, operator: Token, value: Value) -> Expression:
        synonyms: dict[str, Operator] = {"==": "=", "<>": "!="}
        return Condition(path, synonyms.get(operator, str(operator)), (value,))  # pyright: ignore[reportArgumentType]

    def one_of(self, path: FieldPath, negation: Token | None, values: _Values) -> Expression:
        return _condition(negation, path, "in", values)

    def between(self, path: FieldPath, negation: Token | None, low: Value, high: Value) -> Expression:
        return _condition(negation, path, "between", (low, high))

    def is_null(self, path: FieldPath, negation: Token | None) -> Expression:
        return _condition(negation, path, "is null", ())

    def contains(self, path: FieldPath, negation: Token | None, value: Value) -> Expression:
        return _condition(negation, path, "contains", (value,))

    def any_of(self, path: FieldPath, negation: Token | None, values: _Values) -> Expression:
        return _condition(negation, path, "any of", values)

    def all_of(self, path: FieldPath, negation: Token | None, values: _Values) -> Expression:
        return _condition(negation, path, "all of", values)

    def startswith(self, path: FieldPath, negation: Token | None, prefix: Token) -> Expression:
        return _condition(negation, path, "startswith", (_unquoted(prefix),))

    def like(self, path: FieldPath, negation: Token | None, pattern: Token) -> Expression:
        text, is_prefix = _prefix_of(pattern)
        return _condition(negation, path, "startswith" if is_prefix else "=", (text,))

    def matches(self, path: FieldPath, negation: Token | None, token: Token) -> Expression:
        try:
            return _condition(negation, path, "matches", (_unquoted(token),))
        except FilterSyntaxError as error:
            # Where in the text between the quotes, in which a quote is written twice.
            inside, written = error.position or 0, 1
            for letter in _unquoted(token)[:inside]:
                written += 2 if letter == "'" else 1
            raise FilterSyntaxError(str(error), position=(token.start_pos or 0) + written) from None

    def within(self, path: FieldPath, negation: Token | None, distance: Token, lat: Token, lon: Token) -> Expression:
        text = distance.rstrip("mM")
        kilometres = float(text.rstrip("kK").strip()) / (1.0 if text[-1] in "kK" else 1_000.0)
        return _placed(lat, negation, path, "within", (_number(lat), _number(lon), kilometres))

    def in_box(self, path: FieldPath, negation: Token | None, *edges: Token) -> Expression:
        return _placed(edges[0], negation, path, "in box", tuple(map(_number, edges)))

    def path(self, name: Token, *steps: Token) -> FieldPath:
        field = _unquoted(name) if name.type == "QUOTED" else str(name)
        return FieldPath(field, tuple(map(_key, steps)))

    def values(self, *values: Value | None) -> _Values:
        # An empty list arrives as one None.
        return tuple(value for value in values if value is not None)

    def texts(self, token: Token) -> _Values:
        return tuple(text[1:-1].replace("''", "'") for text in _ONE_TEXT.findall(token))

    def numbers(self, token: Token) -> _Values:
        return tuple(
            int(match[0])
            if len(match[0]) < 18 and match[0].isdigit()
            else _number(Token("NUMBER", match[0], (token.start_pos or 0) + match.start()))
            for match in _ONE_NUMBER.finditer(token)
        )

    def text(self, token: Token) -> str:
        return _unquoted(token)

    def number(self, token: Token) -> int | float:
        return _number(token)

    def true(self) -> bool:
        return True

    def false(self) -> bool:
        return False

    def moment(self, token: Token) -> datetime:
        try:
            return moment_from_text(_unquoted(token))
        except ValueError:
            raise _refused(
                token, f"{token} is not a moment of ISO 8601, such as '2024-05-01' or '2024-05-01T12:30:00Z'"
            ) from None


def _key(step: Token) -> str | int:
    if step.type == "DOT_NAME":
        return step[1:]
    if step.type == "DOT_QUOTED":
        return _unquoted(Token("QUOTED", step[1:]))
    if step.type != "NUMBER":
        return _unquoted(step)
    position = _number(step)
    if not isinstance(position, int):
        raise _refused(step, f"a position in a JSON list is a whole number, found {step}")
    return position


def _number(token: Token) -> int | float:
    if token.lstrip("+-").replace("_", "").isdigit():
        # 20 digits hold every integer of 64 bits; Python refuses to read thousands of them.
        digits = token.lstrip("+-").replace("_", "").lstrip("0") or "0"
        integer = int(digits) if len(digits) <= 20 else LARGEST_INTEGER + 1
        integer = -integer if token.startswith("-") else integer
        if SMALLEST_INTEGER <= integer <= LARGEST_INTEGER:
            return integer
        raise _refused(token, "the integer is outside -2**63 to 2**64 - 1: write it with a point or an exponent")
    number = float(token)
    if number in (float("inf"), float("-inf")):
        raise _refused(token, "the number is too large for a float of 64 bits")
    return number


def _prefix_of(pattern: Token) -> tuple[str, bool]:
    """Return the letters of a LIKE pattern and whether `%` follows them; a backslash makes the next one literal."""
    text = _unquoted(pattern)
    letters: list[str] = []
    rest = iter(text)
    for letter in rest:
        if letter == "\\":
            letter = next(rest, "\\")
        elif letter == "_" or (letter == "%" and next(rest, None) is not None):
            raise _refused(
                pattern,
                f"like takes text or a prefix with one % at its end, as in 'lib%': write \\{letter} for the letter"
                f" {letter} itself, or use startswith",
            )
        elif letter == "%":
            return "".join(letters), True
        letters.append(letter)
    return "".join(letters), False


def _refused(token: Token, message: str) -> FilterSyntaxError:
    return FilterSyntaxError(message, position=token.start_pos)


def build() -> Lark:
    """Return the parser: `parse(text)` gives an Expression. It may be shared between threads.

    Unlike a tree walk, the LALR parser with its transformer inside needs no Python stack, so that deeply nested
    text is refused by the limits of the tree and not by a RecursionError.
    """
    return Lark(
        _GRAMMAR, start="filter", parser="lalr", lexer="contextual", transformer=_Builder(), maybe_placeholders=True
    )
