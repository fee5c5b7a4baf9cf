"""Reading links: whom an id is linked to, all links, how many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vecdb.arguments import AT_ONCE, ids_of, rows_asked
from vecdb.schema.links import LINK_BATCH, Direction, direction_of, types_of

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.filters import Expression
    from vecdb.planner.links import Wanted
    from vecdb.schema.schema import Schema
    from vecdb.storage.snapshot import State


class LinkReads:
    """What a snapshot answers about links."""

    name: str
    _state: State

    def link_schema(self) -> Schema:
        """Return the columns of links: src, dst, type, weight, and the declared attributes."""
        return self._state.links.schema

    def neighbours(
        self,
        ids: Any,
        type: str | Sequence[str] | None = None,
        direction: Direction = "both",
        where: str | Expression | None = None,
        limit: int | None = None,
    ) -> pa.Table:
        """Return the links of one id, or of several, heaviest first.

        The columns are id (which of those asked for), neighbour, direction ("out": from id to neighbour), type, weight,
        and the attributes. Rows follow the order of ids; equal weights are ordered by neighbour. A neighbour need not
        have a row.

        Args:
            ids: one id or many.
            type: only links of this type, or of these.
            direction: "out", "in" or "both".
            where: a filter over type, weight and attributes.
            limit: the most links of each id.

        Raises:
            InvalidInputError: an argument is wrong; UnknownFieldError and FilterSyntaxError are kinds of it.
            CorruptionError: a segment of links is damaged.

        """
        from vecdb.planner.links import neighbours

        given, _ = self._ids(ids)
        most = None if limit is None else rows_asked(limit, "limit", AT_ONCE)
        return neighbours(self._state, given, direction_of(direction), self._wanted(type, where), most)

    def links(
        self,
        src: Any = None,
        dst: Any = None,
        type: str | Sequence[str] | None = None,
        where: str | Expression | None = None,
        batch_rows: int = LINK_BATCH,
    ) -> Iterator[pa.RecordBatch]:
        """Yield all links that pass, in batches, from one state, in no particular order.

        The columns are src, dst, type, weight and the attributes.

        Args:
            src: only links from this id, or from these.
            dst: only links to this id, or to these.
            type: only links of this type, or of these.
            where: a filter over type, weight and attributes.
            batch_rows: the most links of a batch.

        """
        from vecdb.planner.links import scan

        ends = [None if given is None else self._ids(given)[0] for given in (src, dst)]
        rows = rows_asked(batch_rows, "batch_rows", AT_ONCE)
        return scan(self._state, ends[0], ends[1], self._wanted(type, where), rows)

    def degrees(
        self,
        ids: Any,
        type: str | Sequence[str] | None = None,
        where: str | Expression | None = None,
    ) -> pa.Table:
        """Return how many links each id has: columns id, out, in. `type` and `where` as in `neighbours`."""
        import pyarrow as pa

        from vecdb.planner.links import degrees

        given, _ = self._ids(ids)
        out, incoming = degrees(self._state, given, self._wanted(type, where))
        values = pa.array(given, self._state.schema.id.field.arrow_type)
        return pa.table([values, pa.array(out), pa.array(incoming)], names=["id", "out", "in"])

    def link_stats(self) -> dict[str, Any]:
        """Return how many links there are, of which types, how degrees spread, and which ends dangle.

        A *dangling* end is an id without a row. All links are looked at.
        """
        from vecdb.planner.links import statistics

        return statistics(self._state)

    def _ids(self, ids: Any) -> tuple[list[Any], bool]:
        return ids_of(self._state.schema.id, ids, self.name)

    def _wanted(self, type: Any, where: str | Expression | None) -> Wanted:
        from vecdb.filters import bind, parse, resolve
        from vecdb.planner.links import Wanted

        expression = parse(where) if isinstance(where, str) else resolve(where)
        return Wanted(types_of(type), None if expression is None else bind(expression, self._state.links.schema))
