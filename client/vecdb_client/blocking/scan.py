"""Reading all rows, batch by batch, over the wire.

Made of `vecdb_client/aio/scan.py` by `client/generate.py`: change that, and run it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import pyarrow as pa


class Scan:
    """The rows of one state, an iterator of Arrow record batches; see `vecdb.Scan`."""

    def __init__(self, responses: Iterator[Any], read: Callable[..., pa.RecordBatch]) -> None:
        self._responses = responses
        self._read = read
        self._schema: pa.Schema | None = None
        self._cursor: str | None = None

    @property
    def cursor(self) -> str | None:
        """The place to read on from, for `scan(after=...)`; None before the first batch, and without `order_by`."""
        return self._cursor

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> pa.RecordBatch:
        while True:
            response = self._responses.__next__()
            batch = self._read(response.rows, self._schema)
            self._schema = batch.schema
            self._cursor = response.cursor if response.HasField("cursor") else self._cursor
            if batch.num_rows:
                return batch
