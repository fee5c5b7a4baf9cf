"""Which index a column of a segment should have, and making it: vectors, texts and sparse vectors behind one face.

What an index is on disk is the same for all kinds: named arrays in one file, see index_file.py. What reads words is
loaded when a collection has a searchable text, not before: it takes a fifth of a second.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from vecdb.schema.fields import Sparse, Text, Vector
from vecdb.schema.indexes import FLAT
from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Column, Schema
from vecdb.storage.segment import Segment
from vecdb_index import factory
from vecdb_index.dense.machine import measure_once
from vecdb_index.factory import HNSW, MUVERA, SPARSE, TEXT, Wanted

if TYPE_CHECKING:
    from vecdb_index.factory import Stored

Progress = Callable[[int, int], None]
Parts = Sequence[tuple["Stored | None", np.ndarray]]
"""What a segment was merged from: the index of each part, or None, and its rows that came along, ascending."""

MEMORY = "memory"
"""How rows are searched by words or terms whose segment has no index file, or that are in no segment."""


def columns(schema: Schema) -> tuple[Column, ...]:
    """Return the columns that may have an index."""
    return (*schema.vectors, *schema.multivectors, *schema.texts, *schema.sparse)


def kind_of(column: Column) -> str:
    """Return what the user asked for."""
    if isinstance(column.field, Vector | MultiVector):
        return column.field.spec.kind
    return SPARSE if isinstance(column.field, Sparse) else TEXT


def without_index(column: Column) -> str:
    """Return how rows without an index are searched."""
    return FLAT if isinstance(column.field, Vector | MultiVector) else MEMORY


def wanted(column: Column, rows: int) -> Wanted | None:
    """Return the index that a segment of so many rows should have; None: none."""
    field = column.field
    if isinstance(field, Vector):
        bits = field.dtype == "binary"  # the scan of which is as fast as an index of them would be
        return None if bits else factory.wanted(field.spec.to_json(), rows, field.dimension)
    if isinstance(field, MultiVector):
        return factory.wanted_of_tokens(field.spec.to_json(), rows)
    small = rows < factory.LEAST_ROWS  # they are read in no time, and each index makes a version
    if isinstance(field, Sparse):
        from vecdb.storage import sparse_index

        return None if small else sparse_index.wanted()
    assert isinstance(field, Text)
    from vecdb.storage import text_index

    return None if small or field.fulltext is None else text_index.wanted(field.fulltext)


def known(segment: Segment, column: Column) -> "Stored | None":
    """Return the index that a segment has of a column, in a file or in memory."""
    if not segment.has(column):
        return None
    if isinstance(column.field, Vector):
        return segment.index_of(column.id)
    if isinstance(column.field, MultiVector):
        return segment.muvera_of(column.id)
    if isinstance(column.field, Sparse):
        from vecdb.storage import sparse_index

        return sparse_index.ready(segment, column)
    from vecdb.storage import text_index

    return text_index.ready(segment, column)


def encodings(segment: Segment, column: Column) -> dict[str, Any] | None:
    """Return what the index of a column of multi-vectors says of itself; None without one."""
    index = segment.muvera_of(column.id)
    if index is None:
        return None
    encoder = index.encoder
    return {
        "rows": segment.rows,
        "repetitions": encoder.repetitions,
        "bits": encoder.bits,
        "projection": encoder.projection,
        "numbers": encoder.width,
        "row_bytes": index.bytes // len(index),
        "recall": {str(int(width)): round(float(share), 4) for width, share in index.curve},
    }


def made(
    segment: Segment,
    column: Column,
    what: Wanted,
    pool: ThreadPoolExecutor | None,
    progress: Progress | None,
    parts: Parts = (),
) -> "Stored":
    """Return an index of a column of a segment, made from those of the parts that it was merged from, if any.

    Rows without a vector are in it, as zeros: masks leave them out.
    """
    if what.kind == TEXT:
        from vecdb.storage import text_index

        own = parts or [(known(segment, column), np.arange(segment.rows))]
        return text_index.built(segment, column, what, progress, cast("Any", own))
    if what.kind == SPARSE:
        from vecdb.storage import sparse_index

        own = parts or [(known(segment, column), np.arange(segment.rows))]
        return sparse_index.built(segment, column, progress, cast("Any", own))
    if what.kind == MUVERA:
        from vecdb_index.muvera.build import Options, build

        tokens = segment.tokens(column)
        assert tokens is not None, "only segments that have the column are indexed"
        return build(tokens, Options(**what.parameters), pool=pool, progress=progress)
    held = segment.vectors(column)
    assert held is not None, "only segments that have the column are indexed"
    assert column.field.metric != "hamming", "binary vectors are scanned"
    matrix, _, norms = held
    norms = np.ones(len(matrix), np.float32) if norms is None else norms
    index = factory.build(
        what, matrix, column.field.metric, norms, parts=cast("Any", parts), pool=pool, progress=progress
    )
    if what.kind == HNSW and matrix.dtype == np.float32:  # the kernels that are measured are loaded by now
        measure_once()
    return index
