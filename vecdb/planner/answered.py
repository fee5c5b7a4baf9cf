"""Asking a user's function about candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vecdb.errors import ScorerError, VecdbError
from vecdb.planner.candidates import Candidates
from vecdb.planner.gather import Context
from vecdb.row_values import value_of
from vecdb.schema.schema import Column


def answered(
    context: Context,
    what: str,
    function: Callable[[list[dict[str, Any]]], Any],
    columns: Sequence[Column],
    some: Candidates,
) -> Any:
    """Return what a function says of candidates, which it sees as records: dicts of the id and some fields.

    Raises:
        ScorerError: the function failed; `what` begins the sentence. Errors of vecdb itself come as they are.

    """
    name, found = context.state.schema.id.name, some.found()
    records: list[dict[str, Any]] = [
        {name: key} | {column.name: value_of(part, column, row) for column in columns}
        for key, (part, row) in zip(found.ids(), found.places(), strict=True)
    ]
    try:
        return function(records)
    except VecdbError:
        raise
    except Exception as error:
        raise ScorerError(f"{what} failed on {len(records)} records: {type(error).__name__}: {error}") from error
