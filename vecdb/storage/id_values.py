"""Ids of an Arrow array as Python values, some at a time, without what Arrow costs for each value or call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from vecdb.storage.keys import Id


class IdValues:
    """Reads places of an array of ids, int64 or string, none of which is null."""

    __slots__ = ("_places", "_text")

    def __init__(self, ids: pa.Array) -> None:
        first, count, buffers = ids.offset, len(ids), ids.buffers()
        self._places: Any
        self._text: memoryview | None = None
        if ids.type == pa.int64():
            self._places = np.frombuffer(buffers[1] or b"", np.int64)[first : first + count]
        else:  # one place after the other is read fastest through a memoryview
            self._places = memoryview(buffers[1] or b"").cast("i")[first : first + count + 1]
            self._text = memoryview(buffers[2] or b"")

    def at(self, rows: np.ndarray) -> list[Id]:
        """Return the ids at some places."""
        places, text = self._places, self._text
        if text is None:
            return places[rows].tolist()
        return [str(text[places[row] : places[row + 1]], "utf-8") for row in rows.tolist()]
