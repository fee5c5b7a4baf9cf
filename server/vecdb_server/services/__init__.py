"""The services, one file each. They get requests that the guard let in, and call the embedded classes."""

from __future__ import annotations

import grpc

from vecdb_proto.v1 import (
    admin_service_pb2_grpc,
    collection_service_pb2_grpc,
    link_service_pb2_grpc,
    record_service_pb2_grpc,
    search_service_pb2_grpc,
    snapshot_service_pb2_grpc,
)
from vecdb_server.services.admin import AdminService
from vecdb_server.services.collections import CollectionService
from vecdb_server.services.links import LinkService
from vecdb_server.services.records import RecordService
from vecdb_server.services.search import SearchService
from vecdb_server.services.shared import Shared
from vecdb_server.services.snapshots import SnapshotService

NAMES = tuple(f"vecdb.v1.{name}Service" for name in ("Admin", "Collection", "Link", "Record", "Search", "Snapshot"))
"""The full names of the services."""


def add_all(server: grpc.Server, shared: Shared) -> None:
    """Add every service to a server.

    The stubs expect `(request, context)`; the guard gives `(request, call)` in its place.
    """
    admin_service_pb2_grpc.add_AdminServiceServicer_to_server(AdminService(shared), server)  # pyright: ignore
    collection_service_pb2_grpc.add_CollectionServiceServicer_to_server(CollectionService(shared), server)  # pyright: ignore
    link_service_pb2_grpc.add_LinkServiceServicer_to_server(LinkService(shared), server)  # pyright: ignore
    record_service_pb2_grpc.add_RecordServiceServicer_to_server(RecordService(shared), server)  # pyright: ignore
    search_service_pb2_grpc.add_SearchServiceServicer_to_server(SearchService(shared), server)  # pyright: ignore
    snapshot_service_pb2_grpc.add_SnapshotServiceServicer_to_server(SnapshotService(shared), server)  # pyright: ignore
