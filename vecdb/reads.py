"""Reading: everything that can be asked of one consistent state.

A snapshot never changes: writes, flushes, merges and schema changes that happen meanwhile are not seen, and the files
that it maps stay readable although they may have been removed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self, cast, overload

from vecdb.arguments import (
    as_vectors,
    effort_of,
    ids_of,
    names_of,
    one_vector,
    query_matrix,
    rows_asked,
    sought,
    token_column,
    vector_column,
)
from vecdb.config import Limits
from vecdb.errors import InvalidInputError
from vecdb.hits import FoundRows, WordRows
from vecdb.limited import limited
from vecdb.link_reads import LinkReads
from vecdb.overview_reads import Overviews
from vecdb.results import RecallReport, SearchResult
from vecdb.row_values import value_of
from vecdb.schema.fields import Vector
from vecdb.schema.given import flag
from vecdb.schema.schema import Column, Schema
from vecdb.text_search import TermSearch, TextSearch, plain_arguments, plain_question, text_search
from vecdb.wider_reads import WiderReads
from vecdb_index.budget import Budget

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from vecdb.encoders.attached import Attached
    from vecdb.explanation import Explanation
    from vecdb.filters import BoundFilter, Expression
    from vecdb.planner.bound import BoundQuery
    from vecdb.planner.calibrators import Kept
    from vecdb.query.effort import Effort
    from vecdb.query.fusion import Fusion
    from vecdb.query.query import Query
    from vecdb.storage.snapshot import Part, State
    from vecdb.tuning import Trial


class Snapshot(WiderReads, LinkReads, Overviews):
    """One version of a collection. Use it as a context manager, or let it go: it holds memory maps and no lock."""

    def __init__(
        self,
        name: str,
        state: State,
        pool: ThreadPoolExecutor | None,
        encoders: Attached,
        on_damaged_index: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self._encoders = encoders
        self._state = state
        self._pool = pool
        self._on_damaged_index = on_damaged_index

    @property
    def schema(self) -> Schema:
        """The fields at this version."""
        return self._state.schema

    @property
    def version(self) -> int:
        """The published version that this snapshot is based on."""
        return self._state.located.manifest.version

    @property
    def lsn(self) -> int:
        """The last write that this snapshot contains."""
        return self._state.lsn

    def within(self, limits: Limits | Budget) -> Snapshot:
        """Return the same rows for one call, or several, that together may take so much; the time runs from now.

        What it answers is what this snapshot answers, or DeadlineExceededError, or BudgetExceededError. A `Budget` that
        has begun may be given too, so that somebody else can cancel it.
        """
        from vecdb_index.slices import LimitedPool

        given = limited(limits)
        budget = given if isinstance(given, Budget) else given.begin()
        pool = LimitedPool(self._pool, budget)
        return Snapshot(self.name, self._state.within(budget), pool, self._encoders, self._on_damaged_index)

    def restricted(self, where: str | Expression) -> Snapshot:
        """Return this snapshot as it would be if the rows that do not pass a filter had been deleted."""
        from vecdb.planner.restricted import restricted

        bound = self._bind(where)
        if bound is None:
            raise InvalidInputError("a snapshot is restricted by a filter, found None", field="where")
        seen = restricted(self._state, bound)
        return Snapshot(self.name, seen, self._pool, self._encoders, self._on_damaged_index)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __len__(self) -> int:
        return self.count()

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
        cut: Any = None,
        group_by: str | None = None,
        per_group: int = 1,
        order_by: str | Sequence[str] | None = None,
        select: Any = None,
        after: str | None = None,
        allow_partial: bool = False,
        **arms: Any,
    ) -> SearchResult:
        """Return the k best rows for a vector, for words, or for several of them; all matching rows when fewer match.

        Where a vector field has an index, about the best k: a share of at least `recall` of them on average. Scores are
        exact either way, and equal ones are ordered by id. Rows that have no index yet are scanned. With several fields
        each gathers its best `fetch` rows, and the rankings are fused. `run` answers all that a `vecdb.Query` can say.

        Args:
            k: how many, at least 1; with `group_by`, how many groups.
            where: a filter, as a string or built with `vecdb.col`; rows that do not pass are not considered.
            fields: the fields to return with each hit; by default all but the vectors.
            exact: compare the query with every row that passes.
            recall: the share of the true best k to find, above 0 and below 1; by default 0.99. What it takes was
                measured when the index was built, or by `tune`.
            ef: instead of recall: how many candidates a walk through a graph keeps, or how many rows a funnel or signs
                leave to be scored.
            probes: instead of recall, for inverted files: how many lists are read.
            plan: insist on one way through the segments that have an index: "scan", "codes", "graph", "wide",
                "two_hops" or "lists". For measurements.
            fetch: how many rows each of several fields gathers, at least.
            fusion: how rankings become one: "rrf", "interleave", "auto" or one of their classes.
            min_score: leave out rows that score lower.
            cut: leave out rows that do not stand out: "evt" or another method of `vecdb.Relevance`, or one of these.
            group_by: keep the best rows of each value of this field.
            per_group: how many.
            order_by: order by fields, such as "size desc", instead of by score.
            select: choose the answer as a set: "coverage", "mmr", "dpp" or "dispersion", such a value as
                `vecdb.Coverage(balance=0.3)`, or a whole `vecdb.Select`.
            after: `SearchResult.cursor` of the page before.
            allow_partial: answer although a damaged segment cannot be read; `missing` then names it.
            **arms: fields and what is sought in each: (dimension,) numbers in a vector field, or a text if it has an
                encoder; in a text field that is searched, words, by BM25; `vecdb.fulltext` tells of "phrases", +must,
                -not and prefix*.

        Raises:
            InvalidInputError: an argument is wrong; DimensionMismatchError, UnknownFieldError and FilterSyntaxError
                are kinds of it.
            CorruptionError: a segment that the answer needs is damaged.

        """

        def asked() -> Query:
            from vecdb.query.sugar import query_of

            return query_of(
                self.schema, arms, k=k, where=where, fields=fields, exact=exact, recall=recall, ef=ef, probes=probes,
                plan=plan, fetch=fetch, fusion=fusion, min_score=min_score, cut=cut, group_by=group_by,
                per_group=per_group, order_by=order_by, select=select, after=after, allow_partial=allow_partial,
            )  # fmt: skip

        plain = fetch is fusion is min_score is cut is group_by is order_by is select is after is None
        if len(arms) == 1 and plain and type(per_group) is int and per_group == 1:
            ((name, question),) = arms.items()
            column = sought(self.schema, name)
            if column.field.kind == "vector" and not isinstance(question, str):
                effort = effort_of(exact, recall, ef, plan, probes)
                queries = query_matrix(cast("Column[Vector]", column), question, 1)
                return self._search(column, queries, k, where, fields, effort, allow_partial, asked)[0]
            if recall is ef is probes is plan is None and plain_arguments(k, exact, allow_partial):
                if column.field.kind == "text" and plain_question(question):
                    one = text_search(column, question)
                    return self._search_index(one, k, where, fields, exact, allow_partial, asked)
                if column.field.kind == "sparse" and not isinstance(question, str):
                    one = TermSearch(column, question)
                    return self._search_index(one, k, where, fields, exact, allow_partial, asked)
        return self.run(asked())

    def run(self, query: Query) -> SearchResult:
        """Answer a query, a value that says everything: arms, fusion, filter, stages; see `vecdb.Query`.

        Raises:
            InvalidInputError: the query does not fit the fields.
            CorruptionError: a segment that the answer needs is damaged.

        """
        return self._run(self._bound_query(query))

    def _run(self, bound: BoundQuery) -> SearchResult:
        """Answer a query that was checked against these fields."""
        from vecdb.planner.run import run

        return self._result(bound, run(self._state, bound, self._pool))

    def explain(self, query: Query, analyze: bool = False) -> Explanation:
        """Tell how a query is carried out: by its plan, or with `analyze` by running it and measuring each step."""
        from vecdb.explanation import Explanation
        from vecdb.planner.explain import beside, planned
        from vecdb.planner.run import run

        bound = self._bound_query(query)
        if not flag("analyze", analyze):
            return Explanation(query, self.count(), planned(self._state, bound), False)
        begun = time.perf_counter()
        answer = run(self._state, bound, self._pool)
        ms = 1e3 * (time.perf_counter() - begun)
        return Explanation(query, self.count(), beside(planned(self._state, bound), answer.steps), True, ms)

    def _learned(self, judged: Sequence[tuple[Query, Sequence[Any]]]) -> Kept:
        """Return what judged queries teach of relevance; `Collection.calibrate` keeps it."""
        from vecdb.planner.calibrators import learned

        pairs = []
        for query, ids in judged:
            checked, _ = self.checked_ids(list(ids)) if len(ids) else ([], False)
            pairs.append((self._bound_query(query), checked))
        return learned(self._state, self._pool, pairs)

    def _bound_query(self, query: Query) -> BoundQuery:
        from vecdb.planner.bind import bind_query
        from vecdb.query.query import Query

        if not isinstance(query, Query):
            told = f"expected a vecdb.Query, found {type(query).__name__}"
            raise InvalidInputError(f"{told}; vecdb.Query.from_json reads a dict or a text", field="query")
        return bind_query(query, self.schema, self._encoded)

    def _encoded(self, column: Column[Any], text: str) -> Any:
        if column.field.kind == "sparse":
            from vecdb.planner.sparse import rarity

            return self._encoders.terms(column, text, lambda terms: rarity(self._state, column, terms))
        if column.field.kind == "multivector":
            return self._encoders.tokens(column, text)
        return as_vectors(column, text, self._encoders)

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
        """Ask queries both through the index and exactly, and return how good and how fast the answers are.

        Args:
            queries: (queries, dimension), or texts; by default `sample` rows of the collection, each with half of
                another one added, which is about as hard as real questions. For a field of multi-vectors, a list of
                (tokens, dimension).
            field: the vector field, or one of multi-vectors; not needed when there is only one.
            sample: how many.
            k: rows asked for.
            where: a filter, as in `search`.
            recall: as in `search`, and so are ef, probes and plan.
            ef: as in `search`.
            probes: as in `search`.
            plan: as in `search`.

        """
        from vecdb import tuning

        effort, column = effort_of(False, recall, ef, plan, probes), token_column(self.schema, field)
        if column is None:
            return tuning.recall(self.trial(queries, field, sample, k, where), effort)
        from vecdb import token_trials

        asked = token_trials.questions(self._state, column, queries, rows_asked(sample, "sample"))
        bound = self._bind(where)
        trial = token_trials.TokenTrial(self._state, column, asked, rows_asked(k), bound, self._pool)
        return tuning.recall(trial, effort)

    def trial(
        self, queries: Any, field: str | None, sample: int, k: int, where: str | Expression | None = None
    ) -> Trial:
        """Return questions to this state, checked."""
        from vecdb import tuning

        column = vector_column(self.schema, field)
        asked = tuning.questions(self._state, column, queries, rows_asked(sample, "sample"), self._encoders)
        return tuning.Trial(self._state, column, asked, rows_asked(k), self._bind(where), self._pool)

    def _query(self, vectors: dict[str, Any]) -> tuple[Column[Vector], Any]:
        column, value = one_vector(self.schema, vectors)
        return column, as_vectors(column, value, self._encoders)

    def _search(
        self,
        column: Column[Vector],
        queries: np.ndarray,
        k: int,
        where: str | Expression | None,
        fields: Sequence[str] | None,
        effort: Effort,
        allow_partial: bool,
        asked: Callable[[], Query] | None = None,
    ) -> list[SearchResult]:
        k, allow_partial = rows_asked(k), flag("allow_partial", allow_partial)
        return self._nearest(column, queries, k, self._bind(where), self._columns(fields), effort, allow_partial, asked)

    def _nearest(
        self,
        column: Column[Vector],
        queries: np.ndarray,
        k: int,
        where: BoundFilter | None,
        columns: Sequence[Column],
        effort: Effort,
        allow_partial: bool,
        asked: Callable[[], Query] | None = None,
    ) -> list[SearchResult]:
        """Return what `search` answers to queries whose arguments were checked."""
        found = _planner().search(self._state, column, queries, k, where, self._pool, effort, allow_partial)
        if found and any(plan.problem for plan in found[0].plans):
            self._damaged()
        schema, metric = self.schema, column.field.metric
        return [SearchResult(FoundRows(schema, columns, one, asked), metric) for one in found]

    def _search_index(
        self,
        one: TextSearch | TermSearch,
        k: int,
        where: str | Expression | None,
        fields: Sequence[str] | None,
        exact: bool,
        allow_partial: bool,
        asked: Callable[[], Query],
    ) -> SearchResult:
        """Return what `run` answers to a query with words, or terms, in one field and nothing else."""
        bound, columns, begun = self._bind(where), self._columns(fields), time.perf_counter()
        found = one.find(self._state, k, bound, exact, allow_partial)
        ms = 1e3 * (time.perf_counter() - begun)
        for plan in found.plans:
            if plan.problem:
                self._damaged()
                break
        return SearchResult(WordRows(self.schema, columns, found, asked, one, k, ms), None)

    def _bind(self, where: str | Expression | None) -> BoundFilter | None:
        if where is None:
            return None
        if isinstance(where, str):
            return _bound(where, self.schema)
        from vecdb.filters import bind, resolve

        expression = resolve(where)
        return None if expression is None else bind(expression, self.schema)

    def _columns(self, fields: Sequence[str] | None) -> list[Column]:
        if fields is None:
            return list(self.schema.shown)
        wanted = [self.schema[name] for name in names_of(fields)]
        return [column for column in wanted if column.field.kind != "id"]

    @overload  # a str is a sequence of str too: the first overload decides
    def get(  # pyright: ignore[reportOverlappingOverload]
        self, ids: str | int | np.integer, fields: Sequence[str] | None = None
    ) -> dict[str, Any] | None: ...
    @overload
    def get(
        self, ids: Sequence[Any] | np.ndarray | pa.Array, fields: Sequence[str] | None = None
    ) -> list[dict[str, Any] | None]: ...
    def get(
        self,
        ids: str | int | np.integer | Sequence[Any] | np.ndarray | pa.Array,
        fields: Sequence[str] | None = None,
    ) -> dict[str, Any] | list[dict[str, Any] | None] | None:
        """Return the record of an id as a dict, None when there is none; for a list of ids, a list.

        Vectors come as NumPy arrays, JSON parsed. Without `fields` the whole record comes.
        """
        columns = list(self.schema.columns) if fields is None else [self.schema.id, *self._columns(fields)]
        listed, single = self.checked_ids(ids)
        found = [self._get(one, columns) for one in listed]
        return found[0] if single else found

    def _get(self, value: str | int, columns: list[Column]) -> dict[str, Any] | None:
        self._state.check("reading rows by id")
        place = self._state.find(value)
        if place is None:
            return None
        part, row = place
        return {column.name: value_of(part, column, row) for column in columns}

    def checked_ids(self, ids: Any) -> tuple[list[str | int], bool]:
        """Return ids as plain Python values, and whether it was one id and not many.

        Anything with to_pylist() or tolist() is taken: NumPy and Arrow arrays, pandas and polars columns.

        Raises:
            InvalidInputError: an id is of another type than the collection's.

        """
        return ids_of(self.schema.id, ids, self.name)

    def count(self, where: str | Expression | None = None) -> int:
        """Return how many rows there are, or how many pass a filter."""
        bound = self._bind(where)
        if bound is None:
            return self._state.count
        import numpy as np

        return sum(int(np.count_nonzero(mask)) for _, mask in self._matches(bound))

    def _matches(self, bound: BoundFilter | None) -> Iterator[tuple[Part, np.ndarray]]:
        import numpy as np

        from vecdb.planner.masks import filter_mask

        for part in self._state.parts:
            mask = filter_mask(part, self.schema, bound, self._state.budget)
            yield part, np.ones(part.rows, bool) if mask is None else mask


@cache
def _planner() -> ModuleType:
    """Return the module that searches; loaded when something is searched first."""
    from vecdb.planner import dense

    return dense


@lru_cache(256)
def _bound(where: str, schema: Schema) -> BoundFilter:
    """Return a filter text, read and checked against the fields. The same text comes again and again."""
    from vecdb.filters import bind, parse

    return bind(parse(where), schema)
