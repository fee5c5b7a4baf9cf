"""Many queries at once: those that are alike as one matrix, others by themselves; in messages of a bearable size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from vecdb.errors import InvalidInputError
from vecdb.wire import filters, results
from vecdb.wire.values import matrix_from_message, packed
from vecdb_proto.v1 import search_service_pb2 as pb
from vecdb_server.services.shared import Shared, fields_of, given, is_argument

if TYPE_CHECKING:
    from vecdb.query.query import Query
    from vecdb.reads import Snapshot
    from vecdb.results import SearchResult

HITS = 20_000
"""Hits of one message, about."""


def answers(
    shared: Shared, snapshot: Snapshot, request: pb.SearchBatchRequest, read: Callable[[Any], Query]
) -> Iterator[pb.SearchBatchResponse]:
    """Yield the answers to a batch, in order.

    Args:
        shared: the limits.
        snapshot: what is asked.
        request: the batch.
        read: returns the query of a message, checked.

    Raises:
        InvalidInputError: a query does not fit, or there are too many.

    """
    kind = request.WhichOneof("asked")
    if kind == "alike":
        alike = request.alike
        found = _alike(shared, snapshot, alike)
        wanted = not (alike.HasField("fields") and not alike.fields.names)
        for some in _messages(found):
            told = results.alike_to_message(some, snapshot.schema, fields=wanted, explain=request.explain)
            yield pb.SearchBatchResponse(alike=told)
    elif kind == "queries":
        asked = request.queries.queries
        shared.check_most("the batch", len(asked), shared.config.limits.queries_per_batch)
        found = snapshot.run_batch([_read(read, at, one) for at, one in enumerate(asked)])
        begin = 0
        for some in _messages(found):
            response = pb.SearchBatchResponse()
            for one, result in zip(asked[begin : begin + len(some)], some, strict=True):
                wanted = not (one.HasField("fields") and not one.fields.names)
                told = results.to_message(result, snapshot.schema, fields=wanted, explain=request.explain)
                response.results.append(told)
            begin += len(some)
            yield response
    else:
        raise InvalidInputError("the batch has neither queries that are alike nor any others", field="asked")


def _read(read: Callable[[Any], Query], at: int, message: Any) -> Query:
    try:
        return read(message)
    except InvalidInputError as error:
        error.add_note(f"in query {at} of the batch")
        raise


def _alike(shared: Shared, snapshot: Snapshot, asked: pb.AlikeQueries) -> list[SearchResult]:
    limits = shared.config.limits
    kind = asked.WhichOneof("asked")
    if kind is None:
        raise InvalidInputError("the batch has neither vectors nor texts", field="asked")
    count = asked.vectors.rows if kind == "vectors" else len(asked.texts.values)
    shared.check_most("the batch", count, limits.queries_per_batch)
    shared.check_most("k", asked.k, limits.k)
    shared.check_most("ef", asked.ef, limits.ef)
    shared.check_most("probes", asked.probes, limits.probes)
    if not is_argument(snapshot.schema, asked.field):
        snapshot.schema[asked.field]  # raises, if there is no such field
        raise InvalidInputError(f"the field {asked.field!r} has to be renamed before it is searched", field=asked.field)
    sought: Any = matrix_from_message(asked.vectors, asked.field) if kind == "vectors" else list(asked.texts.values)
    arms: dict[str, Any] = {asked.field: sought}
    return snapshot.search_batch(
        asked.k,
        _filters(shared, asked, count),
        fields_of(asked),
        exact=asked.exact,
        allow_partial=asked.allow_partial,
        **given(asked, "recall", "ef", "probes", "plan"),
        **arms,
    )


def _filters(shared: Shared, asked: pb.AlikeQueries, count: int) -> Any:
    """Return one filter for all queries, or a list with one for each."""
    known = [filters.from_message(one) for one in asked.filters]
    for one in known:
        shared.check_filter(one)
    if not asked.filter_of:
        if len(known) > 1:
            raise InvalidInputError(f"there are {len(known)} filters and nothing says whose they are", field="where")
        return known[0] if known else None
    of = packed(asked.filter_of, "<u4", "the list of filters")
    if len(of) != count or (count and int(of.max()) > len(known)):
        raise InvalidInputError(f"{count} queries have {len(of)} filters of {len(known)}", field="where")
    return [known[number - 1] if number else None for number in of.tolist()]


def _messages(found: list[SearchResult]) -> Iterator[list[SearchResult]]:
    """Yield results in groups of not too many hits."""
    group: list[SearchResult] = []
    hits = 0
    for result in found:
        if group and hits + len(result) > HITS:
            yield group
            group, hits = [], 0
        group.append(result)
        hits += len(result)
    if group:
        yield group
