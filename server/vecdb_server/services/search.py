"""SearchService: queries, many queries, pages, and what is measured of them.

`Search` is what clients call most; see `nearest` for the usual query.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from vecdb.errors import InvalidInputError
from vecdb.query.arms import Near
from vecdb.query.value import Numbers
from vecdb.wire import reports, results, values
from vecdb_proto.v1 import search_service_pb2 as pb
from vecdb_server.call import Call
from vecdb_server.services.batches import answers
from vecdb_server.services.highlights import highlights
from vecdb_server.services.nearest import Remembered, is_plain
from vecdb_server.services.overviews import Overviews
from vecdb_server.services.shared import Shared, given

if TYPE_CHECKING:
    from vecdb.reads import Snapshot
    from vecdb.results import SearchResult

_EFFORT = "recall", "ef", "probes", "plan"


class SearchService(Overviews):
    """Answers queries."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._remembered = Remembered(shared)

    def Search(self, request: pb.SearchRequest, call: Call) -> pb.SearchResponse:  # noqa: N802
        """Answer one query."""
        snapshot = self._shared.snapshot(request, call)
        answer = self._remembered.answer(snapshot, request)
        if answer is not None:
            return answer
        message = request.query
        found = self._remembered.run(snapshot, request, self._shared.query)
        response = pb.SearchResponse()
        self._write(response.result, snapshot, found, message, request.explain, not request.without_cursor)
        return response

    def SearchBatch(self, request: pb.SearchBatchRequest, call: Call) -> Iterator[pb.SearchBatchResponse]:  # noqa: N802
        """Answer many queries."""
        snapshot = self._shared.snapshot(request, call)
        yield from answers(self._shared, snapshot, request, self._shared.query)

    def SearchStream(self, request: pb.SearchStreamRequest, call: Call) -> Iterator[pb.SearchStreamResponse]:  # noqa: N802
        """Answer one query page by page."""
        snapshot = self._shared.snapshot(request, call)
        message = request.query
        for found in self._pages(snapshot, message, request.exhaustive):
            response = pb.SearchStreamResponse()
            self._write(response.result, snapshot, found, message, request.explain)
            yield response

    def Explain(self, request: pb.ExplainRequest, call: Call) -> pb.ExplainResponse:  # noqa: N802
        """Tell how a query is carried out."""
        snapshot = self._shared.snapshot(request, call)
        told = snapshot.explain(self._shared.query(request.query), request.analyze)
        return pb.ExplainResponse(explanation=reports.explanation_to_message(told))

    def Highlight(self, request: pb.HighlightRequest, call: Call) -> pb.HighlightResponse:  # noqa: N802
        """Show the words of a query in the texts of some rows."""
        snapshot = self._shared.snapshot(request, call)
        ids = values.ids_from_message(request.ids)
        self._shared.check_most("ids", len(ids), self._shared.config.limits.k)
        response = pb.HighlightResponse()
        for row in highlights(snapshot, self._shared.query(request.query), ids, request.length):
            told = response.rows.add()
            for name, highlight in row.items():
                told.fields[name].CopyFrom(reports.highlight_to_message(highlight))
        return response

    def Facets(self, request: pb.FacetsRequest, call: Call) -> pb.FacetsResponse:  # noqa: N802
        """Count the values of fields."""
        snapshot = self._shared.snapshot(request, call)
        self._shared.check_most("k", request.k, self._shared.config.limits.k)
        fields = reports.facet_fields_from_message(request.fields)
        asked = self._shared.query(request.query) if request.HasField("query") else None
        found = snapshot.facets(fields, self._shared.where(request), request.k, query=asked)
        return pb.FacetsResponse(facets=reports.facets_to_message(found))

    def Recall(self, request: pb.RecallRequest, call: Call) -> pb.RecallResponse:  # noqa: N802
        """Compare searches with exact ones."""
        snapshot = self._shared.snapshot(request, call)
        limits = self._shared.config.limits
        self._shared.check_most("k", request.k, limits.k)
        self._shared.check_most("sample", request.sample, limits.queries_per_batch)
        report = snapshot.recall(
            questions(request, limits.queries_per_batch),
            sample=request.sample,
            k=request.k,
            where=self._shared.where(request),
            **given(request, "field", *_EFFORT),
        )
        return pb.RecallResponse(report=reports.recall_to_message(report))

    def _pages(self, snapshot: Snapshot, message: Any, exhaustive: bool) -> Iterator[SearchResult]:
        if not exhaustive:
            return snapshot.run_iter(self._shared.query(message))
        by_vector = type(message)()
        by_vector.CopyFrom(message)
        for one in by_vector.arms:
            if one.near.WhichOneof("query") == "text":  # the server's encoder makes a vector of it
                one.near.vector.SetInParent()
        if not is_plain(snapshot.schema, by_vector):
            raise InvalidInputError("exhaustive pages are those of one vector and nothing else", field="exhaustive")
        query = self._shared.query(message)
        (arm,) = query.arms
        assert isinstance(arm, Near)
        sought: dict[str, Any] = {arm.field: arm.vector.array if isinstance(arm.vector, Numbers) else arm.vector}
        return snapshot.search_iter(
            query.k,
            query.filter,
            query.fields,
            exact=query.exact,
            recall=arm.recall,
            **sought,
        )

    @staticmethod
    def _write(
        message: Any, snapshot: Snapshot, found: SearchResult, query: Any, explain: bool, cursor: bool = True
    ) -> None:
        wanted = not (query.HasField("fields") and not query.fields.names)
        results.write(message, found, snapshot.schema, fields=wanted, explain=explain, cursor=cursor)


def questions(request: Any, most: int) -> Any:
    """Return what `recall` and `tune` are asked to ask: matrices, texts, or None for rows of the collection."""
    kind = request.WhichOneof("queries")
    if kind is None:
        return None
    given = getattr(request, kind)
    count = given.rows if kind == "vectors" else len(given.values)
    if count > most:
        raise InvalidInputError(f"there are {count} queries, the server takes at most {most}", field="queries")
    name = request.field if request.HasField("field") else "queries"
    if kind == "vectors":
        return values.matrix_from_message(given, name)
    return [values.matrix_from_message(one, name) for one in given.values] if kind == "tokens" else list(given.values)
