"""SnapshotService: states that stay, and the names of versions."""

from __future__ import annotations

from typing import Any

from vecdb.errors import InvalidInputError
from vecdb.wire import schemas
from vecdb_proto.v1 import snapshot_service_pb2 as pb
from vecdb_server.call import Call
from vecdb_server.services.shared import Shared


class SnapshotService:
    """Pins, names and lists the versions of a collection."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def OpenSnapshot(self, request: pb.OpenSnapshotRequest, call: Call) -> pb.OpenSnapshotResponse:  # noqa: N802
        """Hold a state."""
        longest = self._shared.config.limits.snapshot_seconds
        asked = request.lease_seconds
        if not 0 <= asked < float("inf"):
            raise InvalidInputError(f"lease_seconds is {asked}, expected 0 or more", field="lease_seconds", value=asked)
        seconds = min(asked or longest, longest)
        state = self._shared.state(request.collection, request, call)
        token = self._shared.leases.open(state, call.principal.name, seconds)
        return pb.OpenSnapshotResponse(
            snapshot=token,
            lease_seconds=seconds,
            version=state.version,
            lsn=state.lsn,
            schema=schemas.to_message(state.schema),
        )

    def KeepSnapshot(self, request: pb.KeepSnapshotRequest, call: Call) -> pb.KeepSnapshotResponse:  # noqa: N802
        """Renew a lease."""
        seconds = self._shared.leases.renew(request.snapshot, request.collection, call.principal.name)
        return pb.KeepSnapshotResponse(lease_seconds=seconds)

    def CloseSnapshot(self, request: pb.CloseSnapshotRequest, call: Call) -> pb.CloseSnapshotResponse:  # noqa: N802
        """Let a state go."""
        self._shared.leases.close(request.snapshot, request.collection, call.principal.name)
        return pb.CloseSnapshotResponse()

    def Tag(self, request: pb.TagRequest, call: Call) -> pb.TagResponse:  # noqa: N802
        """Publish a version that is kept."""
        return pb.TagResponse(version=self._collection(request, call).tag(request.tag))

    def Untag(self, request: pb.UntagRequest, call: Call) -> pb.UntagResponse:  # noqa: N802
        """Let a version expire."""
        self._collection(request, call).untag(request.tag)
        return pb.UntagResponse()

    def ListTags(self, request: pb.ListTagsRequest, call: Call) -> pb.ListTagsResponse:  # noqa: N802
        """Return the version of each tag."""
        return pb.ListTagsResponse(tags=self._collection(request, call).tags())

    def ListVersions(self, request: pb.ListVersionsRequest, call: Call) -> pb.ListVersionsResponse:  # noqa: N802
        """Return the versions that can be read."""
        versions = [pb.Version(**told) for told in self._collection(request, call).versions()]
        return pb.ListVersionsResponse(versions=versions)

    def _collection(self, request: Any, call: Call) -> Any:
        return self._shared.served.collection(request.collection, call)
