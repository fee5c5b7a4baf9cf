"""An immutable segment of links, memory-mapped, and what of it is deleted.

What is looked up in it costs binary searches: of an id among the nodes, of a destination and type in the row of a
source. A file is verified when this process first uses it, and so is what kernels trust: that no number leads outside.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from vecdb.config import Verify
from vecdb.errors import CorruptionError
from vecdb.schema.links import Direction
from vecdb.schema.schema import Column, Schema
from vecdb.storage import index_file, tombstones
from vecdb.storage.arrow_file import numbers_of
from vecdb.storage.directory import LocalDirectory
from vecdb.storage.links.coded import Coded
from vecdb.storage.links.ends import Ends
from vecdb.storage.links.nodes import Nodes
from vecdb.storage.links.writer import ATTRIBUTES, IN, NODES, OUT
from vecdb.storage.manifest import SegmentEntry
from vecdb.storage.segment import Segment

FEW = 32
"""Fewer than one link in so many are looked up one by one."""


class LinkSegment:
    """The links of one segment. Reading is safe from any number of threads; nothing ever changes."""

    def __init__(self, directory: LocalDirectory, base: str, entry: SegmentEntry, verify: Verify) -> None:
        """Map the files.

        Raises:
            CorruptionError: a file is missing or has another size than the manifest says.

        """
        self.files = Segment(directory, base, entry, verify)
        self.entry = entry
        self.uuid = entry.uuid
        self.rows = entry.rows

    @property
    def folder(self) -> str:
        """Where the files are."""
        return self.files.folder

    @cached_property
    def nodes(self) -> Nodes:
        """The ids at the ends."""
        batch = self.files.batch(NODES)
        return Nodes(numbers_of(batch.column(0)), batch.column(1))

    @cached_property
    def _out(self) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
        arrays, settings = self._arrays(OUT)
        types = tuple(settings["types"])
        self._check(OUT, arrays, "targets", types)
        return arrays, types

    @property
    def out(self) -> dict[str, np.ndarray]:
        """The arrays of out.arrow: offsets, targets, types, weights."""
        return self._out[0]

    @property
    def types(self) -> tuple[str, ...]:
        """The types by their codes."""
        return self._out[1]

    @cached_property
    def incoming(self) -> dict[str, np.ndarray]:
        """The arrays of in.arrow: offsets, sources, links, types, weights."""
        arrays, _ = self._arrays(IN)
        self._check(IN, arrays, "sources", self.types)
        links = arrays["links"]
        if len(links) and (int(links.min()) < 0 or int(links.max()) >= self.rows):
            raise self._damaged(IN, "a link has a number that there is not")
        return arrays

    @cached_property
    def sources(self) -> np.ndarray:
        """The source of each link, (links,) int32."""
        return np.repeat(np.arange(len(self.nodes), dtype=np.int32), np.diff(self.out["offsets"]))

    def sources_of(self, numbers: np.ndarray) -> np.ndarray:
        """Return the sources of some links, int32 (n,)."""
        return (np.searchsorted(self.out["offsets"], numbers, side="right") - 1).astype(np.int32)

    def attribute(self, column: Column) -> pa.Array:
        """Return the values of an attribute of all links; one declared later is all null here."""
        if ATTRIBUTES in {file.name for file in self.entry.files}:
            batch = self.files.batch(ATTRIBUTES)
            if column.storage_name in batch.schema.names:
                return batch.column(column.storage_name)
        return pa.nulls(self.rows, column.field.arrow_type)

    def _arrays(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        self.files.batch(name)  # verifies the checksum
        try:
            _, arrays, settings = index_file.read(self.files.buffer(name))
        except (pa.ArrowInvalid, OSError) as error:
            raise self._damaged(name, str(error)) from error
        return arrays, settings

    def _check(self, name: str, arrays: dict[str, np.ndarray], ends: str, types: tuple[str, ...]) -> None:
        """Raise unless the arrays are what kernels may walk over."""
        try:
            offsets, others, codes, weights = (arrays[key] for key in ("offsets", ends, "types", "weights"))
        except KeyError as error:
            raise self._damaged(name, f"no {error}") from error
        nodes, links = len(self.nodes), self.rows
        dtypes = offsets.dtype, others.dtype, codes.dtype, weights.dtype
        if dtypes != (np.int64, np.int32, np.uint16, np.float32) or offsets.shape != (nodes + 1,):
            raise self._damaged(name, "its arrays are of other types or lengths")
        if any(array.shape != (links,) for array in (others, codes, weights)):
            raise self._damaged(name, f"it has not {links} links")
        if offsets[0] != 0 or offsets[-1] != links or (np.diff(offsets) < 0).any():
            raise self._damaged(name, "its rows do not follow each other")
        if links and (int(others.min()) < 0 or int(others.max()) >= nodes or int(codes.max()) >= len(types)):
            raise self._damaged(name, "a link leads to a number that there is not")

    def _damaged(self, name: str, what: str) -> CorruptionError:
        path = f"{self.folder}/{name}"
        return CorruptionError(f"{path} is damaged: {what}", path=path)


class LinkView:
    """A segment of links, and those deleted from it at one lsn."""

    def __init__(self, segment: LinkSegment, deleted: BitMap) -> None:
        self.segment = segment
        self.deleted = deleted
        self.rows = segment.rows

    @property
    def live_rows(self) -> int:
        """How many links are alive."""
        return self.rows - len(self.deleted)

    @cached_property
    def _dead(self) -> np.ndarray | None:
        if not self.deleted:
            return None
        mask = np.zeros(self.rows, bool)
        mask[np.frombuffer(self.deleted.to_array(), np.uint32)] = True
        return mask

    def _lives(self, numbers: np.ndarray) -> np.ndarray:
        """Return which of these links are alive, bool (n,)."""
        if len(numbers) * FEW > self.rows and self._dead is not None:
            return ~self._dead[numbers]
        # A view lives until the next deletion: for some links the set is asked, and not spread out for all of them.
        return np.fromiter((number not in self.deleted for number in numbers.tolist()), bool, len(numbers))

    def live(self) -> np.ndarray:
        """Return the numbers of the links that are alive, ascending."""
        return np.arange(self.rows) if self._dead is None else np.flatnonzero(~self._dead)

    def without(self, numbers: np.ndarray) -> LinkView:
        """Return a view with these links deleted too."""
        return LinkView(self.segment, self.deleted | BitMap(numbers.tolist()))

    def find_many(self, ends: Ends) -> np.ndarray:
        """Return the numbers of the live links among those asked for, ascending."""
        found = ends.find(self.segment.nodes, self.segment.types, self.segment.out)
        numbers = np.unique(found[found >= 0])
        return numbers[self._lives(numbers)] if self.deleted else numbers

    def has(self, ends: Ends) -> np.ndarray:
        """Return which of the links asked for are alive here, bool (n,)."""
        found = ends.find(self.segment.nodes, self.segment.types, self.segment.out)
        there = found >= 0
        if self.deleted:
            there[there] = self._lives(found[there])
        return there

    def touching(self, ids: pa.Array, keys: np.ndarray, direction: Direction) -> tuple[np.ndarray, np.ndarray]:
        """Return the live links of some ids: the place of each link's id among them, and its number.

        In one direction; each row ascends.
        """
        nodes = self.segment.nodes.find_many(ids, keys)
        known = np.flatnonzero(nodes >= 0)
        arrays = self.segment.out if direction == "out" else self.segment.incoming
        offsets = arrays["offsets"]
        begin, end = offsets[nodes[known]], offsets[nodes[known] + 1]
        places = np.repeat(known, end - begin)
        numbers = ranges(begin, end)
        if direction == "in":
            numbers = arrays["links"][numbers].astype(np.int64)
        if self.deleted:
            alive = self._lives(numbers)
            places, numbers = places[alive], numbers[alive]
        return places, numbers

    def coded(self, numbers: np.ndarray) -> Coded:
        """Return some links as numbers; they are asked for in ascending order."""
        segment, out = self.segment, self.segment.out
        others = out["targets"], out["types"], out["weights"]
        if len(numbers) == self.rows:
            return Coded(segment.nodes, segment.types, segment.sources, *others)
        sources = segment.sources_of(numbers) if len(numbers) * FEW < self.rows else segment.sources[numbers]
        return Coded(segment.nodes, segment.types, sources, *(array[numbers] for array in others))

    def take_links(self, schema: Schema, numbers: np.ndarray, names: tuple[str, ...] | None = None) -> pa.RecordBatch:
        """Return columns of some links, by the names of the schema, in the order of the numbers."""
        segment, out, arrays, fields = self.segment, self.segment.out, [], []
        places = pa.array(numbers)
        for at, column in enumerate(schema.columns):
            if names is not None and column.name not in names:
                continue
            if at == 0:
                values = segment.nodes.ids.take(pa.array(segment.sources_of(numbers)))
            elif at == 1:
                values = segment.nodes.ids.take(pa.array(out["targets"][numbers]))
            elif at == 2:
                values = pa.array(list(segment.types), pa.string()).take(pa.array(out["types"][numbers]))
            elif at == 3:
                values = pa.array(out["weights"][numbers].astype(np.float64))
            else:
                values = segment.attribute(column).take(places)
            arrays.append(values)
            fields.append(pa.field(column.name, column.field.arrow_type))
        return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))

    def end_ids(self) -> pa.Array:
        """Return the ids at the ends of live links, each once."""
        if self._dead is None:
            return self.segment.nodes.ids
        return self.coded(self.live()).tight().nodes.ids


def ranges(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the numbers from each begin up to its end, one range after the other, int64."""
    lengths = (end - begin).astype(np.int64)
    total = int(lengths.sum())
    starts = np.repeat(begin - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths) if len(lengths) else 0
    return np.arange(total, dtype=np.int64) + starts


def open_link_view(directory: LocalDirectory, base: str, entry: SegmentEntry, verify: Verify) -> LinkView:
    """Map one segment and read its deletions."""
    segment = LinkSegment(directory, base, entry, verify)
    return LinkView(segment, _deleted(directory, segment, entry))


def open_link_views(
    directory: LocalDirectory,
    base: str,
    entries: tuple[SegmentEntry, ...],
    verify: Verify,
    known: dict[str, LinkView] | None = None,
) -> dict[str, LinkView]:
    """Return a view of each segment of links; those that are open already are shared."""
    views = {}
    for entry in entries:
        old = (known or {}).get(entry.uuid)
        if old is None:
            views[entry.uuid] = open_link_view(directory, base, entry, verify)
        else:
            views[entry.uuid] = LinkView(old.segment, _deleted(directory, old.segment, entry))
    return views


def _deleted(directory: LocalDirectory, segment: LinkSegment, entry: SegmentEntry) -> BitMap:
    return tombstones.read(directory, segment.folder, entry.deletes) if entry.deletes else BitMap()
