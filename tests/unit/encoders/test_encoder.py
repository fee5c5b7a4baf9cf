"""What every encoder promises, shown with functions."""

import threading
from typing import Any

import numpy as np
import pytest

import vecdb
from support.encoders import DIMENSION, Counting, encoder, vector
from vecdb.encoders import base, weights
from vecdb.errors import EncoderError, InvalidInputError, NotFoundError


def test_texts_become_vectors_in_their_order_in_batches() -> None:
    function = Counting()

    made = encoder(function, batch_size=2).documents(["a", "b", "c", "d", "e"])

    np.testing.assert_array_equal(made, [vector(text) for text in "abcde"])
    assert [len(call) for call in function.calls] == [2, 2, 1]


def test_prompts_go_before_the_texts_and_another_function_may_make_queries() -> None:
    documents, queries = Counting(), Counting()
    made = encoder(documents, query=queries, prompts={"query": "q: ", "document": "d: "})

    made.documents(["x"])
    made.queries(["x"])

    assert documents.texts == ["d: x"]
    assert queries.texts == ["q: x"]
    assert made.space(DIMENSION) == vecdb.Space("hash", DIMENSION, query_prompt="q: ", document_prompt="d: ")


def test_truncating_comes_before_scaling_to_length_one() -> None:
    made = encoder(truncate=4, normalize=True).documents(["a", "b"])

    whole = np.array([vector(text)[:4] for text in "ab"], np.float64)
    np.testing.assert_allclose(made, whole / np.linalg.norm(whole, axis=1, keepdims=True), rtol=1e-6)
    assert made.dtype == np.float32


def test_a_vector_does_not_depend_on_the_other_texts_of_its_call() -> None:
    together = encoder(normalize=True).documents([str(number) for number in range(50)])

    alone = [encoder(normalize=True).documents([str(number)])[0] for number in range(50)]

    np.testing.assert_array_equal(together, alone)


def test_queries_are_remembered_and_the_oldest_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "REMEMBERED", 2)
    function = Counting()
    made = encoder(function)

    first = made.queries(["a", "b", "a"])
    again = made.queries(["a"])
    made.queries(["c"])
    made.queries(["a", "b"])

    np.testing.assert_array_equal(first, [vector("a"), vector("b"), vector("a")])
    np.testing.assert_array_equal(again, [vector("a")])
    assert function.texts == ["a", "b", "c", "b"]


def test_threads_may_ask_at_once() -> None:
    made, failures = encoder(), []

    def ask(thread: int) -> None:
        for number in range(200):
            text = str((thread * number) % 7)
            if not np.array_equal(made.queries([text])[0], vector(text)):
                failures.append(text)

    threads = [threading.Thread(target=ask, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda texts: 1 / 0, "'hash' failed on 2 texts: ZeroDivisionError"),
        (lambda texts: np.ones((1, 3)), r"an array of shape \(1, 3\)"),
        (lambda texts: np.ones(2), r"an array of shape \(2,\)"),
        (lambda texts: [["a"], ["b"]], "type <U1"),
        (lambda texts: [[1.0, 2.0], [3.0]], "failed on 2 texts: ValueError"),
        (lambda texts: np.array([[1.0], [np.nan]]), "NaN or infinity of 'y'"),
        (lambda texts: None, r"shape \(\)"),
    ],
)
def test_what_is_no_vector_is_an_encoder_error(function: Any, message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        encoder(function).documents(["x", "y"])


def test_an_error_of_the_function_is_the_cause_and_ctrl_c_is_not_wrapped() -> None:
    def fails(texts: list[str]) -> Any:
        raise OSError("the service is away")

    def stops(texts: list[str]) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(EncoderError, match="OSError: the service is away") as caught:
        encoder(fails).queries(["x"])
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(KeyboardInterrupt):
        encoder(stops).queries(["x"])


def test_fewer_values_than_truncate_asks_for_are_an_error() -> None:
    with pytest.raises(EncoderError, match="made 16 values, truncate asks for 20"):
        encoder(truncate=20).documents(["x"])


@pytest.mark.parametrize(
    "options",
    [
        {"truncate": 0},
        {"truncate": True},
        {"batch_size": 0},
        {"batch_size": 1.5},
        {"normalize": 1},
        {"prompts": {"passage": "x"}},
        {"prompts": ["x"]},
        {"prompts": 5},
        {"prompts": {"query": 1}},
        {"version": 2},
        {"query": "x"},
    ],
)
def test_arguments_of_another_kind_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        encoder(**options)


def test_a_function_without_name_and_a_name_without_function_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="name is ''"):
        vecdb.Encoder(Counting(), "")
    with pytest.raises(InvalidInputError, match="not a function"):
        vecdb.Encoder("hash", "hash")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("options", [{"model": ""}, {"model": 3}, {"model": "x", "pooling": "average"}])
def test_a_model_refuses_what_it_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        vecdb.SentenceTransformer(**options)


def test_weights_are_hashed_where_the_modules_say_and_are_the_same_wherever_they_lie(tmp_path) -> None:
    for name, content in (("one", b"a"), ("two", b"a"), ("three", b"b")):
        folder = tmp_path / name
        (folder / "1_Dense").mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(content)
        (folder / "pytorch_model.bin").write_bytes(b"another format of the same")
        (folder / "1_Dense" / "model.safetensors").write_bytes(b"dense")
        (folder / "onnx").mkdir()
        (folder / "onnx" / "model.bin").write_bytes(name.encode())
        (folder / "modules.json").write_text('[{"path": ""}, {"path": "1_Dense"}]')

    one, two, three = (weights.weights_of(tmp_path / name) for name in ("one", "two", "three"))
    (tmp_path / "two" / "1_Dense" / "model.safetensors").write_bytes(b"other")

    assert one == two != three
    assert weights.weights_of(tmp_path / "two") != one
    assert weights.name_of(tmp_path / "one") == "one"
    hub = "hub/models--sentence-transformers--all-MiniLM-L6-v2/snapshots/0123456789abcdef"
    assert weights.name_of(tmp_path / hub) == "sentence-transformers/all-MiniLM-L6-v2"


def test_the_hash_of_one_file_is_the_sha256_that_hubs_show(tmp_path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"abc")

    expected = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert weights.weights_of(tmp_path) == expected


def test_a_folder_without_weights_and_a_model_that_is_nowhere_are_errors(tmp_path) -> None:
    with pytest.raises(EncoderError, match="no weights in"):
        weights.weights_of(tmp_path)
    with pytest.raises(NotFoundError, match="there is no model"):
        weights.folder_of(str(tmp_path / "nowhere"))
