"""The words that a query finds, shown in the texts of rows that the client names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vecdb.planner.found import Found
from vecdb.text_search import TextSearch

if TYPE_CHECKING:
    from vecdb.highlights import Highlight
    from vecdb.query.query import Query
    from vecdb.reads import Snapshot

LENGTH = 160


def highlights(snapshot: Snapshot, query: Query, ids: Sequence[Any], length: int) -> list[dict[str, Highlight]]:
    """Return for each id, by field, what of its texts has the query's words; nothing for a row that is not there.

    Of a field that several arms search the last highlight with any word is taken, as `SearchResult.highlights` does.
    """
    state = snapshot._state
    bound = snapshot._bound_query(query)
    places = [state.find(one) for one in snapshot.checked_ids(list(ids))[0]]
    there = [at for at, place in enumerate(places) if place is not None]
    parts = {id(part): number for number, part in enumerate(state.parts)}
    found_places = [place for place in places if place is not None]
    part = np.array([parts[id(owner)] for owner, _ in found_places], np.int64)
    row = np.array([number for _, number in found_places], np.int64)
    found = Found(state.parts, part, row, np.zeros(len(row), np.float32))
    out: list[dict[str, Highlight]] = [{} for _ in ids]
    for column, text in bound.matched:
        for at, told in zip(there, TextSearch(column, text).highlights(found, length or LENGTH), strict=True):
            hit = out[at]
            hit |= {name: one for name, one in told.items() if one.spans or name not in hit}
    return out
