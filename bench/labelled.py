"""Sets with queries and judged answers: the folders of the data directory that have qrels, and a synthetic one.

A name is a folder, or one behind a dash with what is asked of it: "scifact-test", "scifact-train", "debian12k-section"
(each query under its section filter), "debian12k-section-kb" (and under a size). "known:ROWSxDIM" is synthetic:
documents of random words, and queries that are some words and the perturbed vector of one of them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.datasets import stored_vectors

_SEED = 20_240_602
_VOCABULARY = 2000


@dataclass(frozen=True)
class Question:
    """One query, in words and as a vector, and the filter it is asked under."""

    id: str
    text: str
    vector: np.ndarray
    where: str | None


@dataclass(frozen=True)
class Judgement:
    """A document that answers a question; `aspect` says which sense of it, where that is judged."""

    question: str
    document: str
    relevance: int
    aspect: str | None


@dataclass(frozen=True)
class Labelled:
    """Documents, questions, and which documents answer them.

    Attributes:
        rows: columns id, text, section, installed_kb, embedding (fixed-size list of float32, unit length).
        judgements: positive ones only.

    """

    name: str
    rows: pa.Table
    dimension: int
    questions: list[Question]
    judgements: list[Judgement]

    @property
    def has_aspects(self) -> bool:
        return any(judgement.aspect is not None for judgement in self.judgements)


def load(name: str, data: Path | None, most: int = 0) -> Labelled:
    """Return the set of that name, with at most so many questions, evenly spaced; 0: all.

    Raises:
        FileNotFoundError: no data folder was given, or it has no such set.

    """
    if name.startswith("known:"):
        found = _synthetic(name)
    elif data is None:
        raise FileNotFoundError(f"{name!r} needs a data folder: give --data or VECDB_BENCH_DATA")
    else:
        found = _folder(name, data)
    if not 0 < most < len(found.questions):
        return found
    kept = [found.questions[at] for at in np.linspace(0, len(found.questions) - 1, most).round().astype(int)]
    names = {question.id for question in kept}
    judged = [judgement for judgement in found.judgements if judgement.question in names]
    return Labelled(found.name, found.rows, found.dimension, kept, judged)


def folder_of(name: str) -> str:
    """Return what sets over the same documents share."""
    return name.partition("-")[0]


def _folder(name: str, data: Path) -> Labelled:
    folder, _, asked = name.partition("-")
    part = f"_{asked}" if asked in ("train", "test") else ""
    start = "poly_" if (data / folder / "poly_queries.parquet").exists() else ""
    documents = pq.read_table(data / folder / "docs.parquet").to_pylist()
    vectors = stored_vectors(data / folder / "docs_dense.parquet")
    questions = pq.read_table(data / folder / f"{start}queries{part}.parquet").to_pylist()
    asked_vectors = stored_vectors(data / folder / f"{start}queries{part}_dense.parquet")
    judged = pq.read_table(data / folder / f"{start}qrels{part}.parquet").to_pylist()
    rows = {
        "id": [row["id"] for row in documents],
        "text": [f"{row.get('title') or ''} {row['text']}".strip() for row in documents],
        "section": [row.get("section") for row in documents],
        "installed_kb": [row.get("installed_kb") for row in documents],
    }
    return Labelled(
        name,
        _table(rows, vectors),
        vectors.shape[1],
        [
            Question(row["id"], row["text"], vector, _where(row, asked))
            for row, vector in zip(questions, asked_vectors, strict=True)
        ],
        [Judgement(row["qid"], row["did"], row["rel"], row.get("aspect")) for row in judged if row["rel"] > 0],
    )


def _where(row: dict[str, Any], asked: str) -> str | None:
    if not asked.startswith("section"):
        return None
    section = f"section = '{row['f_section']}'"
    return section if asked == "section" else f"{section} and installed_kb <= {row['f_max_installed_kb']}"


def _synthetic(name: str) -> Labelled:
    count, dimension = (int(part) for part in name.removeprefix("known:").split("x"))
    rng = np.random.default_rng(_SEED)
    vectors = rng.standard_normal((count, dimension)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    words = rng.integers(0, _VOCABULARY, (count, 30))
    texts = [" ".join(f"word{word}" for word in line) for line in words]
    chosen = rng.choice(count, min(50, count), replace=False)
    noise = rng.standard_normal((len(chosen), dimension)).astype(np.float32) * np.float32(0.5 / np.sqrt(dimension))
    questions = [
        Question(f"q{row}", " ".join(texts[row].split()[:3]), vectors[row] + noise[at], None)
        for at, row in enumerate(chosen)
    ]
    rows = {"id": [f"d{row}" for row in range(count)], "text": texts}
    rows |= {"section": [None] * count, "installed_kb": [None] * count}
    judged = [Judgement(f"q{row}", f"d{row}", 1, None) for row in chosen]
    return Labelled(name, _table(rows, vectors), dimension, questions, judged)


def _table(columns: dict[str, list[Any]], vectors: np.ndarray) -> pa.Table:
    types = {"id": pa.string(), "text": pa.string(), "section": pa.string(), "installed_kb": pa.int64()}
    arrays = {name: pa.array(values, types[name]) for name, values in columns.items()}
    arrays["embedding"] = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    return pa.table(arrays)
