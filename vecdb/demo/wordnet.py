"""WordNet's own files, read into synsets: the source of the demo's texts, attributes and links.

A synset is one meaning with the words that carry it. The files are those of WordNet 3.0 (`data.noun`, `index.noun`,
`cntlist.rev` and so on; manual pages wndb(5WN), senseidx(5WN), cntlist(5WN)): one synset a line, numbers in decimal
except the word count and the word ids, which are hexadecimal.

The surprise: nothing in the data files says how a synset is called. Its readable id, such as `dog.n.01`, is its first
word with the number of this meaning among the word's meanings, which only the index files know.
"""

from dataclasses import dataclass
from pathlib import Path

# Lexicographer files by number, lexnames(5WN).
# fmt: off
LEXNAMES = (
    "adj.all", "adj.pert", "adv.all", "noun.Tops", "noun.act", "noun.animal", "noun.artifact", "noun.attribute",
    "noun.body", "noun.cognition", "noun.communication", "noun.event", "noun.feeling", "noun.food",
    "noun.group", "noun.location", "noun.motive", "noun.object", "noun.person", "noun.phenomenon", "noun.plant",
    "noun.possession", "noun.process", "noun.quantity", "noun.relation", "noun.shape", "noun.state",
    "noun.substance", "noun.time", "verb.body", "verb.change", "verb.cognition", "verb.communication",
    "verb.competition", "verb.consumption", "verb.contact", "verb.creation", "verb.emotion", "verb.motion",
    "verb.perception", "verb.possession", "verb.social", "verb.stative", "verb.weather", "adj.ppl",
)
# fmt: on

# Only one direction of each relation: the other (hyponym, has part, ...) is the same link read backwards.
RELATIONS = {
    "@": "hypernym",
    "@i": "instance_of",
    "#m": "member_of",
    "#p": "part_of",
    "#s": "substance_of",
    "!": "antonym",
    "+": "derivation",
    "*": "entails",
    ">": "causes",
    "^": "also",
    "$": "verb_group",
    ";c": "topic",
}
# The files hold these from both sides; one of the two is kept.
SYMMETRIC = frozenset({"antonym", "derivation", "verb_group"})

_SENSE_TYPE = {"n": 1, "v": 2}
_FILES = {"n": "noun", "v": "verb"}


@dataclass(frozen=True)
class Synset:
    """One meaning. `key` is its place in the files (`n02084071`), `id` its readable name (`dog.n.01`)."""

    key: str
    id: str
    words: tuple[str, ...]
    pos: str
    lexname: str
    gloss: str
    senses: int
    """Number of meanings of the first word in this part of speech, at least 1."""
    frequency: int
    """How often any of the words was found with this meaning in the texts that WordNet's authors tagged."""
    links: tuple[tuple[str, str], ...]
    """(relation, key of the other synset), relations as in RELATIONS."""


def read(folder: Path) -> dict[str, Synset]:
    """Return the nouns and verbs of a WordNet 3.0 folder by key, in the order of the files.

    Raises:
        FileNotFoundError: the folder lacks one of data.*, index.* and cntlist.rev.

    """
    counts = _counts(folder / "cntlist.rev")
    synsets: dict[str, Synset] = {}
    for pos, name in _FILES.items():
        senses = _senses(folder / f"index.{name}")
        with (folder / f"data.{name}").open(encoding="utf-8") as lines:
            for line in lines:
                # The licence heads each file, indented by two spaces.
                if not line.startswith("  "):
                    synset = _synset(line, pos, senses, counts)
                    synsets[synset.key] = synset
    return synsets


def below(synsets: dict[str, Synset], root: str) -> set[str]:
    """Return the keys of `root` and of every synset whose hypernyms lead to it."""
    children: dict[str, list[str]] = {}
    for key, synset in synsets.items():
        for parent in hypernyms(synset):
            children.setdefault(parent, []).append(key)
    found: set[str] = set()
    waiting = [root]
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting.extend(children.get(key, ()))
    return found


def depth(synsets: dict[str, Synset], key: str) -> int:
    """Return the least number of hypernym steps from a synset to one that has no hypernym."""
    steps, level = 0, {key}
    while all(hypernyms(synsets[name]) for name in level):
        level = {parent for name in level for parent in hypernyms(synsets[name])}
        steps += 1
    return steps


def hypernyms(synset: Synset) -> list[str]:
    """Return the keys of the next more general synsets, those of an instance included."""
    return [key for relation, key in synset.links if relation in ("hypernym", "instance_of")]


def _counts(path: Path) -> dict[str, int]:
    """Tag counts by sense key; a sense that no text had is absent."""
    counts = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        sense, _, count = line.split(" ")
        counts[sense] = int(count)
    return counts


def _senses(path: Path) -> dict[str, list[str]]:
    """Synset offsets of each word (lower case, underscores), the commonest meaning first."""
    senses = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("  "):
                fields = line.split()
                senses[fields[0]] = fields[-int(fields[2]) :]
    return senses


def _synset(line: str, pos: str, senses: dict[str, list[str]], counts: dict[str, int]) -> Synset:
    head, gloss = line.split(" | ", 1)
    fields = head.split()
    offset, lexicographer, size = fields[0], int(fields[1]), int(fields[3], 16)
    words = fields[4 : 4 + 2 * size : 2]
    word_ids = fields[5 : 5 + 2 * size : 2]
    pointers = fields[5 + 2 * size :]
    meanings = senses[words[0].lower()]
    keys = (
        f"{word.lower()}%{_SENSE_TYPE[pos]}:{lexicographer:02d}:{int(number, 16):02d}::"
        for word, number in zip(words, word_ids, strict=True)
    )
    links = tuple(
        dict.fromkeys(
            (RELATIONS[symbol], other_pos + other)
            for symbol, other, other_pos in zip(
                pointers[0 : 4 * int(fields[4 + 2 * size]) : 4], pointers[1::4], pointers[2::4], strict=False
            )
            if symbol in RELATIONS and other_pos in _FILES
        )
    )
    return Synset(
        key=pos + offset,
        id=f"{words[0].lower()}.{pos}.{meanings.index(offset) + 1:02d}",
        words=tuple(word.replace("_", " ") for word in words),
        pos=pos,
        lexname=LEXNAMES[lexicographer],
        gloss=gloss.strip(),
        senses=len(meanings),
        frequency=sum(counts.get(key, 0) for key in keys),
        links=links,
    )
