"""Sets with a vector for each token of documents and questions, beside what `labelled` has of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench import labelled
from bench.labelled import Labelled

FILES = {"scifact": "tokens_pool4.npz", "hotpot": "tokens.npz", "limit_small": "tokens.npz"}
_TOPIC = 1.5


@dataclass(frozen=True)
class TokenSet:
    """A labelled set with tokens.

    Attributes:
        held: documents, questions, judgements.
        tokens: (t, d) float32, of all documents, one behind the other.
        offsets: (documents + 1,) int64.
        questions: a (q, d) float32 matrix for each question.

    """

    held: Labelled
    tokens: np.ndarray
    offsets: np.ndarray
    questions: list[Any]

    @property
    def rows(self) -> pa.Table:
        """The documents with their tokens."""
        lists = pa.FixedSizeListArray.from_arrays(pa.array(self.tokens.ravel()), self.tokens.shape[1])
        return self.held.rows.append_column("tokens", pa.LargeListArray.from_arrays(pa.array(self.offsets), lists))


def load(name: str, data: Path | None) -> TokenSet:
    """Return a set: one of FILES by the name that `labelled` gives it, or a synthetic one, "known:ROWSxDIM"."""
    held = labelled.load(name, data)
    if name.startswith("known:"):
        return _synthetic(held)
    folder = labelled.folder_of(name)
    assert data is not None
    stored = np.load(data / folder / FILES[folder])
    tokens = stored["doc_tokens"].astype(np.float32)
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    asked, ends = stored["query_tokens"].astype(np.float32), stored["query_offsets"]
    return TokenSet(held, tokens, stored["doc_offsets"], np.split(asked, ends[1:-1]))


def _synthetic(held: Labelled) -> TokenSet:
    """Make tokens around the vectors: 3 to 12 for a document, 4 for a question."""
    rng = np.random.default_rng(3)
    vectors = np.asarray(held.rows["embedding"].combine_chunks().values).reshape(-1, held.dimension)
    lengths = rng.integers(3, 13, len(vectors))
    tokens = _around(np.repeat(vectors, lengths, axis=0), rng)
    asked = [_around(np.repeat(one.vector[None], 4, axis=0), rng) for one in held.questions]
    return TokenSet(held, tokens, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), asked)


def _around(vectors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(vectors.shape) / np.sqrt(vectors.shape[1])
    made = _TOPIC * vectors + noise
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)
