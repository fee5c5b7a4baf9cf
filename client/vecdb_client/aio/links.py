"""Links over the wire: the methods of the embedded classes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import Message

from vecdb.errors import InvalidInputError
from vecdb.results import WriteResult
from vecdb.schema.given import flag
from vecdb.schema.links import LINK_BATCH, Direction, validated_links, with_attribute
from vecdb.wire import links as wire
from vecdb.wire import results, schemas
from vecdb.wire import rows as wire_rows
from vecdb_client import asked_links, methods
from vecdb_client.aio.transport import Connection, in_thread
from vecdb_client.asked import Place
from vecdb_client.methods import Method
from vecdb_client.requests import numbered, write_id
from vecdb_proto.v1 import link_service_pb2 as pb

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.arguments import RequestId
    from vecdb.filters import Expression
    from vecdb.schema.fields import Field
    from vecdb.schema.schema import Schema

R = TypeVar("R", bound=Message)


class LinkReads:
    """What can be asked about links."""

    name: str
    _connection: Connection
    _timeout: float | None

    @abstractmethod
    def _place(self) -> Place: ...

    @abstractmethod
    async def _call(self, method: Method[R], make: Callable[[Place], Message]) -> R: ...

    async def link_schema(self) -> Schema:
        """Return the columns of links: src, dst, type, weight, and the declared attributes."""
        place = self._place()
        request = pb.GetLinkSchemaRequest(collection=place.name, view=place.view)
        response = await self._connection.call(methods.GET_LINK_SCHEMA, request, self._timeout)
        return schemas.from_message(response.schema)

    async def neighbours(
        self,
        ids: Any,
        type: str | Sequence[str] | None = None,
        direction: Direction = "both",
        where: str | Expression | None = None,
        limit: int | None = None,
    ) -> pa.Table:
        """Return the links of one id, or of several, heaviest first; see `vecdb.Snapshot.neighbours`."""
        import pyarrow as pa

        response = await self._call(
            methods.NEIGHBOURS, lambda place: asked_links.neighbours(place, ids, type, direction, where, limit)
        )
        return pa.Table.from_batches([wire_rows.from_message(response.links)])

    async def links(
        self,
        src: Any = None,
        dst: Any = None,
        type: str | Sequence[str] | None = None,
        where: str | Expression | None = None,
        batch_rows: int = LINK_BATCH,
    ) -> AsyncIterator[pa.RecordBatch]:
        """Yield all links that pass, in batches, from one state; see `vecdb.Snapshot.links`."""
        request = asked_links.scan(self._place(), src, dst, type, where, batch_rows)
        schema = None
        async for response in self._connection.stream(methods.SCAN_LINKS, request, self._timeout):
            batch = wire_rows.from_message(response.links, schema)
            schema = batch.schema
            if batch.num_rows:
                yield batch

    async def degrees(
        self, ids: Any, type: str | Sequence[str] | None = None, where: str | Expression | None = None
    ) -> pa.Table:
        """Return how many links each id has: columns id, out, in; see `vecdb.Snapshot.degrees`."""
        response = await self._call(methods.DEGREES, lambda place: asked_links.degrees(place, ids, type, where))
        return asked_links.degrees_table(self._place(), ids, response)

    async def link_stats(self) -> dict[str, Any]:
        """Return how many links there are, of which types, how degrees spread, which ends dangle."""
        place = self._place()
        request = pb.GetLinkStatsRequest(collection=place.name, view=place.view)
        return wire.stats_from_message(await self._connection.call(methods.GET_LINK_STATS, request, self._timeout))


class Linked(LinkReads):
    """What a collection does with links."""

    _links: Schema | None = None

    @abstractmethod
    def _check_writable(self) -> None: ...

    async def link(
        self, edges: Any, *, directed: bool = True, request_id: RequestId | None = None, chunk: int | None = None
    ) -> WriteResult:
        """Store links between ids; see `vecdb.Collection.link`.

        They are checked here, and again by the server. More than fit into a message, 10,000, are stored in several
        steps. Every write has a request id, a random one by default: a call whose answer is lost is made again and has
        its effect once.
        """
        self._check_writable()
        directed, key = flag("directed", directed), write_id(request_id)
        own = numbered(request_id, chunk)
        last, rows, number = WriteResult(0, 0, False), 0, 0
        single = type(edges).__name__ != "RecordBatchReader"
        for part in [edges] if single else edges:
            batch = await self._checked_links(part)
            pieces = asked_links.chunks(batch)
            for piece in pieces:
                part = own if single and len(pieces) == 1 else number
                request = asked_links.link(self._place(), key, part, piece, directed)
                response = await self._connection.call(methods.LINK, request, self._timeout)
                last = results.write_from_message(response.result)
                rows, number = rows + last.rows, number + 1
        return WriteResult(last.lsn, rows, last.durable)

    async def _checked_links(self, edges: Any) -> pa.RecordBatch:
        """Return links as a batch that fits the attributes, which are asked for again where it does not."""
        if self._links is not None:
            try:
                return await in_thread(validated_links, edges, self._links)
            except InvalidInputError:
                known = self._links
                self._links = await self.link_schema()
                if self._links == known:
                    raise
        else:
            self._links = await self.link_schema()
        return await in_thread(validated_links, edges, self._links)

    async def unlink(
        self,
        edges: Any = None,
        *,
        src: Any = None,
        dst: Any = None,
        type: str | Sequence[str] | None = None,
        where: str | Expression | None = None,
        directed: bool = True,
        request_id: RequestId | None = None,
    ) -> WriteResult:
        """Delete links: those of a list, or all that match what is given; see `vecdb.Collection.unlink`."""
        self._check_writable()
        directed, key = flag("directed", directed), write_id(request_id)
        described = src is not None or dst is not None or type is not None or where is not None
        if (edges is None) != described:
            raise InvalidInputError("name the links to delete: either edges, or any of src, dst, type and where")
        response = await self._call(
            methods.UNLINK, lambda place: asked_links.unlink(place, key, edges, src, dst, type, where, directed)
        )
        return results.write_from_message(response.result)

    async def add_link_attribute(self, name: str, field: Field) -> None:
        """Declare an attribute of links: a Keyword, Int64, Float64, Bool or Timestamp. Links so far have no value."""
        self._check_writable()
        with_attribute(await self.link_schema(), name, field)
        request = pb.AddLinkAttributeRequest(
            collection=self.name, name=name, field=schemas.field_to_message(field.described())
        )
        response = await self._connection.call(methods.ADD_LINK_ATTRIBUTE, request, self._timeout)
        self._links = schemas.from_message(response.schema)
