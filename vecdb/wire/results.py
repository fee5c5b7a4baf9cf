"""Hits as messages, and results that are read from messages.

A result is columns on both sides. The reader makes Python objects, and Arrow tables, of what is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.results import Paths, Pick, SearchResult, Selected, WriteResult
from vecdb.row_values import listed
from vecdb.wire import paths as wire_paths
from vecdb.wire import rows as wire_rows
from vecdb.wire import selections
from vecdb.wire.values import (
    ID_TYPES,
    as_json,
    from_json,
    ids_from_message,
    ids_to_message,
    optional_to_message,
    packed,
    value_from_message,
    write_ids,
)
from vecdb_proto.v1 import result_pb2 as pb

if TYPE_CHECKING:
    import pyarrow as pa

    from vecdb.highlights import Highlight
    from vecdb.query.query import Query
    from vecdb.schema.schema import Schema

METRICS = "cosine", "dot", "l2", "hamming"

Highlighting = Callable[[list[Any], int], list[dict[str, "Highlight"]]]
"""Returns what of the texts of some ids has the words that were asked for."""
Explaining = Callable[[], dict[str, Any]]
"""Returns how hits are found that came without saying so."""


# -- one result --------------------------------------------------------------------------------------------------------


def to_message(
    result: SearchResult, schema: Schema, *, fields: bool = True, explain: bool = False, cursor: bool = True
) -> pb.SearchResult:
    """Return a result as a message; see `write`."""
    message = pb.SearchResult()
    write(message, result, schema, fields=fields, explain=explain, cursor=cursor)
    return message


def write(
    message: pb.SearchResult,
    result: SearchResult,
    schema: Schema,
    *,
    fields: bool = True,
    explain: bool = False,
    cursor: bool = True,
) -> None:
    """Write a result into an empty message.

    Args:
        message: where to.
        result: the hits.
        schema: of the state that they were found in.
        fields: False where the query asked for no fields.
        explain: whether the message says how the hits were found.
        cursor: whether it says where the next page begins, also where the reader can tell that from what else it says.

    """
    write_hits(message, result, schema, fields=fields)
    rows = result._rows
    for name, ranks, scores in rows.arms():
        packed_ranks, packed_scores = np.array(ranks, "<i4").tobytes(), np.array(scores, "<f8").tobytes()
        message.arms.append(pb.ArmScores(name=name, ranks=packed_ranks, scores=packed_scores))
    groups = rows.groups()
    if groups is not None:
        message.groups.SetInParent()
        for value, first, last in groups:
            message.groups.groups.append(pb.Group(value=optional_to_message(value), first=first, last=last))
    paths = rows.paths()
    if paths is not None:
        message.paths.SetInParent()
        wire_paths.write(message.paths, paths, schema.id.field.type)
    selected = rows.selected()
    if selected is not None:
        told = selections.told_to_message(selected, rows.picks(), schema.id.field.type)
        message.selection.CopyFrom(told)
    fetches = () if cursor else rows.fetches()
    behind = None if fetches else result.cursor
    if behind is not None:
        message.cursor = behind
    message.fetches.extend(fetches)
    if explain:
        message.explain = as_json(result.explain)


def write_hits(message: pb.SearchResult, result: SearchResult, schema: Schema, *, fields: bool) -> None:
    """Write the ids, scores and fields of a result into an empty message: all there is of a search by one vector."""
    message.id_name = schema.id.name
    write_ids(message.ids, result.ids, schema.id.field.type)
    message.scores = _packed_scores(result.scores)
    if result._metric is not None:
        message.metric = result._metric
    message.missing.extend(result.missing)
    if fields:
        _write_fields(message, [result._rows.field_table()], schema)


def from_message(
    message: pb.SearchResult,
    highlighting: Highlighting | None = None,
    explaining: Explaining | None = None,
    asked: Callable[[], Query] | None = None,
) -> SearchResult:
    """Return the result of a message.

    Args:
        message: the hits.
        highlighting: how their highlights are found.
        explaining: how it is told how they were found, where the message does not.
        asked: returns the query, where the message was asked for without a cursor.

    Raises:
        InvalidInputError: it does not have as many scores as ids, or other numbers do not fit.

    """
    ids = ids_from_message(message.ids)
    scores = _scores(message.scores, len(ids))
    return SearchResult(ReceivedRows(message, ids, scores, highlighting, explaining, asked), _metric(message))


# -- many results ------------------------------------------------------------------------------------------------------


def alike_to_message(
    results: Sequence[SearchResult], schema: Schema, *, fields: bool = True, explain: bool = False
) -> pb.SearchResults:
    """Return the results of queries that are alike as one message: no arms, no groups, no cursors."""
    ids: list[Any] = []
    for result in results:
        ids.extend(result.ids)
    hits = pb.SearchResult(id_name=schema.id.name, ids=ids_to_message(ids, schema.id.field.type))
    if results:
        hits.scores = _packed_scores(np.concatenate([result.scores for result in results]))
        hits.metric = results[0]._metric or ""
        hits.missing.extend(dict.fromkeys(name for result in results for name in result.missing))
        tables = [result._rows.field_table() for result in results] if fields else []
        _write_fields(hits, tables, schema)
    message = pb.SearchResults(counts=np.array(list(map(len, results)), "<u4").tobytes(), hits=hits)
    if explain:
        message.explains.extend(as_json(result.explain) for result in results)
    return message


def alike_from_message(
    message: pb.SearchResults,
    highlightings: Sequence[Highlighting] | None = None,
    explainings: Sequence[Explaining] | None = None,
) -> list[SearchResult]:
    """Return the results of a message.

    Args:
        message: the hits.
        highlightings: how the highlights of each are found.
        explainings: how it is told how those of each were found, where the message does not.

    Raises:
        InvalidInputError: the counts are not those of the hits.

    """
    hits = message.hits
    counts = packed(message.counts, "<u4", "the list of counts").astype(np.int64)
    ids = ids_from_message(hits.ids)
    scores = _scores(hits.scores, len(ids))
    if counts.sum() != len(ids) or (message.explains and len(message.explains) != len(counts)):
        raise InvalidInputError(f"{len(counts)} results have {counts.sum()} hits, found {len(ids)}")
    whole = ReceivedRows(hits, ids, scores)
    metric = _metric(hits)
    ends = np.cumsum(counts).tolist()
    explains = message.explains or [b""] * len(counts)
    return [
        SearchResult(SomeRows(whole, end - count, end, explain, highlighting, explaining), metric)
        for count, end, explain, highlighting, explaining in zip(
            counts.tolist(),
            ends,
            explains,
            highlightings or [None] * len(counts),
            explainings or [None] * len(counts),
            strict=True,
        )
    ]


class ReceivedRows:
    """The rows of a result that came as a message, as `vecdb.results.Rows`."""

    __slots__ = ("_asked", "_batch", "_explaining", "_highlighting", "_ids", "_kinds", "_message", "missing", "scores")

    def __init__(
        self,
        message: pb.SearchResult,
        ids: list[Any],
        scores: np.ndarray,
        highlighting: Highlighting | None = None,
        explaining: Explaining | None = None,
        asked: Callable[[], Query] | None = None,
    ) -> None:
        self._asked = asked
        self._explaining = explaining
        self._message = message
        self._ids = ids
        self._highlighting = highlighting
        self._batch: pa.RecordBatch | None = None
        self._kinds: list[str] = []
        self.scores = scores
        self.missing = tuple(message.missing)

    def ids(self) -> list[Any]:
        """Return the ids."""
        return self._ids

    def id_table(self) -> pa.Table:
        """Return the ids as a table of one column."""
        import pyarrow as pa

        kind = pa.string() if self._message.ids.type == ID_TYPES["string"] else pa.int64()
        return pa.table({self._message.id_name: pa.array(self._ids, kind)})

    def field_table(self) -> pa.Table:
        """Return the fields that were asked for."""
        import pyarrow as pa

        batch = self.fields()[0]
        return pa.table({}) if batch is None else pa.Table.from_batches([batch])

    def field_values(self) -> list[tuple[str, list[Any]]]:
        """Return the fields that were asked for, by name, as Python values."""
        batch, kinds = self.fields()
        return [] if batch is None else python_columns(batch, kinds)

    def fields(self) -> tuple[pa.RecordBatch | None, list[str]]:
        """Return the fields and their kinds, read when they are first looked at.

        Raises:
            InvalidInputError: they are damaged, or not as many as ids.

        """
        if self._batch is None and self._message.HasField("fields"):
            batch = wire_rows.from_message(self._message.fields)
            if batch.num_rows != len(self._ids):
                raise InvalidInputError(f"a result has fields of {batch.num_rows} rows and {len(self._ids)} ids")
            self._kinds = wire_rows.kinds_from_message(self._message.fields, batch.num_columns)
            self._batch = batch
        return self._batch, self._kinds

    def highlights(self, length: int) -> list[dict[str, Highlight]]:
        """Return what of the texts has the words, as they are now."""
        return [{} for _ in self._ids] if self._highlighting is None else self._highlighting(self._ids, length)

    def explain(self) -> dict[str, Any]:
        """Return how the rows were found; nothing where it was not asked for."""
        if self._explaining is not None and not self._message.explain:
            return self._explaining()
        return from_json(self._message.explain)

    def arms(self) -> list[tuple[str, list[int], list[float]]]:
        """Return what each of several arms says."""
        found = []
        for arm in self._message.arms:
            ranks, scores = packed(arm.ranks, "<i4", "ranks"), packed(arm.scores, "<f8", "scores")
            if not len(ranks) == len(scores) == len(self._ids):
                raise InvalidInputError(f"arm {arm.name!r} has {len(ranks)} ranks for {len(self._ids)} hits")
            found.append((arm.name, ranks.tolist(), scores.tolist()))
        return found

    def groups(self) -> Sequence[tuple[Any, int, int]] | None:
        """Return the groups, where there are any."""
        if not self._message.HasField("groups"):
            return None
        found = []
        for one in self._message.groups.groups:
            if not one.first <= one.last <= len(self._ids):
                raise InvalidInputError(f"a group lies outside the {len(self._ids)} hits of its result")
            found.append((value_from_message(one.value) if one.HasField("value") else None, one.first, one.last))
        return found

    def paths(self) -> Paths | None:
        """Return how links led to each hit, where any did."""
        if not self._message.HasField("paths"):
            return None
        return wire_paths.from_message(self._message.paths, len(self._ids))

    def selected(self) -> Selected | None:
        """Return what a selection says, where there is one."""
        message = self._message
        return selections.about_from_message(message.selection) if message.HasField("selection") else None

    def picks(self) -> list[Pick]:
        """Return what a selection says of each row."""
        return selections.picks_from_message(self._message.selection, len(self._ids))

    def cursor(self) -> str | None:
        """Return where the next page begins."""
        if self._message.HasField("cursor"):
            return self._message.cursor
        fetches = self.fetches()
        if self._asked is None or not fetches or not self._ids:
            return None
        from vecdb.query.cursors import behind_the_last

        return behind_the_last(self._asked(), self.scores, self._ids, fetches)

    def fetches(self) -> tuple[int, ...]:
        """Return what each arm gathered, where the message leaves its reader to make the cursor."""
        return tuple(self._message.fetches)


class SomeRows:
    """The rows of one of many results that came together."""

    __slots__ = ("_explain", "_explaining", "_first", "_highlighting", "_last", "_whole", "missing", "scores")

    def __init__(
        self,
        whole: ReceivedRows,
        first: int,
        last: int,
        explain: bytes,
        highlighting: Highlighting | None,
        explaining: Explaining | None = None,
    ) -> None:
        self._explaining = explaining
        self._whole = whole
        self._first, self._last = first, last
        self._explain = explain
        self._highlighting = highlighting
        self.scores = whole.scores[first:last]
        self.missing = whole.missing

    def ids(self) -> list[Any]:
        """Return the ids."""
        return self._whole.ids()[self._first : self._last]

    def id_table(self) -> pa.Table:
        """Return the ids as a table of one column."""
        return self._whole.id_table().slice(self._first, self._last - self._first)

    def field_table(self) -> pa.Table:
        """Return the fields that were asked for."""
        return self._whole.field_table().slice(self._first, self._last - self._first)

    def field_values(self) -> list[tuple[str, list[Any]]]:
        """Return the fields that were asked for, by name, as Python values."""
        batch, kinds = self._whole.fields()
        return [] if batch is None else python_columns(batch.slice(self._first, self._last - self._first), kinds)

    def highlights(self, length: int) -> list[dict[str, Highlight]]:
        """Return what of the texts has the words, as they are now."""
        return [{} for _ in self.scores] if self._highlighting is None else self._highlighting(self.ids(), length)

    def explain(self) -> dict[str, Any]:
        """Return how the rows were found; nothing where it was not asked for."""
        if self._explaining is not None and not self._explain:
            return self._explaining()
        return from_json(self._explain)

    def arms(self) -> list[tuple[str, list[int], list[float]]]:
        """Return what each of several arms says: there is one."""
        return []

    def paths(self) -> None:
        """Return no paths."""
        return

    def groups(self) -> None:
        """Return no groups."""
        return

    def selected(self) -> None:
        """Return nothing: queries that are alike do not select."""
        return

    def picks(self) -> list[Pick]:
        """Return nothing."""
        return []

    def cursor(self) -> None:
        """Return no cursor."""
        return

    def fetches(self) -> tuple[int, ...]:
        """Return nothing: they have no cursor."""
        return ()


def _packed_scores(scores: np.ndarray) -> bytes:
    return scores.astype("<f8" if scores.dtype == np.float64 else "<f4", copy=False).tobytes()


def _scores(data: bytes, count: int) -> np.ndarray:
    scores = packed(data, "<f8" if count and len(data) == 8 * count else "<f4", "the list of scores")
    if len(scores) != count:
        raise InvalidInputError(f"a result has {len(scores)} scores and {count} ids")
    return scores


def _metric(message: pb.SearchResult) -> str | None:
    if message.metric and message.metric not in METRICS:
        raise InvalidInputError(f"the metric {message.metric!r:.80} is unknown: was it made by a newer vecdb?")
    return message.metric or None


def _write_fields(message: pb.SearchResult, tables: Sequence[pa.Table], schema: Schema) -> None:
    """Write the fields of results, one behind the other, if there are any."""
    if not tables or not tables[0].num_columns:
        return
    batch = wire_rows.one_batch(tables)
    columns = [schema[name] for name in batch.schema.names]
    message.fields.CopyFrom(wire_rows.to_message(batch, columns))


# -- rows and writes ---------------------------------------------------------------------------------------------------


def python_columns(batch: pa.RecordBatch, kinds: Sequence[str]) -> list[tuple[str, list[Any]]]:
    """Return the columns of a batch by name, as Python values: vectors as arrays, JSON parsed.

    Raises:
        InvalidInputError: a value is not what its kind says, or a moment that Python does not have.

    """
    import pyarrow as pa

    table = pa.Table.from_batches([batch])
    try:
        return [
            (name, listed(kind, column))
            for name, kind, column in zip(table.column_names, kinds, table.columns, strict=True)
        ]
    except (OverflowError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InvalidInputError(f"the rows have a value that cannot be read: {error}") from None


def write_to_message(result: WriteResult) -> pb.WriteResult:
    """Return an acknowledged write as a message."""
    return pb.WriteResult(lsn=result.lsn, rows=result.rows, durable=result.durable)


def write_from_message(message: pb.WriteResult) -> WriteResult:
    """Return the acknowledged write of a message."""
    return WriteResult(message.lsn, message.rows, message.durable)
