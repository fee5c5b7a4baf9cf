"""Reading all rows, batch by batch, over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import pyarrow as pa


class Scan:
    """The rows of one state, an iterator of Arrow record batches; see `vecdb.Scan`."""

    def __init__(self, responses: AsyncIterator[Any], read: Callable[..., pa.RecordBatch]) -> None:
        self._responses = responses
        self._read = read
        self._schema: pa.Schema | None = None
        self._cursor: str | None = None

    @property
    def cursor(self) -> str | None:
        """The place to read on from, for `scan(after=...)`; None before the first batch, and without `order_by`."""
        return self._cursor

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        while True:
            response = await self._responses.__anext__()
            batch = self._read(response.rows, self._schema)
            self._schema = batch.schema
            self._cursor = response.cursor if response.HasField("cursor") else self._cursor
            if batch.num_rows:
                return batch
