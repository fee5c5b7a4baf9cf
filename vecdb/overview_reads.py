"""Asking about all rows at once."""

from __future__ import annotations

from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import TYPE_CHECKING

from vecdb.arguments import vector_column
from vecdb.overviews import (
    AUTO,
    MOST,
    MOST_CHOSEN,
    MOST_DRAWN,
    SAMPLE_METHODS,
    Cluster,
    Clusters,
    DuplicateGroup,
    Duplicates,
    Representative,
    Sample,
    Summary,
    cluster_count,
    seed_of,
    similarity_of,
)
from vecdb.schema.given import choice, flag, whole_number

if TYPE_CHECKING:
    from vecdb.filters import BoundFilter, Expression
    from vecdb.planner.overview.rows import Rows
    from vecdb.schema.schema import Schema
    from vecdb.storage.snapshot import State


class Overviews:
    """What a snapshot says of all its rows that have a vector and pass a filter."""

    _state: State
    _pool: ThreadPoolExecutor | None

    @property
    @abstractmethod
    def schema(self) -> Schema:
        """The fields at this version."""

    @abstractmethod
    def _bind(self, where: str | Expression | None) -> BoundFilter | None: ...

    def summarise(
        self,
        k: int = 10,
        where: str | Expression | None = None,
        *,
        field: str | None = None,
        exact: bool = False,
        seed: int = 0,
    ) -> Summary:
        """Return k rows that together stand for all rows that pass a filter, and how well they do.

        Rows stand for those whose vectors point their way. Of more than some thousand rows cells are made, so that
        memory stays bounded and time grows with the number of rows.

        Args:
            k: how many, at most 2,000; all rows where there are fewer.
            where: a filter, as in `search`.
            field: the vector field; not needed when there is only one.
            exact: compare each row with each; up to 4,096 rows.
            seed: of the cells.

        """
        from vecdb.planner.overview.summary import summary

        k, exact, seed = whole_number("k", k, most=MOST_CHOSEN), flag("exact", exact), seed_of(seed)
        rows = self._rows(field, where)
        found = summary(rows, k, exact, seed)
        told = zip(rows.ids(found.places), found.sizes.tolist(), found.gains.tolist(), strict=True)
        return Summary(tuple(Representative(*one) for one in told), found.coverage, len(rows), found.method)

    def sample(
        self,
        k: int,
        method: str = "coreset",
        where: str | Expression | None = None,
        *,
        field: str | None = None,
        seed: int = 0,
    ) -> Sample:
        """Return k rows drawn from those that pass a filter, and for how many rows each counts.

        Sums over the sample, each row times its weight, estimate sums over all rows. The same seed draws the same rows
        as long as these do not change.

        Args:
            k: how many, at most 1,000,000; all rows where there are fewer.
            method: "coreset" draws rows of small clusters, and rows far from the middle of theirs, more often, and lets
                them count less: estimates of whatever varies with the vector are better. "uniform" draws all alike.
            where: a filter, as in `search`.
            field: the vector field; not needed when there is only one.
            seed: of the draw.

        """
        from vecdb.planner.overview.draw import draw

        k, seed = whole_number("k", k, most=MOST_DRAWN), seed_of(seed)
        choice("method", method, SAMPLE_METHODS)
        rows = self._rows(field, where)
        found = draw(rows, k, method, seed)
        weights = dict(zip(rows.ids(found.places), found.weights.tolist(), strict=True))
        return Sample(MappingProxyType(weights), len(rows), method)

    def clusters(
        self,
        k: int | str = AUTO,
        where: str | Expression | None = None,
        *,
        field: str | None = None,
        seed: int = 0,
    ) -> Clusters:
        """Return clusters of the rows that pass a filter, by k-means over the directions of their vectors.

        Args:
            k: how many, at most 10,000; "auto": as many, of 2 to 64, as fit best, which `tried` tells.
            where: a filter, as in `search`.
            field: the vector field; not needed when there is only one.
            seed: of the first centres.

        """
        from vecdb.planner.overview.clusters import clusters

        wanted, seed = cluster_count(k), seed_of(seed)
        rows = self._rows(field, where)
        found = clusters(rows, wanted, seed)
        told = zip(rows.ids(found.medoids), found.sizes.tolist(), found.cohesion.tolist(), strict=True)
        return Clusters(tuple(Cluster(*one) for one in told), len(rows), MappingProxyType(dict(found.tried)))

    def duplicates(
        self,
        threshold: float = 0.95,
        where: str | Expression | None = None,
        *,
        field: str | None = None,
        exact: bool = False,
        k: int = 1000,
    ) -> Duplicates:
        """Return groups of rows that are nearly the same, among those that pass a filter.

        Rows are in a group when the cosine of their vectors is at least `threshold`, or others link them. Where there
        are many rows, each is compared with those in its neighbourhood only, which finds nearly all pairs.

        Args:
            threshold: above 0, up to 1.
            where: a filter, as in `search`.
            field: the vector field; not needed when there is only one.
            exact: compare each row with each: the time grows with the square of their number.
            k: groups at most, up to 10,000.

        """
        from vecdb.planner.overview.duplicates import duplicates

        near, exact, k = similarity_of(threshold), flag("exact", exact), whole_number("k", k, most=MOST)
        rows = self._rows(field, where)
        found = duplicates(rows, near, exact, k)
        groups = tuple(DuplicateGroup(tuple(rows.ids(one.places)), one.similarity) for one in found.groups)
        return Duplicates(groups, found.total, len(rows), found.exact)

    def _rows(self, field: str | None, where: str | Expression | None) -> Rows:
        from vecdb.planner.overview.rows import Rows

        return Rows(self._state, vector_column(self.schema, field), self._bind(where), self._pool)
