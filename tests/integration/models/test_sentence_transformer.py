"""Encoding with a real model: what the library computes is what is stored, and one space is told from another."""

import json
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import vecdb
from support import minilm
from support.unsynced import unsynced
from vecdb import demo
from vecdb.encoders.weights import folder_of
from vecdb.errors import EncoderError, InvalidInputError, NotFoundError, SpaceMismatchError
from vecdb_client.cli.main import main

# The libraries warn about each other; that is no business of vecdb's.
pytestmark = [pytest.mark.embed, pytest.mark.filterwarnings("default")]

TEXTS = [
    "a quiet chess engine that thinks while you think",
    "the dog barks at the postman",
    "how to bake bread with a sourdough starter",
    "",
    "chess " * 400,
]
SETTINGS = vecdb.Settings(background=False, free_bytes=0)


@pytest.fixture(scope="module")
def folder() -> Path:
    return minilm.folder()


@pytest.fixture(scope="module")
def model(folder: Path) -> vecdb.SentenceTransformer:
    return vecdb.SentenceTransformer(folder)


@pytest.fixture(scope="module")
def library(folder: Path):
    return import_module("sentence_transformers").SentenceTransformer(str(folder))


def schema(model: vecdb.SentenceTransformer, dimension: int = 384) -> vecdb.Schema:
    embedding = vecdb.Vector(dimension, encoder=model, source="text")
    return vecdb.Schema(id=vecdb.Id("int64"), text=vecdb.Text(), embedding=embedding)


def test_the_vectors_are_those_of_the_library(model: vecdb.SentenceTransformer, library) -> None:
    expected = library.encode_document(TEXTS, normalize_embeddings=True)

    made = model.documents(TEXTS)

    np.testing.assert_allclose(made, expected, atol=1e-6)
    assert made.dtype == np.float32


def test_pooling_prompts_truncation_and_scaling_are_passed_through(folder: Path, library) -> None:
    prompts = {"query": "query: ", "document": "passage: "}
    made = vecdb.SentenceTransformer(folder, prompts=prompts, truncate=64)
    raw = vecdb.SentenceTransformer(folder, pooling="cls", normalize=False)
    modules = import_module("sentence_transformers.sentence_transformer.modules")
    base = import_module("sentence_transformers.base.modules")
    pooled = import_module("sentence_transformers").SentenceTransformer(
        modules=[base.Transformer(str(folder)), modules.Pooling(384, "cls"), base.Normalize()]
    )

    queries = library.encode(TEXTS, prompt="query: ", truncate_dim=64, normalize_embeddings=True)
    documents = library.encode(TEXTS, prompt="passage: ", truncate_dim=64, normalize_embeddings=True)

    np.testing.assert_allclose(made.queries(TEXTS), queries, atol=1e-6)
    np.testing.assert_allclose(made.documents(TEXTS), documents, atol=1e-6)
    np.testing.assert_allclose(raw.documents(TEXTS[:2]), pooled.encode(TEXTS[:2]), atol=1e-6)
    assert not np.allclose(raw.documents(TEXTS[:1]), library.encode(TEXTS[:1]), atol=0.01)


def test_a_space_is_the_weights_and_how_they_are_used(folder: Path, model: vecdb.SentenceTransformer) -> None:
    space = model.space(384)

    assert space.weights == "sha256:53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert space.pooling == "mean"
    assert space.normalized
    assert vecdb.SentenceTransformer(str(folder), name="another name").space(384) == space
    others = [
        vecdb.SentenceTransformer(folder, pooling="max"),
        vecdb.SentenceTransformer(folder, prompts={"query": "q: "}),
        vecdb.SentenceTransformer(folder, normalize=False),
        vecdb.SentenceTransformer(folder, truncate=128),
    ]
    assert len({space, *(other.described(384) for other in others)}) == 5
    with pytest.raises(InvalidInputError, match="makes 384 values, the field has dimension 100; truncate=100"):
        vecdb.Vector(100, encoder=model)
    with pytest.raises(InvalidInputError, match="makes 384 values, truncate asks for 500"):
        vecdb.Vector(500, encoder=vecdb.SentenceTransformer(folder, truncate=500))


