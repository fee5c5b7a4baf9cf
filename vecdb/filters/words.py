"""What is asked of a text, as people type it into a search box, and the tree that it becomes.

    chess engine            both words                  chess OR engine     either; OR in capitals
    "chess engine"          the words side by side      engin*              words that begin so
    chess -engine           the first without the second; `-` also stands before quotes and parentheses

    Words
    ├── Every, Either   two or more parts; `OR` binds less tightly than standing side by side
    ├── Without         the rows that the part does not match
    ├── Word            one word as typed
    ├── Phrase          words as typed, in their order
    └── Prefix          the beginning of a word

Invariant: a tree is immutable, hashable and within the limits below; `str(tree)` reads back to an equal tree.

The surprise: nothing here knows what a word is, only spaces, quotes and signs. An analyser says which terms a word as
typed stands for (matching.py): none for a stop word, and several, side by side, for "state-of-the-art".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

from vecdb.errors import FilterSyntaxError

MAX_TEXT = 65_536
"""The longest text, in characters."""

MAX_WORDS = 1_024
"""The most words, phrases and signs."""

MAX_DEPTH = 32
"""How deeply parentheses and signs may be nested."""

_TOKEN = re.compile(r'\s*(?:"([^"]*)"|([()])|(-)(?=[^\s)])|([^\s()"]+))')
_OPERATORS = ("AND", "OR", "NOT")


class Words:
    """A question to one text."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"


@dataclass(frozen=True, repr=False)
class Word(Words):
    """One word as typed."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, repr=False)
class Prefix(Words):
    """The beginning of a word as typed, without its `*`."""

    text: str

    def __str__(self) -> str:
        return f"{self.text}*"


@dataclass(frozen=True, repr=False)
class Phrase(Words):
    """Words that stand one behind the other: the text between the quotes."""

    text: str

    def __str__(self) -> str:
        return f'"{self.text}"'


@dataclass(frozen=True, repr=False)
class Without(Words):
    """What the part does not match."""

    part: Words

    def __str__(self) -> str:
        return f"-({self.part})" if isinstance(self.part, Every | Either) else f"-{self.part}"


@dataclass(frozen=True, repr=False)
class Every(Words):
    """What every part matches."""

    parts: tuple[Words, ...]

    def __str__(self) -> str:
        return " ".join(f"({part})" if isinstance(part, Either) else str(part) for part in self.parts)


@dataclass(frozen=True, repr=False)
class Either(Words):
    """What at least one part matches."""

    parts: tuple[Words, ...]

    def __str__(self) -> str:
        return " OR ".join(map(str, self.parts))


@lru_cache(maxsize=256)
def parse(text: str) -> Words:
    """Return the tree of what was typed.

    Raises:
        FilterSyntaxError: a quote or parenthesis is left open, a sign stands where none belongs, there is no word at
            all, or a limit is exceeded; `position` counts characters of text.

    """
    if not isinstance(text, str):
        raise FilterSyntaxError(f"matches takes the words to look for as text, found {text!r}", position=0, value=text)
    if len(text) > MAX_TEXT:
        _refuse(text, MAX_TEXT, f"the words to look for have {len(text)} characters, more than {MAX_TEXT}")
    return _Reading(text).whole()


class _Reading:
    """One text being read: its tokens, and the place of the next one."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        place, end = 0, len(text.rstrip())
        while place < end:
            match = _TOKEN.match(text, place)
            if match is None:  # nothing but an open quote is left out by the pattern
                place += len(text[place:]) - len(text[place:].lstrip())
                _refuse(text, place, "the phrase that begins here has no closing quote")
            phrase, parenthesis, minus, word = match.groups()
            start = match.start(match.lastindex or 0) - (phrase is not None)
            kind = "phrase" if phrase is not None else parenthesis or minus or (word if word in _OPERATORS else "word")
            self.tokens.append((kind, phrase if phrase is not None else word or "", start))
            if len(self.tokens) > MAX_WORDS:
                _refuse(text, start, f"more than {MAX_WORDS} words and signs are looked for")
            place = match.end()
        self.tokens.append(("end", "", end))
        self.at = 0

    def whole(self) -> Words:
        if len(self.tokens) == 1:
            _refuse(self.text, 0, "there is no word to look for")
        tree = self.any(1)
        kind, _, place = self.tokens[self.at]
        if kind != "end":
            _refuse(self.text, place, "this parenthesis closes none")
        return tree

    def any(self, depth: int) -> Words:
        parts = [self.all(depth)]
        while self.taken("OR"):
            parts.append(self.all(depth))
        return parts[0] if len(parts) == 1 else Either(_flat(parts, Either))

    def all(self, depth: int) -> Words:
        parts = [self.one(depth)]
        while self.taken("AND") or self.tokens[self.at][0] not in ("OR", ")", "end"):
            parts.append(self.one(depth))
        return parts[0] if len(parts) == 1 else Every(_flat(parts, Every))

    def one(self, depth: int) -> Words:
        kind, text, place = self.tokens[self.at]
        if depth > MAX_DEPTH:
            _refuse(self.text, place, f"parentheses and signs are nested more than {MAX_DEPTH} levels deep")
        self.at += 1
        if kind in ("-", "NOT"):
            return Without(self.one(depth + 1))
        if kind == "(":
            tree = self.any(depth + 1)
            if not self.taken(")"):
                _refuse(self.text, place, "the parenthesis that opens here is not closed")
            return tree
        if kind == "phrase":
            return self.phrase(text, place)
        if kind == "word":
            return self.word(text, place)
        found = "the end" if kind == "end" else kind
        hint = f'; in quotes, "{kind}" is a word' if kind in _OPERATORS else ""
        _refuse(self.text, place, f"a word is expected, found {found}{hint}")

    def phrase(self, text: str, place: int) -> Words:
        if "*" in text:
            _refuse(self.text, place + 1 + text.index("*"), "a phrase takes no *: it stands behind a single word")
        return Phrase(" ".join(text.split()))

    def word(self, text: str, place: int) -> Words:
        star = text.find("*")
        if star < 0:
            return Word(text)
        if star == 0 or star < len(text) - 1:
            _refuse(self.text, place + star, "a * stands at the end of a word, as in engin*")
        return Prefix(text[:-1])

    def taken(self, kind: str) -> bool:
        taken = self.tokens[self.at][0] == kind
        self.at += taken
        return taken


def _flat(parts: list[Words], kind: type[Every] | type[Either]) -> tuple[Words, ...]:
    flat: list[Words] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, kind) else [part])
    return tuple(flat)


def _refuse(text: str, position: int, reason: str) -> NoReturn:
    raise FilterSyntaxError(reason, position=position, value=text)
