"""Encoders for tests: vectors that follow from the text alone, and that nobody could have made without it."""

import hashlib

import numpy as np

import vecdb

DIMENSION = 16


def vector(text: str) -> np.ndarray:
    """Return the vector of a text: float32 of DIMENSION, never zero."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    return np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)


class Counting:
    """A function from texts to vectors that remembers what it was given."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    @property
    def texts(self) -> list[str]:
        """Every text that was encoded, in order."""
        return [text for call in self.calls for text in call]

    def __call__(self, texts: list[str]) -> np.ndarray:
        self.calls.append(texts)
        return np.array([vector(text) for text in texts])


def encoder(function: object = None, **options: object) -> vecdb.Encoder:
    """Return an encoder called "hash"."""
    return vecdb.Encoder(function or Counting(), "hash", **options)  # pyright: ignore[reportArgumentType]
