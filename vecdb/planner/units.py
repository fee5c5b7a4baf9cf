"""The vectors of candidates, as directions, and their tokens: what their similarities come from."""

from __future__ import annotations

import numpy as np

from vecdb.planner.candidates import Candidates
from vecdb.schema.fields import Vector
from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Column
from vecdb_index.multivector.ragged import Ragged
from vecdb_index.selection.pool import unit


def units_of(candidates: Candidates, column: Column[Vector]) -> np.ndarray:
    """Return vectors of length 1, (n, d) float32; zeros where a row has no vector, or one of length 0.

    Of bits as 1 and -1, the cosine is 1 less twice the share that differs.
    """
    bits = column.field.dtype == "binary"
    parts = candidates.by_part()
    if len(parts) == 1 and not bits:
        part, _, rows = parts[0]
        held = part.vectors(column)
        if held is not None and (held[1] is None or held[1][rows].all()):
            return unit(held[0].take(rows, axis=0), reuse=True)
    vectors = np.zeros((len(candidates), column.field.dimension), np.float32)
    for part, at, rows in parts:
        held = part.vectors(column)
        if held is None:
            continue
        if held[1] is not None:
            there = held[1][rows]
            at, rows = at[there], rows[there]
        chosen = held[0][rows]
        vectors[at] = 2.0 * np.unpackbits(chosen, axis=1) - 1 if bits else chosen
    return unit(vectors, reuse=True)


def tokens_of(candidates: Candidates, column: Column[MultiVector]) -> Ragged:
    """Return the stored tokens of candidates, in their order, as float32; of a row without a value none."""
    none = np.empty((0, column.field.dimension), np.float32)
    tokens = [none] * len(candidates)
    for part, at, rows in candidates.by_part():
        held = part.tokens(column).some(rows).floats()
        for place, number in enumerate(at.tolist()):
            tokens[number] = held[place]
    return Ragged.of(tokens, column.field.dimension)
