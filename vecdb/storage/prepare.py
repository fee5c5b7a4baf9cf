"""What is done to multi-vectors once, when they are stored: made unit vectors, pooled, and coded.

Validation may look at a batch twice on its way here, and a patch writes rows that were stored before. Neither comes
through this file: what a user sent does, once.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Schema
from vecdb.storage.token_files import BITS, joined, split
from vecdb_index.multivector.pooling import pool
from vecdb_index.multivector.ragged import Ragged
from vecdb_index.multivector.stored import Tokens, coded

BLOCK = 1 << 16
"""Tokens that are worked on together: bounds memory."""
UNIT = {"float16": 2.0**-10, "float32": 2.0**-21}
"""How far from 1 a length may be, by rounding, of a vector that was a unit vector: it is left as it is."""


def prepared(batch: pa.RecordBatch, schema: Schema) -> pa.RecordBatch:
    """Return a validated batch with its multi-vectors as they are stored; others come back as they are."""
    for column in schema.multivectors:
        at = batch.schema.get_field_index(column.name)
        if at >= 0:
            stored = column_of(batch.column(at), column.field)
            batch = batch.set_column(at, pa.field(column.name, stored.type), stored)
    return batch


def column_of(array: pa.Array, field: MultiVector) -> pa.Array:
    """Return a validated column of multi-vectors as it is stored."""
    changed = field.normalise or field.coded or field.residual is not None or field.fixed is not None
    if not changed and field.pool_factor == 1:
        return array
    offsets = np.asarray(array.offsets).astype(np.int64, copy=False)
    pieces, first = [], 0
    while first < len(array):
        last = int(np.searchsorted(offsets, offsets[first] + BLOCK, "right")) - 1
        last = min(max(last, first + 1), len(array))
        pieces.append(joined(_stored(array.slice(first, last - first), field), field))
        first = last
    return pa.concat_arrays(pieces) if pieces else pa.array([], field.stored_type)


def _stored(array: pa.Array, field: MultiVector) -> Tokens:
    tokens = floats_of(array, field)
    made = pooled(Ragged(_unit(tokens.values, field), tokens.offsets), field, field.pool_factor)
    return in_dtype(made, field, tokens.present)


def floats_of(array: pa.Array, field: MultiVector) -> Tokens:
    """Return a column as users send it as tokens that share its memory."""
    plain = not field.coded and field.residual is None
    return split(array, field if plain else replace(field, dtype="float32"))


def pooled(documents: Ragged, field: MultiVector, factor: float) -> Ragged:
    """Return documents of fewer vectors, as the field wants it but by another factor; float32."""
    return pool(
        documents,
        factor,
        most=field.fixed,
        protected=field.protect,
        method="ward" if field.pooling == "pylate" else "kmeans" if field.fixed is not None else field.pooling,
        renormalise=field.normalise and field.pooling != "pylate",
        pylate=field.pooling == "pylate",
    )


def in_dtype(documents: Ragged, field: MultiVector, present: np.ndarray | None) -> Tokens:
    """Return float32 tokens in the form in which they are stored."""
    if not field.coded:
        values = np.ascontiguousarray(documents.tokens, np.float32 if field.dtype == "float32" else np.float16)
        return Tokens(values, documents.offsets, field.dimension, None, None, present)
    codes, scales = coded(documents.tokens, BITS[field.dtype])
    return Tokens(codes, documents.offsets, field.dimension, BITS[field.dtype], scales, present)


def _unit(tokens: np.ndarray, field: MultiVector) -> np.ndarray:
    """Return tokens as float32, of length 1 where the field wants it."""
    floats = tokens.astype(np.float32)
    if not field.normalise:
        return floats
    lengths = np.sqrt(np.einsum("ij,ij->i", floats, floats, dtype=np.float64))
    keep = np.abs(lengths - 1) <= UNIT.get(field.dtype, 0)
    lengths[keep] = 1
    return (floats / lengths[:, None]).astype(np.float32)
