"""Reading all rows, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

Cursor = Callable[[], str | None]


class Scan:
    """The rows of one state, an iterator of Arrow record batches.

    With `order_by`, `cursor` is the place behind the last row of the batch that came last:

        rows = docs.scan(order_by="added", after=kept)
        for batch in rows:
            ...
            kept = rows.cursor
    """

    def __init__(self, batches: Iterator[tuple[pa.RecordBatch, Cursor]]) -> None:
        self._batches = batches
        self._cursor: Cursor = lambda: None

    @property
    def cursor(self) -> str | None:
        """The place to read on from, for `scan(after=...)`; None before the first batch, and without `order_by`."""
        return self._cursor()

    def __iter__(self) -> Scan:
        return self

    def __next__(self) -> pa.RecordBatch:
        batch, self._cursor = next(self._batches)
        return batch
