"""From texts to terms: words, lower case, without stop words, stemmed.

A word is a run of letters, digits, underscores and the marks that belong to letters; a Chinese character or a kana of
Japanese is a word of its own. Stems are Snowball's (PyStemmer), worked out once for each different word.
"""

import functools
import re
import threading
import unicodedata
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ENGLISH_STOP_WORDS = frozenset(
  [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it", "no", "not", "of",
    "on", "or", "s", "such", "t", "that", "the", "their", "then", "there", "these", "they", "this", "to", "was",
    "will", "with",
  ]
)  # fmt: skip
"""Lucene's list for English; s and t are what "it's" and "don't" leave behind."""
STOP_WORDS = {"english": ENGLISH_STOP_WORDS}
"""Stop words that are known by language; the others have none unless given."""
LONGEST = 255
"""Longer words, which are hardly words, are known by so many letters of their beginning."""
REMEMBERED = 1 << 18
"""Words that a reader remembers beyond the texts that had them, at most."""
REMEMBERED_QUESTIONS = 1 << 14
"""Words of questions that an analyser remembers."""
SKIPPED = -1
"""Stands among the numbers of terms for a word that is no term."""

_PLAIN = re.compile("[a-z0-9_]+")
_TYPED = re.compile("[A-Za-z0-9_]+")
_ALONE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Kana and Chinese characters."""
_PLANES = 0x20000
"""Marks above are selectors of variants."""


class Tokens(NamedTuple):
    """The words of n texts, one text after the other.

    Attributes:
        ids: (t,) int32, for each word the place of its term in `terms`, or SKIPPED. A word's place in its text is
            what phrases go by, so skipped words are here too.
        starts: (n + 1,) int64: text i is the ids starts[i] to starts[i + 1].
        terms: the different terms, by first appearance.

    """

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    terms: list[str]


@dataclass(frozen=True)
class Analyzer:
    """How texts become terms; queries must be read by the analyser that read the rows.

    Attributes:
        language: whose stems are taken, by Snowball's name for it; None: words stay as they are.
        stop_words: words that are no terms, in lower case; None: those that are known for the language.
        shortest: letters of the shortest word that is a term.

    Raises:
        ValueError: Snowball does not know the language.

    """

    language: str | None = "english"
    stop_words: frozenset[str] | None = None
    shortest: int = 1

    def __post_init__(self) -> None:
        if self.language is not None and self.language not in languages():
            raise ValueError(f"no stems are known for {self.language!r}, only for {', '.join(languages())}")

    def to_json(self) -> dict[str, Any]:
        """Return the analyser as what JSON can say: what it was told, and the version of the stemmer.

        An index says it as its origin; one that another version made is not asked, but made anew.
        """
        given = None if self.stop_words is None else sorted(self.stop_words)
        said = {"language": self.language, "stop_words": given, "shortest": self.shortest, "longest": LONGEST}
        return {"analyzer": "words", **said, "stems": None if self.language is None else stemmer_version()}

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> "Analyzer":
        """Return the analyser that `to_json` described.

        Raises:
            ValueError: another version made it.

        """
        if said["analyzer"] != "words" or said["longest"] != LONGEST:
            raise ValueError(f"the analyser {said['analyzer']!r} is not known to this version")
        if said["language"] is not None and said["stems"] != stemmer_version():
            raise ValueError(f"stems of version {said['stems']!r} are not known to this version")
        given = said["stop_words"]
        return cls(said["language"], None if given is None else frozenset(given), said["shortest"])

    def terms(self, text: str) -> list[str | None]:
        """Return the terms of a text in order, None for each word that is none."""
        return list(map(self._term_of_question, words(text)))

    def tokens(self, texts: Iterable[str | None]) -> Tokens:
        """Return the terms of many texts as numbers; a missing text has no words."""
        reader = TokenReader(self)
        for text in texts:
            reader.add(text)
        return reader.take()

    def first_term(self, typed: str) -> str | None:
        """Return the term of a word as it stands in a text; the first one, where it reads as several."""
        return next((term for term in self.terms(typed) if term is not None), None)

    def _term(self, word: str) -> str | None:
        word = word[:LONGEST]
        if len(word) < self.shortest or word in self._stop_words:
            return None
        return word if self.language is None else _stemmer(self.language).stemWord(word) or None

    @functools.cached_property
    def _term_of_question(self) -> Callable[[str], str | None]:
        """Return the term of a word; remembers those that were asked for last, because questions repeat their words."""
        return functools.lru_cache(REMEMBERED_QUESTIONS)(self._term)

    @functools.cached_property
    def _stop_words(self) -> frozenset[str]:
        return STOP_WORDS.get(self.language or "", frozenset()) if self.stop_words is None else self.stop_words


class TokenReader:
    """Reads texts one after the other, and remembers the term of every word that it has met.

    With `remember` it does so beyond `take`, for texts that come a few at a time.
    """

    def __init__(self, analyzer: Analyzer, *, remember: bool = False) -> None:
        self._analyzer = analyzer
        self._remember = remember
        self._known = _Known(analyzer)
        self._clear()

    def __len__(self) -> int:
        """Return how many words were read since the last `take`."""
        return len(self._ids)

    def add(self, text: str | None) -> None:
        """Read one text."""
        if text:
            self._ids.extend(map(self._known.__getitem__, words(text)))
        self._starts.append(len(self._ids))

    def read(self) -> Tokens:
        """Return what was read since the last `take`."""
        ids, starts = np.array(self._ids, np.int32), np.array(self._starts, np.int64)
        if not self._remember:
            return Tokens(ids, starts, self._known.terms)
        used, places = np.unique(ids, return_inverse=True)
        skipped = int(len(used) > 0 and used[0] == SKIPPED)
        return Tokens((places - skipped).astype(np.int32), starts, [self._known.terms[at] for at in used[skipped:]])

    def take(self) -> Tokens:
        """Return what was read since the last time, and forget it."""
        tokens = self.read()
        self._clear()
        if not self._remember or len(self._known) > REMEMBERED:
            self._known = _Known(self._analyzer)
        return tokens

    def _clear(self) -> None:
        self._ids, self._starts = array("i"), array("q", [0])


class _Known(dict[str, int]):
    """The number of each word's term: a dict, because nothing else is looked up as fast."""

    def __init__(self, analyzer: Analyzer) -> None:
        super().__init__()
        self.terms: list[str] = []
        self._analyzer = analyzer
        self._numbers: dict[str, int] = {}

    def __missing__(self, word: str) -> int:
        term = self._analyzer._term(word)
        number = SKIPPED
        if term is not None:
            number = self._numbers.setdefault(term, len(self.terms))
            if number == len(self.terms):
                self.terms.append(term)
        self[word] = number
        return number


