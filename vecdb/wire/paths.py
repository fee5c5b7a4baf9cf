"""How links led to hits, as a message: all steps as columns, one hit behind the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.wire.values import ids_from_message, ids_to_message, packed
from vecdb_proto.v1 import result_pb2 as pb

Step = tuple[Any, str | None, bool]


def to_message(paths: Sequence[Sequence[Step]], id_type: str) -> pb.Paths:
    """Return the paths of hits as a message."""
    steps = [step for path in paths for step in path]
    types = list(dict.fromkeys(kind for _, kind, _ in steps if kind is not None))
    place: dict[str | None, int] = {kind: at for at, kind in enumerate(types)}
    return pb.Paths(
        lengths=np.array([len(path) for path in paths], "<u4").tobytes(),
        ids=ids_to_message([value for value, _, _ in steps], id_type),
        types=types,
        links=np.array([place.get(kind, -1) for _, kind, _ in steps], "<i4").tobytes(),
        ahead=np.array([ahead for _, _, ahead in steps], np.uint8).tobytes(),
    )


def from_message(message: pb.Paths, hits: int) -> list[tuple[Step, ...]]:
    """Return the paths of so many hits.

    Raises:
        InvalidInputError: the columns are not of one length, or a type is none.

    """
    lengths = packed(message.lengths, "<u4", "lengths of paths").astype(np.int64)
    ids, links = ids_from_message(message.ids), packed(message.links, "<i4", "links of paths")
    ahead = packed(message.ahead, "u1", "directions of paths")
    types: list[str | None] = [*message.types, None]  # -1 is the last
    fits = len(lengths) == hits and lengths.sum() == len(ids) == len(links) == len(ahead)
    if not fits or (len(links) and not -1 <= links.min() <= links.max() < len(message.types)):
        raise InvalidInputError(f"the paths of {hits} hits do not fit together: was the result damaged on its way?")
    steps = [
        (value, types[link], bool(way)) for value, link, way in zip(ids, links.tolist(), ahead.tolist(), strict=True)
    ]
    ends = np.cumsum(lengths).tolist()
    return [tuple(steps[end - length : end]) for end, length in zip(ends, lengths.tolist(), strict=True)]
