"""Multi-vectors that a model of sentence-transformers makes of texts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb
from support import minilm

# The libraries warn about each other; that is no business of vecdb's.
pytestmark = [pytest.mark.embed, pytest.mark.filterwarnings("default")]

TEXTS = {"a": "the queen bee", "b": "honey in a meadow", "c": "wax", "d": None}


def test_a_model_gives_the_vectors_of_its_tokens(tmp_path: Path) -> None:
    model = vecdb.SentenceTransformer(minilm.folder())
    projection = np.random.default_rng(1).standard_normal((384, 32)).astype(np.float32)
    encoder = vecdb.SentenceTokens(model, projection)
    tokens = vecdb.MultiVector(32, encoder=encoder, source="body")
    with vecdb.connect(tmp_path / "db") as database:
        docs: Any = database.create_collection("docs", vecdb.Schema(id=vecdb.Id(), body=vecdb.Text(), tokens=tokens))
        docs.upsert([{"id": key, "body": text} for key, text in TEXTS.items()])
        assert len(docs.get("c", fields=["tokens"])["tokens"]) >= 3  # the markers at both ends, and the word
        assert docs.search(tokens="a queen and her bees")[0].id == "a"
        assert docs.search(tokens="beeswax candles", k=1)[0].id == "c"
