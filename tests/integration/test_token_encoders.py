"""Multi-vectors made of texts: by a function, and through a server."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support.ways import opened
from vecdb.errors import EncoderError, InvalidInputError, SpaceMismatchError

WORDS = ["a", "bee", "honey", "in", "meadow", "queen", "the", "wax"]
TEXTS = {"a": "the queen bee", "b": "honey in a meadow", "c": "wax", "d": None}


def one_hot(texts: list[str]) -> list[np.ndarray]:
    """Return a vector for each word that says which one it is."""
    return [np.eye(len(WORDS), dtype=np.float32)[[WORDS.index(word) for word in text.split()]] for text in texts]


def schema(encoder: Any) -> vecdb.Schema:
    tokens = vecdb.MultiVector(len(WORDS), encoder=encoder, source="body")
    return vecdb.Schema(id=vecdb.Id(), body=vecdb.Text(), tokens=tokens)


@pytest.mark.parametrize("way", ["embedded", "blocking"])
def test_rows_and_questions_in_words_become_vectors(way: str, tmp_path: Path) -> None:
    encoder = vecdb.TokenFunction(one_hot, "one-hot")
    with opened(way, tmp_path / "db") as database:
        docs = database.create_collection("docs", schema(encoder))
        docs.upsert([{"id": key, "body": text} for key, text in TEXTS.items()])
        docs.upsert([{"id": "own", "body": "wax wax", "tokens": one_hot(["bee"])[0]}])
        assert docs.get("b", fields=["tokens"])["tokens"].shape == (4, len(WORDS))
        assert docs.get("own", fields=["tokens"])["tokens"].shape == (1, len(WORDS))
        assert docs.get("d", fields=["tokens"])["tokens"] is None
        found = docs.search(tokens="the bee", k=2)
        assert [(hit.id, hit.score) for hit in found] == [("a", 2.0), ("own", 1.0)]
        asked = vecdb.Query(2).where("body is not null").rescore(vecdb.MaxSim("tokens", "the bee"))
        assert [hit.id for hit in docs.run(asked)] == ["a", "own"]
        assert [hit.id for hit in docs.run(vecdb.Query(1).near("tokens", "meadow"))] == ["b"]


def test_a_collection_that_is_opened_again_needs_the_encoder_and_compares_it(tmp_path: Path) -> None:
    encoder = vecdb.TokenFunction(one_hot, "one-hot", version="1")
    with vecdb.connect(tmp_path / "db") as database:
        database.create_collection("docs", schema(encoder)).upsert([{"id": "a", "body": "wax"}])
    with vecdb.connect(tmp_path / "db") as database:
        with pytest.raises(InvalidInputError, match="no encoder is at hand"):
            database.collection("docs").search(tokens="wax")
        with pytest.raises(SpaceMismatchError):
            database.collection("docs", encoders={"tokens": vecdb.TokenFunction(one_hot, "one-hot", version="2")})
        docs = database.collection("docs", encoders={"tokens": encoder})
        assert [hit.id for hit in docs.search(tokens="wax")] == ["a"]


def test_what_a_function_makes_wrong_is_an_error_that_names_it(tmp_path: Path) -> None:
    wrong: dict[str, Any] = {
        "failed": lambda texts: 1 / 0,
        "out of": lambda texts: [],
        "expected": lambda texts: [np.ones(3) for _ in texts],
        "does not fit": lambda texts: [np.ones((1, 3)) for _ in texts],
    }
    with vecdb.connect(tmp_path / "db") as database:
        for at, (reason, function) in enumerate(wrong.items()):
            docs = database.create_collection(f"docs{at}", schema(vecdb.TokenFunction(function, "wrong")))
            with pytest.raises(EncoderError, match=f"'wrong' .*{reason}"):
                docs.upsert([{"id": "a", "body": "wax"}])
            assert docs.count() == 0
