"""A region of an index: the rows of the cells of inverted lists that are nearest to a query.

Each segment with inverted lists has cells of its own. Rows of parts without (those in memory, or too few for an index)
belong to the cell of the largest of these segments whose centroid is nearest to them.
"""

from __future__ import annotations

import numpy as np

from vecdb.errors import InvalidInputError
from vecdb.planner import dense
from vecdb.planner.bound import BoundArm
from vecdb.planner.candidates import Candidates
from vecdb.planner.gather import Context
from vecdb.planner.masks import allowed as allowed_rows
from vecdb.query.selection import Select
from vecdb.schema.schema import Column
from vecdb.storage.snapshot import Part, State
from vecdb_index.dense import flat
from vecdb_index.dense.ivf.index import Ivf

BLOCK = 1024
"""Rows whose cells are looked up at once."""


def region(context: Context, near: BoundArm, probes: int) -> Candidates:
    """Return the rows in the `probes` cells that are nearest to what an arm looks for, and pass its filter.

    With their scores, in no order.

    Raises:
        InvalidInputError: no part has inverted lists of the arm's field.

    """
    state, (column,) = context.state, near.columns
    assert near.vectors is not None
    query = near.vectors[0]
    indexes = [_lists_of(part, column) for part in state.parts]
    largest = max((one for one in indexes if one is not None), key=len, default=None)
    if largest is None:
        told = f"the universe is of cells, and nothing is in inverted lists by {column.name!r} yet"
        raise InvalidInputError(f"{told}: give it index='ivf', or a number of rows as universe", field="universe")
    parts, rows, scores = [], [], []
    for number, (part, index) in enumerate(zip(state.parts, indexes, strict=True)):
        state.check(Select.kind)
        held = part.vectors(column)
        if held is None or part.rows == 0:
            continue
        inside = _inside(state, held[0], index, largest, query, probes)
        allowed = allowed_rows(part, state.schema, near.where, column, state.budget)
        if allowed is not None:
            inside = inside[allowed.mask[inside] > 0]
        parts.append(np.full(len(inside), number, np.int64))
        rows.append(inside)
        scores.append(dense.score_rows(held[0], query, inside, column.field.metric, held[2]))
    return Candidates(state.parts, np.concatenate(parts), np.concatenate(rows), np.concatenate(scores))


def _lists_of(part: Part, column: Column) -> Ivf | None:
    found = part.index_of(column)
    return found if isinstance(found, Ivf) else None


def _inside(
    state: State, matrix: np.ndarray, index: Ivf | None, largest: Ivf, query: np.ndarray, probes: int
) -> np.ndarray:
    """Return the rows of a part in the nearest cells, ascending."""
    cells = _nearest(largest if index is None else index, query[None], probes)[0]
    if index is not None:
        return np.sort(np.concatenate([index.order[index.offsets[one] : index.offsets[one + 1]] for one in cells]))
    state.hold(Select.kind, 4 * len(matrix))
    own = [_nearest(largest, matrix[first : first + BLOCK], 1) for first in range(0, len(matrix), BLOCK)]
    return np.flatnonzero(np.isin(np.concatenate(own)[:, 0], cells))


def _nearest(index: Ivf, vectors: np.ndarray, count: int) -> np.ndarray:
    """Return the cells nearest to vectors (n, d), as a search chooses them: (n, count)."""
    metric = "l2" if index.metric == "l2" else "dot"
    found = flat.search_batch(index.centroids, vectors.astype(np.float32), min(count, index.lists), metric)
    return np.array([each.rows for each in found], np.int64)
