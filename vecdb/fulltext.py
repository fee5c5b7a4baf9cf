"""What is asked of texts: words, phrases, prefixes, and which of them a row must have or must not have.

    chess engine            any of the words; rows with more, and rarer ones, come first
    +chess engine           "chess" must be there
    "chess engine"          the words stand one behind the other
    "chess engine" uci      any of the words: beside others a phrase is no more than its words...
    +"chess engine" uci     ... unless it must be there
    engine -"video game"    rows with this phrase are left out
    prog*                   any word that begins so

Every text can be read, because people type into search boxes: a quote that is never closed ends with the text, and
signs that mean nothing are left out. What a word is, its stem, and which words are not searched, is decided field by
field, by its analysis (`vecdb.FullText`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, get_args

from vecdb.errors import InvalidInputError

Kind = Literal["words", "phrase", "prefix"]
Occur = Literal["should", "must", "not"]

LONGEST = 65_536
"""The most characters of a question."""

_SIGNS: dict[str, Occur] = {"": "should", "+": "must", "-": "not"}
_PIECE = re.compile(r'(?P<sign>[+-]?)(?:"(?P<phrase>[^"]*)(?:"|$)|(?P<word>[^\s"]+))')
_SPECIAL = re.compile(r'["*]|(?:^|\s)[+-]')


@dataclass(frozen=True, slots=True)
class Clause:
    """Some words of a question.

    Attributes:
        text: the words, as they were typed.
        kind: "words": one by one; "phrase": one behind the other; "prefix": what begins with them.
        occur: "should": rows that have it score higher; "must": other rows are left out; "not": rows that have it are
            left out. A phrase that should be there counts as its words.

    """

    text: str
    kind: Kind = "words"
    occur: Occur = "should"

    @property
    def required(self) -> bool:
        """Whether rows without it are left out."""
        return self.occur == "must"

    def __str__(self) -> str:
        sign = {"should": "", "must": "+", "not": "-"}[self.occur]
        if self.kind == "words":
            return " ".join(f"{sign}{word}" for word in self.text.split())
        return f'{sign}"{self.text}"' if self.kind == "phrase" else f"{sign}{self.text}*"


@dataclass(frozen=True, slots=True)
class TextQuery:
    """A question to texts. Prints as text that `parse_text` reads as an equal question."""

    clauses: tuple[Clause, ...]

    def __str__(self) -> str:
        return " ".join(map(str, self.clauses))

    def to_json(self) -> list[dict[str, str]]:
        """Return the clauses, in a form that `from_json` reads back."""
        return [{"text": one.text, "kind": one.kind, "occur": one.occur} for one in self.clauses]

    @classmethod
    def from_json(cls, data: Sequence[Mapping[str, Any]]) -> TextQuery:
        """Return the question that `to_json` described.

        Raises:
            InvalidInputError: a clause has another form.

        """
        clauses = []
        for one in data:
            known = isinstance(one, Mapping) and one.keys() == {"text", "kind", "occur"}
            if not known or one["kind"] not in get_args(Kind) or one["occur"] not in get_args(Occur):
                raise InvalidInputError(f"{one!r:.200} is no clause of a text query", field="text", value=one)
            if not isinstance(one["text"], str):
                raise InvalidInputError(f"{one['text']!r:.200} is no text", field="text", value=one["text"])
            clauses.append(Clause(one["text"], one["kind"], one["occur"]))
        return cls(tuple(clauses))


def text_query(value: Any, field: str) -> TextQuery:
    """Return a question that a user passed as a text, or as a TextQuery.

    Raises:
        InvalidInputError: it is neither, or too long.

    """
    if isinstance(value, TextQuery):
        return value
    if not isinstance(value, str):
        raise InvalidInputError(f"the query for {field!r} is {value!r:.200}, not a text", field=field, value=value)
    if len(value) > LONGEST:
        raise InvalidInputError(f"the query for {field!r} has {len(value)} characters, at most {LONGEST}", field=field)
    return parse_text(value)


@lru_cache(256)
def parse_text(text: str) -> TextQuery:
    """Return the question that a text is. Plain words in a row are one clause; phrases alone must be there.

    Beside other words they need not: questions that quote a title are common, and rows without it may answer them.
    """
    if not _SPECIAL.search(text):
        return TextQuery((Clause(" ".join(text.split())),) if text.strip() else ())
    clauses = tuple(_joined(_clauses(text)))
    if not any(one.occur == "should" and one.kind != "phrase" for one in clauses):
        clauses = tuple(replace(one, occur="must") if one.occur == "should" else one for one in clauses)
    return TextQuery(clauses)


def _clauses(text: str) -> Iterator[Clause]:
    at = 0
    while piece := _PIECE.search(text, at):
        at = piece.end()
        kind: Kind = "words"
        words = piece["word"]
        if words is None:
            kind, words = "phrase", " ".join(piece["phrase"].split())
        elif words.endswith("*"):
            kind, words = "prefix", words.rstrip("*")
        if words:
            yield Clause(words, kind, _SIGNS[piece["sign"]])


def _joined(clauses: Iterator[Clause]) -> Iterator[Clause]:
    """Join plain words that stand one behind the other."""
    held: list[str] = []
    for one in clauses:
        if one.kind == "words" and one.occur == "should":
            held.append(one.text)
            continue
        if held:
            yield Clause(" ".join(held))
            held = []
        yield one
    if held:
        yield Clause(" ".join(held))
