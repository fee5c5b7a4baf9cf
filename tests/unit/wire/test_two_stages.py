"""How hard to look for tokens, and how early to stop, on the wire and in JSON."""

from typing import Any

import pytest

import vecdb
from vecdb import Query
from vecdb.wire import queries

TOKENS: Any = [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("stage", [{}, {"prune": 0.0}, {"prune": 0.25, "patience": 3, "top": 50}])
@pytest.mark.parametrize("arm", [{}, {"recall": 0.9}, {"ef": 64}])
def test_what_a_query_says_arrives(arm: dict[str, Any], stage: dict[str, Any]) -> None:
    query = Query().gather(vecdb.Tokens("tokens", TOKENS, **arm)).rescore(vecdb.MaxSim("tokens", TOKENS, **stage))
    assert queries.from_message(queries.to_message(query)) == query
    assert Query.from_json(query.to_json()) == query
