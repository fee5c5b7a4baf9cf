"""Merging segments while writes and reads go on.

The inputs are pinned as the manifest in force describes them, deletions included; rows that were deleted since are
copied too. When the merged segment takes their place, every deletion that its inputs have by then and had not when
they were pinned is applied to it: once for the manifest, whose deletions stand at its floor, and once for the rows
in memory, which are newer. A merge that skipped this step would bring deleted rows back.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from vecdb.schema.multivector import MultiVector
from vecdb.schema.schema import Column, Schema
from vecdb.storage import merge_policy
from vecdb.storage.links import maintenance
from vecdb.storage.manifest import SegmentEntry
from vecdb.storage.os_errors import typed_os_errors
from vecdb.storage.segment_writer import MOST_TEXT, SegmentWriter, size_of
from vecdb.storage.snapshot import SegmentView
from vecdb.storage.writer import Writer
from vecdb_index.multivector.stored import Tokens

CHUNK = 8192
"""Rows copied at a time: bounds memory, whatever the size of the segments."""
CHUNK_BYTES = 32 << 20
"""And bytes of their tokens and texts, about."""


def candidates(writer: Writer) -> list[merge_policy.Candidate]:
    """Return the segments of the version in force as the policy sees them.

    Deletions count as far as that version has them, because only these rows does a merge drop: with those that are in
    the log only, a segment would be rewritten again and again until the next flush.

    A segment is as full as its bytes on disk are of those that it may have, or its texts of those that Arrow can hold.
    """
    state, whole = writer.state, writer.settings.segment_bytes
    texts = {view.segment.uuid: view.segment.text_bytes or 0 for view in state.segments}
    return [
        merge_policy.Candidate(
            entry.uuid, entry.rows, entry.live, max(size_of(entry), texts.get(entry.uuid, 0) * whole // MOST_TEXT)
        )
        for entry in state.located.manifest.segments
    ]


Groups = list[tuple[str, ...]]


def _chosen(writer: Writer, choose: Callable[[list[merge_policy.Candidate]], Groups]) -> Groups:
    """Return the segments to merge, by groups.

    How much text a segment has is only read, packed as it is, when it was chosen; then it is chosen anew.
    """
    while True:
        groups = choose(candidates(writer))
        named = {uuid for group in groups if len(group) > 1 for uuid in group}
        held = [view.segment for view in writer.state.segments if view.segment.uuid in named]
        unread = [segment for segment in held if segment.text_bytes is None]
        if not unread:
            return groups
        for segment in unread:
            segment.read_text_bytes()


Carry = Callable[[Schema, list[SegmentView], SegmentEntry], SegmentEntry]
"""The fields, the inputs as they were copied, and the merged segment -> the latter with indexes made from theirs."""


def _as_it_is(schema: Schema, inputs: list[SegmentView], output: SegmentEntry) -> SegmentEntry:
    return output


def compact_once(writer: Writer, carry: Carry = _as_it_is) -> int:
    """Carry out the merge that the policy wants next; return how many segments it replaced, 0 for none."""
    with writer.merging:
        settings = writer.settings
        chosen = _chosen(
            writer, lambda known: [merge_policy.choose(known, settings.merge_fan_in, settings.segment_bytes)]
        )[0]
        return merge(writer, chosen, carry) if chosen else maintenance.merge_once(writer)


def compact_all(writer: Writer, carry: Carry = _as_it_is) -> int:
    """Merge everything into as few segments as fit, without deleted rows; return how many were replaced.

    Rows that are written meanwhile are left for the next time.
    """
    with writer.merging:
        writer.flush()
        groups = _chosen(writer, lambda known: merge_policy.everything(known, writer.settings.segment_bytes))
        return sum(merge(writer, group, carry) for group in groups) + maintenance.merge_all(writer)


@typed_os_errors()
def merge(writer: Writer, uuids: tuple[str, ...], carry: Carry = _as_it_is) -> int:
    """Replace these segments by one; return how many were replaced: 0 when one of them is gone or the fields changed.

    Indexes come along, so that no search has to scan what it walked through before.

    Hold writer.merging, or another merge may take the inputs away.
    """
    inputs = writer.pin(uuids)
    if inputs is None:
        return 0
    schema = writer.state.schema
    builder = writer.segment_writer(schema)
    try:
        moves = _copy(builder, schema, inputs)
        pinned = {view.segment.uuid: view.deleted for view in inputs}
        output: SegmentEntry | None = None
        if builder.rows:
            first = min(view.segment.entry.min_lsn for view in inputs)
            last = max(view.segment.entry.max_lsn for view in inputs)
            output, _ = builder.finish(first, last)
            output = carry(schema, inputs, output)

        def moved(uuid: str, rows: BitMap) -> BitMap:
            return BitMap(moves[uuid][np.array(rows.to_array(), np.int64)].tolist()) if rows else BitMap()

        done = writer.state.schema is schema and writer.replace_segments(pinned, output, moved)
    except BaseException:
        writer.abandon(builder)
        raise
    if not done or output is None:
        writer.abandon(builder)
    return len(uuids) if done else 0


def _copy(builder: SegmentWriter, schema: Schema, inputs: list[SegmentView]) -> dict[str, np.ndarray]:
    """Append the live rows of the inputs; return, for each input, each old row's new row (-1 if it was not copied)."""
    moves = {}
    next_row = 0
    # Where some are pooled again the others get new centroids too: a segment has those of one training, or of others.
    anew = {column.id: any(_lacking(view, column) > 1 for view in inputs) for column in schema.multivectors}
    for view in inputs:
        live = view.live()
        rows = np.arange(view.rows) if live is None else np.flatnonzero(live)
        moves[view.segment.uuid] = np.full(view.rows, -1, np.int64)
        moves[view.segment.uuid][rows] = np.arange(next_row, next_row + len(rows))
        next_row += len(rows)
        step = min(_step(schema, view), _text_step(view))
        for start in range(0, len(rows), step):
            _copy_rows(builder, schema, view, rows[start : start + step], anew)
    return moves


