"""What the search service says of all rows at once."""

from __future__ import annotations

from typing import Any

from vecdb.overviews import AUTO
from vecdb.wire import overviews
from vecdb_proto.v1 import search_service_pb2 as pb
from vecdb_server.call import Call
from vecdb_server.services.shared import Shared, given


class Overviews:
    """Answers what is asked about all rows; a part of SearchService."""

    _shared: Shared

    def Summarise(self, request: pb.SummariseRequest, call: Call) -> pb.SummariseResponse:  # noqa: N802
        """Choose rows that stand for all."""
        snapshot, told = self._asked(request, call)
        found = snapshot.summarise(request.k, exact=request.exact, seed=request.seed, **told)
        return overviews.summary_to_message(found, snapshot.schema.id.field.type)

    def Sample(self, request: pb.SampleRequest, call: Call) -> pb.SampleResponse:  # noqa: N802
        """Draw rows."""
        snapshot, told = self._asked(request, call)
        found = snapshot.sample(request.k, request.method, seed=request.seed, **told)
        return overviews.sample_to_message(found, snapshot.schema.id.field.type)

    def Clusters(self, request: pb.ClustersRequest, call: Call) -> pb.ClustersResponse:  # noqa: N802
        """Group rows that are near each other."""
        snapshot, told = self._asked(request, call)
        found = snapshot.clusters(request.k if request.HasField("k") else AUTO, seed=request.seed, **told)
        return overviews.clusters_to_message(found, snapshot.schema.id.field.type)

    def Duplicates(self, request: pb.DuplicatesRequest, call: Call) -> pb.DuplicatesResponse:  # noqa: N802
        """Group rows that are nearly the same."""
        snapshot, told = self._asked(request, call)
        found = snapshot.duplicates(request.threshold, exact=request.exact, k=request.k, **told)
        return overviews.duplicates_to_message(found, snapshot.schema.id.field.type)

    def _asked(self, request: Any, call: Call) -> tuple[Any, dict[str, Any]]:
        """Return the state that is asked about, and which of its rows."""
        snapshot = self._shared.snapshot(request, call)
        return snapshot, {"where": self._shared.where(request.rows), **given(request.rows, "field")}
