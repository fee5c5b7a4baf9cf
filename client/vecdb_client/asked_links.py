"""Requests about links, made of arguments as users pass them, and what comes of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vecdb.arguments import AT_ONCE, ids_of, rows_asked, vector_column
from vecdb.filters import parse, resolve
from vecdb.schema.given import finite, flag
from vecdb.schema.links import DST, SRC, direction_of, ends_of, link_schema, type_of, types_of
from vecdb.wire import links as wire
from vecdb.wire import rows
from vecdb.wire.values import ids_to_message
from vecdb_client.asked import Place
from vecdb_proto.v1 import link_service_pb2 as pb

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb_proto.v1 import values_pb2

LINKS = 10_000
"""More links than these go in chunks."""


def ids(place: Place, given: Any) -> values_pb2.Ids | None:
    """Return ids that may be left out."""
    if given is None:
        return None
    return ids_to_message(ids_of(place.schema.id, given, place.name)[0], place.schema.id.field.type)


def link_filter(type: Any, where: Any) -> pb.LinkFilter | None:
    """Return which links count."""
    types = types_of(type)
    expression = parse(where) if isinstance(where, str) else resolve(where)
    return wire.filter_to_message(None if types is None else sorted(types), expression)


def neighbours(place: Place, given: Any, type: Any, direction: Any, where: Any, limit: Any) -> pb.NeighboursRequest:
    """Return the request for the links of some ids."""
    return pb.NeighboursRequest(
        collection=place.name,
        view=place.view,
        ids=ids(place, [] if given is None else given),
        direction=wire.DIRECTIONS[direction_of(direction)],
        filter=link_filter(type, where),
        limit=None if limit is None else rows_asked(limit, "limit", AT_ONCE),
    )


def scan(place: Place, src: Any, dst: Any, type: Any, where: Any, batch_rows: Any) -> pb.ScanLinksRequest:
    """Return the request for all links that pass."""
    return pb.ScanLinksRequest(
        collection=place.name,
        view=place.view,
        src=ids(place, src),
        dst=ids(place, dst),
        filter=link_filter(type, where),
        batch_rows=rows_asked(batch_rows, "batch_rows", AT_ONCE),
    )


def degrees(place: Place, given: Any, type: Any, where: Any) -> pb.DegreesRequest:
    """Return the request for the degrees of some ids."""
    return pb.DegreesRequest(
        collection=place.name, view=place.view, ids=ids(place, given), filter=link_filter(type, where)
    )


def degrees_table(place: Place, given: Any, response: pb.DegreesResponse) -> pa.Table:
    """Return the degrees of an answer beside their ids."""
    import pyarrow as pa

    listed = ids_of(place.schema.id, given, place.name)[0]
    out, incoming = wire.degrees_from_message(response, len(listed))
    column = pa.array(listed, place.schema.id.field.arrow_type)
    return pa.table([column, pa.array(out), pa.array(incoming)], names=["id", "out", "in"])


def chunks(batch: pa.RecordBatch) -> Sequence[pa.RecordBatch]:
    """Return links in pieces that fit into a message each."""
    return [batch.slice(begin, LINKS) for begin in range(0, max(batch.num_rows, 1), LINKS)]


def link(place: Place, key: bytes, chunk: int | None, batch: pa.RecordBatch, directed: bool) -> pb.LinkRequest:
    """Return the request to store links."""
    return pb.LinkRequest(
        collection=place.name,
        view=place.view,
        request_id=key,
        chunk=chunk,
        links=rows.to_message(batch),
        undirected=not directed,
    )


def unlink(
    place: Place, key: bytes, edges: Any, src: Any, dst: Any, type: Any, where: Any, directed: bool
) -> pb.UnlinkRequest:
    """Return the request to delete links that are listed or described."""
    request = pb.UnlinkRequest(collection=place.name, view=place.view, request_id=key, undirected=not directed)
    if edges is not None:
        request.links.CopyFrom(rows.to_message(_ends(place, edges)))
    else:
        described = pb.UnlinkRequest.Described(
            src=ids(place, src), dst=ids(place, dst), filter=link_filter(type, where)
        )
        request.described.CopyFrom(described)
    return request


def _ends(place: Place, edges: Any) -> pa.RecordBatch:
    """Return what names links: source, destination, and the type where it is given."""
    batch, typed = ends_of(edges, link_schema(place.schema.id.field))
    return batch if typed else batch.select([SRC, DST])


def refresh_similar(place: Place, field: str, k: Any, least: Any, exact: Any, type: Any) -> pb.RefreshSimilarRequest:
    """Return the request to bring the links between rows that are alike up to date.

    Raises:
        InvalidInputError: an argument is of another kind than it should be.

    """
    return pb.RefreshSimilarRequest(
        collection=place.name,
        field=vector_column(place.schema, field).name,
        k=rows_asked(k, most=1000),
        least=finite("least", least),
        exact=flag("exact", exact),
        type=type_of(type),
    )
