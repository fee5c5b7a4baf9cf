"""All pages of a query, from one state: what `run` would answer page by page, at a fraction of the cost.

Each search goes twice as far as the one before and is cut into pages, so that the whole costs about as much as two
searches for everything. Each page knows its cursor, and reading may go on behind it another day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from vecdb.arguments import FETCH
from vecdb.planner import paging
from vecdb.planner.bound import BoundQuery
from vecdb.planner.candidates import Candidates
from vecdb.planner.run import Answer, run
from vecdb.query import cursors
from vecdb.query.query import Query
from vecdb.storage.snapshot import State


def pages(
    state: State, query: Query, bind: Callable[[Query], BoundQuery], pool: ThreadPoolExecutor | None
) -> Iterator[Answer]:
    """Yield the answer to a query, then that to the same query behind its last hit, until there is none.

    A query that groups has one page.

    Raises:
        CorruptionError: as `run`.
        InvalidInputError: the cursor of the query is of no use.

    """
    size = asked = query.k
    while True:
        bound = bind(replace(query, k=asked))
        answer = run(state, bound, pool)
        cursor = answer.cursor()
        if answer.candidates.groups is not None:
            yield answer
            return
        for first in range(0, len(answer.candidates), size):
            yield _page(state, bound, answer, first, min(first + size, len(answer.candidates)), cursor)
        if cursor is None:
            return
        query, asked = replace(query, cursor=cursor), min(2 * asked, FETCH // size * size)


def _page(state: State, bound: BoundQuery, answer: Answer, first: int, last: int, behind: str | None) -> Answer:
    """Return some hits of a long answer as the page that they are; `behind` is the cursor of the whole."""
    hits = answer.candidates.some(slice(first, last))
    if last == len(answer.candidates):
        return answer._replace(candidates=hits, cursor=lambda: behind)
    return answer._replace(candidates=hits, cursor=lambda: _cursor(state, bound, hits, last))


def _cursor(state: State, bound: BoundQuery, hits: Candidates, last: int) -> str:
    before = paging.read(bound.query)
    assert before is not None  # only answers behind a first page are cut
    key = paging.key_of(bound, state.schema, hits, len(hits) - 1)
    return cursors.written(bound.query, before._replace(key=key, seen=before.seen + last))
