"""What the files of links must say of each other; see `vecdb/storage/check.py`, which compares their checksums."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from vecdb.errors import CorruptionError
from vecdb.storage.directory import LocalDirectory
from vecdb.storage.keys import keys_of
from vecdb.storage.links import coded
from vecdb.storage.links.ends import Key
from vecdb.storage.links.segment import LinkSegment
from vecdb.storage.links.state import LinkState
from vecdb.storage.links.writer import ATTRIBUTES, IN, NODES, OUT, incoming
from vecdb.storage.manifest import SegmentEntry


def contradictions(directory: LocalDirectory, base: str, entry: SegmentEntry) -> Iterator[tuple[str, str, bool]]:
    """Yield each file of a sound segment that contradicts another: path, sentence, and whether it can be rebuilt."""
    segment = LinkSegment(directory, base, replace(entry, deletes=None), "never")
    try:
        nodes, out = segment.nodes, segment.out
    except CorruptionError as error:
        yield error.path or segment.folder, str(error), False
        return
    path = f"{segment.folder}/{NODES}"
    if (np.diff(nodes.keys) < 0).any() or not np.array_equal(
        keys_of(nodes.ids.to_pylist(), nodes.ids.type), nodes.keys
    ):
        yield path, f"{path} has keys that do not belong to its ids", False
    path = f"{segment.folder}/{OUT}"
    key = (out["targets"].astype(np.int64) << 16) | out["types"]
    within = np.diff(segment.sources) == 0
    if (np.diff(key)[within] <= 0).any():
        yield path, f"{path} has rows that do not ascend", False
    path = f"{segment.folder}/{IN}"
    try:
        held = segment.incoming
        if any(not np.array_equal(held[name], array) for name, array in incoming(out).items()):
            yield path, f"{path} does not belong to the links beside it", True
    except CorruptionError as error:
        yield error.path or path, str(error), True
    if ATTRIBUTES in {file.name for file in entry.files} and segment.files.batch(ATTRIBUTES).num_rows != entry.rows:
        path = f"{segment.folder}/{ATTRIBUTES}"
        yield path, f"{path} has not {entry.rows} rows, as the manifest says", False


def twice(links: LinkState) -> Key | None:
    """Return a link that is alive in two places, None where there is none."""
    parts = [(part, part.live()) for part in links.parts]
    if not parts:
        return None
    found = coded.of_parts(parts)
    order = np.lexsort((found.type, found.dst, found.src))
    src, dst, kind = found.src[order], found.dst[order], found.type[order]
    same = np.flatnonzero((np.diff(src) == 0) & (np.diff(dst) == 0) & (np.diff(kind) == 0))
    if not len(same):
        return None
    at = int(same[0])
    ids = found.nodes.ids
    return ids[int(src[at])].as_py(), ids[int(dst[at])].as_py(), found.types[int(kind[at])]
