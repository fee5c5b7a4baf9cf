"""Writing rows: what a collection, and a view of it, do with records until the log has them.

A write is prepared from a snapshot, and prepared again when what it was prepared from has changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from vecdb.arguments import RequestId, chunk_number, request_bytes
from vecdb.errors import InvalidInputError, NotFoundError, PermissionDeniedError
from vecdb.results import WriteResult
from vecdb.schema.known import VECTORS
from vecdb.schema.records import validated, validated_batch

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from vecdb.collection import Collection
    from vecdb.encoders.attached import Made
    from vecdb.encoders.progress import Progress
    from vecdb.filters import Expression
    from vecdb.reads import Snapshot
    from vecdb.schema.multivector import MultiVector
    from vecdb.schema.schema import Column, Schema
    from vecdb.storage.group_commit import Write
    from vecdb.storage.requests import Key, Request
    from vecdb.storage.snapshot import Part
    from vecdb_index.budget import Budget

DIRECT_BYTES = 8 << 20
"""A batch of more bytes is written as a segment at once and not through the log."""


def request_key(request_id: RequestId | None, chunk: int | None = None) -> Key | None:
    """Return what is remembered of a request's name; None without one.

    Raises:
        InvalidInputError: it is none, or there is a chunk and no request id.

    """
    if request_id is None:
        if chunk is not None:
            raise InvalidInputError(f"chunk {chunk!r} belongs to an upload: give its request_id too", field="chunk")
        return None
    from vecdb.storage.requests import WHOLE, Key

    return Key(request_bytes(request_id), WHOLE if chunk is None else chunk_number(chunk))


def request_of(key: Key, kind: str, content: pa.RecordBatch | str, rows: int | None = None) -> Request:
    """Return a request with a hash of what it asks for.

    Of a batch, columns without a value count as little as absent ones: fields may be added between two attempts.
    """
    import xxhash

    from vecdb.storage.requests import COUNTED, Request

    digest = xxhash.xxh3_128(kind.encode())
    if isinstance(content, str):
        digest.update(content.encode())
    else:
        rows, names = content.num_rows, content.schema.names
        used = [name for name, column in zip(names, content.columns, strict=True) if column.null_count < rows]
        digest.update("\0".join(used).encode())
        digest.update((content if len(used) == len(names) else content.select(used)).serialize())
    return Request(key, digest.digest(), COUNTED if rows is None else rows)


class RowWrites:
    """The writes of one call.

    Args:
        collection: whose rows.
        narrow: shows a snapshot as the caller sees it; None: all of it.
        filters: what every row must pass that the caller writes.
        budget: what the call may take; looked at until the write goes to the log.

    """

    def __init__(
        self,
        collection: Collection,
        narrow: Callable[[Snapshot], Snapshot] | None = None,
        filters: tuple[str | Expression, ...] = (),
        budget: Budget | None = None,
    ) -> None:
        self._collection = collection
        self._writer = collection._writable()
        self._narrow = narrow
        self._filters = filters
        self._budget = budget

    def _snapshot(self) -> Snapshot:
        snapshot = self._collection.snapshot()
        return snapshot if self._narrow is None else self._narrow(snapshot)

    def upsert(self, data: Any, progress: Progress, request_id: RequestId | None, chunk: int | None) -> WriteResult:
        """Store records; see `Collection.upsert`."""
        key = request_key(request_id, chunk)
        if type(data).__name__ != "RecordBatchReader":
            return self._upsert(data, progress, key)
        if chunk is not None:
            raise InvalidInputError("a reader is stored in chunks of its own: leave chunk out", field="chunk")
        last, rows = self._result(self._writer.state.lsn, 0), 0
        for number, batch in enumerate(validated(data, self._writer.state.schema)):
            part = None if key is None else key._replace(chunk=number)
            last = self._upsert(batch, progress, part, drop_unknown=True)
            rows += last.rows
        return WriteResult(last.lsn, rows, last.durable)

    def _upsert(self, data: Any, progress: Progress, key: Key | None, drop_unknown: bool = False) -> WriteResult:
        from vecdb.storage.writes import nothing_write

        made: Made = {}

        def prepare() -> Write | WriteResult:
            schema = self._writer.state.schema
            batch = validated_batch(_without_empty(data, schema) if drop_unknown else data, schema)
            request = None if key is None else request_of(key, "upsert", batch)
            known = self._known(request)
            if known is not None:
                return known
            batch = self._collection.encoders.completed(batch, schema, progress, made)
            if batch.num_rows == 0:
                return named_write(nothing_write(schema), request)
            return named_write(self._upsert_write(schema, _prepared(batch, schema)), request)

        return self._submit(prepare)

    def _upsert_write(self, schema: Schema, batch: pa.RecordBatch) -> Write:
        from vecdb.storage.writes import upsert_write

        absent, since = frozenset[str | int](), None
        if self._filters:
            absent, since = self._absent(schema, batch)
        if batch.num_rows == 1 or batch.nbytes <= DIRECT_BYTES:
            write = upsert_write(schema, batch, unchanged_since=since)
        else:
            from vecdb.bulk import direct_write

            write = direct_write(self._writer, schema, batch)
            write.unchanged_since = since
            if since is not None:
                write.ids = batch.column(schema.id.name).to_pylist()
        write.absent = absent
        return write

    def patch(self, data: Any, progress: Progress, request_id: RequestId | None) -> WriteResult:
        """Change some fields of existing rows; see `Collection.patch`."""
        from vecdb.storage.writes import nothing_write, upsert_write

        key = request_key(request_id)
        made: Made = {}

        def prepare() -> Write | WriteResult:
            snapshot = self._snapshot()
            schema = snapshot.schema
            batch = validated_batch(data, schema, partial=True)
            request = None if key is None else request_of(key, "patch", batch)
            known = self._known(request)
            if known is not None:
                return known
            batch = self._collection.encoders.completed(batch, schema, progress, made)
            if batch.num_rows == 0:
                return named_write(nothing_write(schema), request)
            whole = self._completed(snapshot, _prepared(batch, schema))
            self._refuse_outside(schema, whole)
            return named_write(upsert_write(schema, whole, unchanged_since=snapshot.lsn), request)

        return self._submit(prepare)

    def _completed(self, snapshot: Snapshot, patch: pa.RecordBatch) -> pa.RecordBatch:
        """Return whole rows, as they are stored: the patch's fields, and the others."""
        import numpy as np
        import pyarrow as pa

        from vecdb.planner.found import take

        state, schema = snapshot._state, snapshot.schema
        parts = state.parts
        numbers = {id(part): number for number, part in enumerate(parts)}
        part, row = np.empty(patch.num_rows, np.int64), np.empty(patch.num_rows, np.int64)
        for at, value in enumerate(patch.column(schema.id.name).to_pylist()):
            place = state.find(value)
            if place is None:
                raise NotFoundError(f"cannot patch {value!r}: {snapshot.name!r} has no such id")
            part[at], row[at] = numbers[id(place[0])], place[1]
        given = set(patch.schema.names)
        arrays = [
            patch.column(column.name)
            if column.name in given
            else take(parts, part, row, lambda owner, rows, column=column: _stored(owner, column, rows))
            for column in schema.columns
        ]
        types = [(column.name, column.field.stored_type) for column in schema.columns]
        return pa.record_batch(arrays, schema=pa.schema(types))

    def delete(
        self, ids: Any, where: str | Expression | None, request_id: RequestId | None, cascade: bool = False
    ) -> WriteResult:
        """Delete rows by id, or all that pass a filter; see `Collection.delete`."""
        if (ids is None) == (where is None):
            raise InvalidInputError("name either ids or where")
        from vecdb.storage.writes import delete_write, nothing_write

        key = request_key(request_id)

        def prepare() -> Write | WriteResult:
            snapshot = self._snapshot()
            given = [] if ids is None else list(dict.fromkeys(snapshot.checked_ids(ids)[0]))
            request = None
            if key is not None:
                bound = snapshot._bind(where)
                kind = "delete cascade" if cascade else "delete"
                request = request_of(key, kind, f"ids {given!r}" if bound is None else f"where {bound.key}")
            known = self._known(request)
            if known is not None:
                return known
            since = snapshot.lsn
            if where is not None:
                given = [value for batch in snapshot.scan(where, fields=[]) for value in batch.column(0).to_pylist()]
            elif self._filters:
                given = [value for value in given if snapshot._state.find(value) is not None]
            else:
                since = None
            write = delete_write(snapshot.schema, given, since, cascade) if given else nothing_write(snapshot.schema)
            return named_write(write, request)

        return self._submit(prepare)

    # -- what they share -------------------------------------------------------------------------------------------

    def _submit(self, prepare: Callable[[], Write | WriteResult]) -> WriteResult:
        """Prepare and commit a write, again and again while what it was prepared from changes under it."""
        from vecdb.storage import wal
        from vecdb.storage.group_commit import Stale

        writer = self._writer
        while True:
            write = prepare()
            if isinstance(write, WriteResult):
                return write
            if write.kind == wal.REQUESTS and not write.requests:
                return self._result(writer.state.lsn, 0)
            try:
                if self._budget is not None:
                    self._budget.check("a write")
                done = writer.submit(write)
            except Stale:
                writer.forget(write)
                continue
            except BaseException:
                writer.forget(write)
                raise
            if done.repeats:
                writer.forget(write)
            elif write.segments:
                self._collection._segments_came()
            return self._result(done.lsn, done.rows)

    def _result(self, lsn: int, rows: int) -> WriteResult:
        return WriteResult(lsn, rows, self._writer.settings.durability == "sync")

    def _known(self, request: Request | None) -> WriteResult | None:
        """Return the result of a request that was made before."""
        done = None if request is None else self._writer.requests.made(request)
        return None if done is None else self._result(done.lsn, done.rows)

    def _absent(self, schema: Schema, batch: pa.RecordBatch) -> tuple[frozenset[str | int], int]:
        """Return which ids no row has, and the write up to which that is so; refuse what the caller may not store.

        Raises:
            PermissionDeniedError: a record does not pass a filter, or a row that the caller does not see has its id.

        """
        self._refuse_outside(schema, batch)
        everything = self._collection.snapshot()
        seen = everything if self._narrow is None else self._narrow(everything)
        absent = {value for value in batch.column(schema.id.name).to_pylist() if seen._state.find(value) is None}
        for value in absent:
            if everything._state.find(value) is not None:
                raise PermissionDeniedError(f"the id {value!r} may not be used: nothing was stored")
        return frozenset(absent), everything.lsn

    def _refuse_outside(self, schema: Schema, batch: pa.RecordBatch) -> None:
        """Refuse records that the caller could not see."""
        if not self._filters:
            return
        import numpy as np

        from vecdb.filters import bind, parse, resolve

        for where in self._filters:
            expression = parse(where) if isinstance(where, str) else resolve(where)
            if expression is None:
                continue
            bound = bind(expression, schema)
            columns = {
                name: batch.column(name).is_valid() if schema[name].field.kind in VECTORS else batch.column(name)
                for name in bound.columns
            }
            outside = np.flatnonzero(~bound.mask(columns, batch.num_rows))
            if len(outside):
                value = batch.column(schema.id.name)[int(outside[0])].as_py()
                raise PermissionDeniedError(
                    f"record {int(outside[0])}, id {value!r}, is not among the rows that may be written: nothing was"
                    " stored"
                )


def _prepared(batch: pa.RecordBatch, schema: Schema) -> pa.RecordBatch:
    if not schema.multivectors:
        return batch
    from vecdb.storage.prepare import prepared

    return prepared(batch, schema)


def _stored(part: Part, column: Column, rows: np.ndarray) -> pa.Array:
    """Return the values of some rows of a part as they are stored."""
    if column.field.kind == "multivector":
        from vecdb.storage.token_files import joined

        column = cast("Column[MultiVector]", column)
        return joined(part.tokens(column).some(rows), column.field)
    from vecdb.row_values import values

    return values(part, column, rows)


def named_write(write: Write, request: Request | None) -> Write:
    """Return a write that is known by a request, if there is one."""
    if request is not None:
        write.requests = (request,)
    return write


def _without_empty(batch: pa.RecordBatch, schema: Schema) -> pa.RecordBatch:
    """Drop empty columns that validation added for fields which were dropped or renamed since."""
    names = batch.schema.names
    kept = [name for name in names if name in schema or batch.column(name).null_count < batch.num_rows]
    return batch.select(kept)
