"""Reading a collection as it is now: every method asks a fresh snapshot, and has its name."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from vecdb.reads import Snapshot
from vecdb.results import RecallReport, SearchResult
from vecdb.scans import Scan
from vecdb.wider_reads import BATCH_ROWS

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from vecdb.explanation import Explanation
    from vecdb.facets import Facets
    from vecdb.filters import Expression
    from vecdb.overviews import Clusters, Duplicates, Sample, Summary
    from vecdb.query.arms import Strategy
    from vecdb.query.fusion import Fusion
    from vecdb.query.query import Query


class LatestReads:
    """What can be read from a collection; each call sees one state, the latest."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Return the present state, frozen."""

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
        """Return the k best rows for a vector, for words, or for several of them; see `Snapshot.search`."""
        return self.snapshot().search(
            k,
            where,
            fields,
            exact=exact,
            recall=recall,
            ef=ef,
            probes=probes,
            plan=plan,
            fetch=fetch,
            fusion=fusion,
            min_score=min_score,
            cut=cut,
            group_by=group_by,
            per_group=per_group,
            order_by=order_by,
            select=select,
            after=after,
            allow_partial=allow_partial,
            **arms,
        )

    def run(self, query: Query) -> SearchResult:
        """Answer a query, a value that says everything; see `Snapshot.run`."""
        return self.snapshot().run(query)

    def explain(self, query: Query, analyze: bool = False) -> Explanation:
        """Tell how a query is carried out, with `analyze` by running it; see `Snapshot.explain`."""
        return self.snapshot().explain(query, analyze)

    def run_batch(self, queries: Sequence[Query]) -> list[SearchResult]:
        """Answer several queries at once, from one state; see `Snapshot.run_batch`."""
        return self.snapshot().run_batch(queries)

    def run_iter(self, query: Query) -> Iterator[SearchResult]:
        """Yield all pages of a query, from one state; see `Snapshot.run_iter`."""
        return self.snapshot().run_iter(query)

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
        """Return one result per row of a matrix of queries; see `Snapshot.search_batch`."""
        return self.snapshot().search_batch(
            k,
            where,
            fields,
            exact=exact,
            recall=recall,
            ef=ef,
            probes=probes,
            plan=plan,
            allow_partial=allow_partial,
            **vectors,
        )

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
        """Yield pages of k hits, best first, as far as you care to read; see `Snapshot.search_iter`."""
        return self.snapshot().search_iter(k, where, fields, exact=exact, recall=recall, **arms)

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
        """Measure searches against the exact scan, on these rows; see `Snapshot.recall`."""
        return self.snapshot().recall(
            queries, field=field, sample=sample, k=k, where=where, recall=recall, ef=ef, probes=probes, plan=plan
        )

    @overload  # a str is a sequence of str too: the first overload decides
    def get(  # pyright: ignore[reportOverlappingOverload]
        self, ids: str | int | np.integer, fields: Sequence[str] | None = None
    ) -> dict[str, Any] | None: ...
    @overload
    def get(
        self, ids: Sequence[Any] | np.ndarray | pa.Array, fields: Sequence[str] | None = None
    ) -> list[dict[str, Any] | None]: ...
    def get(self, ids: Any, fields: Sequence[str] | None = None) -> Any:
        """Return the record of an id, or None; for a list of ids a list. See `Snapshot.get`."""
        return self.snapshot().get(ids, fields)

    def count(self, where: str | Expression | None = None) -> int:
        """Return how many rows there are, or how many pass a filter."""
        return self.snapshot().count(where)

    def __len__(self) -> int:
        return self.count()

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
        """Return the k best rows near some rows, and not near others; see `Snapshot.similar_to`."""
        return self.snapshot().similar_to(
            ids,
            not_like,
            strategy,
            field=field,
            k=k,
            where=where,
            fields=fields,
            exact=exact,
            recall=recall,
            after=after,
        )

    def summarise(
        self,
        k: int = 10,
        where: str | Expression | None = None,
        *,
        field: str | None = None,
        exact: bool = False,
        seed: int = 0,
    ) -> Summary:
        """Return k rows that together stand for all; see `Snapshot.summarise`."""
        return self.snapshot().summarise(k, where, field=field, exact=exact, seed=seed)

    def sample(
        self,
        k: int,
        method: str = "coreset",
        where: str | Expression | None = None,
        *,
        field: str | None = None,
        seed: int = 0,
    ) -> Sample:
        """Return rows that were drawn, and for how many each counts; see `Snapshot.sample`."""
        return self.snapshot().sample(k, method, where, field=field, seed=seed)

    def clusters(
        self,
        k: int | str = "auto",
        where: str | Expression | None = None,
        *,
        field: str | None = None,
        seed: int = 0,
    ) -> Clusters:
        """Return groups of rows that are near each other; see `Snapshot.clusters`."""
        return self.snapshot().clusters(k, where, field=field, seed=seed)

    def duplicates(
        self,
        threshold: float = 0.95,
        where: str | Expression | None = None,
        *,
        field: str | None = None,
        exact: bool = False,
        k: int = 1000,
    ) -> Duplicates:
        """Return groups of rows that are nearly the same; see `Snapshot.duplicates`."""
        return self.snapshot().duplicates(threshold, where, field=field, exact=exact, k=k)

    def facets(
        self,
        fields: str | Sequence[str] | dict[str, Any],
        where: str | Expression | None = None,
        k: int = 10,
        *,
        query: Query | None = None,
    ) -> Facets:
        """Count how often the values of fields occur; see `Snapshot.facets`."""
        return self.snapshot().facets(fields, where, k, query=query)

    def scan(
        self,
        where: str | Expression | None = None,
        fields: Sequence[str] | None = None,
        batch_rows: int = BATCH_ROWS,
        *,
        order_by: str | Sequence[str] | None = None,
        after: str | None = None,
    ) -> Scan:
        """Return an iterator over all rows that pass, in batches, from one state; see `Snapshot.scan`."""
        return self.snapshot().scan(where, fields, batch_rows, order_by=order_by, after=after)
