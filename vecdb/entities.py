"""A graph of what texts name: facts out of texts, names that mean the same, and links between texts and names.

    extractor = PatternExtractor()
    facts = extractor.extract(texts)                                  # a list of facts for each text
    names = link_entities(mentions(facts))                            # surface form -> canonical name
    docs.upsert([{"id": key, "text": name} for key, name in entity_rows(names)])
    docs.link(knowledge_links(ids, facts, names))

The links are those of HippoRAG 2 (OSU-NLP-Group/HippoRAG): text to what it names, and entity to entity by a fact.
Extracting facts well is work for a language model; whoever has one passes what it says as `Fact`s.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.schema.given import finite

if TYPE_CHECKING:
    import pyarrow as pa

MENTIONS, PREFIX = "mentions", "entity:"
"""What links from texts to what they name are called, and how the ids of entities begin."""
BLOCK = 1024
"""Names that are compared with all others at once."""


class Fact(NamedTuple):
    """What a text says: head and tail are names, relation is a few words."""

    head: str
    relation: str
    tail: str


class TripleExtractor(Protocol):
    """Finds facts in texts."""

    def extract(self, texts: Sequence[str]) -> list[list[Fact]]:
        """Return the facts of each text, in its order; none for a text without any."""
        ...


_CAPITAL = "A-Z" + "".join(sign for sign in map(chr, range(0xC0, 0x250)) if sign.isupper())
_NAME = (  # of at most eight words: more are a title in capitals, and would take long
    rf"(?<![\w'’.&-])[{_CAPITAL}][\w'’.&-]*(?:\s+(?:(?:of|the|de|la|von|van)\s+){{0,2}}[{_CAPITAL}0-9][\w'’.&-]*){{0,7}}"
    r"(?:,\s+(?:Inc|Ltd|LLC|Corp|Co)\b\.?)?"
)
_SENTENCES = re.compile(rf"(?<=[.!?])(?<!\b[{_CAPITAL}]\.)(?<!\b(?:Dr|Mr|Ms|St)\.)(?<!\bMrs\.)\s+(?=[{_CAPITAL}])|\n+")
"""Where a sentence ends; not behind an initial or a title."""
_OPENING = frozenset((
    "after", "although", "and", "as", "at", "because", "before", "but", "during", "for", "however", "if", "in", "later",
    "now", "on", "once", "since", "so", "then", "there", "today", "when", "where", "while", "yesterday",
))  # fmt: skip
"""Words with which sentences begin, in capitals, and no names."""
_POINTING = frozenset((
    "he", "her", "his", "i", "it", "its", "she", "that", "their", "these", "they", "this", "those", "we", "what",
    "which", "who", "you",
))  # fmt: skip
"""Words that stand for a name."""
_RELATIONS: tuple[tuple[str, str], ...] = (
    ("is a kind of", r"(?:is|was|are|were)\s+(?:a|an|the)\s+"),
    ("born in", r"(?:was\s+)?born\s+in\s+"),
    ("died in", r"died\s+in\s+"),
    ("directed by", r"(?:is\s+|was\s+)?directed\s+by\s+"),
    ("written by", r"(?:is\s+|was\s+)?written\s+by\s+"),
    ("founded by", r"(?:is\s+|was\s+)?founded\s+by\s+"),
    ("located in", r"(?:is|was)\s+(?:a\s+\w+\s+)?(?:located\s+)?in\s+"),
    ("married to", r"(?:is|was)\s+married\s+to\s+"),
    ("part of", r"(?:is|was)\s+part\s+of\s+"),
)


class PatternExtractor:
    """Finds facts by nine patterns of plain English: "X was directed by Y", "X was born in Y".

    It finds names that are written with capitals and stand right beside the words of a pattern, in one sentence: of
    "Ada and Bob" the first. Sentences with a pronoun in place of a name are left out. It knows no clauses between, no
    questions and no other language, and finds a small part of what a text says; what it finds is mostly right. A
    language model finds most: pass its facts instead.
    """

    def __init__(self) -> None:
        """Compile the patterns."""
        self._patterns = [
            (
                relation,
                re.compile(
                    rf"(?P<half>{_NAME}\s+and\s+)?(?P<head>{_NAME})\s*,?\s+(?:(?:which|who)\s+)?{words}(?P<tail>{_NAME})"
                ),
            )
            for relation, words in _RELATIONS
        ]

    def extract(self, texts: Sequence[str]) -> list[list[Fact]]:
        """Return the facts of each text, each once."""
        return [list(dict.fromkeys(self._of(text))) for text in texts]

    def _of(self, text: str) -> Iterable[Fact]:
        for sentence in _SENTENCES.split(text):
            for relation, pattern in self._patterns:
                for found in pattern.finditer(sentence):
                    head, tail = _bare(found["head"]), _bare(found["tail"])
                    # What follows "and" may be half of a name, as in Marks and Spencer.
                    if head and tail and head != tail and not found["half"]:
                        yield Fact(head, relation, tail)


def _bare(name: str) -> str:
    """Return a name without the words before it that open a sentence; "" for what only stands for a name."""
    words = name.strip(" .,").split()
    while words and words[0].casefold() in _OPENING:
        del words[0]
    return "" if not words or (len(words) == 1 and words[0].casefold() in _POINTING) else " ".join(words)


def normalised(name: str) -> str:
    """Return a name as it is compared: lower case, no accents, no punctuation, no article before it."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", name) if not unicodedata.combining(sign))
    words = re.sub(r"[^\w]+", " ", plain.casefold().replace("'s ", " ")).split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("the", "a", "an") else words)


