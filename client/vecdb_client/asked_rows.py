"""Requests to read rows and to count them, made of arguments as users pass them; like `vecdb_client.asked`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vecdb.arguments import AT_ONCE, rows_asked
from vecdb.errors import InvalidInputError
from vecdb.facets import asked_fields
from vecdb.query.stages import OrderBy
from vecdb.wire import queries, reports, results, rows, stages
from vecdb.wire.values import fields_to_message, ids_to_message, writable
from vecdb_client.asked import Place, checked, columns_of, count_of, encoded, filter_of
from vecdb_proto.v1 import query_pb2
from vecdb_proto.v1 import record_service_pb2 as records
from vecdb_proto.v1 import search_service_pb2 as searches
from vecdb_proto.v1 import values_pb2 as values

if TYPE_CHECKING:
    from vecdb.filters import Expression
    from vecdb.query.query import Query


def get(place: Place, ids: Sequence[Any], fields: Any) -> records.GetRequest:
    """Return the request for the rows of some ids."""
    return records.GetRequest(
        collection=place.name,
        view=place.view,
        ids=ids_to_message(ids, place.schema.id.field.type),
        fields=fields_to_message(columns_of(place, fields)),
    )


def count(place: Place, where: str | Expression | None) -> records.CountRequest:
    """Return the request to count rows."""
    return records.CountRequest(collection=place.name, view=place.view, where=filter_of(where))


def scan(place: Place, where: Any, fields: Any, batch_rows: int, order_by: Any, after: Any) -> records.ScanRequest:
    """Return the request for all rows that pass.

    Raises:
        InvalidInputError: an argument is wrong.

    """
    most = rows_asked(batch_rows, "batch_rows", AT_ONCE)
    request = records.ScanRequest(collection=place.name, view=place.view, batch_rows=most)
    names = columns_of(place, fields)
    if names is not None:
        request.fields.CopyFrom(values.Fields(names=names))
    if order_by is None and after is not None:
        raise InvalidInputError('after needs order_by, "id" for example: rows move in storage', field="after")
    if order_by is not None:
        order = OrderBy(order_by)
        if any(name == "score" for name, _ in order.parts):
            raise InvalidInputError("a scan has no scores to order by", field="order_by")
        with writable():
            request.order_by.extend(stages.sort_keys_to_message(order))
    if after is not None:
        with writable():
            request.after = _cursor(after)
    passing = filter_of(where)
    if passing is not None:
        request.where.CopyFrom(passing)
    return request


def _cursor(after: Any) -> str:
    from vecdb.query import value

    if not isinstance(after, str):
        raise InvalidInputError(f"the cursor is {value.shown(after)}, not a text", field="cursor")
    return after


def edges_of(fields: Any) -> dict[str, Any]:
    """Return the edges of ranges that `facets` was asked for, as they were given."""
    return {name: edges for name, edges in fields.items() if edges is not None} if isinstance(fields, Mapping) else {}


def facets(place: Place, fields: Any, where: Any, k: int, asked: Query | None) -> searches.FacetsRequest:
    """Return the request to count the values of fields.

    Raises:
        InvalidInputError: an argument is wrong.

    """
    edges = {one.column.name: one.edges for one in asked_fields(place.schema, fields)}
    request = searches.FacetsRequest(
        collection=place.name,
        view=place.view,
        fields=reports.facet_fields_to_message(edges),
        k=rows_asked(k),
    )
    if asked is not None:
        if checked(asked).cursor is not None:
            raise InvalidInputError("facets count all candidates of a query: leave after() out", field="query")
        request.query.CopyFrom(queries.to_message(encoded(place, asked)))
    passing = filter_of(where)
    if passing is not None:
        request.where.CopyFrom(passing)
    return request


def records_of(response: records.GetResponse, count: int) -> list[dict[str, Any] | None]:
    """Return the records of an answer, None for each id that is not there.

    Raises:
        InvalidInputError: the answer does not fit the question.

    """
    found = response.found
    if len(found) != count:
        raise InvalidInputError(f"the server answered about {len(found)} ids, asked for {count}")
    there = sum(found)
    if not there:
        return [None] * count
    batch = rows.from_message(response.rows)
    columns = results.python_columns(batch, rows.kinds_from_message(response.rows, batch.num_columns))
    names = [name for name, _ in columns]
    made = (dict(zip(names, one, strict=True)) for one in zip(*(column for _, column in columns), strict=True))
    return [next(made) if one else None for one in found]


def matches_words(asked: query_pb2.Query) -> bool:
    """Return whether a query looks for words, so that there may be highlights."""
    return any(one.HasField("match") or (one.HasField("nested") and matches_words(one.nested)) for one in asked.arms)


def highlight(place: Place, asked: query_pb2.Query, ids: Sequence[Any], length: int) -> searches.HighlightRequest:
    """Return the request for the words that a query finds in some rows."""
    return searches.HighlightRequest(
        collection=place.name,
        view=place.view,
        query=asked,
        ids=ids_to_message(ids, place.schema.id.field.type),
        length=count_of("length", length),
    )