def _pooled(view: SegmentView, column: Column[MultiVector], rows: np.ndarray, anew: bool) -> Tokens:
    """Return tokens of some rows, of as few vectors as the column wants by now; anew: not by their centroids."""
    some, factor = view.tokens(column).some(rows), _lacking(view, column)
    if factor <= 1 and (not anew or some.centroids is None):
        return some
    from vecdb.storage.prepare import in_dtype, pooled

    floats = some.floats()
    made = pooled(floats, column.field, factor) if factor > 1 else floats
    return in_dtype(made, column.field, some.present)


def _lacking(view: SegmentView, column: Column[MultiVector]) -> float:
    """Return the factor by which the tokens of a segment shall be pooled still; 1: they are as they should be."""
    done = view.segment.tokens_how(column).get("pool_factor", column.field.pool_factor)
    return max(column.field.pool_factor / done, 1)


def repool(writer: Writer, field_id: int, carry: Carry = _as_it_is) -> int:
    """Rewrite the segments whose tokens are not pooled as their column wants it; return how many were.

    Each is published by itself: what is interrupted goes on when it is called again.
    """
    done = 0
    with writer.merging:
        for view in writer.state.segments:
            column = next((one for one in writer.state.schema.multivectors if one.id == field_id), None)
            if column is not None and _lacking(view, column) > 1:
                done += merge(writer, (view.segment.uuid,), carry)
    return done


def _text_step(view: SegmentView) -> int:
    """Return how many rows are copied at a time, as far as their texts go."""
    size = (view.segment.text_bytes or 0) // max(1, view.rows)
    return max(1, CHUNK_BYTES // max(1, size))


def _step(schema: Schema, view: SegmentView) -> int:
    """Return how many rows are copied at a time: fewer where they have many tokens."""
    held = [view.tokens(column) for column in schema.multivectors]
    size = sum(len(tokens.values) * max(tokens.token_bytes, tokens.dimension) for tokens in held) // max(1, view.rows)
    return max(1, min(CHUNK, CHUNK_BYTES // max(1, size)))


def _copy_rows(
    builder: SegmentWriter, schema: Schema, view: SegmentView, rows: np.ndarray, anew: dict[int, bool]
) -> None:
    contiguous = rows[-1] - rows[0] + 1 == len(rows)
    first, count = int(rows[0]), len(rows)
    arrays, names = [], []
    for column in schema.narrow:
        arrays.append(view.take(column, rows))
        names.append(column.storage_name)
    vectors = {}
    for column in schema.vectors:
        held = view.vectors(column)
        if held is None:
            list_type = column.field.arrow_type
            matrix = np.zeros((count, list_type.list_size), list_type.value_type.to_pandas_dtype())
            vectors[column.id] = matrix, np.zeros(count, bool)
            continue
        matrix, present, _ = held
        chosen = slice(first, first + count) if contiguous else rows
        vectors[column.id] = matrix[chosen], np.ones(count, bool) if present is None else present[chosen]
    tokens = {}
    for column in schema.multivectors:
        tokens[column.id] = _pooled(view, column, rows, anew[column.id])
    builder.append_parts(pa.record_batch(arrays, names=names), vectors, tokens)
