"""Requests to read, made of arguments as users pass them, and checked as the embedded classes check them.

Nothing here knows of connections: arguments and the fields of a collection go in, a message comes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from vecdb.arguments import (
    as_vectors,
    effort_of,
    filters_for,
    ids_of,
    names_of,
    one_vector,
    query_matrix,
    rows_asked,
    texts_of,
    token_column,
    vector_column,
    whole_number,
)
from vecdb.errors import InvalidInputError
from vecdb.fulltext import text_query
from vecdb.query.arms import Like, Near, Nested, Tokens
from vecdb.query.matrix import matrices
from vecdb.query.query import Query
from vecdb.query.stages import MaxSim, Rescore
from vecdb.query.sugar import one_arm_each, query_of
from vecdb.schema.given import flag
from vecdb.text_search import text_column
from vecdb.wire import filters, queries
from vecdb.wire.values import matrix_to_message, writable
from vecdb_client.asked_nearest import Templates, Written, nearest, parted, write_effort
from vecdb_proto.v1 import search_service_pb2 as searches
from vecdb_proto.v1 import values_pb2 as values
from vecdb_proto.v1 import view_pb2

if TYPE_CHECKING:
    from vecdb.encoders.attached import Attached
    from vecdb.schema.schema import Column, Schema
    from vecdb_proto.v1 import filter_pb2


class Place:
    """What a request is about: a collection, its fields as they are known, and the state that is read.

    Attributes:
        name: the collection.
        schema: its fields.
        view: the state; None: the latest.
        encoders: the client's own.
        templates: requests that were made before.

    """

    __slots__ = ("encoders", "name", "schema", "templates", "view")

    def __init__(self, name: str, templates: Templates, view: view_pb2.View | None, encoders: Attached) -> None:
        self.name = name
        self.schema = templates.schema
        self.view = view
        self.encoders = encoders
        self.templates = templates


def filter_of(where: Any) -> filter_pb2.Filter | None:
    """Return a filter, given as text or as a tree, as a message.

    Raises:
        FilterSyntaxError: the text is no filter.
        InvalidInputError: it is neither.

    """
    from vecdb.filters import resolve

    if where is None:
        return None
    return filters.optional_to_message(resolve(where))


def count_of(name: str, value: Any, bits: int = 32) -> int:
    """Return a count that has no bound of its own: one that is larger than a message holds means as much as it holds.

    Raises:
        InvalidInputError: it is no whole number, or less than 1.

    """
    return min(whole_number(name, value), (1 << bits) - 1)


def columns_of(place: Place, fields: Any) -> list[str] | None:
    """Return the names of the fields to be returned; None: the usual ones.

    Raises:
        UnknownFieldError: there is none of a name.

    """
    if fields is None:
        return None
    return [place.schema[name].name for name in names_of(fields)]


# -- searches ----------------------------------------------------------------------------------------------------------


_FURTHER = "fetch", "fusion", "min_score", "cut", "group_by", "order_by", "select", "after"
"""Arguments of `search` that make a query of it that has more than one arm and no stage."""


def search(place: Place, arms: dict[str, Any], explain: bool, **options: Any) -> searches.SearchRequest | Written:
    """Return the request that the arguments of `search` mean.

    A search by one vector, which most are, is written down at once; all others become a `vecdb.Query` before.

    Raises:
        InvalidInputError: an argument is wrong.

    """
    per_group = options["per_group"]
    plain = all(options[name] is None for name in _FURTHER) and type(per_group) is int and per_group == 1
    if len(arms) == 1 and plain:
        ((name, sought),) = arms.items()
        column = cast("Column[Any]", place.schema[name])
        if column.field.kind == "vector" and not isinstance(sought, str):
            return nearest(place, column, sought, explain, **options)
    return run(place, query_of(place.schema, arms, **options), explain)


def checked(given: Any) -> Query:
    """Return a query that a user passed.

    Raises:
        InvalidInputError: it is none.

    """
    if not isinstance(given, Query):
        told = f"expected a vecdb.Query, found {type(given).__name__}"
        raise InvalidInputError(f"{told}; vecdb.Query.from_json reads a dict or a text", field="query")
    return given


def encoded(place: Place, asked: Query) -> Query:
    """Return a query whose texts are vectors where the client has the encoder of their field."""
    if not place.encoders:
        return asked

    def arm(one: Any) -> Any:
        if isinstance(one, Nested):
            return replace(one, query=encoded(place, one.query))
        return part(one) if isinstance(one, Near | Tokens) else one

    def part(one: Any) -> Any:
        if isinstance(one, Near | Tokens | MaxSim) and one.field in place.encoders:
            column = cast(Any, place.schema[one.field])
            if column.field.kind == "multivector":
                return _of_tokens(place, column, one)
        if isinstance(one, Near | Rescore) and isinstance(one.vector, str) and one.field in place.encoders:
            column = cast(Any, place.schema[one.field])
            return replace(one, vector=as_vectors(column, one.vector, place.encoders))
        return one

    return replace(asked, arms=tuple(map(arm, asked.arms)), stages=tuple(map(part, asked.stages)))


def _of_tokens(place: Place, column: Column[Any], one: Any) -> Any:
    """Return an arm or a stage by a field of multi-vectors, its text made vectors."""
    sought = one.vector if isinstance(one, Near) else one.tokens
    if not isinstance(sought, str):
        return one
    made = place.encoders.tokens(column, sought)
    if not isinstance(one, Near):
        return replace(one, tokens=made)
    return Tokens(one.field, cast(Any, made), fetch=one.fetch, where=one.where, name=one.name)


def run(place: Place, asked: Query, explain: bool) -> searches.SearchRequest | Written:
    """Return the request to answer a query."""
    key, vector = parted(asked) if place.view is None else (None, None)
    if key is not None and vector is not None and key.arms[0].label not in place.encoders:
        found = place.templates.filled((key, explain), vector)
        if found is None:
            found = _run(place, asked, explain)
            place.templates.keep((key, explain), found, vector)
        return found
    return _run(place, asked, explain)


def _run(place: Place, asked: Query, explain: bool) -> searches.SearchRequest:
    message = queries.to_message(encoded(place, asked))
    return searches.SearchRequest(
        collection=place.name, view=place.view, query=message, explain=explain, without_cursor=True
    )


def explained(request: searches.SearchRequest) -> searches.SearchRequest:
    """Return the same request for an answer that says how it was found."""
    again = searches.SearchRequest()
    again.CopyFrom(request)
    again.explain = True
    return again


def one_of(place: Place, request: searches.SearchBatchRequest, at: int) -> searches.SearchRequest:
    """Return the request for the answer to one query of a batch."""
    single = searches.SearchRequest(collection=request.collection)
    if request.HasField("view"):
        single.view.CopyFrom(request.view)
    if request.HasField("queries"):
        single.query.CopyFrom(request.queries.queries[at])
        return single
    alike, message = request.alike, single.query
    message.k, message.exact, message.allow_partial = alike.k, alike.exact, alike.allow_partial
    arm = message.arms.add()
    if place.schema[alike.field].field.kind == "text":
        arm.match.field, arm.match.text = alike.field, alike.texts.values[at]
    else:
        near = arm.near
        near.field = alike.field
        if alike.HasField("texts"):
            near.text = alike.texts.values[at]
        else:
            size = len(alike.vectors.data) // alike.vectors.rows
            near.vector.dtype, near.vector.dimension = alike.vectors.dtype, alike.vectors.dimension
            near.vector.data = alike.vectors.data[at * size : (at + 1) * size]
        for name in ("recall", "ef", "probes", "plan"):
            if alike.HasField(name):
                setattr(near, name, getattr(alike, name))
    number = np.frombuffer(alike.filter_of, "<u4")[at] if alike.filter_of else len(alike.filters)
    if number:
        message.filter.CopyFrom(alike.filters[number - 1])
    if alike.HasField("fields"):
        message.fields.CopyFrom(alike.fields)
    return single


def stream(place: Place, asked: Query, exhaustive: bool, explain: bool) -> searches.SearchStreamRequest:
    """Return the request to answer a query page by page."""
    message = queries.to_message(encoded(place, asked))
    return searches.SearchStreamRequest(
        collection=place.name, view=place.view, query=message, exhaustive=exhaustive, explain=explain
    )


def batch(place: Place, asked: Sequence[Query], explain: bool) -> searches.SearchBatchRequest:
    """Return the request to answer several queries."""
    messages = [queries.to_message(encoded(place, checked(one))) for one in asked]
    listed = searches.SearchBatchRequest.Queries(queries=messages)
    return searches.SearchBatchRequest(collection=place.name, view=place.view, queries=listed, explain=explain)


def alike(
    place: Place,
    vectors: dict[str, Any],
    where: Any,
    explain: bool,
    *,
    k: int,
    fields: Any,
    exact: bool,
    recall: float | None,
    ef: int | None,
    probes: int | None,
    plan: str | None,
    allow_partial: bool,
) -> searches.SearchBatchRequest:
    """Return the request for `search_batch`.

    Raises:
        InvalidInputError: an argument is wrong, or there are not as many filters as queries.

    """
    text = text_column(place.schema, vectors)
    single = None if text is not None else _asked_each(place.schema, vectors)
    effort_of(exact, recall, ef, plan, probes)
    if single is not None:
        shown = None if fields is None else tuple(columns_of(place, fields) or ())
        whole = Query(k, fields=shown, exact=exact, allow_partial=allow_partial)
        asked = one_arm_each(place.schema[single], vectors[single], whole, (recall, ef, probes, plan))
        pairs = zip(asked, filters_for(where, len(asked)), strict=True)
        return batch(place, [one if passing is None else one.where(passing) for one, passing in pairs], explain)
    if text is not None:
        asked = [text_query(one, text.name) and one for one in texts_of(vectors[text.name], text.name)]
        with writable():
            message = searches.AlikeQueries(field=text.name, texts=values.Texts(values=asked))
        count = len(asked)
    else:
        column, given = one_vector(place.schema, vectors)
        if column.name in place.encoders:
            given = as_vectors(column, given, place.encoders)
        message = searches.AlikeQueries(field=column.name)
        count = _sought(column, given, message)
        write_effort(message, recall, ef, probes, plan)
    message.k, message.exact = rows_asked(k), flag("exact", exact)
    message.allow_partial = flag("allow_partial", allow_partial)
    _write_filters(message, filters_for(where, count))
    names = columns_of(place, fields)
    if names is not None:
        message.fields.CopyFrom(values.Fields(names=names))
    return searches.SearchBatchRequest(collection=place.name, view=place.view, alike=message, explain=explain)


def _asked_each(schema: Schema, vectors: Mapping[str, Any]) -> str | None:
    """Return the field of a batch whose questions are a query each."""
    kinds = "sparse", "multivector"
    return next((name for name in vectors if schema[name].field.kind in kinds), None) if len(vectors) == 1 else None


def _sought(column: Column[Any], given: Any, message: Any) -> int:
    """Write what is sought in a vector field, a matrix or texts, and return of how many queries."""
    if isinstance(given, list | tuple) and given and all(isinstance(one, str) for one in given):
        with writable():
            message.texts.CopyFrom(values.Texts(values=given))
        return len(given)
    matrix = query_matrix(column, given, 2)
    message.vectors.CopyFrom(matrix_to_message(matrix))
    return len(matrix)


def _write_filters(message: searches.AlikeQueries, asked: Sequence[Any]) -> None:
    """Write each filter once, however many queries have it."""
    numbers: dict[int, int] = {}
    of = np.zeros(len(asked), "<u4")
    for at, one in enumerate(asked):
        if one is None:
            continue
        if id(one) not in numbers:
            numbers[id(one)] = len(numbers) + 1
            message.filters.append(cast(Any, filter_of(one)))
        of[at] = numbers[id(one)]
    if len(numbers) > 1 or (len(numbers) == 1 and not of.all()):
        message.filter_of = of.tobytes()


def pages(place: Place, k: int, where: Any, fields: Any, exact: bool, recall: float | None, arms: Any) -> Query:
    """Return the query of `search_iter`."""
    return query_of(
        place.schema, arms, k=k, where=where, fields=fields, exact=exact, recall=recall, ef=None, probes=None,
        plan=None, fetch=None, fusion=None, min_score=None, cut=None, group_by=None, per_group=1, order_by=None,
        select=None, after=None, allow_partial=False,
    )  # fmt: skip


def goes_on(schema: Schema, asked: Query) -> bool:
    """Return whether the pages of `search_iter` end only with the last row: those for one vector do."""
    return (
        len(asked.arms) == 1 and isinstance(asked.arms[0], Near) and schema[asked.arms[0].field].field.kind == "vector"
    )


def like(
    place: Place,
    ids: Any,
    not_like: Any,
    strategy: Any,
    *,
    field: str | None,
    k: int,
    where: Any,
    fields: Any,
    exact: bool,
    recall: float | None,
    after: str | None,
) -> Query:
    """Return the query of `similar_to`.

    Raises:
        InvalidInputError: an argument is wrong.

    """
    near, far = (tuple(ids_of(place.schema.id, given, place.name)[0]) for given in (ids, not_like))
    arm = Like(vector_column(place.schema, field).name, near, far, strategy, recall)
    names = columns_of(place, fields)
    shown = None if names is None else tuple(name for name in names if name != place.schema.id.name)
    return Query(k, (arm,), filter=where, fields=shown, exact=exact, cursor=after)


def explain(place: Place, asked: Query, analyze: bool) -> searches.ExplainRequest:
    """Return the request to tell how a query is carried out."""
    message = queries.to_message(encoded(place, asked))
    return searches.ExplainRequest(
        collection=place.name, view=place.view, query=message, analyze=flag("analyze", analyze)
    )


def recall(
    place: Place,
    asked: Any,
    *,
    field: str | None,
    sample: int,
    k: int,
    where: Any,
    recall: float | None,
    ef: int | None,
    probes: int | None,
    plan: str | None,
) -> searches.RecallRequest:
    """Return the request to measure searches.

    Raises:
        InvalidInputError: an argument is wrong.

    """
    column: Column[Any] = token_column(place.schema, field) or vector_column(place.schema, field)
    request = searches.RecallRequest(
        collection=place.name,
        view=place.view,
        field=column.name,
        sample=rows_asked(sample, "sample"),
        where=filter_of(where),
    )
    if column.field.kind != "multivector":
        questions(place, column, asked, request)
    elif asked is not None:
        request.tokens.values.extend(matrix_to_message(one.array) for one in matrices(column.name, asked))
    request.k = rows_asked(k)
    effort_of(False, recall, ef, plan, probes)
    write_effort(request, recall, ef, probes, plan)
    return request


def questions(place: Place, column: Column[Any], asked: Any, request: Any) -> None:
    """Write the queries that something is measured with into a request, where there are any.

    Raises:
        InvalidInputError: they are no queries of this field.

    """
    if asked is None:
        return
    if column.name in place.encoders:
        asked = as_vectors(column, asked, place.encoders)
    if _sought(column, asked, request) == 0:
        raise InvalidInputError("queries is empty: give at least one, or none at all for rows of the collection")