def test_a_collection_embeds_asks_and_is_opened_again_by_folder(
    folder: Path, model: vecdb.SentenceTransformer, tmp_path: Path
) -> None:
    rows = [{"id": number, "text": text} for number, text in enumerate(TEXTS)]
    with unsynced(), vecdb.connect(tmp_path / "library", settings=SETTINGS) as database:
        docs = database.create_collection("docs", schema(model))
        docs.upsert(rows)
        assert docs.search(embedding="a program that plays chess")[0].id in (0, 4)
        assert docs.search(embedding="baking", k=1).ids == [2]

    with vecdb.connect(tmp_path / "library", encoders=[folder], read_only=True) as database:
        assert database["docs"].search(embedding="baking", k=1).ids == [2]
    with vecdb.connect(tmp_path / "library", encoders="local") as database:
        with pytest.raises(InvalidInputError, match=r"vecdb.SentenceTransformer\(FOLDER_OR_NAME\)"):
            database["docs"].search(embedding="baking")
        database.collection("docs", encoders={"embedding": str(folder)})
        assert database["docs"].search(embedding="baking", k=1).ids == [2]


def test_other_weights_are_refused_before_they_are_loaded(
    folder: Path, model: vecdb.SentenceTransformer, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "changed")
    with (tmp_path / "changed" / "model.safetensors").open("ab") as weights:
        weights.write(b"no longer a model at all")
    with unsynced(), vecdb.connect(":memory:", settings=SETTINGS) as database:
        database.create_collection("docs", schema(model))

        with pytest.raises(SpaceMismatchError, match="differ in weights") as caught:
            database.collection("docs", encoders={"embedding": tmp_path / "changed"})
        with pytest.raises(SpaceMismatchError, match="differ in pooling"):
            database.collection("docs", encoders={"embedding": vecdb.SentenceTransformer(folder, pooling="cls")})

    assert "53aa51172d14" in str(caught.value)
    with pytest.raises(EncoderError, match="cannot be loaded"):
        vecdb.SentenceTransformer(tmp_path / "changed").documents(["x"])


@pytest.mark.usefixtures("folder")
def test_a_model_that_is_nowhere_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no folder"):
        vecdb.SentenceTransformer(tmp_path / "nowhere").documents(["x"])
    with pytest.raises(NotFoundError, match="no model 'nobody/nothing' on this machine"):
        folder_of("nobody/nothing")


def test_the_command_line_loads_texts_and_answers_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps({"id": number, "text": text}) for number, text in enumerate(TEXTS * 60)]
    Path("texts.jsonl").write_text("\n".join(lines))

    def vecdb_command(*arguments: str, code: int = 0) -> tuple[str, str]:
        capfd.readouterr()
        assert main(arguments) == code
        return capfd.readouterr()

    vecdb_command("load", "library", "docs", "texts.jsonl", "--embed", f"embedding={folder}:text", "--id", "auto")
    found, _ = vecdb_command("query", "library", "docs", "--text", "baking", "--k", "1", "--output", "json")
    vecdb_command("export", "library", "docs", "docs.parquet")
    vecdb_command("load", "again", "docs", "docs.parquet")
    _, refused = vecdb_command("query", "again", "docs", "--text", "baking", code=2)
    again, _ = vecdb_command(
        "query", "again", "docs", "--text", "baking", "--model", str(folder), "--k", "1", "--output", "json"
    )
    vecdb_command("load", "library", "docs", "texts.jsonl", "--id", "auto", "--restart")

    assert json.loads(found)[0]["id"] in range(2, 300, 5)
    assert json.loads(found) == json.loads(again)
    assert "--model FOLDER_OR_NAME says it" in refused
    with vecdb.connect("library", read_only=True) as database:
        assert database["docs"].count() == 300
        assert sum(batch.column("embedding").null_count for batch in database["docs"].scan()) == 0


def test_the_demo_answers_in_any_words(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["demo", str(tmp_path / "demo"), "--ask", "an insect that lives in a hive", "--model", str(folder)]) == 0
    )

    assert "bee" in capfd.readouterr().out
    with pytest.raises(SpaceMismatchError, match="makes other vectors than the demo's"):
        demo.ask("x", tmp_path / "demo", _with_another_pooling(folder, tmp_path))


def _with_another_pooling(folder: Path, where: Path) -> str:
    copy = where / "cls"
    shutil.copytree(folder, copy)
    config = {"word_embedding_dimension": 384, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (copy / "1_Pooling" / "config.json").write_text(json.dumps(config))
    return str(copy)
