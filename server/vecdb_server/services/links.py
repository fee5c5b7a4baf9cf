"""LinkService: links in and out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from vecdb.wire import links as wire
from vecdb.wire import results, rows, schemas, values
from vecdb_proto.v1 import link_service_pb2 as pb
from vecdb_proto.v1.result_pb2 import Progress as ProgressMessage
from vecdb_server.call import Call
from vecdb_server.services.progress import Progress, Tell
from vecdb_server.services.shared import Shared

if TYPE_CHECKING:
    from vecdb.results import Refreshed, WriteResult

BATCH_LINKS = 1 << 16


class LinkService:
    """Writes and reads links."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def Link(self, request: pb.LinkRequest, call: Call) -> pb.LinkResponse:  # noqa: N802
        """Store links."""
        view = self._shared.writable(request, call)
        done = view.link(
            rows.from_message(request.links, bounds=self._shared.bounds),
            directed=not request.undirected,
            request_id=request.request_id or None,
            chunk=request.chunk if request.HasField("chunk") else None,
        )
        return pb.LinkResponse(result=self._written(done))

    def Unlink(self, request: pb.UnlinkRequest, call: Call) -> pb.UnlinkResponse:  # noqa: N802
        """Delete links that are listed or described."""
        view = self._shared.writable(request, call)
        options: dict[str, Any] = {"directed": not request.undirected, "request_id": request.request_id or None}
        if request.WhichOneof("what") == "links":
            listed = rows.from_message(request.links, bounds=self._shared.bounds)
            done = view.unlink(listed, **options)
        else:
            what = request.described
            ends = {name: self._ids(what, name) for name in ("src", "dst")}
            done = view.unlink(**ends, **self._filter(what), **options)
        return pb.UnlinkResponse(result=self._written(done))

    def Neighbours(self, request: pb.NeighboursRequest, call: Call) -> pb.NeighboursResponse:  # noqa: N802
        """Return the links of some ids."""
        snapshot = self._shared.snapshot(request, call)
        found = snapshot.neighbours(
            self._ids(request, "ids") or [],
            direction=wire.direction_from_message(request.direction),  # pyright: ignore[reportArgumentType]
            limit=request.limit if request.HasField("limit") else None,
            **self._filter(request),
        )
        return pb.NeighboursResponse(links=rows.to_message(rows.one_batch([found])))

    def ScanLinks(self, request: pb.ScanLinksRequest, call: Call) -> Iterator[pb.ScanLinksResponse]:  # noqa: N802
        """Return all links that pass, batch by batch."""
        snapshot = self._shared.snapshot(request, call)
        ends: dict[str, Any] = {name: self._ids(request, name) for name in ("src", "dst")}
        most = min(request.batch_rows or BATCH_LINKS, BATCH_LINKS)
        first = True
        for batch in snapshot.links(**ends, **self._filter(request), batch_rows=most):
            yield pb.ScanLinksResponse(links=rows.to_message(batch, with_schema=first))
            first = False
        if first:
            nothing = snapshot.link_schema().arrow_schema().empty_table()
            yield pb.ScanLinksResponse(links=rows.to_message(rows.one_batch([nothing])))

    def Degrees(self, request: pb.DegreesRequest, call: Call) -> pb.DegreesResponse:  # noqa: N802
        """Count the links of some ids."""
        snapshot = self._shared.snapshot(request, call)
        found = snapshot.degrees(self._ids(request, "ids") or [], **self._filter(request))
        out, incoming = (np.asarray(found.column(name), "<i8").tobytes() for name in ("out", "in"))
        return pb.DegreesResponse(out=out, incoming=incoming)

    def GetLinkStats(self, request: pb.GetLinkStatsRequest, call: Call) -> pb.GetLinkStatsResponse:  # noqa: N802
        """Count the links."""
        return wire.stats_to_message(self._shared.snapshot(request, call).link_stats())

    def GetLinkSchema(self, request: pb.GetLinkSchemaRequest, call: Call) -> pb.GetLinkSchemaResponse:  # noqa: N802
        """Return the columns of links."""
        schema = self._shared.snapshot(request, call).link_schema()
        return pb.GetLinkSchemaResponse(schema=schemas.to_message(schema))

    def AddLinkAttribute(self, request: pb.AddLinkAttributeRequest, call: Call) -> pb.AddLinkAttributeResponse:  # noqa: N802
        """Declare an attribute."""
        collection = self._shared.served.collection(request.collection, call)
        collection.add_link_attribute(request.name, schemas.field_from_message(request.field))
        return pb.AddLinkAttributeResponse(schema=schemas.to_message(collection.link_schema()))

    def RefreshSimilar(  # noqa: N802
        self, request: pb.RefreshSimilarRequest, call: Call
    ) -> Iterator[pb.RefreshSimilarResponse]:
        """Bring the links between rows that are alike up to date."""
        collection = self._shared.served.collection(request.collection, call)
        self._shared.check_most("k", request.k, self._shared.config.limits.k)

        def refresh(tell: Tell) -> Refreshed:
            return collection.refresh_similar(
                request.field,
                request.k,
                least=request.least,
                exact=request.exact,
                type=request.type,
                progress=lambda done, total: tell("similar", done, total),
            )

        work = Progress(refresh)
        for stage, done, total in work:
            yield pb.RefreshSimilarResponse(progress=ProgressMessage(stage=stage, done=done, total=total))
        told = work.result
        made = pb.RefreshSimilarResponse.Done(searched=told.searched, written=told.written, deleted=told.deleted)
        yield pb.RefreshSimilarResponse(done=made)

    # -- what they share -------------------------------------------------------------------------------------------

    def _ids(self, message: Any, name: str) -> list[Any] | None:
        """Return the ids of a message that may have some."""
        if not message.HasField(name):
            return None
        ids = values.ids_from_message(getattr(message, name))
        self._shared.check_most(name, len(ids), self._shared.config.limits.rows_per_request)
        return ids

    def _filter(self, message: Any) -> dict[str, Any]:
        if not message.HasField("filter"):
            return {"type": None, "where": None}
        return {"type": wire.types_from_message(message.filter), "where": self._shared.where(message.filter)}

    def _written(self, done: WriteResult) -> Any:
        self._shared.metrics.rows_written.inc(done.rows)
        return results.write_to_message(done)
