"""What can be asked of a collection over the wire: the methods of the embedded classes.

A request is made with the fields that the client knows. Where that fails and the fields have changed meanwhile, it is
made again with the new ones, so that a caller never sees that somebody else changed them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import Message

from vecdb.arguments import ids_of
from vecdb.errors import InvalidInputError
from vecdb.explanation import Explanation
from vecdb.facets import Facets
from vecdb.results import RecallReport, SearchResult
from vecdb.schema.given import listed
from vecdb.wire import overviews, queries, reports, results
from vecdb.wire import rows as wire_rows
from vecdb.wire.values import from_json
from vecdb_client import asked, asked_overviews, asked_rows, methods
from vecdb_client.aio.links import LinkReads
from vecdb_client.aio.scan import Scan
from vecdb_client.aio.transport import Connection
from vecdb_client.asked import Place
from vecdb_client.asked_nearest import Templates, Written, as_message
from vecdb_client.methods import Method
from vecdb_proto.v1.search_service_pb2 import SearchBatchRequest, SearchRequest

if TYPE_CHECKING:
    from vecdb.encoders.attached import Attached
    from vecdb.filters import Expression
    from vecdb.highlights import Highlight
    from vecdb.overviews import Clusters, Duplicates, Sample, Summary
    from vecdb.query.arms import Strategy
    from vecdb.query.fusion import Fusion
    from vecdb.query.query import Query
    from vecdb.schema.schema import Schema
    from vecdb_proto.v1 import query_pb2, result_pb2, view_pb2

R = TypeVar("R", bound=Message)

BATCH_ROWS = 8192


class Reads(LinkReads):
    """What can be asked of the latest state of a collection, or of a snapshot."""

    name: str
    encoders: Attached
    _connection: Connection
    _timeout: float | None
    _templates: Templates | None = None

    @property
    @abstractmethod
    def schema(self) -> Schema:
        """The fields."""

    @property
    @abstractmethod
    def _view(self) -> view_pb2.View | None:
        """Which state is read, and which of its rows; None: all of the latest."""

    @abstractmethod
    async def _changed(self, schema: Schema) -> bool:
        """Look whether the fields are still these, and keep the new ones."""

    async def search(
        self,
        k: int = 10,
        where: str | Expression | None = None,
        fields: Sequence[str] | None = None,
        *,
        exact: bool = False,
        recall: float | None = None,
        ef: int | None = None,
        probes: int | None = None,
        plan: str | None = None,
        fetch: int | None = None,
        fusion: Fusion | str | None = None,
        min_score: float | None = None,
        cut: Any = None,
        group_by: str | None = None,
        per_group: int = 1,
        order_by: str | Sequence[str] | None = None,
        select: Any = None,
        after: str | None = None,
        allow_partial: bool = False,
        **arms: Any,
    ) -> SearchResult:
        """Return the k best rows for a vector, for words, or for several of them; see `vecdb.Snapshot.search`."""
        explain = self._connection.settings.explain

        def make(place: Place) -> SearchRequest | Written:
            return asked.search(
                place, arms, explain, k=k, where=where, fields=fields, exact=exact, recall=recall, ef=ef,
                probes=probes, plan=plan, fetch=fetch, fusion=fusion, min_score=min_score, cut=cut,
                group_by=group_by, per_group=per_group, order_by=order_by, select=select, after=after,
                allow_partial=allow_partial,
            )  # fmt: skip

        return await self._searched(make)

    async def run(self, query: Query) -> SearchResult:
        """Answer a query, a value that says everything; see `vecdb.Snapshot.run`.

        A stage that calls a Python function cannot be sent.
        """
        explain = self._connection.settings.explain
        return await self._searched(lambda place: asked.run(place, asked.checked(query), explain))

    async def _searched(self, make: Callable[[Place], SearchRequest | Written]) -> SearchResult:
        schema = self.schema
        try:
            request = make(self._place())
            response = await self._connection.call(methods.SEARCH, request, self._timeout)
        except InvalidInputError:
            if not await self._changed(schema):
                raise
            request = make(self._place())
            response = await self._connection.call(methods.SEARCH, request, self._timeout)
        return self._result(request, response.result)

    def _highlighting(self, query: query_pb2.Query) -> Callable[[list[Any], int], Any]:
        """Return what finds the highlights of a query's hits."""

        async def highlights(ids: list[Any], length: int) -> list[dict[str, Highlight]]:
            if not ids or not asked_rows.matches_words(query):
                return [{} for _ in ids]
            request = asked_rows.highlight(self._place(), query, ids, length)
            response = await self._connection.call(methods.HIGHLIGHT, request, self._timeout)
            return [
                {name: reports.highlight_from_message(one) for name, one in row.fields.items()} for row in response.rows
            ]

        return highlights

    def _explaining(self, request: SearchRequest, told: bytes) -> Callable[[], Any]:
        """Return what tells how the hits of a request were found: what came with them, or by asking again."""

        async def explain() -> dict[str, Any]:
            if told:
                return from_json(told)
            response = await self._connection.call(methods.SEARCH, asked.explained(request), self._timeout)
            return from_json(response.result.explain)

        return explain

    def _result(self, request: SearchRequest | Written, message: result_pb2.SearchResult) -> SearchResult:
        asking = _Asked(self, request, message.explain)
        message.ClearField("explain")  # `asking` has it, so that asyncio results are awaited in either case
        query = asking.query if request.without_cursor else None
        return results.from_message(message, asking.highlights, asking.explain, query)

    async def explain(self, query: Query, analyze: bool = False) -> Explanation:
        """Tell how a query is carried out, with `analyze` by running it; see `vecdb.Snapshot.explain`."""
        asked.checked(query)
        response = await self._call(methods.EXPLAIN, lambda place: asked.explain(place, query, analyze))
        return reports.explanation_from_message(response.explanation, query)

    async def run_batch(self, queries: Sequence[Query]) -> list[SearchResult]:
        """Answer several queries at once, from one state; see `vecdb.Snapshot.run_batch`."""
        explain = self._connection.settings.explain
        given = listed("queries", queries, "queries")
        request, _, found = await self._batch(lambda place: asked.batch(place, given, explain))
        return [self._one_of(request, at, message) for at, message in enumerate(found)]

    async def search_batch(
        self,
        k: int = 10,
        where: str | Expression | Sequence[str | Expression | None] | None = None,
        fields: Sequence[str] | None = None,
        *,
        exact: bool = False,
        recall: float | None = None,
        ef: int | None = None,
        probes: int | None = None,
        plan: str | None = None,
        allow_partial: bool = False,
        **vectors: Any,
    ) -> list[SearchResult]:
        """Return one result per row of a matrix of queries; see `vecdb.Snapshot.search_batch`."""
        explain = self._connection.settings.explain

        def make(place: Place) -> SearchBatchRequest:
            return asked.alike(
                place, vectors, where, explain, k=k, fields=fields, exact=exact, recall=recall, ef=ef, probes=probes,
                plan=plan, allow_partial=allow_partial,
            )  # fmt: skip

        request, alike, others = await self._batch(make)
        if others:
            return [self._one_of(request, at, message) for at, message in enumerate(others)]
        found: list[SearchResult] = []
        for message in alike:
            places = range(len(found), len(found) + len(message.counts) // 4)
            asking = [_Later(self, request, at) for at in places]
            for one, told in zip(asking, message.explains, strict=False):
                one.told = told
            del message.explains[:]
            found += results.alike_from_message(
                message, [one.highlights for one in asking], [one.explain for one in asking]
            )
        return found

    def _one_of(self, request: SearchBatchRequest, at: int, message: result_pb2.SearchResult) -> SearchResult:
        return self._result(asked.one_of(self._place(), request, at), message)

    async def _batch(
        self, make: Callable[[Place], SearchBatchRequest]
    ) -> tuple[SearchBatchRequest, list[Any], list[Any]]:
        """Return the request of a batch and its answers: those of queries that are alike, and the others."""
        schema = self.schema
        try:
            return await self._batch_once(make)
        except InvalidInputError:
            if not await self._changed(schema):
                raise
        return await self._batch_once(make)

    async def _batch_once(
        self, make: Callable[[Place], SearchBatchRequest]
    ) -> tuple[SearchBatchRequest, list[Any], list[Any]]:
        alike: list[Any] = []
        others: list[Any] = []
        request = make(self._place())
        async for response in self._connection.stream(methods.SEARCH_BATCH, request, self._timeout):
            if response.HasField("alike"):
                alike.append(response.alike)
            others.extend(response.results)
        return request, alike, others

    def search_iter(
        self,
        k: int = 100,
        where: str | Expression | None = None,
        fields: Sequence[str] | None = None,
        *,
        exact: bool = False,
        recall: float | None = None,
        **arms: Any,
    ) -> AsyncIterator[SearchResult]:
        """Yield pages of k hits, best first, as far as you care to read; see `vecdb.Snapshot.search_iter`."""
        query = asked.pages(self._place(), k, where, fields, exact, recall, arms)
        return self._pages(query, asked.goes_on(self.schema, query))

    def run_iter(self, query: Query) -> AsyncIterator[SearchResult]:
        """Yield all pages of a query, from one state; see `vecdb.Snapshot.run_iter`."""
        return self._pages(asked.checked(query), False)

    async def _pages(self, query: Query, exhaustive: bool) -> AsyncIterator[SearchResult]:
        request = asked.stream(self._place(), query, exhaustive, True)  # a page cannot be asked for again
        single = SearchRequest(query=request.query)
        async for response in self._connection.stream(methods.SEARCH_STREAM, request, self._timeout):
            yield self._result(single, response.result)

    async def similar_to(
        self,
        ids: Any,
        not_like: Any = (),
        strategy: Strategy = "average",
        *,
        field: str | None = None,
        k: int = 10,
        where: str | Expression | None = None,
        fields: Sequence[str] | None = None,
        exact: bool = False,
        recall: float | None = None,
        after: str | None = None,
    ) -> SearchResult:
        """Return the k best rows near some rows, and not near others; see `vecdb.Snapshot.similar_to`."""
        explain = self._connection.settings.explain

        def make(place: Place) -> SearchRequest | Written:
            query = asked.like(
                place, ids, not_like, strategy, field=field, k=k, where=where, fields=fields, exact=exact,
                recall=recall, after=after,
            )  # fmt: skip
            return asked.run(place, query, explain)

        return await self._searched(make)

    async def summarise(
        self,
        k: int = 10,
        where: str | Expression | None = None,
        *,
        field: str | None = None,
        exact: bool = False,
        seed: int = 0,
    ) -> Summary:
        """Return k rows that together stand for all; see `vecdb.Snapshot.summarise`."""
        make = partial(asked_overviews.summarise, k=k, where=where, field=field, exact=exact, seed=seed)
        return overviews.summary_from_message(await self._call(methods.SUMMARISE, make))

    async def sample(
        self,
        k: int,
        method: str = "coreset",
        where: str | Expression | None = None,
        *,
        field: str | None = None,
        seed: int = 0,
    ) -> Sample:
        """Return rows that were drawn, and for how many each counts; see `vecdb.Snapshot.sample`."""
        make = partial(asked_overviews.sample, k=k, method=method, where=where, field=field, seed=seed)
        return overviews.sample_from_message(await self._call(methods.SAMPLE, make))

    async def clusters(
        self,
        k: int | str = "auto",
        where: str | Expression | None = None,
        *,
        field: str | None = None,
        seed: int = 0,
    ) -> Clusters:
        """Return groups of rows that are near each other; see `vecdb.Snapshot.clusters`."""
        make = partial(asked_overviews.clusters, k=k, where=where, field=field, seed=seed)
        return overviews.clusters_from_message(await self._call(methods.CLUSTERS, make))

    async def duplicates(
        self,
        threshold: float = 0.95,
        where: str | Expression | None = None,
        *,
        field: str | None = None,
        exact: bool = False,
        k: int = 1000,
    ) -> Duplicates:
        """Return groups of rows that are nearly the same; see `vecdb.Snapshot.duplicates`."""
        make = partial(asked_overviews.duplicates, threshold=threshold, where=where, field=field, exact=exact, k=k)
        return overviews.duplicates_from_message(await self._call(methods.DUPLICATES, make))

    async def facets(
        self,
        fields: str | Sequence[str] | dict[str, Any],
        where: str | Expression | None = None,
        k: int = 10,
        *,
        query: Query | None = None,
    ) -> Facets:
        """Count how often the values of fields occur; see `vecdb.Snapshot.facets`."""
        response = await self._call(methods.FACETS, lambda place: asked_rows.facets(place, fields, where, k, query))
        return reports.facets_from_message(response.facets, asked_rows.edges_of(fields))

    async def recall(
        self,
        queries: Any = None,
        *,
        field: str | None = None,
        sample: int = 100,
        k: int = 10,
        where: str | Expression | None = None,
        recall: float | None = None,
        ef: int | None = None,
        probes: int | None = None,
        plan: str | None = None,
    ) -> RecallReport:
        """Measure searches against the exact scan, on the server; see `vecdb.Snapshot.recall`."""

        def make(place: Place) -> Message:
            return asked.recall(
                place, queries, field=field, sample=sample, k=k, where=where, recall=recall, ef=ef, probes=probes,
                plan=plan,
            )  # fmt: skip

        return reports.recall_from_message((await self._call(methods.RECALL, make)).report)

    async def get(self, ids: Any, fields: Sequence[str] | None = None) -> Any:
        """Return the record of an id, or None; for a list of ids a list. See `vecdb.Snapshot.get`."""
        given, single = self.checked_ids(ids)
        response = await self._call(methods.GET, lambda place: asked_rows.get(place, given, fields))
        records = asked_rows.records_of(response, len(given))
        return records[0] if single else records

    def checked_ids(self, ids: Any) -> tuple[list[str | int], bool]:
        """Return ids as plain Python values, and whether it was one id and not many; see `vecdb.Snapshot`."""
        return ids_of(self.schema.id, ids, self.name)

    async def count(self, where: str | Expression | None = None) -> int:
        """Return how many rows there are, or how many pass a filter."""
        return (await self._call(methods.COUNT, lambda place: asked_rows.count(place, where))).count

    # blocking: def __len__(self) -> int:
    # blocking:     return self.count()
    # blocking:
    def scan(
        self,
        where: str | Expression | None = None,
        fields: Sequence[str] | None = None,
        batch_rows: int = BATCH_ROWS,
        *,
        order_by: str | Sequence[str] | None = None,
        after: str | None = None,
    ) -> Scan:
        """Return an iterator over all rows that pass, in batches, from one state; see `vecdb.Snapshot.scan`."""
        request = asked_rows.scan(self._place(), where, fields, batch_rows, order_by, after)
        return Scan(self._connection.stream(methods.SCAN, request, self._timeout), wire_rows.from_message)

    # -- what they share -------------------------------------------------------------------------------------------

    def _place(self) -> Place:
        schema, templates = self.schema, self._templates
        if templates is None or templates.schema is not schema:
            templates = self._templates = Templates(schema)
        return Place(self.name, templates, self._view, self.encoders)

    async def _call(self, method: Method[R], make: Callable[[Place], Message]) -> R:
        """Return the answer to a request, made again where it failed and the fields have changed meanwhile."""
        schema = self.schema
        try:
            return await self._connection.call(method, make(self._place()), self._timeout)
        except InvalidInputError:
            if not await self._changed(schema):
                raise
        return await self._connection.call(method, make(self._place()), self._timeout)


class _Asked:
    """What of an answer is asked for when somebody looks."""

    __slots__ = ("_reads", "_request", "told")

    def __init__(self, reads: Reads, request: Any, told: bytes) -> None:
        self.told = told
        self._reads = reads
        self._request = request

    def highlights(self, ids: list[Any], length: int) -> Any:
        return self._reads._highlighting(self._single().query)(ids, length)

    def explain(self) -> Any:
        return self._reads._explaining(self._single(), self.told)()

    def query(self) -> Query:
        return queries.from_message(self._single().query)

    def _single(self) -> SearchRequest:
        return as_message(self._request)


class _Later(_Asked):
    """What of one answer of a batch is asked for when somebody looks."""

    __slots__ = ("_at",)

    def __init__(self, reads: Reads, batch: SearchBatchRequest, at: int) -> None:
        super().__init__(reads, batch, b"")
        self._at = at

    def _single(self) -> SearchRequest:
        return asked.one_of(self._reads._place(), self._request, self._at)
