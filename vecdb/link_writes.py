"""Writing links: what a collection, and a view of it, do with links until the log has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from vecdb.errors import InvalidInputError, PermissionDeniedError, ResourceExhaustedError
from vecdb.row_writes import DIRECT_BYTES, RequestId, RowWrites, named_write, request_key, request_of
from vecdb.schema.links import DST, ENDS, SRC, TYPE, TYPES, ends_of, validated_links

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.filters import Expression
    from vecdb.reads import Snapshot
    from vecdb.results import WriteResult
    from vecdb.storage.group_commit import Write
    from vecdb.storage.links.ends import Key
    from vecdb.storage.requests import Key as Named


class LinkWrites(RowWrites):
    """The writes of links of one call; see `RowWrites`."""

    def link(self, data: Any, directed: bool, request_id: RequestId | None, chunk: int | None) -> WriteResult:
        """Store links; see `Collection.link`."""
        from vecdb.results import WriteResult

        key = request_key(request_id, chunk)
        if type(data).__name__ != "RecordBatchReader":
            return self._link(data, directed, key)
        if chunk is not None:
            raise InvalidInputError("a reader is stored in chunks of its own: leave chunk out", field="chunk")
        last, rows = self._result(self._writer.state.lsn, 0), 0
        for number, batch in enumerate(data):
            last = self._link(batch, directed, None if key is None else key._replace(chunk=number))
            rows += last.rows
        return WriteResult(last.lsn, rows, last.durable)

    def _link(self, data: Any, directed: bool, key: Named | None) -> WriteResult:
        from vecdb.storage.writes import nothing_write

        def prepare() -> Write | WriteResult:
            schema, links = self._writer.state.schema, self._writer.state.links.schema
            batch = validated_links(data, links, directed)
            request = None if key is None else request_of(key, "link", batch)
            known = self._known(request)
            if known is not None:
                return known
            if batch.num_rows == 0:
                return named_write(nothing_write(schema), request)
            self._refuse_ends(batch)
            self._check_types(batch)
            self._require()
            return named_write(self._link_write(batch), request)

        done = self._submit(prepare)
        self._publish_segments()
        return done

    def _publish_segments(self) -> None:
        """Publish the segments that only the log names once there are enough of them to be merged."""
        from vecdb.storage.links.table import entries_of

        state = self._writer.state
        waiting = len(state.links.segments) - len(entries_of(state.located.manifest))
        if waiting >= self._writer.settings.merge_fan_in:
            self._writer.flush()

    def _link_write(self, batch: pa.RecordBatch) -> Write:
        from vecdb.storage.writes import link_segments_write, link_write

        state = self._writer.state
        schema, links = state.schema, state.links.schema
        if batch.num_rows == 1 or batch.nbytes <= DIRECT_BYTES:
            write = link_write(schema, links, batch)
        else:
            write = link_segments_write(schema, (self._segment(batch),))
        write.link_schema = links
        return write

    def _segment(self, batch: pa.RecordBatch) -> Any:
        """Write many links as a segment, past the log; the write that is returned commits them."""
        import pyarrow as pa

        from vecdb.storage.links.writer import LinkSegmentWriter
        from vecdb.storage.os_errors import typed_os_errors

        writer, links = self._writer, self._writer.state.links.schema
        writer.check_space(batch.nbytes)
        with typed_os_errors():
            builder = writer.segment_writer(links, LinkSegmentWriter)
            try:
                builder.append(pa.RecordBatch.from_arrays(batch.columns, schema=links.storage_schema()))
                return builder.finish_links()
            except BaseException:
                writer.abandon(builder)
                raise

    def _check_types(self, batch: pa.RecordBatch) -> None:
        """Refuse what would make too many types."""
        given = batch.column(TYPE).unique().to_pylist()
        if len(given) + len(self._writer.state.links.types) <= TYPES:
            return
        count = len({*given, *self._writer.state.links.types})
        if count > TYPES:
            raise ResourceExhaustedError(
                f"these links would make {count} types, a collection has at most {TYPES}: "
                "what differs from link to link belongs into an attribute"
            )

    def _refuse_ends(self, batch: pa.RecordBatch) -> None:
        """Refuse links of somebody who may see only some rows unless both ends are among these."""
        if not self._filters:
            return
        import numpy as np

        from vecdb.planner.links import shown

        state = self._snapshot()._state
        for end in (SRC, DST):
            column = batch.column(end)
            hidden = np.flatnonzero(~shown(state, column))
            if len(hidden):
                row = int(hidden[0])
                raise PermissionDeniedError(
                    f"link {row}: {end} {column[row].as_py()!r} is not among the rows that may be linked: "
                    "nothing was stored"
                )

    def _require(self) -> None:
        """Say in FORMAT that there are links, before the first one: an older vecdb would lose them."""
        state = self._writer.state
        if state.located.manifest.links is None and not state.links.count:
            from vecdb.storage.catalog import require

            require(self._writer.directory, "links")

    def unlink(
        self,
        edges: Any,
        src: Any,
        dst: Any,
        type: Any,
        where: str | Expression | None,
        directed: bool,
        request_id: RequestId | None,
    ) -> WriteResult:
        """Delete links; see `Collection.unlink`."""
        from vecdb.storage.writes import nothing_write, unlink_write

        described = src is not None or dst is not None or type is not None or where is not None
        if (edges is None) != described:
            raise InvalidInputError("name the links to delete: either edges, or any of src, dst, type and where")
        key = request_key(request_id)

        def prepare() -> Write | WriteResult:
            snapshot = self._snapshot()
            request = None
            if key is not None:
                request = request_of(key, "unlink", _described(snapshot, edges, src, dst, type, where, directed))
            known = self._known(request)
            if known is not None:
                return known
            found = self._listed(snapshot, edges, directed) if edges is not None else []
            if edges is None:
                found = list(_keys(snapshot.links(src, dst, type, where)))
                if not directed and (src is not None or dst is not None):
                    found += [one for one in _keys(snapshot.links(dst, src, type, where)) if one not in set(found)]
            if not found:
                return named_write(nothing_write(snapshot.schema), request)
            since = None if where is None else snapshot.lsn
            write = unlink_write(snapshot.schema, snapshot.link_schema(), found, since)
            write.link_schema = snapshot.link_schema()
            return named_write(write, request)

        return self._submit(prepare)

    def _listed(self, snapshot: Snapshot, edges: Any, directed: bool) -> list[Key]:
        """Return the links of a list that are there: those of the given types, or of all where no type is given."""
        given, typed = _edges(snapshot, edges, directed)
        asked = set(given)
        ends = {(src, dst) for src, dst, _ in given}
        found = _keys(snapshot.links(src=sorted({src for src, _ in ends})))
        return [key for key in found if (key in asked if typed else key[:2] in ends)]


def _edges(snapshot: Snapshot, edges: Any, directed: bool) -> tuple[list[Key], bool]:
    """Return what a list names, and whether it names types."""
    batch, typed = ends_of(edges, snapshot.link_schema(), directed)
    columns = [batch.column(name).to_pylist() for name in ENDS]
    return list(zip(*columns, strict=True)), typed


def _keys(batches: Iterator[pa.RecordBatch]) -> Iterator[Key]:
    for batch in batches:
        yield from zip(*(batch.column(name).to_pylist() for name in ENDS), strict=True)


def _described(
    snapshot: Snapshot,
    edges: Any,
    src: Any,
    dst: Any,
    type: Any,
    where: Any,
    directed: bool,
) -> str:
    """Return the text by which an unlink is told from another."""
    if edges is not None:
        return f"edges {_edges(snapshot, edges, directed)!r}"
    ids = [None if given is None else sorted(snapshot.checked_ids(given)[0]) for given in (src, dst)]
    wanted = snapshot._wanted(type, where)
    types = None if wanted.types is None else sorted(wanted.types)
    return f"links {ids!r} {types!r} {wanted.key[1]!r} {directed}"
