"""Links between rows, as a collection and a view of it have them: writing, and reading the latest state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vecdb.schema.given import flag
from vecdb.schema.links import LINK_BATCH, Direction

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.filters import Expression
    from vecdb.link_writes import LinkWrites
    from vecdb.reads import Snapshot
    from vecdb.results import WriteResult
    from vecdb.row_writes import RequestId
    from vecdb.schema.schema import Schema


class Linked:
    """What collections and views do with links. Reads see the latest state; `Snapshot` says what they return."""

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Return the present state, frozen."""

    @abstractmethod
    def _link_writes(self) -> LinkWrites: ...

    def link(
        self, edges: Any, *, directed: bool = True, request_id: RequestId | None = None, chunk: int | None = None
    ) -> WriteResult:
        """Store links between ids: new ones are added, weight and attributes of known ones replaced.

        Source, destination and type together name a link. The ends need no rows: those that have none are counted by
        `link_stats`. One atomic step; only an Arrow RecordBatchReader is stored batch by batch, each an atomic step.

        Args:
            edges: what `upsert` takes, with columns src and dst, and perhaps type ("link" where it is missing), weight
                (a float32 of 0 or more; 1 where it is missing) and attributes, see `add_link_attribute`.
            directed: False stores each link in both directions, as two links.
            request_id: as in `upsert`, and so is chunk.
            chunk: as in `upsert`.

        Raises:
            InvalidInputError: a value does not fit: it names field, row and value. Nothing is stored.
            PermissionDeniedError: through a view: an end is not among its rows. Nothing is stored.
            ResourceExhaustedError: the disk is full, or there would be more than 32,767 types. Nothing is stored.

        """
        return self._link_writes().link(edges, flag("directed", directed), request_id, chunk)

    def unlink(
        self,
        edges: Any = None,
        *,
        src: Any = None,
        dst: Any = None,
        type: str | Sequence[str] | None = None,
        where: str | Expression | None = None,
        directed: bool = True,
        request_id: RequestId | None = None,
    ) -> WriteResult:
        """Delete links: those of a list, or all that match what is given; `rows` says how many there were.

        Args:
            edges: links as columns src, dst and perhaps type; without a type, those of all types between the ends.
            src: only links from this id, or from these.
            dst: only links to this id, or to these.
            type: only links of this type, or of these.
            where: only links that pass a filter over type, weight and attributes.
            directed: False deletes the links in the other direction too.
            request_id: as in `upsert`.

        """
        return self._link_writes().unlink(edges, src, dst, type, where, flag("directed", directed), request_id)

    def link_schema(self) -> Schema:
        """Return the columns of links: src, dst, type, weight, and the declared attributes."""
        return self.snapshot().link_schema()

    def neighbours(
        self,
        ids: Any,
        type: str | Sequence[str] | None = None,
        direction: Direction = "both",
        where: str | Expression | None = None,
        limit: int | None = None,
    ) -> pa.Table:
        """Return the links of one id, or of several, heaviest first; see `Snapshot.neighbours`."""
        return self.snapshot().neighbours(ids, type, direction, where, limit)

    def links(
        self,
        src: Any = None,
        dst: Any = None,
        type: str | Sequence[str] | None = None,
        where: str | Expression | None = None,
        batch_rows: int = LINK_BATCH,
    ) -> Iterator[pa.RecordBatch]:
        """Yield all links that pass, in batches, from one state; see `Snapshot.links`."""
        return self.snapshot().links(src, dst, type, where, batch_rows)

    def degrees(
        self,
        ids: Any,
        type: str | Sequence[str] | None = None,
        where: str | Expression | None = None,
    ) -> pa.Table:
        """Return how many links each id has: columns id, out, in; see `Snapshot.degrees`."""
        return self.snapshot().degrees(ids, type, where)

    def link_stats(self) -> dict[str, Any]:
        """Return how many links there are, of which types, how degrees spread, which ends dangle."""
        return self.snapshot().link_stats()
