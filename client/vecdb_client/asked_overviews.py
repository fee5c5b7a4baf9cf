"""Requests about all rows at once, and to learn what is relevant, made of arguments as users pass them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vecdb.arguments import ids_of, vector_column, whole_number
from vecdb.overviews import MOST, MOST_CHOSEN, MOST_DRAWN, SAMPLE_METHODS, cluster_count, seed_of, similarity_of
from vecdb.relevance import checked
from vecdb.schema.given import choice, flag
from vecdb.wire import queries
from vecdb.wire.values import ids_to_message
from vecdb_client.asked import Place, encoded, filter_of
from vecdb_proto.v1 import admin_service_pb2 as admin
from vecdb_proto.v1 import search_service_pb2 as searches

if TYPE_CHECKING:
    from vecdb.filters import Expression


def summarise(
    place: Place, k: int, where: str | Expression | None, field: str | None, exact: bool, seed: int
) -> searches.SummariseRequest:
    """Return the request for a summary."""
    return searches.SummariseRequest(
        collection=place.name,
        view=place.view,
        rows=_rows(place, field, where),
        k=whole_number("k", k, most=MOST_CHOSEN),
        exact=flag("exact", exact),
        seed=seed_of(seed),
    )


def sample(
    place: Place, k: int, method: str, where: str | Expression | None, field: str | None, seed: int
) -> searches.SampleRequest:
    """Return the request for a sample."""
    choice("method", method, SAMPLE_METHODS)
    return searches.SampleRequest(
        collection=place.name,
        view=place.view,
        rows=_rows(place, field, where),
        k=whole_number("k", k, most=MOST_DRAWN),
        method=method,
        seed=seed_of(seed),
    )


def clusters(
    place: Place, k: int | str, where: str | Expression | None, field: str | None, seed: int
) -> searches.ClustersRequest:
    """Return the request for clusters."""
    return searches.ClustersRequest(
        collection=place.name,
        view=place.view,
        rows=_rows(place, field, where),
        k=cluster_count(k),
        seed=seed_of(seed),
    )


def duplicates(
    place: Place, threshold: float, where: str | Expression | None, field: str | None, exact: bool, k: int
) -> searches.DuplicatesRequest:
    """Return the request for groups of duplicates."""
    return searches.DuplicatesRequest(
        collection=place.name,
        view=place.view,
        rows=_rows(place, field, where),
        threshold=similarity_of(threshold),
        exact=flag("exact", exact),
        k=whole_number("k", k, most=MOST),
    )


def calibrate(place: Place, judged: Any, name: str, reset: bool) -> admin.CalibrateRequest:
    """Return the request to learn from judged answers."""
    request = admin.CalibrateRequest(collection=place.name, name=name, reset=flag("reset", reset))
    for query, ids in () if reset else checked(judged):
        one = request.judged.add()
        one.query.CopyFrom(queries.to_message(encoded(place, query)))
        listed = ids_of(place.schema.id, list(ids), place.name)[0] if len(ids) else []
        one.relevant.CopyFrom(ids_to_message(listed, place.schema.id.field.type))
    return request


def _rows(place: Place, field: str | None, where: str | Expression | None) -> searches.RowsAsked:
    return searches.RowsAsked(field=vector_column(place.schema, field).name, where=filter_of(where))
