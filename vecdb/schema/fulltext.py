"""How a text field is searched by its words: what a term is, and what it counts.

Language, stop words, shortest word and positions say how the index is made; with others asked for it is made again.
k1 and b only say how it is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from vecdb.errors import InvalidInputError
from vecdb.schema.blame import shown

ENGLISH = "english"
K1 = 0.0, 1000.0
SHORTEST = 1, 64
"""The least and the most letters that the shortest word may be asked to have."""
STOP_WORDS = 10_000
"""The most stop words that may be given."""


@dataclass(frozen=True, repr=False)
class FullText:
    """Search by words, ranked by BM25 (Robertson, Zaragoza 2009; as Lucene has it).

    Attributes:
        language: whose stems are taken, by Snowball's name for it: "english", "german", ...; None: words stay as they
            are, in lower case.
        stop_words: words that are not searched; True: those that are known for the language, which are the English
            ones; False: none.
        k1: how soon further occurrences of a word add little, at least 0.
        b: how much long texts are held back, 0 to 1.
        positions: whether phrases can be asked for; without, the index is half as large.
        shortest: letters of the shortest word that is searched.

    """

    kind: ClassVar[str] = "text"
    language: str | None = ENGLISH
    stop_words: bool | Sequence[str] = True
    k1: float = 1.2
    b: float = 0.75
    positions: bool = True
    shortest: int = 1

    def __post_init__(self) -> None:
        """Refuse unknown languages and numbers out of range; stop words become a sorted tuple in lower case."""
        english = isinstance(self.language, str) and self.language == ENGLISH
        if self.language is not None and not english:  # English is known without loading the stemmer
            _check_language(self.language)
        if not isinstance(self.stop_words, bool):
            object.__setattr__(self, "stop_words", _stop_words(self.stop_words))
        for name, (least, most) in {"k1": K1, "b": (0.0, 1.0)}.items():
            object.__setattr__(self, name, _number(name, getattr(self, name), least, most))
        if not isinstance(self.positions, bool):
            raise InvalidInputError(f"positions is {self.positions!r}, not True or False", field="positions")
        if type(self.shortest) is not int or not SHORTEST[0] <= self.shortest <= SHORTEST[1]:
            raise InvalidInputError(
                f"shortest is {self.shortest!r}, expected a whole number from {SHORTEST[0]} to {SHORTEST[1]}",
                field="shortest",
                value=self.shortest,
            )

    def to_json(self) -> dict[str, Any]:
        """Return every parameter, in a form that `fulltext_from` reads back."""
        told = {part.name: getattr(self, part.name) for part in fields(self)}
        return told if isinstance(self.stop_words, bool) else {**told, "stop_words": list(self.stop_words)}

    def changed(self) -> dict[str, Any]:
        """Return the parameters that are not the usual ones."""
        return {
            part.name: getattr(self, part.name) for part in fields(self) if getattr(self, part.name) != part.default
        }

    def __repr__(self) -> str:
        return f"FullText({', '.join(f'{name}={value!r}' for name, value in self.changed().items())})"


def fulltext_from(value: FullText | bool | Mapping[str, Any] | None) -> FullText | None:
    """Return what a user, or a stored schema, says of searching a text; None: it is not searched.

    Raises:
        InvalidInputError: it is nothing of this kind.

    """
    if value is None or isinstance(value, FullText):
        return value
    if isinstance(value, bool):
        return FullText() if value else None
    if isinstance(value, Mapping):
        try:
            return FullText(**value)
        except TypeError as error:
            raise InvalidInputError(f"full-text search cannot be read from {dict(value)!r}") from error
    hint = ": write vecdb.FullText()" if value is FullText else ""
    raise InvalidInputError(f"search is {shown(value)}, expected True, False or a vecdb.FullText{hint}", field="search")


def _check_language(language: Any) -> None:
    from vecdb_index.inverted.analysis import languages

    if not isinstance(language, str) or language not in languages():
        known = ", ".join(languages())
        raise InvalidInputError(f"language {shown(language)} is not one of {known}, or None", field="language")


def _stop_words(words: Any) -> tuple[str, ...]:
    try:
        listed = None if isinstance(words, str) else tuple(words)
    except TypeError:
        listed = None
    if listed is None or not all(isinstance(word, str) and word for word in listed):
        raise InvalidInputError(
            f"stop_words is {shown(words)}, expected True, False or a list of words", field="stop_words"
        )
    if len(listed) > STOP_WORDS:
        raise InvalidInputError(f"stop_words has {len(listed)} words, at most {STOP_WORDS}", field="stop_words")
    return tuple(sorted({word.lower() for word in listed}))


def _number(name: str, value: Any, least: float, most: float) -> float:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or not least <= value <= most:
        raise InvalidInputError(f"{name} is {shown(value)}, expected a number from {least:g} to {most:g}", field=name)
    return float(value)
