"""The demo's data files: small, licensed, whole, and what their readers promise."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vecdb import demo
from vecdb.demo.build import agreement, licence, quantised
from vecdb.demo.data import FOLDER, LICENCE, decoded, question_vectors
from vecdb.demo.wordnet import RELATIONS, SYMMETRIC, below, depth, read

ROOT = Path(__file__).parents[2]
# The checkout itself, for a subprocess: the package need not be installed.
ENV = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "index", ROOT / "client")))}
WORDNET_FILES = ("words.parquet", "links.parquet")


@pytest.fixture(scope="module")
def words() -> pa.Table:
    return demo.load()


@pytest.fixture(scope="module")
def links() -> pa.Table:
    return demo.links()


def matrix(column: pa.ChunkedArray) -> np.ndarray:
    lists = column.combine_chunks()
    assert isinstance(lists, pa.FixedSizeListArray)
    return lists.flatten().to_numpy().reshape(len(column), -1).astype(np.float64)


def test_the_data_weighs_less_than_four_megabytes() -> None:
    sizes = {file.name: file.stat().st_size for file in FOLDER.iterdir()}

    assert sizes.keys() == {
        "LICENSE-WordNet.txt",
        "README.md",
        "links.parquet",
        "queries.parquet",
        "words.parquet",
    }
    assert sum(sizes.values()) < 4_000_000


@pytest.mark.parametrize(
    "demanded",
    [
        "Permission to use, copy, modify and distribute this software and",
        "WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved.",
        'THIS SOFTWARE AND DATABASE IS PROVIDED "AS IS"',
        "used in\nadvertising or publicity",
    ],
)
def test_the_licence_of_wordnet_lies_beside_the_data(demanded: str) -> None:
    assert demanded in LICENCE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", WORDNET_FILES)
def test_every_file_made_from_wordnet_carries_the_licence_inside(name: str) -> None:
    metadata = pq.read_schema(FOLDER / name).metadata

    assert metadata[b"licence"].decode() == LICENCE.read_text(encoding="utf-8")


def test_a_wheel_contains_the_data_and_the_licence() -> None:
    wheel = pytest.importorskip("hatchling.builders.wheel")

    included = {Path(file.distribution_path) for file in wheel.WheelBuilder(str(ROOT)).recurse_included_files()}

    assert {Path("vecdb/demo/data") / file.name for file in FOLDER.iterdir()} <= included


def test_importing_the_demo_loads_neither_pyarrow_nor_numba() -> None:
    program = "import sys, vecdb.demo; print(*{'pyarrow', 'numba', 'rich'} & set(sys.modules))"

    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT, env=ENV
    )

    assert found.stdout.split() == []


def test_rows_fit_the_schema(words: pa.Table) -> None:
    schema = demo.schema().arrow_schema()

    assert words.schema.names == schema.names
    assert [field.type for field in words.schema] == [field.type for field in schema]
    assert all(column.null_count == 0 for column in words.columns)


def test_ids_are_readable_and_unique(words: pa.Table) -> None:
    ids = words.column("id").to_pylist()

    assert len(set(ids)) == len(ids) == len(words)
    assert [name for name in ids if not re.fullmatch(r"[a-z0-9'./_-]+\.[nv]\.\d\d", name)] == []
    assert {"dog.n.01", "salmon.n.01", "salmon.n.03", "wean.v.01"} <= set(ids)


def test_rows_are_whole_families(words: pa.Table) -> None:
    counts = {entry["values"]: entry["counts"] for entry in words.column("lexname").value_counts().to_pylist()}

    assert counts == {"noun.animal": 4011, "noun.food": 2573, "verb.consumption": 243, "noun.Tops": 1}


def test_a_text_begins_with_its_words(words: pa.Table) -> None:
    rows = words.select(["text", "words"]).to_pylist()

    assert [row["text"] for row in rows if not row["text"].startswith(", ".join(row["words"]) + ": ")] == []


def test_embeddings_are_unit_vectors_and_the_file_says_how_to_read_its_codes(words: pa.Table) -> None:
    metadata = pq.read_schema(FOLDER / "words.parquet").metadata

    lengths = np.linalg.norm(matrix(words.column("embedding")), axis=1)

    np.testing.assert_allclose(lengths, 1, atol=1e-6)
    assert metadata[b"embedding"] == b"int8 codes; divide a row by its Euclidean length"


def test_the_codes_kept_the_nearest_neighbours_when_they_were_made() -> None:
    assert float(pq.read_schema(FOLDER / "words.parquet").metadata[b"top10_agreement"]) >= 0.95


def test_links_join_rows_of_the_data(words: pa.Table, links: pa.Table) -> None:
    ids = set(words.column("id").to_pylist())
    found = [(link["src"], link["dst"], link["type"]) for link in links.to_pylist()]

    assert {end for src, dst, _ in found for end in (src, dst)} <= ids
    assert all(src != dst for src, dst, _ in found)
    assert {kind for _, _, kind in found} <= set(RELATIONS.values())
    assert len(set(found)) == len(found)
    assert [link for link in found if link[2] in SYMMETRIC and (link[1], link[0], link[2]) in set(found)] == []


def test_nearly_every_row_is_linked(words: pa.Table, links: pa.Table) -> None:
    linked = set(links.column("src").to_pylist()) | set(links.column("dst").to_pylist())

    assert len(linked) > 0.99 * len(words)


def test_a_leaf_has_nothing_below_it(words: pa.Table, links: pa.Table) -> None:
    leaves = {row["id"] for row in words.select(["id", "leaf"]).to_pylist() if row["leaf"]}
    parents = {link["dst"] for link in links.to_pylist() if link["type"] in ("hypernym", "instance_of")}

    assert leaves
    assert leaves & parents == set()


def test_questions_are_unit_vectors_with_names_fit_for_files() -> None:
    questions = question_vectors()

    lengths = np.linalg.norm(np.array([vector for _, vector in questions.values()], dtype=np.float64), axis=1)

    np.testing.assert_allclose(lengths, 1, atol=1e-6)
    assert [name for name in questions if not re.fullmatch(r"[a-z-]+", name)] == []
    assert questions.keys() == set(demo.queries().column("id").to_pylist())


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("blue-cheese", "bleu.n.01"),
        ("eight-arms", "octopod.n.01"),
        ("guide-dog", "guide_dog.n.01"),
        ("lap", "lapdog.n.01"),
        ("overeat", "overfeed.v.01"),
        ("stripes", "zebra.n.01"),
        ("young-sheep", "lamb.n.05"),
    ],
)
def test_a_question_finds_its_answer(question: str, answer: str, words: pa.Table) -> None:
    scores = matrix(words.column("embedding")) @ question_vectors()[question][1]

    assert words.column("id")[int(scores.argmax())].as_py() == answer


def test_the_readme_counts_the_rows(words: pa.Table, links: pa.Table) -> None:
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")

    counted = dict(re.findall(r"^\| (\w+)\.parquet \| ([\d,]+) \|", readme, re.MULTILINE))

    assert counted == {
        "words": f"{len(words):,}",
        "links": f"{len(links):,}",
        "queries": f"{len(demo.queries()):,}",
    }


def test_codes_give_back_directions_and_neighbours() -> None:
    rng = np.random.default_rng(seed=5)
    vectors = rng.standard_normal((400, 384), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    stored = decoded(quantised(vectors))

    assert (stored * vectors).sum(axis=1).min() > 0.999
    assert agreement(vectors, vectors, vectors) == 1
    assert agreement(vectors, vectors, stored) > 0.95
    assert agreement(vectors, vectors, stored[::-1]) < 0.2


# Lines as in the files of WordNet 3.0, the licence shortened and the pointers cut to the synsets that are here.
MINIATURE = {
    "data.noun": (
        "  1 This software and database is being provided to you  \n"
        "  2   \n"
        "00015388 03 n 02 animal 0 animate_being 0 000 | a living organism  \n"
        "02084071 05 n 03 dog 0 domestic_dog 0 Canis_familiaris 0 003 @ 00015388 n 0000 ~ 02085374 n 0000 "
        '+ 01169704 v 0101 | a member of the genus Canis; "the dog barked"  \n'
        "02085374 05 n 01 toy_dog 0 001 @ 02084071 n 0000 | any of several breeds of very small dogs  \n"
        "10114209 18 n 01 dog 0a 000 | a dull unattractive unpleasant girl or woman  \n"
    ),
    "data.verb": "01169704 34 v 01 feed 1 01 + 02084071 n 0101 02 + 08 00 + 09 00 | take in food  \n",
    "index.noun": (
        "  1 This software and database is being provided to you  \n"
        "animal n 1 1 @ 1 1 00015388  \n"
        "dog n 2 2 @ ~ 2 1 02084071 10114209  \n"
        "toy_dog n 1 1 @ 1 0 02085374  \n"
    ),
    "index.verb": "feed v 1 1 + 1 1 01169704  \n",
    "cntlist.rev": "dog%1:05:00:: 1 42\ndog%1:18:10:: 2 3\ndomestic_dog%1:05:00:: 1 1\n",
}


@pytest.fixture
def wordnet(tmp_path: Path) -> Path:
    for name, content in MINIATURE.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


def test_synsets_are_read_with_names_counts_and_links(wordnet: Path) -> None:
    synsets = read(wordnet)

    assert [synset.id for synset in synsets.values()] == [
        "animal.n.01",
        "dog.n.01",
        "toy_dog.n.01",
        "dog.n.02",
        "feed.v.01",
    ]
    dog = synsets["n02084071"]
    assert dog.words == ("dog", "domestic dog", "Canis familiaris")
    assert (dog.lexname, dog.senses, dog.frequency) == ("noun.animal", 2, 43)
    assert dog.links == (("hypernym", "n00015388"), ("derivation", "v01169704"))
    assert dog.gloss == 'a member of the genus Canis; "the dog barked"'
    assert synsets["n10114209"].frequency == 3
    assert synsets["v01169704"].lexname == "verb.consumption"


def test_what_lies_below_and_how_deep(wordnet: Path) -> None:
    synsets = read(wordnet)

    assert below(synsets, "n00015388") == {"n00015388", "n02084071", "n02085374"}
    assert [depth(synsets, key) for key in ("n00015388", "n02084071", "n02085374")] == [0, 1, 2]


def test_the_licence_is_taken_from_the_head_of_the_files(wordnet: Path) -> None:
    assert licence(wordnet) == "This software and database is being provided to you\n\n"
