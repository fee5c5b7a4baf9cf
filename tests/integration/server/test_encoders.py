"""Encoders that a configuration names: read from the operator's files, and used for what clients ask in words."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from vecdb.errors import EncoderError, InvalidInputError, MissingExtraError, NotFoundError, VecdbError
from vecdb_server import sources
from vecdb_server.config import EncoderSection
from vecdb_server.encoders import configured
from vecdb_server.server import Server

WORDS = {"[PAD]": 0, "chess": 1, "game": 2, "honey": 3}
ROWS = [
    {"id": "a", "terms": {1: 1.0, 2: 1.0}},
    {"id": "b", "terms": {2: 2.0}},
    {"id": "c", "terms": {3: 0.5}},
]
TABLE = {"chess": 3.0, "game": 0.5}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with a tokenizer that pads, and the table that goes with it."""
    library = pytest.importorskip("tokenizers", reason="the extra `tokenizers` is not installed")
    made: Any = library.Tokenizer(library.models.WordLevel(WORDS, unk_token="[PAD]"))
    made.pre_tokenizer = library.pre_tokenizers.Whitespace()
    made.enable_padding(length=8)
    folder = tmp_path / "model"
    folder.mkdir()
    made.save(str(folder / "tokenizer.json"))
    (folder / "idf.json").write_text(json.dumps(TABLE))
    np.save(folder / "weights.npy", np.array([0.0, 3.0, 0.5, 0.0]))
    return folder


@pytest.fixture
def file(tmp_path: Path, model: Path) -> Path:
    """A configuration with an encoder that has a table and one that has none."""
    path = tmp_path / "vecdb.toml"
    path.write_text(
        f"""
        [server]
        path = "{tmp_path / "db"}"
        port = 0

        [encoders.table]
        tokenizer = "{model}"
        table = "{model / "idf.json"}"

        [encoders.rare]
        tokenizer = "{model / "tokenizer.json"}"
        """
    )
    return path


def served(file: Path) -> Iterator[Any]:
    server = Server(sources.load(file, environment={}).config)
    address = server.start()
    try:
        with vecdb.connect(f"grpc://{address.target}") as database:
            yield database
    finally:
        server.stop()


def test_questions_in_words_are_asked_of_sparse_vectors_over_the_wire_as_embedded(file: Path, model: Path) -> None:
    with vecdb.connect(":memory:") as memory:
        fields = vecdb.Schema(id=vecdb.Id(), terms=vecdb.Sparse(8))
        embedded = memory.create_collection("docs", fields)
        embedded.upsert(ROWS)
        embedded.set_encoder("terms", vecdb.LookupSparse.of_files(model, model / "idf.json"))
        expected = embedded.search(terms="chess game")
        assert (expected.ids, expected.scores.tolist()) == (["a", "b"], [3.5, 1.0])

        for database in served(file):
            docs = database.create_collection("docs", fields)
            docs.upsert(ROWS)
            docs.set_encoder("terms", "table")
            assert docs.schema["terms"].field.space == embedded.schema["terms"].field.space
            found = docs.search(terms="chess game")
            assert (found.ids, found.scores.tolist()) == (expected.ids, expected.scores.tolist())
            assert [one.ids for one in docs.search_batch(terms=["game", "honey"])] == [["b", "a"], []]
        for database in served(file):
            assert database.collection("docs").search(terms="chess game").ids == expected.ids
            assert database.collection("docs").server_encoders == {"terms"}


def test_without_a_table_a_token_counts_by_how_rare_it_is(file: Path) -> None:
    for database in served(file):
        docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id(), terms=vecdb.Sparse(8)))
        docs.upsert(ROWS)
        docs.set_encoder("terms", "rare")
        assert docs.search(terms="chess honey").ids == ["a", "c"]
        assert docs.schema["terms"].field.space.model == "rare"


@pytest.mark.parametrize("table", ["idf.json", "weights.npy", "list.json"])
def test_a_table_is_read_in_each_of_its_forms(model: Path, table: str) -> None:
    (model / "list.json").write_text("[0, 3.0, 0.5]")

    read = vecdb.LookupSparse.of_files(model, model / table)

    terms, weights = read.terms("game chess unknown game", 8, lambda _: np.zeros(0))
    assert (terms.tolist(), weights.tolist()) == ([1, 2], [3.0, 1.0])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"bishop": 1}', "weight for 'bishop', which is no token"),
        ("{", "is no table of weights"),
        ('{"chess": "much"}', "expected weights of terms"),
        ('{"chess": -1}', "weight -1.0"),
        ("5", "expected weights of terms"),
    ],
)
def test_a_file_that_is_no_table_is_refused(model: Path, content: str, told: str) -> None:
    (model / "wrong.json").write_text(content)
    with pytest.raises(InvalidInputError, match=told):
        vecdb.LookupSparse.of_files(model, model / "wrong.json")


def test_objects_in_a_table_are_not_loaded(model: Path) -> None:
    np.save(model / "objects.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(InvalidInputError, match="is no table of weights"):
        vecdb.LookupSparse.of_files(model, model / "objects.npy")


@pytest.mark.parametrize(
    ("section", "kind", "told"),
    [
        ("tokens = true", InvalidInputError, "encoders.x needs either a model or, for sparse vectors, a tokenizer"),
        ('model = "m"\ntokenizer = "t"', InvalidInputError, "encoders.x needs either"),
        ('model = "m"\ntable = "t"', InvalidInputError, "encoders.x has a table and a model"),
        ('tokenizer = "t"\ntokens = true', InvalidInputError, "encoders.x has tokens = true and no model"),
        ('model = "/nowhere/m"', NotFoundError, "encoders.x: there is no model '/nowhere/m' on this machine"),
        ('model = "/nowhere/m"\ntokens = true', NotFoundError, "encoders.x: there is no model '/nowhere/m'"),
        ('model = "EMPTY"', EncoderError, "encoders.x: there are no weights in .*: expected"),
        ('tokenizer = "/nowhere/t"', NotFoundError, "encoders.x: there is no tokenizer '/nowhere/t'"),
    ],
)
def test_a_section_that_says_nothing_useful_is_refused_at_the_start(
    tmp_path: Path, section: str, kind: type[VecdbError], told: str
) -> None:
    file = tmp_path / "vecdb.toml"
    (tmp_path / "empty").mkdir()
    section = section.replace("EMPTY", str(tmp_path / "empty"))
    file.write_text(f'[server]\npath = "{tmp_path / "db"}"\n[encoders.x]\n{section}\n')
    with pytest.raises(kind, match=told):
        Server(sources.load(file, environment={}).config)


def test_a_tokenizer_without_the_library_says_what_to_install(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match=r"encoders.terms: .* needs tokenizers, and the extra 'tokenizers'"):
        configured("terms", EncoderSection(tokenizer=str(model)))


def test_a_model_without_the_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(MissingExtraError, match=r"encoders.m: .* needs sentence-transformers, and the extra 'embed'"):
        configured("m", EncoderSection(model=str(tmp_path)))
