"""A cross-encoder that drops texts between its layers, on a small BERT with random weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vecdb

# The libraries warn about each other; that is no business of vecdb's.
pytestmark = [pytest.mark.embed, pytest.mark.filterwarnings("default")]

WORDS = [f"w{at}" for at in range(60)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("sentence_transformers")
    folder = tmp_path_factory.mktemp("cross-encoder")
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    torch.manual_seed(5)
    config = transformers.BertConfig(
        vocab_size=len(WORDS) + 5, hidden_size=32, num_hidden_layers=6, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64, num_labels=1, initializer_range=0.3,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def records() -> list[dict[str, Any]]:
    rng = np.random.default_rng(3)
    return [{"text": " ".join(rng.choice(WORDS, rng.integers(3, 30)))} for _ in range(40)]


def rows_per_layer(model: str, function: vecdb.CrossEncoder, records: list[dict[str, Any]]) -> tuple[Any, list[int]]:
    """Return the scores, and how many rows each layer got."""
    from vecdb.query import cross_encoder

    seen: list[int] = []
    layers = cross_encoder._parts(cross_encoder._loaded(model, ()))[0]
    hooks = [layer.register_forward_hook(lambda _, given, out: seen.append(len(given[0]))) for layer in layers]
    scores = np.asarray(function(records))
    for hook in hooks:
        hook.remove()
    return scores, seen


def test_what_is_left_gets_the_scores_that_it_gets_alone_and_layers_get_fewer_rows(
    model: str, records: list[dict[str, Any]]
) -> None:
    plain = np.asarray(vecdb.CrossEncoder(model, "w1 w2", "text")(records))

    scores, seen = rows_per_layer(model, vecdb.CrossEncoder(model, "w1 w2", "text", keep=5, separation=1.0), records)

    left = np.flatnonzero(~np.isnan(scores))
    assert seen[:2] == [40, 40]  # a third of the layers
    assert sorted(seen, reverse=True) == seen
    assert 5 <= len(left) == seen[-1] < 40
    np.testing.assert_allclose(scores[left], plain[left], atol=1e-5)


def test_nothing_is_dropped_where_nothing_lies_apart(model: str, records: list[dict[str, Any]]) -> None:
    plain = np.asarray(vecdb.CrossEncoder(model, "w1 w2", "text")(records))

    scores, seen = rows_per_layer(model, vecdb.CrossEncoder(model, "w1 w2", "text", keep=5, separation=1e6), records)

    assert seen == [40] * 6
    np.testing.assert_allclose(scores, plain, atol=1e-5)


def test_a_query_leaves_out_what_was_dropped(model: str, records: list[dict[str, Any]], tmp_path: Path) -> None:
    function = vecdb.CrossEncoder(model, "w1 w2", "text", keep=5, separation=1.0)
    expected = np.asarray(function(records))
    with vecdb.connect(tmp_path / "db") as database:
        docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id("int64"), text=vecdb.Text()))
        docs.upsert([{"id": at, **record} for at, record in enumerate(records)])

        found = docs.run(vecdb.Query(k=40).score_by(function, fields="text", top=40, batch=40))

    assert sorted(found.ids) == np.flatnonzero(~np.isnan(expected)).tolist()
    assert found.ids[0] == int(np.nanargmax(expected))
