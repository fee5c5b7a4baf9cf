"""Cursors: texts that say behind which hit of a query an answer begins.

It holds the last hit's key, which is its score or the values that it was ordered by, and its id. It also holds a digest
of the query, because a key means nothing to another one, and how many candidates the arms of the first page gathered:
the fused score of a row depends on it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from vecdb.filters.expression import Expression
from vecdb.query.matrix import Matrix
from vecdb.query.query import Query
from vecdb.query.value import Numbers, attributes
from vecdb.query.weights import Weights

FORM = 2

_OF_A_PAGE = frozenset(("k", "cursor", "fields", "allow_partial"))
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY


class Cursor(NamedTuple):
    """Where a page begins.

    Attributes:
        key: the score, or a value for each key of `OrderBy`, and the id.
        seen: hits on the pages before.
        fetches: candidates that each arm gathered.

    """

    key: tuple[Any, ...]
    seen: int
    fetches: tuple[int, ...]


def digest(query: Query) -> str:
    """Return what tells queries apart, whatever page is asked for and how much of it.

    It is taken of bytes and not of the query's JSON, because a server makes a cursor for every answer.
    """
    told = {name: value for name, value in attributes(query) if name not in _OF_A_PAGE}
    return hashlib.blake2b(orjson.dumps(told, _told, _OPTIONS), digest_size=8).hexdigest()


def _told(part: Any) -> Any:
    """Return a part of a query as orjson knows it."""
    if isinstance(part, Numbers):
        return [part.array.dtype.str, part.array.tobytes().hex()]
    if isinstance(part, Matrix):
        return [part.array.shape, hashlib.blake2b(part.array.tobytes(), digest_size=16).hexdigest()]
    if isinstance(part, Weights):
        return [part.terms.tobytes().hex(), part.weights.tobytes().hex()]
    if isinstance(part, Expression):
        return str(part)
    return [type(part).__name__, dict(attributes(part))]


def written(query: Query, cursor: Cursor) -> str:
    """Return a cursor as text."""
    told = orjson.dumps([FORM, digest(query), list(cursor.key), cursor.seen, cursor.fetches])
    return base64.urlsafe_b64encode(told).decode().rstrip("=")


def after_the_last(query: Query, scores: Sequence[Any] | Any, ids: Sequence[Any]) -> str | None:
    """Return the cursor behind the first page of a query with one arm that orders by score; None where it is the last.

    Args:
        query: what was asked, without a cursor of its own.
        scores: one for each hit, best first.
        ids: of the hits.

    """
    return behind_the_last(query, scores, ids, (query.k,)) if len(scores) >= query.k else None


def behind_the_last(query: Query, scores: Sequence[Any] | Any, ids: Sequence[Any], fetches: Sequence[int]) -> str:
    """Return the cursor behind the first page of a query that orders by score.

    Args:
        query: what was asked, without a cursor of its own.
        scores: one for each hit, best first; there is one.
        ids: of the hits.
        fetches: candidates that each arm gathered.

    """
    return written(query, Cursor((float(scores[-1]), ids[-1]), len(scores), tuple(fetches)))
