"""Which words of a text a question found, to be shown to a reader."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vecdb.fulltext import TextQuery
    from vecdb.schema.fulltext import FullText
    from vecdb_index.inverted.analysis import Analyzer

LENGTH = 160
"""Characters of a fragment, about."""
ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class Highlight:
    """A part of a text, and where in it the words stand that were found.

    Attributes:
        text: what is shown; `…` at an end where something was cut off.
        spans: for each word that was found, where it begins and ends in `text`.

    """

    text: str
    spans: tuple[tuple[int, int], ...]

    def marked(self, before: str = "**", after: str = "**") -> str:
        """Return the text with marks around the words that were found."""
        out, at = [], 0
        for first, last in self.spans:
            out += [self.text[at:first], before, self.text[first:last], after]
            at = last
        return "".join([*out, self.text[at:]])

    def __str__(self) -> str:
        return self.marked()


class Highlighter:
    """Finds a question's words in texts of one field."""

    def __init__(self, spec: FullText, asked: TextQuery) -> None:
        from vecdb.planner.terms import terms_of
        from vecdb.storage.text_index import analyzer_of

        clauses = [one for one in terms_of(spec, asked) if one.clause.occur != "not"]
        terms = {term.decode("utf-8", "surrogatepass") for one in clauses for term in one.known}
        terms |= {one.stem.decode("utf-8", "surrogatepass") for one in clauses if one.stem is not None}
        prefixes = tuple(one.prefix.decode("utf-8", "surrogatepass") for one in clauses if one.prefix)
        self._asked = _Asked(analyzer_of(spec), terms, prefixes)

    def spans(self, text: str) -> list[tuple[int, int, str]]:
        """Return where the words stand that the question has, and their terms."""
        from vecdb_index.inverted.analysis import typed_words

        found, asked = [], self._asked
        for word in typed_words(text):
            term = asked[word[0]]
            if term is not None:
                found.append((word.start(), word.end(), term))
        return found

    def highlight(self, text: str | None, length: int = LENGTH) -> Highlight:
        """Return the part of a text, of about so many characters, that has most of the words, else its beginning."""
        text = text or ""
        found = self.spans(text)
        first, last = _window(text, found, length)
        head, tail = ELLIPSIS if first else "", ELLIPSIS if last < len(text) else ""
        inside = [(start, end) for start, end, _ in found if first <= start and end <= last]
        shift = len(head) - first
        spans = tuple((start + shift, end + shift) for start, end in inside)
        return Highlight(f"{head}{text[first:last]}{tail}", spans)


class _Asked(dict[str, "str | None"]):
    """The term of each word that was met, None where nobody asked for it: texts have few different words."""

    def __init__(self, analyzer: Analyzer, terms: set[str], prefixes: tuple[str, ...]) -> None:
        super().__init__()
        self._analyzer, self._terms, self._prefixes = analyzer, terms, prefixes

    def __missing__(self, typed: str) -> str | None:
        term = self._analyzer.first_term(typed)
        if term is not None and term not in self._terms and not term.startswith(self._prefixes):
            term = None
        self[typed] = term
        return term


def _window(text: str, found: list[tuple[int, int, str]], length: int) -> tuple[int, int]:
    """Return where a fragment begins and ends: the one with the most different words, then the most words."""
    if len(text) <= length:
        return 0, len(text)
    best, stop = (0, 0, 0), 0
    inside: Counter[str] = Counter()
    for at, (first, _, leaving) in enumerate(found):
        stop = max(stop, at)
        while stop < len(found) and found[stop][1] <= first + length:
            inside[found[stop][2]] += 1
            stop += 1
        best = max(best, (len(inside), stop - at, -at))
        if stop > at:  # else it is longer than the fragment, and was never inside
            inside[leaving] -= 1
            if not inside[leaving]:
                del inside[leaving]
    if best == (0, 0, 0):
        return 0, _cut_before(text, length)
    first = found[-best[2]][0]
    last = found[-best[2] + best[1] - 1][1]
    begin = max(0, first - max(0, length - (last - first)) // 2)
    begin = 0 if begin == 0 else _word_behind(text, begin, first)
    return begin, max(_cut_before(text, begin + length), last)


def _cut_before(text: str, end: int) -> int:
    """Return the end of the last whole word before a place; the place itself where a word is too long for that."""
    if end >= len(text):
        return len(text)
    space = max(text.rfind(" ", 0, end + 1), text.rfind("\n", 0, end + 1))
    return space if space > end - 40 and space > 0 else end


def _word_behind(text: str, begin: int, latest: int) -> int:
    """Return where the first whole word begins from a place on, at most at `latest`."""
    while begin < latest and not text[begin - 1].isspace():
        begin += 1
    while begin < latest and text[begin].isspace():
        begin += 1
    return begin
