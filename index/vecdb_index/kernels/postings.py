"""Making postings: from the tokens of texts, and from the postings of other indexes.

A posting is a row that has a term, and a value: how often it has it (255 stands for more, too), or a weight. Postings
lie term after term, rows ascending. In both ways a first pass counts, the caller adds up where each term's postings
begin, and a second pass puts them there.

Positions say where in its text a term stands, posting after posting, ascending; the last one of each posting has its
highest bit set, so that no posting needs a number that says how many it has.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, kernel
from vecdb_index.kernels.layout import GONE, LAST, MOST

_ROW, _VALUE, _PLACE, _ID = types.uint32, types.uint8, types.int64, types.int32


@kernel(frozen(_ID, 1), frozen(_PLACE, 1), filled(_ROW, 1), filled(_ROW, 1), filled(_PLACE, 1), filled(_PLACE, 1))
def count(ids: Any, starts: Any, lengths: Any, seen: Any, postings: Any, tokens: Any) -> None:
    """Count tokens by row and by term, and rows by term.

    Args:
        ids: (t,) the term of each token; negative for one that does not count.
        starts: (n + 1,) row i is the tokens starts[i] to starts[i + 1].
        lengths: (n,) becomes how many tokens of each row count.
        seen: (terms,) GONE: the last row that had the term.
        postings: (terms,) zeros: becomes how many rows have it.
        tokens: (terms,) zeros: becomes how many tokens are it.

    """
    for row in range(lengths.shape[0]):
        counted = 0
        for at in range(starts[row], starts[row + 1]):
            term = ids[at]
            if term >= 0:
                counted += 1
                tokens[term] += 1
                if seen[term] != np.uint32(row):
                    seen[term] = np.uint32(row)
                    postings[term] += 1
        lengths[row] = np.uint32(counted)


@kernel(
    frozen(_ID, 1),
    frozen(_PLACE, 1),
    frozen(_VALUE, 1),
    filled(_ROW, 1),
    filled(_PLACE, 1),
    filled(_PLACE, 1),
    filled(_ROW, 1),
    filled(_VALUE, 1),
    filled(_ROW, 1),
)
def place(
    ids: Any,
    starts: Any,
    weights: Any,
    seen: Any,
    postings: Any,
    tokens: Any,
    rows: Any,
    values: Any,
    positions: Any,
) -> None:
    """Write the postings of the tokens that `count` counted.

    Args:
        ids: as above.
        starts: as above.
        weights: (t,) value of each token, no term twice in a row; or empty: how often the row has the term.
        seen: (terms,) GONE.
        postings: (terms,) where each term's postings begin; becomes where they end.
        tokens: (terms,) where its positions begin; becomes where they end.
        rows: (p,) room.
        values: (p,) room.
        positions: room for as many as tokens count, or empty: none are written.

    """
    for row in range(starts.shape[0] - 1):
        for at in range(starts[row], starts[row + 1]):
            term = ids[at]
            if term < 0:
                continue
            to = postings[term]
            again = seen[term] == np.uint32(row)
            if again:
                values[to - 1] += np.uint8(values[to - 1] < MOST)
            else:
                seen[term] = np.uint32(row)
                rows[to] = np.uint32(row)
                values[to] = weights[at] if weights.shape[0] > 0 else np.uint8(1)
                postings[term] = to + 1
            if positions.shape[0] > 0:
                end = tokens[term]
                if again:
                    positions[end - 1] &= ~LAST
                positions[end] = np.uint32(at - starts[row]) | LAST
                tokens[term] = end + 1


@kernel(
    frozen(_ROW, 1),
    frozen(_PLACE, 1),
    frozen(_ROW, 1),
    frozen(_PLACE, 1),
    frozen(_ROW, 1),
    filled(_PLACE, 1),
    filled(_PLACE, 1),
)
def count_kept(
    rows: Any, offsets: Any, positions: Any, terms: Any, renumbered: Any, postings: Any, tokens: Any
) -> None:
    """Count what stays of an index, by new term.

    Args:
        rows: (p,) of the index.
        offsets: (t + 1,) where its terms' postings begin.
        positions: of the index, or empty.
        terms: (t,) the new place of each term.
        renumbered: (n,) the new number of each row, or GONE.
        postings: (terms,) added to.
        tokens: (terms,) positions, added to.

    """
    end = np.int64(0)
    for term in range(terms.shape[0]):
        kept, placed = np.int64(0), np.int64(0)
        for at in range(offsets[term], offsets[term + 1]):
            stays = renumbered[rows[at]] != GONE
            kept += stays
            if positions.shape[0] > 0:
                start = end
                while positions[end] < LAST:
                    end += 1
                end += 1
                placed += (end - start) * stays
        postings[terms[term]] += kept
        tokens[terms[term]] += placed


@kernel(
    frozen(_ROW, 1),
    frozen(_PLACE, 1),
    frozen(_VALUE, 1),
    frozen(_ROW, 1),
    frozen(_PLACE, 1),
    frozen(_ROW, 1),
    filled(_PLACE, 1),
    filled(_PLACE, 1),
    filled(_ROW, 1),
    filled(_VALUE, 1),
    filled(_ROW, 1),
)
def copy_kept(
    rows: Any,
    offsets: Any,
    values: Any,
    positions: Any,
    terms: Any,
    renumbered: Any,
    postings: Any,
    tokens: Any,
    out_rows: Any,
    out_values: Any,
    out_positions: Any,
) -> None:
    """Write what stays of an index behind what others wrote for the same terms; arguments as above."""
    end = np.int64(0)
    for term in range(terms.shape[0]):
        to, put = postings[terms[term]], tokens[terms[term]]
        for at in range(offsets[term], offsets[term + 1]):
            row = renumbered[rows[at]]
            if row != GONE:
                out_rows[to], out_values[to] = row, values[at]
                to += 1
            more = positions.shape[0] > 0
            while more:
                position = positions[end]
                end += 1
                if row != GONE:
                    out_positions[put] = position
                    put += 1
                more = position < LAST
        postings[terms[term]], tokens[terms[term]] = to, put
