"""Links in the files: flushing them with the rows, merging their segments, and declaring attributes.

Each is a step of the one writer, under its locks; see `vecdb/storage/writer.py` and `vecdb/storage/compaction.py`,
whose rules hold here too: what was deleted while a merge ran is deleted in its output before anybody sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from vecdb.schema.links import attributes_of
from vecdb.schema.schema import Schema
from vecdb.storage import format as names
from vecdb.storage import merge_policy, tombstones
from vecdb.storage.links import coded
from vecdb.storage.links.coded import Coded
from vecdb.storage.links.segment import LinkView, open_link_view, open_link_views
from vecdb.storage.links.table import entries_of
from vecdb.storage.links.writer import LinkSegmentWriter
from vecdb.storage.manifest import LinksEntry, SegmentEntry
from vecdb.storage.os_errors import typed_os_errors

if TYPE_CHECKING:
    from vecdb.storage.snapshot import State
    from vecdb.storage.writer import Writer


class Flushed:
    """What a flush wrote of the links: the entry for the manifest, and what memory is to take over."""

    def __init__(self, writer: Writer, pinned: State) -> None:
        """Write the frozen links and the deletions as of the freeze."""
        links, lsn = pinned.links, pinned.lsn
        self._writer = writer
        self._frozen = links.memtables[0] if links.memtables else None
        self._rows = np.empty(0, np.int64) if self._frozen is None else self._frozen.live()
        self._added: SegmentEntry | None = None
        self._numbers = np.empty(0, np.int64)
        if self._frozen is not None and len(self._rows):
            batch = self._frozen.take_stored(self._rows)
            builder = writer.segment_writer(links.schema, LinkSegmentWriter)
            try:
                first = self._frozen.memtable.first_lsn
                self._added, self._numbers = builder.write_links(coded.of_batch(batch), batch, first, lsn)
            except BaseException:
                writer.abandon(builder)
                raise
        entries = [writer._persist_deletes(view, lsn) for view in links.segments]
        entries += [] if self._added is None else [self._added]
        held = pinned.located.manifest.links
        self.entry = LinksEntry(links.schema, tuple(entries)) if entries or held is not None else None

    def take_over(self) -> None:
        """Swap the segment for the frozen links; the commit mutex is held, and the version published."""
        writer, table = self._writer, self._writer._live.links
        if self._added is not None and self._frozen is not None:
            view = open_link_view(writer.directory, writer.base, self._added, writer.settings.verify)
            died = self._frozen.died_since(self._rows)
            table.views[self._added.uuid] = view.without(self._numbers[died]) if len(died) else view
            writer.release(self._added.uuid)
        table.frozen = None
        table.moved()


@typed_os_errors()
def change_attributes(writer: Writer, change: Callable[[Schema], Schema]) -> None:
    """Publish a version whose links have another schema. Writes wait meanwhile: the log must not mix two schemas."""
    with writer._maintenance:
        writer.flush()
        with writer.mutex:
            writer.flush()
            live = writer._live
            schema = change(live.links.schema)
            entries = entries_of(live.located.manifest)
            live.located = writer._commit_manifest(links=LinksEntry(schema, entries))
            live.links.set_schema(schema)
            writer.state = live.state()


# -- merging -------------------------------------------------------------------------------------------------------


def candidates(writer: Writer) -> list[merge_policy.Candidate]:
    """Return the segments of links of the version in force as the policy sees them."""
    return [
        merge_policy.Candidate(entry.uuid, entry.rows, entry.live, entry.bytes)
        for entry in entries_of(writer.state.located.manifest)
    ]


def merge_once(writer: Writer) -> int:
    """Carry out the merge of links that the policy wants next; return how many segments it replaced, 0 for none."""
    settings = writer.settings
    chosen = merge_policy.choose(candidates(writer), settings.merge_fan_in, settings.segment_bytes)
    return merge(writer, chosen) if chosen else 0


def merge_all(writer: Writer) -> int:
    """Merge all links into as few segments as fit, without deleted ones; return how many were replaced."""
    groups = merge_policy.everything(candidates(writer), writer.settings.segment_bytes)
    return sum(merge(writer, group) for group in groups)


@typed_os_errors()
def merge(writer: Writer, uuids: Sequence[str]) -> int:
    """Replace these segments of links by one; return how many were replaced: 0 when one of them is gone.

    Hold writer.merging, or another merge may take the inputs away.
    """
    inputs = _pin(writer, uuids)
    if inputs is None:
        return 0
    schema = writer.state.links.schema
    kept = [view.live() for view in inputs]
    builder = writer.segment_writer(schema, LinkSegmentWriter)
    output: SegmentEntry | None = None
    try:
        moves = {view.segment.uuid: np.full(view.rows, -1, np.int64) for view in inputs}
        if sum(map(len, kept)):
            output, numbers = _merged(builder, schema, inputs, kept)
            begin = 0
            for view, rows in zip(inputs, kept, strict=True):
                moves[view.segment.uuid][rows] = numbers[begin : begin + len(rows)]
                begin += len(rows)
        pinned = {view.segment.uuid: view.deleted for view in inputs}
        done = writer.state.links.schema is schema and _replace(writer, pinned, output, moves)
    except BaseException:
        writer.abandon(builder)
        raise
    if not done or output is None:
        writer.abandon(builder)
    return len(uuids) if done else 0


def _pin(writer: Writer, uuids: Sequence[str]) -> list[LinkView] | None:
    """Return segments of the version in force with its deletions; None when one of them is gone."""
    with writer._maintenance:
        chosen = tuple(entry for entry in entries_of(writer._live.located.manifest) if entry.uuid in uuids)
        if len(chosen) < len(uuids):
            return None
        known = writer._live.links.views
        return list(open_link_views(writer.directory, writer.base, chosen, writer.settings.verify, known).values())


def _merged(
    builder: LinkSegmentWriter, schema: Schema, inputs: Sequence[LinkView], kept: Sequence[np.ndarray]
) -> tuple[SegmentEntry, np.ndarray]:
    """Write the links that are kept; return the entry, and the number that each has there."""
    links: Coded = coded.of_parts(list(zip(inputs, kept, strict=True))).tight()
    declared = tuple(column.name for column in attributes_of(schema))
    batches = [view.take_links(schema, rows, declared) for view, rows in zip(inputs, kept, strict=True)]
    table = pa.Table.from_batches(batches).combine_chunks() if declared else None
    attributes = pa.record_batch([], names=[])
    if table is not None:
        columns = [table.column(name).combine_chunks() for name in declared]
        attributes = pa.record_batch(columns, names=[schema[name].storage_name for name in declared])
    first = min(view.segment.entry.min_lsn for view in inputs)
    last = max(view.segment.entry.max_lsn for view in inputs)
    return builder.write_links(links, attributes, first, last)


def _replace(
    writer: Writer, inputs: dict[str, BitMap], output: SegmentEntry | None, moves: dict[str, np.ndarray]
) -> bool:
    """Put a merged segment in the place of its inputs; False when an input is gone."""

    def moved(uuid: str, links: BitMap) -> BitMap:
        return BitMap(moves[uuid][np.array(links.to_array(), np.int64)].tolist()) if links else BitMap()

    with writer._maintenance:
        writer.check_running()
        if writer._pinned is not None:
            writer.flush()
        live = writer._live
        current = entries_of(live.located.manifest)
        if not inputs.keys() <= {entry.uuid for entry in current}:
            return False
        kept = [entry for entry in current if entry.uuid not in inputs]
        if output is not None:
            output = _with_deletes(writer, inputs, output, moved)
            kept.append(output)
        located = writer._commit_manifest(links=LinksEntry(live.links.schema, tuple(kept)))
        with writer.mutex:
            deleted = BitMap()
            for uuid, pinned in inputs.items():
                deleted |= moved(uuid, live.links.views.pop(uuid).deleted - pinned)
            if output is not None:
                view = open_link_view(writer.directory, writer.base, output, writer.settings.verify)
                live.links.views[output.uuid] = LinkView(view.segment, deleted)
                writer.release(output.uuid)
            live.links.moved()
            live.located = located
            writer.state = live.state()
        writer._collect()
        return True


def _with_deletes(
    writer: Writer, inputs: dict[str, BitMap], output: SegmentEntry, moved: Callable[[str, BitMap], BitMap]
) -> SegmentEntry:
    """Return a merged segment's entry with what was deleted, by the version in force, since its inputs were pinned."""
    persisted = BitMap()
    for uuid, pinned in inputs.items():
        entry = writer._persisted[uuid]
        folder = f"{writer.base}/{names.SEGMENTS}/{uuid}"
        now = tombstones.read(writer.directory, folder, entry.deletes) if entry.deletes else BitMap()
        persisted |= moved(uuid, now - pinned)
    if not persisted:
        return output
    folder = f"{writer.base}/{names.SEGMENTS}/{output.uuid}"
    lsn = writer._live.located.manifest.floor
    return replace(output, deletes=tombstones.publish(writer.directory, folder, persisted, lsn))
