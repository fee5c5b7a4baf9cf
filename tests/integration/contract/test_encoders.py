"""Fields whose vectors are made of texts: by encoders that the owner of the database has, or by the client's own.

What is asserted is the same for every way; only who configures the encoder differs.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support import encoders
from support.ways import opened
from vecdb.errors import EncoderError, InvalidInputError, NotFoundError, SpaceMismatchError

TEXTS = {"a": "honey", "b": "bee", "c": "wax", "d": None}
WORDS = ["bee", "honey", "meadow", "wax"]


def tokens(texts: list[str]) -> list[np.ndarray]:
    """Return a vector for each word that says which one it is."""
    if "broken" in texts:
        raise ValueError("broken")
    return [np.eye(4, dtype=np.float32)[[WORDS.index(word) for word in text.split()]] for text in texts]


def made() -> dict[str, Any]:
    """Return the encoders that a server has, by name."""
    return {
        "whole": encoders.encoder(),
        "other": encoders.encoder(version="2"),
        "tokens": vecdb.TokenFunction(tokens, "one-hot"),
        "terms": vecdb.LookupSparse({1: 1.0, 2: 2.0}, lambda text: [WORDS.index(word) for word in text.split()]),
    }


def schema() -> vecdb.Schema:
    return vecdb.Schema(
        id=vecdb.Id(), body=vecdb.Text(), whole=vecdb.Vector(encoders.DIMENSION), tokens=vecdb.MultiVector(4),
        terms=vecdb.Sparse(),
    )  # fmt: skip


@pytest.fixture
def configured(way: str, tmp_path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """A database whose owner has encoders, and what `set_encoder` is told for each: the encoder, or its name."""
    known = made()
    with opened(way, tmp_path / "database", encoders=known) as database:
        yield database, known if way == "embedded" else {name: name for name in known}


@pytest.fixture
def docs(configured: Any) -> Any:
    """A collection whose fields have these encoders, and rows that were written as texts."""
    database, told = configured
    docs = database.create_collection("docs", schema())
    docs.set_encoder("whole", told["whole"], source="body")
    docs.set_encoder("tokens", told["tokens"], source="body")
    docs.set_encoder("terms", told["terms"])
    docs.upsert([{"id": key, "body": text, "terms": {1: 1.0} if key == "a" else None} for key, text in TEXTS.items()])
    return docs


def test_rows_that_are_written_as_texts_have_vectors(docs: Any) -> None:
    rows = docs.get(list("abcd"), fields=["whole", "tokens"])

    assert np.array_equal(rows[0]["whole"], encoders.vector("honey"))
    assert [None if row["tokens"] is None else row["tokens"].shape for row in rows] == [(1, 4)] * 3 + [None]
    assert rows[3]["whole"] is None
    assert docs.schema["whole"].field.source == docs.schema["tokens"].field.source == "body"


def test_texts_are_asked_instead_of_vectors(docs: Any) -> None:
    assert docs.search(whole="bee", k=1).ids == ["b"]
    assert docs.search(tokens="wax", k=1).ids == ["c"]
    assert docs.search(terms="honey", k=1).ids == ["a"]
    assert [one.ids for one in docs.search_batch(terms=["honey", "bee"], k=1)] == [["a"], []]
    assert [page.ids for page in docs.search_iter(terms="honey", k=1)] == [["a"]]
    assert docs.run(vecdb.Query(1).terms("terms", "bee honey").near("whole", "honey")).ids == ["a"]
    assert docs.run_batch([vecdb.Query(1).terms("terms", "honey")])[0].ids == ["a"]
    assert [one.ids for one in docs.search_batch(whole=["bee", "wax"], k=1)] == [["b"], ["c"]]
    assert [one.ids for one in docs.search_batch(tokens=["bee", "wax"], k=1)] == [["b"], ["c"]]
    assert next(iter(docs.search_iter(whole="honey", k=1))).ids == ["a"]
    asked = vecdb.Query(1).near("whole", "bee").near("tokens", "bee")
    assert docs.run(asked).ids == ["b"]
    assert docs.run(vecdb.Query(1).where("body is not null").rescore(vecdb.MaxSim("tokens", "wax"))).ids == ["c"]
    assert docs.recall(["bee", "wax"], field="whole", k=1).recall == 1.0


def test_bulk_loads_patches_and_snapshots_are_encoded_too(docs: Any) -> None:
    with docs.bulk() as load:
        load.add([{"id": "e", "body": "meadow"}])
    docs.patch({"id": "a", "body": "wax"})

    with docs.snapshot() as snapshot:
        assert snapshot.search(whole="meadow", k=1).ids == ["e"]
        assert set(snapshot.search(tokens="wax", k=2).ids) == {"a", "c"}


def test_an_encoder_that_fails_stores_nothing(docs: Any) -> None:
    with pytest.raises(EncoderError, match="'one-hot' failed"):
        docs.upsert([{"id": "x", "body": "broken"}])
    with pytest.raises(EncoderError, match="'one-hot' failed"):
        docs.search(tokens="broken")
    assert docs.count() == len(TEXTS)


def test_an_encoder_of_another_space_is_refused(docs: Any, configured: Any) -> None:
    _, told = configured
    with pytest.raises(SpaceMismatchError, match="version"):
        docs.set_encoder("whole", told["other"])
    with pytest.raises(InvalidInputError):
        docs.set_encoder("body", told["whole"])
    with pytest.raises(InvalidInputError):
        docs.set_encoder("tokens", told["whole"])


def test_the_owners_encoders_are_there_when_the_database_is_opened_again(way: str, tmp_path: Path) -> None:
    for again in (False, True):
        known = made()
        with opened(way, tmp_path / "database", encoders=known) as database:
            if not again:
                docs = database.create_collection("docs", schema())
                for name in ("whole", "tokens"):
                    docs.set_encoder(name, known[name] if way == "embedded" else name, source="body")
                docs.upsert([{"id": key, "body": text} for key, text in TEXTS.items()])
            docs = database.collection("docs")
            assert docs.search(whole="bee", k=1).ids == docs.search(tokens="bee", k=1).ids == ["b"]


def test_a_clients_own_encoder_makes_vectors_where_the_client_is(database: Any) -> None:
    counting = encoders.Counting()
    fields = {
        "whole": vecdb.Vector(encoders.DIMENSION, encoder=encoders.encoder(counting), source="body"),
        "tokens": vecdb.MultiVector(4, encoder=vecdb.TokenFunction(tokens, "one-hot"), source="body"),
    }
    docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id(), body=vecdb.Text(), **fields))

    docs.upsert([{"id": key, "body": text} for key, text in TEXTS.items()])

    assert docs.search(whole="bee", k=1).ids == docs.search(tokens="bee", k=1).ids == ["b"]
    assert "bee" in counting.texts
    assert "whole" in docs.encoders


def test_a_name_that_the_server_does_not_have_is_told_with_those_that_it_has(way: str, configured: Any) -> None:
    if way == "embedded":
        pytest.skip("an embedded database takes encoders themselves")
    database, _ = configured
    docs = database.create_collection("docs", schema())

    with pytest.raises(NotFoundError, match=r"no encoder 'nothing' .*tokens, whole"):
        docs.set_encoder("whole", "nothing")
    assert sorted(database.encoders()) == ["other", "terms", "tokens", "whole"]
    docs.set_encoder("tokens", "tokens", source="body")
    assert database.collection("docs").server_encoders == {"tokens"}