def link_entities(
    mentions: Iterable[str],
    vectors: Mapping[str, np.ndarray] | None = None,
    threshold: float = 0.95,
    decide: Callable[[str, str, float], bool] | None = None,
) -> dict[str, str]:
    """Return, for each name as it is written, the name under which what it means is known.

    Names that are equal when normalised are the same. With vectors, names whose cosine is at least the threshold are
    the same too, if `decide` agrees; and what is the same as the same is the same. Known under: the way of writing that
    comes most often, of equal ones the longest, then the first in order.

    Args:
        mentions: names as they are written; each time that one comes counts.
        vectors: of names, any length; those without are only compared as they are written.
        threshold: the least cosine, above 0 and up to 1.
        decide: called with two normalised names and their cosine, the most alike pair first; a language model's word,
            perhaps. None: agrees.

    Raises:
        InvalidInputError: the threshold is out of range, or vectors differ in length.

    """
    least = finite("threshold", threshold)
    if not 0 < least <= 1:
        raise InvalidInputError(f"threshold is {least!r}, expected a number above 0 and up to 1", field="threshold")
    times: dict[str, int] = {}
    for name in mentions:
        times[name] = times.get(name, 0) + 1
    groups: dict[str, list[str]] = {}
    for name in times:
        groups.setdefault(normalised(name) or name, []).append(name)
    parent = {key: key for key in groups}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for similarity, one, two in _alike(groups, vectors or {}, least):
        if root(one) != root(two) and (decide is None or decide(one, two, similarity)):
            parent[root(two)] = root(one)
    members: dict[str, list[str]] = {}
    for key, names in groups.items():
        members.setdefault(root(key), []).extend(names)
    known = {key: min(names, key=lambda name: (-times[name], -len(name), name)) for key, names in members.items()}
    return {name: known[root(key)] for key, names in groups.items() for name in names}


def _alike(
    groups: Mapping[str, Sequence[str]], vectors: Mapping[str, np.ndarray], least: float
) -> list[tuple[float, str, str]]:
    """Return the pairs of groups whose vectors are alike, the most alike first."""
    keys = [key for key, names in groups.items() if any(name in vectors for name in names)]
    if len(keys) < 2:
        return []
    given = [np.asarray(vectors[next(name for name in groups[key] if name in vectors)], np.float32) for key in keys]
    if len({vector.shape for vector in given}) > 1:
        raise InvalidInputError("vectors of names differ in length", field="vectors")
    units = np.stack(given)
    lengths = np.linalg.norm(units, axis=1, keepdims=True)
    units = np.divide(units, lengths, out=np.zeros_like(units), where=lengths > 0)
    pairs = []
    for first in range(0, len(keys), BLOCK):
        similar = units[first : first + BLOCK] @ units.T
        for one, two in zip(*np.nonzero(similar >= least - 1e-6), strict=True):
            if first + one < two:
                pairs.append((float(similar[one, two]), keys[first + one], keys[two]))
    return sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2]))


def mentions(facts: Sequence[Sequence[Fact]]) -> list[str]:
    """Return all names of the facts of texts, each time that they come."""
    return [name for of_text in facts for fact in of_text for name in (fact.head, fact.tail)]


def entity_id(name: str) -> str:
    """Return the id of the row of an entity: no text has it unless its ids begin so."""
    return PREFIX + name


def entity_rows(names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return id and name of each entity, once."""
    return [(entity_id(name), name) for name in sorted(set(names.values()))]


def knowledge_links(
    ids: Sequence[str], facts: Sequence[Sequence[Fact]], names: Mapping[str, str] | None = None
) -> pa.Table:
    """Return links from texts to the entities that they name, and between entities by their facts.

    Args:
        ids: of the texts' rows.
        facts: of each text.
        names: what `link_entities` returned; None: every way of writing is an entity.

    Returns:
        Columns src, dst, type and weight. The weight of "mentions" is 1 over the texts that name the entity, so that
        what all texts name says little; that of a fact is the number of texts that state it.

    Raises:
        InvalidInputError: there are not as many lists of facts as ids.

    """
    import pyarrow as pa

    if len(ids) != len(facts):
        raise InvalidInputError(f"{len(ids)} ids have {len(facts)} lists of facts", field="facts")
    known = names or {}
    named: dict[tuple[str, str], None] = {}
    stated: dict[tuple[str, str, str], set[str]] = {}
    for text, of_text in zip(ids, facts, strict=True):
        for fact in of_text:
            head, tail = (entity_id(known.get(name, name)) for name in (fact.head, fact.tail))
            named[text, head] = named[text, tail] = None
            if head != tail:
                stated.setdefault((head, tail, fact.relation), set()).add(text)
    texts: dict[str, int] = {}
    for _, entity in named:
        texts[entity] = texts.get(entity, 0) + 1
    rows = [(text, entity, MENTIONS, 1 / texts[entity]) for text, entity in named]
    rows += [(head, tail, relation, float(len(said))) for (head, tail, relation), said in stated.items()]
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    arrays = [pa.array(column, pa.string()) for column in columns[:3]]
    return pa.table([*arrays, pa.array(columns[3], pa.float64())], names=["src", "dst", "type", "weight"])
