"""Reads that go beyond one search: many queries at once, all pages, all rows, counts of values, rows like rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from vecdb.arguments import AT_ONCE, effort_of, filters_for, query_matrix, rows_asked, sought, texts_of, vector_column
from vecdb.errors import InvalidInputError
from vecdb.hits import AnswerRows, FoundRows
from vecdb.results import SearchResult
from vecdb.scans import Scan
from vecdb.schema.fields import Text, Vector
from vecdb.schema.given import flag, listed, names
from vecdb.schema.schema import Column, Schema
from vecdb.text_search import TextSearch, text_column

if TYPE_CHECKING:
    import numpy as np

    from vecdb.facets import Facets
    from vecdb.filters import BoundFilter, Expression
    from vecdb.planner.bound import BoundQuery
    from vecdb.planner.run import Answer
    from vecdb.query.arms import Strategy
    from vecdb.query.effort import Effort
    from vecdb.query.query import Query
    from vecdb.storage.snapshot import State

BATCH_ROWS = 8192


class WiderReads:
    """What a snapshot answers beside single searches."""

    _state: State
    _pool: ThreadPoolExecutor | None
    _on_damaged_index: Callable[[], None] | None

    @property
    @abstractmethod
    def schema(self) -> Schema:
        """The fields at this version."""

    @abstractmethod
    def run(self, query: Query) -> SearchResult:
        """Answer a query."""

    @abstractmethod
    def _bound_query(self, query: Query) -> BoundQuery: ...

    @abstractmethod
    def _bind(self, where: str | Expression | None) -> BoundFilter | None: ...

    @abstractmethod
    def _columns(self, fields: Sequence[str] | None) -> list[Column]: ...

    @abstractmethod
    def _query(self, vectors: dict[str, Any]) -> tuple[Column[Vector], Any]: ...

    @abstractmethod
    def checked_ids(self, ids: Any) -> tuple[list[str | int], bool]:
        """Return ids as plain Python values, and whether it was one."""

    # -- many queries ----------------------------------------------------------------------------------------------

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
        """Return, for each row of a (queries, dimension) matrix, or each text, what `search` returns for it.

        Queries with the same filter are answered together: its rows are found and read once.

        Args:
            k: as in `search`.
            where: a filter for all queries, or a list with one for each query, None for none.
            fields: as in `search`, and so are exact, recall, ef, probes, plan and allow_partial.
            exact: as in `search`.
            recall: as in `search`.
            ef: as in `search`.
            probes: as in `search`.
            plan: as in `search`.
            allow_partial: as in `search`.
            **vectors: one field's name and the matrix, the texts, or a list of sparse vectors or of matrices.

        Raises:
            InvalidInputError: an argument is wrong, or there are not as many filters as queries.
            CorruptionError: a segment that the answer needs is damaged.

        """
        from vecdb.planner.batch import Ask, search_each

        effort, allow_partial = effort_of(exact, recall, ef, plan, probes), flag("allow_partial", allow_partial)
        kinds = [sought(self.schema, name).field.kind for name in vectors]
        text = text_column(self.schema, vectors)
        if text is not None:
            return self._search_texts(text, vectors[text.name], k, where, fields, exact, allow_partial)
        if kinds in (["sparse"], ["multivector"]):
            ((name, asked),) = vectors.items()
            return self._search_each(name, asked, k, where, fields, exact, allow_partial, (recall, ef, probes, plan))
        column, given = self._query(vectors)
        k = rows_asked(k)
        queries, columns = query_matrix(column, given, 2), self._columns(fields)
        filters = filters_for(where, len(queries))
        asks = {id(one): Ask(column, self._bind(one), k, effort, allow_partial) for one in _distinct(filters)}
        found = search_each(self._state, [asks[id(one)] for one in filters], queries, self._pool)
        for plans in {id(one.plans): one.plans for one in found}.values():
            if any(plan.problem for plan in plans):
                self._damaged()
                break
        schema, metric = self.schema, column.field.metric
        return [SearchResult(FoundRows(schema, columns, one), metric) for one in found]

    def _search_texts(
        self,
        column: Column[Text],
        queries: Any,
        k: int,
        where: Any,
        fields: Sequence[str] | None,
        exact: bool,
        allow_partial: bool,
    ) -> list[SearchResult]:
        k, columns = rows_asked(k), self._columns(fields)
        asked = [TextSearch(column, query) for query in texts_of(queries, column.name)]
        found = [
            one.find(self._state, k, self._bind(passing), exact, allow_partial)
            for one, passing in zip(asked, filters_for(where, len(asked)), strict=True)
        ]
        if any(plan.problem for one in found for plan in one.plans):
            self._damaged()
        return [
            SearchResult(FoundRows(self.schema, columns, rows, texts=one), None)
            for one, rows in zip(asked, found, strict=True)
        ]

    def _search_each(
        self,
        name: str,
        asked: Any,
        k: int,
        where: Any,
        fields: Sequence[str] | None,
        exact: bool,
        allow_partial: bool,
        effort: tuple[Any, Any, Any, Any],
    ) -> list[SearchResult]:
        from vecdb.query.query import Query
        from vecdb.query.sugar import one_arm_each

        shown = None if fields is None else names("fields", fields)
        whole = Query(k, fields=shown, exact=exact, allow_partial=allow_partial)
        queries = one_arm_each(self.schema[name], asked, whole, effort)
        filters = filters_for(where, len(queries))
        pairs = zip(queries, filters, strict=True)
        return self.run_batch([one if passing is None else one.where(passing) for one, passing in pairs])

    def run_batch(self, queries: Sequence[Query]) -> list[SearchResult]:
        """Return what `run` answers to each of several queries; all see the same state.

        Vector searches with equal field, filter and effort are made together, whatever the queries make of them, and
        equal queries are answered once.

        Raises:
            InvalidInputError: a query does not fit the fields; a note of the error tells which.
            CorruptionError: a segment that an answer needs is damaged.

        """
        from vecdb.planner.batch import run_batch

        queries = listed("queries", queries, "queries")
        keys = [_key(query) for query in queries]
        bounds: dict[Any, BoundQuery] = {}
        for at, (key, query) in enumerate(zip(keys, queries, strict=True)):
            if key not in bounds:
                try:
                    bounds[key] = self._bound_query(query)
                except InvalidInputError as error:
                    error.add_note(f"in query {at} of the batch")
                    raise
        answers = run_batch(self._state, list(bounds.values()), self._pool)
        results = {
            key: self._result(bound, answer) for (key, bound), answer in zip(bounds.items(), answers, strict=True)
        }
        return [results[key] for key in keys]

    # -- page by page ----------------------------------------------------------------------------------------------

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
        """Yield pages of k hits, best first; no row comes twice.

        For one vector they go on until every row that matches was seen. For several arms they are those of `run_iter`.

        Each page is found by a search twice as deep as the one before when that was used up, so the whole costs about
        twice what one search for all of it would. All pages come from the same state.
        """
        if len(arms) != 1 or not all(name in self.schema and self.schema[name].field.kind == "vector" for name in arms):
            from vecdb.query.sugar import query_of

            asked = query_of(
                self.schema, arms, k=k, where=where, fields=fields, exact=exact, recall=recall, ef=None, probes=None,
                plan=None, fetch=None, fusion=None, min_score=None, cut=None, group_by=None, per_group=1,
                order_by=None, select=None, after=None, allow_partial=False,
            )  # fmt: skip
            return self.run_iter(asked)
        column, query = self._query(arms)
        effort = effort_of(exact, recall, None, None)
        queries, k = query_matrix(column, query, 1), rows_asked(k)
        return self._pages(column, queries, k, self._bind(where), self._columns(fields), effort)

    def _pages(
        self,
        column: Column[Vector],
        queries: np.ndarray,
        k: int,
        bound: BoundFilter | None,
        columns: list[Column],
        effort: Effort,
    ) -> Iterator[SearchResult]:
        import numpy as np

        from vecdb.planner import dense

        seen: set[tuple[int, int]] = set()
        depth = 2 * k
        while True:
            (found,) = dense.search(self._state, column, queries, depth, bound, self._pool, effort)
            part = np.zeros(len(found.row), np.int64) if found.part is None else found.part
            places = list(zip(part.tolist(), found.row.tolist(), strict=True))
            fresh = [at for at, place in enumerate(places) if place not in seen]
            last = len(places) < depth
            while len(fresh) >= k or (last and fresh):
                page, fresh = fresh[:k], fresh[k:]
                seen.update(places[at] for at in page)
                chosen = found.some(np.array(page))
                yield SearchResult(FoundRows(self.schema, columns, chosen), column.field.metric)
            if last:
                return
            depth *= 2

    def run_iter(self, query: Query) -> Iterator[SearchResult]:
        """Yield the answer to a query, then the next `k` hits, and so on until the last; all from one state.

        The pages are those of `run(query.after(result.cursor))`, for about the cost of two searches for all of them. A
        query of several arms ends with what they gathered: a larger `fetch` of each makes it longer. One that groups
        has one page.

        Raises:
            InvalidInputError: the query does not fit the fields.
            CorruptionError: a segment that the answer needs is damaged.

        """
        from vecdb.planner import paging
        from vecdb.planner.pages import pages

        bound = self._bound_query(query)
        paging.read(query)
        answers = pages(self._state, query, self._bound_query, self._pool)
        return (self._result(bound, answer) for answer in answers)

    # -- rows like rows --------------------------------------------------------------------------------------------

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
        """Return the k best rows that are near some rows, and not near others; those rows themselves are left out.

        Args:
            ids: one id or several.
            not_like: ids of rows not to be near to.
            strategy: "average", "best" or "sum"; see `vecdb.Like`.
            field: the vector field; not needed when there is only one.
            k: how many.
            where: as in `search`, and so are fields, exact, recall and after.
            fields: as in `search`.
            exact: as in `search`.
            recall: as in `search`.
            after: as in `search`.

        Raises:
            NotFoundError: an id is not in the collection.
            InvalidInputError: a row has no vector, or an argument is wrong.

        """
        from vecdb.query.arms import Like
        from vecdb.query.query import Query

        like, unlike = (tuple(self.checked_ids(given)[0]) for given in (ids, not_like))
        arm = Like(vector_column(self.schema, field).name, like, unlike, strategy, recall)
        chosen = None if fields is None else tuple(column.name for column in self._columns(fields))
        return self.run(Query(k, (arm,), filter=where, fields=chosen, exact=exact, cursor=after))  # pyright: ignore[reportArgumentType]

    # -- counts of values ------------------------------------------------------------------------------------------

    def facets(
        self,
        fields: str | Sequence[str] | dict[str, Any],
        where: str | Expression | None = None,
        k: int = 10,
        *,
        query: Query | None = None,
    ) -> Facets:
        """Count how often the values of fields occur, in all rows that pass, or in what a query finds.

        `facets("section")["section"]` has the k values in most rows; numbers and timestamps also have their least,
        greatest and mean. `facets({"size": [0, 1000, None]})` counts ranges instead: from 0 on and below 1000, and from
        1000 on; a first or last edge of None leaves that end open. Rows without a value are counted apart.

        Args:
            fields: a field, several, or a dict of fields and the edges of ranges, None for values.
            where: a filter; rows that do not pass are not counted.
            k: how many values of each field, at most 10,000,000.
            query: count only its candidates: what its arms gather (each its `fetch`, or as many as the query needs)
                and its stages leave, before the best `k` of the query are taken.

        Raises:
            InvalidInputError: the values of a field cannot be counted, or the edges are wrong.
            CorruptionError: a segment is damaged.

        """
        from vecdb.facets import asked_fields
        from vecdb.planner.facets import candidates_of, facets, rows_that_pass
        from vecdb.planner.gather import Context

        asked, k = asked_fields(self.schema, fields), rows_asked(k)
        if query is None:
            return facets(rows_that_pass(self._state, self._bind(where)), asked, k, self._state.budget)
        bound = self._bound_query(query)
        if query.cursor is not None:
            raise InvalidInputError("facets count all candidates of a query: leave after() out", field="query")
        if where is not None:
            bound = self._bound_query(query.where(where))
        context = Context(self._state, self._pool, query.allow_partial)
        return facets(candidates_of(context, bound), asked, k, self._state.budget)

    # -- all rows --------------------------------------------------------------------------------------------------

    def scan(
        self,
        where: str | Expression | None = None,
        fields: Sequence[str] | None = None,
        batch_rows: int = BATCH_ROWS,
        *,
        order_by: str | Sequence[str] | None = None,
        after: str | None = None,
    ) -> Scan:
        """Return an iterator over all rows that pass, in batches of at most batch_rows, in storage order.

        Without `fields` all columns come, vectors too; JSON as text. Memory: one batch at a time.

        Args:
            where: a filter.
            fields: the fields of the batches, beside the id.
            batch_rows: the most rows of a batch.
            order_by: order by fields instead, such as "size desc" or ("section", "id"); rows without a value come last,
                equal ones by id. Takes memory for the keys of all rows while they are sorted, and 20 bytes a row
                afterwards.
            after: `Scan.cursor` of an earlier scan with the same filter and order: begin behind it. Rows that were
                written meanwhile come where they belong.

        Raises:
            InvalidInputError: an argument is wrong, or `after` is given without `order_by`.

        """
        batch_rows = rows_asked(batch_rows, "batch_rows", AT_ONCE)
        columns = list(self.schema.columns) if fields is None else [self.schema.id, *self._columns(fields)]
        from vecdb.planner import paging, scan

        if order_by is None:
            if after is not None:
                raise InvalidInputError('after needs order_by, "id" for example: rows move in storage', field="after")
            return Scan(scan.stored_order(self._state, self._bind(where), columns, batch_rows))
        from vecdb.query.query import Query
        from vecdb.query.stages import OrderBy

        order = OrderBy(order_by)  # pyright: ignore[reportArgumentType]
        if any(name == "score" for name, _ in order.parts):
            raise InvalidInputError("a scan has no scores to order by", field="order_by")
        bound = self._bound_query(Query(filter=where, stages=(order,), cursor=after))  # pyright: ignore[reportArgumentType]
        return Scan(scan.in_order(self._state, bound, paging.read(bound.query), columns, batch_rows))

    # -- what they share -------------------------------------------------------------------------------------------

    def _result(self, bound: BoundQuery, answer: Answer) -> SearchResult:
        if any(step.damaged for step in answer.steps):
            self._damaged()
        return SearchResult(AnswerRows(self.schema, bound.columns, answer, bound), bound.metric)

    def _damaged(self) -> None:
        """Have damaged indexes built again."""
        if self._on_damaged_index is not None:
            self._on_damaged_index()


def _distinct(filters: Sequence[Any]) -> list[Any]:
    """Return each filter that is not the very same object as one before: trees cost more to compare than to bind."""
    return list({id(one): one for one in filters}.values())


def _key(query: Query) -> Any:
    """Return what is equal for equal queries; a query with a function that has no hash is like no other."""
    try:
        hash(query)
    except TypeError:
        return id(query)
    return query
