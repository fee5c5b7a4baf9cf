"""A collection as somebody sees it: only the rows that pass a filter, and calls that may take so much.

Rows that do not pass are, for whoever holds the view, not there: no read finds or counts them, a delete leaves them
alone, a patch of one fails as that of an unknown id does. Rows that a write would put outside the filter are refused.
One thing a view cannot hide: an upsert of an id that a row outside has is refused, because it would replace that row.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from vecdb.config import Limits
from vecdb.latest import LatestReads
from vecdb.limited import limited
from vecdb.linked import Linked
from vecdb.row_writes import RowWrites
from vecdb.schema.given import flag
from vecdb_index.budget import Budget

if TYPE_CHECKING:
    from vecdb.collection import Collection
    from vecdb.encoders.progress import Progress
    from vecdb.filters import Expression
    from vecdb.link_writes import LinkWrites
    from vecdb.reads import Snapshot
    from vecdb.results import WriteResult
    from vecdb.row_writes import RequestId
    from vecdb.schema.schema import Schema

W = TypeVar("W", bound=RowWrites)


class View(LatestReads, Linked):
    """Made by `Collection.restricted` and `Collection.within`; reads and writes have the names of the collection's.

    With `Limits` each call has its own time and memory; with a `Budget` that has begun all calls share it.
    """

    def __init__(
        self,
        collection: Collection,
        filters: tuple[str | Expression, ...] = (),
        limits: Limits | Budget | None = None,
    ) -> None:
        self.collection = collection
        self.name = collection.name
        self._filters = filters
        self._limits = limits

    def restricted(self, where: str | Expression) -> View:
        """Return a view of the rows that pass this filter too."""
        return View(self.collection, (*self._filters, where), self._limits)

    def within(self, limits: Limits | Budget) -> View:
        """Return a view whose calls may take so much, instead of what they may take now."""
        return View(self.collection, self._filters, limited(limits))

    @property
    def schema(self) -> Schema:
        """The fields."""
        return self.collection.schema

    def snapshot(self) -> Snapshot:
        """Return the present state, frozen and restricted; the time of `Limits` runs from now."""
        return self._seen(self.collection.snapshot(), self._limits)

    def at(
        self, version: int | None = None, timestamp: datetime | float | None = None, tag: str | None = None
    ) -> Snapshot:
        """Return an older version, restricted; see `Collection.at`. A filter must fit the fields that it had."""
        return self._seen(self.collection.at(version, timestamp, tag), self._limits)

    def _seen(self, snapshot: Snapshot, limits: Limits | Budget | None) -> Snapshot:
        if limits is not None:
            snapshot = snapshot.within(limits)
        for where in self._filters:
            snapshot = snapshot.restricted(where)
        return snapshot

    def upsert(
        self,
        data: Any,
        progress: Progress = None,
        *,
        request_id: RequestId | None = None,
        chunk: int | None = None,
    ) -> WriteResult:
        """Store records, as `Collection.upsert` does.

        Raises:
            PermissionDeniedError: a record does not pass the filter, or has the id of a row that does not. Nothing is
                stored.

        """
        return self._writes().upsert(data, progress, request_id, chunk)

    def patch(self, data: Any, progress: Progress = None, *, request_id: RequestId | None = None) -> WriteResult:
        """Change some fields of existing rows, as `Collection.patch` does.

        Raises:
            NotFoundError: an id is not among the rows of this view. Nothing is changed.
            PermissionDeniedError: a row would not pass the filter any more. Nothing is changed.

        """
        return self._writes().patch(data, progress, request_id)

    def delete(
        self,
        ids: Any = None,
        where: str | Expression | None = None,
        *,
        cascade: bool = False,
        request_id: RequestId | None = None,
    ) -> WriteResult:
        """Delete rows of this view, as `Collection.delete` does; others stay, and `rows` does not count them."""
        return self._writes().delete(ids, where, request_id, flag("cascade", cascade))

    def _writes(self) -> RowWrites:
        return self._begun(RowWrites)

    def _link_writes(self) -> LinkWrites:
        from vecdb.link_writes import LinkWrites

        return self._begun(LinkWrites)

    def _begun(self, kind: type[W]) -> W:
        """Return the writes of one call, whose time runs from now."""
        limits = self._limits.begin() if isinstance(self._limits, Limits) else self._limits
        return kind(self.collection, lambda snapshot: self._seen(snapshot, limits), self._filters, limits)

    def __repr__(self) -> str:
        told = "".join(f", where={str(where)!r}" for where in self._filters)
        return f"View({self.name!r}{told}{'' if self._limits is None else f', {self._limits!r}'})"
