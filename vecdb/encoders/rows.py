"""The vectors that rows lack, made of their texts.

Invariant: a row that has a vector keeps it, a row without text has none, and every other row has the vector that a
caller would have stored who gave the encoder's output himself: it went through the same checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vecdb.encoders.progress import Progress, reporting
from vecdb.errors import EncoderError, InvalidInputError
from vecdb.schema.blame import Blame, shown
from vecdb.schema.tokens import tokens_array
from vecdb.schema.vectors import missing_vectors, vector_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from vecdb.encoders.base import TextEncoder
    from vecdb.encoders.tokens import TokenEncoder
    from vecdb.schema.fields import Vector
    from vecdb.schema.multivector import MultiVector
    from vecdb.schema.schema import Column

BATCHES = 8
"""Batches that an encoder is given at once: enough to sort texts by length, few enough to show progress."""


def lacking(batch: pa.RecordBatch, vector: Column[Any], source: Column) -> NDArray[np.intp]:
    """Return the rows of a validated batch that have a text and no vector; the batch has the source's column."""
    wanted = np.asarray(batch.column(source.name).is_valid())
    if vector.name in batch.schema.names:
        wanted = wanted & np.asarray(batch.column(vector.name).is_null())
    return np.flatnonzero(wanted)


def completed(batch: pa.RecordBatch, vector: Column[Vector], made: pa.FixedSizeListArray | None) -> pa.RecordBatch:
    """Return the batch with another column of vectors, which may be new; None stands for one without any vector."""
    column = missing_vectors(batch.num_rows, vector.field) if made is None else made
    at = batch.schema.get_field_index(vector.name)
    field = pa.field(vector.name, column.type) if at < 0 else batch.schema.field(at)
    return batch.append_column(field, column) if at < 0 else batch.set_column(at, field, column)


def with_column(batch: pa.RecordBatch, tokens: Column[MultiVector], made: pa.Array | None) -> pa.RecordBatch:
    """Return the batch with another column of tokens, which may be new; None stands for one without any."""
    column = pa.nulls(batch.num_rows, tokens.field.arrow_type) if made is None else made
    at = batch.schema.get_field_index(tokens.name)
    field = pa.field(tokens.name, column.type)
    return batch.append_column(field, column) if at < 0 else batch.set_column(at, field, column)


def made_tokens(
    batch: pa.RecordBatch,
    tokens: Column[MultiVector],
    source: Column,
    rows: NDArray[np.intp],
    encoder: TokenEncoder,
    progress: Progress,
) -> pa.Array:
    """Return the column of tokens, with new ones in some rows. Equal texts are encoded once.

    Raises:
        EncoderError: the encoder failed, or made something that the field cannot hold.

    """
    texts = batch.column(source.name).take(pa.array(rows)).to_pylist()
    unique = list(dict.fromkeys(texts))
    once = {text: at for at, text in enumerate(unique)}
    pieces: list[pa.Array] = []
    step = BATCHES * encoder.batch_size
    with reporting(progress, len(unique), encoder.batch_size) as report:
        for at in range(0, len(unique), step):
            some = unique[at : at + step]
            try:
                pieces.append(tokens_array(encoder.documents(some), tokens.field, Blame(tokens.name)))
            except InvalidInputError as error:
                text = "its texts" if error.row is None else shown(some[error.row])
                told = f"what {encoder.name!r} made of {text} does not fit {tokens.name!r}: {error}"
                raise EncoderError(told) from error
            report(at + len(some), len(unique))
    held = pa.nulls(batch.num_rows, tokens.field.arrow_type)
    if tokens.name in batch.schema.names:
        held = batch.column(tokens.name)
    chosen = np.arange(batch.num_rows)
    chosen[rows] = batch.num_rows + np.array([once[text] for text in texts])
    return pa.concat_arrays([held, *pieces]).take(pa.array(chosen))


def made_vectors(
    batch: pa.RecordBatch,
    vector: Column[Vector],
    source: Column,
    rows: NDArray[np.intp],
    encoder: TextEncoder,
    progress: Progress,
) -> pa.FixedSizeListArray:
    """Return the column of vectors, with new ones in some rows. Equal texts are encoded once.

    Raises:
        EncoderError: the encoder failed, or made something that the field cannot hold.

    """
    texts = batch.column(source.name).take(pa.array(rows)).to_pylist()
    once = {text: at for at, text in enumerate(dict.fromkeys(texts))}
    unique = list(once)
    field = vector.field
    numbers = missing_vectors(batch.num_rows, field)
    missing = np.ones(batch.num_rows, np.bool_)
    if vector.name in batch.schema.names:
        numbers = batch.column(vector.name)
        missing = np.asarray(numbers.is_null())
    missing[rows] = False
    width = field.arrow_type.list_size
    full = numbers.values.to_numpy(zero_copy_only=True).reshape(-1, width).copy()
    encoded = np.empty((len(unique), width), full.dtype)
    step = BATCHES * encoder.batch_size
    with reporting(progress, len(unique), encoder.batch_size) as report:
        for at in range(0, len(unique), step):
            some = unique[at : at + step]
            encoded[at : at + len(some)] = _fitting(encoder.documents(some), some, vector, encoder)
            report(at + len(some), len(unique))
    full[rows] = encoded[[once[text] for text in texts]]
    values = pa.Array.from_buffers(field.arrow_type.value_type, full.size, [None, pa.py_buffer(full.reshape(-1))], 0)
    mask = pa.array(missing) if missing.any() else None
    return pa.FixedSizeListArray.from_arrays(values, type=field.arrow_type, mask=mask)


def _fitting(made: NDArray, texts: list[str], vector: Column[Vector], encoder: TextEncoder) -> NDArray:
    """Return vectors as the field holds them."""
    try:
        array = vector_array(made, vector.field, Blame(vector.name))
    except InvalidInputError as error:
        text = "its texts" if error.row is None else shown(texts[error.row])
        raise EncoderError(f"what {encoder.name!r} made of {text} is no vector of {vector.name!r}: {error}") from error
    return array.values.to_numpy(zero_copy_only=True).reshape(len(texts), -1)