@functools.cache
def stemmer_version() -> str:
    """Return the version of the stemmer: another one may make other stems of the same words."""
    import Stemmer

    return Stemmer.version()


def languages() -> list[str]:
    """Return the languages whose stems are known."""
    import Stemmer

    return Stemmer.algorithms()


def words(text: str) -> list[str]:
    """Return the words of a text, in lower case and in one spelling."""
    if text.isascii():
        return _PLAIN.findall(text.lower())
    # Full-width letters, ligatures and the two spellings of an accent become one; lower case may add marks.
    return _any_word().findall(unicodedata.normalize("NFKC", text.lower()))


def typed_words(text: str) -> Iterator[re.Match[str]]:
    """Yield the words of a text as they stand in it, each with its place."""
    return (_TYPED if text.isascii() else _any_word()).finditer(text)


@functools.cache
def _any_word() -> re.Pattern[str]:
    """Return the pattern of a word: with the marks that Python's own leaves out; Hindi or Tamil fall apart then."""
    marks = [code for code in range(_PLANES) if unicodedata.category(chr(code))[0] == "M"]
    ends = [i for i in range(1, len(marks)) if marks[i] != marks[i - 1] + 1]
    runs = zip([0, *ends], [*ends, len(marks)], strict=True)
    more = "".join(f"{chr(marks[first])}-{chr(marks[last - 1])}" for first, last in runs)
    # A run of plain letters that no other letter follows is a word in any case, and found in half the time.
    return re.compile(rf"[A-Za-z0-9_]++(?![^\x00-\x7f])|[{_ALONE}]|(?:[^\W{_ALONE}]|[{more}])+")


_stemmers = threading.local()


def _stemmer(language: str) -> Any:
    """Return this thread's stemmer: they may not be shared."""
    import Stemmer

    made = getattr(_stemmers, language, None)
    if made is None:
        # Its own cache is slower than what remembers words here.
        made = Stemmer.Stemmer(language, 0)
        setattr(_stemmers, language, made)
    return made
