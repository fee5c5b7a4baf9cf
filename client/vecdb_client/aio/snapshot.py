"""One version of a collection, pinned by the server."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from vecdb.errors import NotFoundError
from vecdb.wire import schemas
from vecdb_client import methods, views
from vecdb_client.aio.reads import Reads
from vecdb_client.aio.transport import Connection
from vecdb_proto.v1 import snapshot_service_pb2 as snapshots
from vecdb_proto.v1 import view_pb2

if TYPE_CHECKING:
    from vecdb.config import Limits
    from vecdb.encoders.attached import Attached
    from vecdb.filters import Expression
    from vecdb.schema.schema import Schema


class Snapshot(Reads):
    """One version of a collection; see `vecdb.Snapshot`.

    The server keeps it until it is closed. The client renews its lease of `lease` seconds for as long as somebody
    holds it here; of a client that is gone the server lets it go when the lease is over. Use it as a context manager.
    """

    def __init__(
        self,
        connection: Connection,
        name: str,
        opened: snapshots.OpenSnapshotResponse,
        encoders: Attached,
        limits: Limits,
        filters: tuple[Any, ...] = (),
    ) -> None:
        self.name = name
        self.encoders = encoders
        self.version: int = opened.version
        self.lsn: int = opened.lsn
        self.lease: float = opened.lease_seconds
        self._opened = opened
        self._schema = schemas.from_message(opened.schema)
        self._connection = connection
        self._filters = filters
        self._limits = limits
        self._timeout = limits.seconds
        for where in filters:
            views.check_restriction(where, self._schema)
        connection.keeper.keep(self)

    @property
    def schema(self) -> Schema:
        """The fields at this version."""
        return self._schema

    @property
    def _view(self) -> view_pb2.View | None:
        return views.to_message(self._filters, self._limits, self._opened.snapshot)

    async def _changed(self, schema: Schema) -> bool:
        return False

    def within(self, limits: Limits) -> Snapshot:
        """Return the same snapshot whose calls may take so many seconds, and hold so many bytes on the server, each."""
        limits = views.checked(limits)
        return Snapshot(self._connection, self.name, self._opened, self.encoders, limits, self._filters)

    def restricted(self, where: str | Expression) -> Snapshot:
        """Return this snapshot as it would be if the rows that do not pass a filter had been deleted."""
        filters = (*self._filters, where)
        return Snapshot(self._connection, self.name, self._opened, self.encoders, self._limits, filters)

    async def _renew(self) -> None:
        """Have the server keep it for another lease."""
        request = snapshots.KeepSnapshotRequest(collection=self.name, snapshot=self._opened.snapshot)
        await self._connection.call(methods.KEEP_SNAPSHOT, request)

    async def close(self) -> None:
        """Let the server forget it; reading it afterwards fails."""
        self._connection.keeper.forget(self)
        request = snapshots.CloseSnapshotRequest(collection=self.name, snapshot=self._opened.snapshot)
        with suppress(NotFoundError):  # its lease may be over
            await self._connection.call(methods.CLOSE_SNAPSHOT, request)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self._connection.closed:
            await self.close()

    def __repr__(self) -> str:
        return f"Snapshot({self.name!r}, version {self.version}, at {self._connection.address})"
