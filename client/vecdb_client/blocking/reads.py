"""What can be asked of a collection over the wire: the methods of the embedded classes.

Made of `vecdb_client/aio/reads.py` by `client/generate.py`: change that, and run it.

A request is made with the fields that the client knows. Where that fails and the fields have changed meanwhile, it is
made again with the new ones, so that a caller never sees that somebody else changed them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from google.protobuf.message import Message

from vecdb.arguments import ids_of
from vecdb.errors import InvalidInputError
from vecdb.explanation import Explanation
from vecdb.facets import Facets
from vecdb.results import RecallReport, SearchResult
from vecdb.wire import reports, results
from vecdb.wire import rows as wire_rows
from vecdb_client import asked, asked_rows, methods
from vecdb_client.asked import Place
from vecdb_client.blocking.scan import Scan
from vecdb_client.blocking.transport import Connection
from vecdb_client.methods import Method

if TYPE_CHECKING:
    from vecdb.encoders.attached import Attached
    from vecdb.filters import Expression
    from vecdb.highlights import Highlight
    from vecdb.query.arms import Strategy
    from vecdb.query.fusion import Fusion
    from vecdb.query.query import Query
    from vecdb.schema.schema import Schema
    from vecdb_proto.v1 import values_pb2

R = TypeVar("R", bound=Message)

BATCH_ROWS = 8192


class Reads:
    """What can be asked of the latest state of a collection, or of a snapshot."""

    name: str
    encoders: Attached
    _connection: Connection
    _view: values_pb2.View | None
    _timeout: float | None

    @property
    @abstractmethod
    def schema(self) -> Schema:
        """The fields."""

    @abstractmethod
    def _changed(self, schema: Schema) -> bool:
        """Look whether the fields are still these, and keep the new ones."""

    def search(
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
        group_by: str | None = None,
        per_group: int = 1,
        order_by: str | Sequence[str] | None = None,
        after: str | None = None,
        allow_partial: bool = False,
        **arms: Any,
    ) -> SearchResult:
        """Return the k best rows for a vector, for words, or for several of them; see `vecdb.Snapshot.search`."""

        def make(place: Place) -> Query:
            return asked.query(
                place, arms, k=k, where=where, fields=fields, exact=exact, recall=recall, ef=ef, probes=probes,
                plan=plan, fetch=fetch, fusion=fusion, min_score=min_score, group_by=group_by, per_group=per_group,
                order_by=order_by, after=after, allow_partial=allow_partial,
            )  # fmt: skip

        return self._searched(make)

    def run(self, query: Query) -> SearchResult:
        """Answer a query, a value that says everything; see `vecdb.Snapshot.run`.

        A stage that calls a Python function cannot be sent.
        """
        return self._searched(lambda place: asked.checked(query))

    def _searched(self, make: Callable[[Place], Query]) -> SearchResult:
        explain = self._connection.settings.explain
        queries: list[Query] = []

        def request(place: Place) -> Message:
            queries[:] = [make(place)]
            return asked.search(place, queries[0], explain)

        response = self._call(methods.SEARCH, request)
        return results.from_message(response.result, self._highlighting(queries[0]))

    def _highlighting(self, query: Query) -> Callable[[list[Any], int], Any]:
        """Return what finds the highlights of a query's hits."""

        def highlights(ids: list[Any], length: int) -> list[dict[str, Highlight]]:
            if not ids or not asked.matches_words(query):
                return [{} for _ in ids]
            request = asked.highlight(self._place(), query, ids, length)
            response = self._connection.call(methods.HIGHLIGHT, request, self._timeout)
            return [
                {name: reports.highlight_from_message(one) for name, one in row.fields.items()} for row in response.rows
            ]

        return highlights

    def explain(self, query: Query, analyze: bool = False) -> Explanation:
        """Tell how a query is carried out, with `analyze` by running it; see `vecdb.Snapshot.explain`."""
        asked.checked(query)
        response = self._call(methods.EXPLAIN, lambda place: asked.explain(place, query, analyze))
        return reports.explanation_from_message(response.explanation, query)

    def run_batch(self, queries: Sequence[Query]) -> list[SearchResult]:
        """Answer several queries at once, from one state; see `vecdb.Snapshot.run_batch`."""
        explain = self._connection.settings.explain
        listed = list(queries)
        found = self._batch(lambda place: asked.batch(place, listed, explain))
        return [
            results.from_message(message, self._highlighting(query))
            for message, query in zip(found[1], listed, strict=True)
        ]

    def search_batch(
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

        def make(place: Place) -> Message:
            return asked.alike(
                place, vectors, where, explain, k=k, fields=fields, exact=exact, recall=recall, ef=ef, probes=probes,
                plan=plan, allow_partial=allow_partial,
            )  # fmt: skip

        alike, others = self._batch(make)
        if others:
            return [results.from_message(message, cast(Any, self._nothing)) for message in others]
        highlighting = self._each_highlighted(vectors) if alike else None
        found: list[SearchResult] = []
        for message in alike:
            count = len(message.counts) // 4
            some = None if highlighting is None else highlighting[len(found) : len(found) + count]
            found += results.alike_from_message(message, some)
        return found

    def _each_highlighted(self, vectors: dict[str, Any]) -> list[Callable[[list[Any], int], Any]]:
        ((name, sought),) = vectors.items()
        if self.schema[name].field.kind != "text":
            return [self._nothing] * len(sought)
        from vecdb.arguments import texts_of
        from vecdb.query.query import Query

        return [self._highlighting(Query().match(name, text)) for text in texts_of(sought, name)]

    def _nothing(self, ids: list[Any], length: int) -> Any:
        return [{} for _ in ids]

    def _batch(self, make: Callable[[Place], Message]) -> tuple[list[Any], list[Any]]:
        """Return the answers to a batch: those of queries that are alike, and the others."""
        schema = self.schema
        try:
            return self._batch_once(make)
        except InvalidInputError:
            if not self._changed(schema):
                raise
        return self._batch_once(make)

    def _batch_once(self, make: Callable[[Place], Message]) -> tuple[list[Any], list[Any]]:
        alike: list[Any] = []
        others: list[Any] = []
        for response in self._connection.stream(methods.SEARCH_BATCH, make(self._place()), self._timeout):
            if response.HasField("alike"):
                alike.append(response.alike)
            others.extend(response.results)
        return alike, others

    def search_iter(
        self,
        k: int = 100,
        where: str | Expression | None = None,
        fields: Sequence[str] | None = None,
        *,
        exact: bool = False,
        recall: float | None = None,
        **arms: Any,
    ) -> Iterator[SearchResult]:
        """Yield pages of k hits, best first, as far as you care to read; see `vecdb.Snapshot.search_iter`."""
        query = asked.pages(self._place(), k, where, fields, exact, recall, arms)
        return self._pages(query, asked.goes_on(self.schema, query))

    def run_iter(self, query: Query) -> Iterator[SearchResult]:
        """Yield all pages of a query, from one state; see `vecdb.Snapshot.run_iter`."""
        return self._pages(asked.checked(query), False)

    def _pages(self, query: Query, exhaustive: bool) -> Iterator[SearchResult]:
        request = asked.stream(self._place(), query, exhaustive, self._connection.settings.explain)
        highlighting = self._highlighting(query)
        for response in self._connection.stream(methods.SEARCH_STREAM, request, self._timeout):
            yield results.from_message(response.result, highlighting)

    def similar_to(
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

        def make(place: Place) -> Query:
            return asked.like(
                place, ids, not_like, strategy, field=field, k=k, where=where, fields=fields, exact=exact,
                recall=recall, after=after,
            )  # fmt: skip

        return self._searched(make)

    def facets(
        self,
        fields: str | Sequence[str] | dict[str, Any],
        where: str | Expression | None = None,
        k: int = 10,
        *,
        query: Query | None = None,
    ) -> Facets:
        """Count how often the values of fields occur; see `vecdb.Snapshot.facets`."""
        response = self._call(methods.FACETS, lambda place: asked_rows.facets(place, fields, where, k, query))
        return reports.facets_from_message(response.facets, asked_rows.edges_of(fields))

    def recall(
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

        return reports.recall_from_message((self._call(methods.RECALL, make)).report)

    def get(self, ids: Any, fields: Sequence[str] | None = None) -> Any:
        """Return the record of an id, or None; for a list of ids a list. See `vecdb.Snapshot.get`."""
        listed, single = self.checked_ids(ids)
        response = self._call(methods.GET, lambda place: asked_rows.get(place, listed, fields))
        records = asked_rows.records_of(response, len(listed))
        return records[0] if single else records

    def checked_ids(self, ids: Any) -> tuple[list[str | int], bool]:
        """Return ids as plain Python values, and whether it was one id and not many; see `vecdb.Snapshot`."""
        return ids_of(self.schema.id, ids, self.name)

    def count(self, where: str | Expression | None = None) -> int:
        """Return how many rows there are, or how many pass a filter."""
        return (self._call(methods.COUNT, lambda place: asked_rows.count(place, where))).count

    def __len__(self) -> int:
        return self.count()

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
        return Place(self.name, self.schema, self._view, self.encoders)

    def _call(self, method: Method[R], make: Callable[[Place], Message]) -> R:
        """Return the answer to a request, made again where it failed and the fields have changed meanwhile."""
        schema = self.schema
        try:
            return self._connection.call(method, make(self._place()), self._timeout)
        except InvalidInputError:
            if not self._changed(schema):
                raise
        return self._connection.call(method, make(self._place()), self._timeout)
