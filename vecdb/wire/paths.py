"""How links led to hits, as a message: all steps as columns, one hit behind the other."""

from __future__ import annotations

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.results import Paths
from vecdb.wire.values import ids_from_message, packed, write_ids
from vecdb_proto.v1 import result_pb2 as pb


def write(message: pb.Paths, paths: Paths, id_type: str) -> None:
    """Write paths into an empty message; of the types only those that a step follows."""
    place: dict[int, int] = {}
    links = [place.setdefault(code, len(place)) if code >= 0 else -1 for code in paths.links]
    message.lengths = np.array(paths.lengths, "<u4").tobytes()
    write_ids(message.ids, paths.ids, id_type)
    message.types.extend([paths.types[code] for code in place])
    message.links = np.array(links, "<i4").tobytes()
    message.ahead = bytes(paths.ahead)


def from_message(message: pb.Paths, hits: int) -> Paths:
    """Return the paths of so many hits.

    Raises:
        InvalidInputError: the columns are not of one length, or a type is none.

    """
    lengths = packed(message.lengths, "<u4", "lengths of paths").astype(np.int64)
    ids, links = ids_from_message(message.ids), packed(message.links, "<i4", "links of paths")
    ahead = packed(message.ahead, "u1", "directions of paths")
    fits = len(lengths) == hits and lengths.sum() == len(ids) == len(links) == len(ahead)
    if not fits or (len(links) and not -1 <= links.min() <= links.max() < len(message.types)):
        raise InvalidInputError(f"the paths of {hits} hits do not fit together: was the result damaged on its way?")
    ways = [bool(way) for way in ahead.tolist()]
    return Paths(lengths.tolist(), ids, list(message.types), links.tolist(), ways)
