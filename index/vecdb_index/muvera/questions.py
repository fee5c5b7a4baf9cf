"""Questions made from stored tokens, and how many of the true best rows the encodings put first.

A made question has some tokens of a row, each with a share of another row's token added: tokens of a row themselves
would be too easy.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from vecdb_index.multivector.maxsim import Question, best
from vecdb_index.multivector.stored import Tokens

K = 10
"""The best rows that are looked for."""
QUESTIONS = 128
LENGTH = 24
"""Tokens of a question, at most."""
OTHER = 0.25
"""The share of another row's token. With 40 repetitions, 4 bits and 16 numbers the true ten best rows were among the
first 100 in .988 and .934 of the cases, of real questions in .982 and .938 (hotpot, scifact); with 3 bits and 8 numbers
.974 and .891, of real ones .982 and .900."""
_SMALLEST = np.float32(2.0**-126)


def made(tokens: Tokens, count: int = QUESTIONS) -> list[Question]:
    """Return so many questions for rows; the same ones each time. None where no row has tokens."""
    filled = np.flatnonzero(tokens.lengths > 0)
    if len(filled) == 0:
        return []
    rng = np.random.default_rng(len(tokens))
    pairs = filled[rng.integers(0, len(filled), (count, 2))]
    found = []
    for own, other in pairs:
        mine, others = (_directions(tokens.some(np.array([row])).floats().tokens) for row in (own, other))
        some = mine[rng.permutation(len(mine))[:LENGTH]]
        share = np.float32(OTHER) * others[rng.integers(0, len(others), len(some))]
        mixed = _directions((some + share).astype(np.float32))
        found.append(Question(mixed, np.ones(len(mixed), np.float32)))
    return found


def _directions(tokens: NDArray[np.float32]) -> NDArray[np.float32]:
    wide = tokens.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, None]
    return np.divide(wide, lengths, out=np.zeros_like(wide), where=lengths >= _SMALLEST).astype(np.float32)


def truth(tokens: Tokens, questions: list[Question], pool: ThreadPoolExecutor | None = None) -> list[NDArray[np.int64]]:
    """Return the K best rows of each question by MaxSim."""
    return [best(tokens, question, K, pool=pool).rows[:K] for question in questions]


def places(
    questions: list[Question],
    true: list[NDArray[np.int64]],
    first: Callable[[Question], NDArray[np.integer]],
    rows: int,
) -> NDArray[np.int64]:
    """Return at which place of a question's candidates each of its true best rows stands; `rows` where at none."""
    found = []
    for question, wanted in zip(questions, true, strict=True):
        at = np.full(rows, rows, np.int64)
        candidates = first(question)
        at[candidates] = np.arange(len(candidates))
        found.append(at[wanted])
    return np.concatenate(found) if found else np.empty(0, np.int64)


def share(places: NDArray[np.int64], size: int) -> float:
    """Return the share of the true best rows that are among the first `size` candidates."""
    return float(np.mean(places < size)) if len(places) else 1.0
