"""Links to the files of a segment.

    nodes.arrow        the ids at the ends, by number, with their keys, which ascend
    out.arrow          the links: where each node's begin, and of each its destination, type and weight
    in.arrow           derived: the same by destination, with the number that each link has in out.arrow
    attributes.arrow   declared attributes, in the order of out.arrow; absent without any
    del-<lsn>-<nonce>.roar   deleted links, one file per version that changed them

A link's number is its place in out.arrow, where links ascend by source, destination and type: so the rows are the
primary key too.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from vecdb.schema.links import attributes_of
from vecdb.storage import arrow_file, index_file
from vecdb.storage import format as names
from vecdb.storage.links import coded as codes
from vecdb.storage.links.coded import Coded
from vecdb.storage.manifest import SegmentEntry
from vecdb.storage.segment_writer import SegmentWriter, file_entry
from vecdb_index.graph.adjacency import rows_of

NODES, OUT, IN, ATTRIBUTES = "nodes.arrow", "out.arrow", "in.arrow", "attributes.arrow"
KIND = "links"


def outgoing(links: Coded) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the order of the links, and the arrays of out.arrow."""
    order, offsets = rows_of(len(links.nodes), links.src, links.dst, links.type)
    arrays = {"offsets": offsets, "targets": links.dst, "types": links.type, "weights": links.weight}
    return order, {name: array if name == "offsets" else array[order] for name, array in arrays.items()}


def incoming(out: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays of in.arrow, which follow from those of out.arrow."""
    nodes = len(out["offsets"]) - 1
    sources = np.repeat(np.arange(nodes, dtype=np.int32), np.diff(out["offsets"]))
    order, offsets = rows_of(nodes, out["targets"], sources, out["types"])
    return {
        "offsets": offsets,
        "sources": sources[order],
        "links": order.astype(np.int32),
        "types": out["types"][order],
        "weights": out["weights"][order],
    }


class LinkSegmentWriter(SegmentWriter):
    """Builds one segment of links, none of which comes twice. Batches come in the storage schema of links."""

    def finish_links(self) -> SegmentEntry:
        """Write the links that were appended; the write that commits them gives them its number."""
        whole = arrow_file.joined(self._batches)
        self._batches = []
        return self.write_links(codes.of_batch(whole), whole, 0, 0)[0]

    def write_links(
        self, links: Coded, attributes: pa.RecordBatch, min_lsn: int, max_lsn: int
    ) -> tuple[SegmentEntry, np.ndarray]:
        """Write links, sync the files, and move the folder into place; attributes may have other columns too.

        Returns the segment's entry, and the number there of each link, in the order given.
        """
        order, out = outgoing(links)
        self._write(NODES, pa.record_batch([pa.array(links.nodes.keys), links.nodes.ids], names=["key", "id"]))
        self._write_arrays(OUT, out, list(links.types))
        self._write_arrays(IN, incoming(out), [])
        declared = [column.storage_name for column in attributes_of(self._schema)]
        if declared:
            self._write(ATTRIBUTES, attributes.select(declared).take(pa.array(order)))
        files = tuple(file_entry(self._directory, self._folder, name) for name in self._directory.list(self._folder))
        self._directory.sync_dir(self._folder)
        self._directory.rename(self._folder, f"{self._base}/{names.SEGMENTS}/{self.uuid}")
        numbers = np.empty(len(order), np.int64)
        numbers[order] = np.arange(len(order))
        return SegmentEntry(self.uuid, len(links), min_lsn, max_lsn, files), numbers

    def _write_arrays(self, name: str, arrays: dict[str, np.ndarray], types: list[str]) -> None:
        self._write_with(name, lambda file: index_file.write(file, KIND, arrays, {"types": types}))
