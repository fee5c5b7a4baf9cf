"""Scanning lists of product codes: each byte of a row chooses one of 256 entries of its part's table."""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.ivf import VISITS, least_float, pick, worst
from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.lanes import dot, l2_squared
from vecdb_index.kernels.topk import keep, key_of

CHAINS = 4
LEVELS = 256
"""What a byte can tell apart."""


@kernel(frozen(types.float32, 2), frozen(types.float32, 3), types.float32, filled(types.float32, 3))
def prepare(queries: Any, parts: Any, factor: Any, tables: Any) -> None:
    """Write to tables (q, p, 256) what each learnt part, (p, size, 256), adds to a query's scores.

    That is its product with the same numbers of the query, (q, p * size), times the factor. Summed one number after
    the other, so that a query has the same table in any company.
    """
    size = parts.shape[1]
    for query in range(queries.shape[0]):
        for part in range(parts.shape[0]):
            table, learnt = tables[query, part], parts[part]
            table[:] = np.float32(0)
            for j in range(size):
                number, line = factor * queries[query, part * size + j], learnt[j]
                for level in range(LEVELS):
                    table[level] += number * line[level]


@helper
def table_sum(codes: Any, row: Any, tables: Any, query: Any) -> Any:
    """Sum of tables[query, p, codes[row, p]] over the parts: float32. One sum would wait for itself; four do not."""
    a = b = c = d = np.float32(0)
    parts = codes.shape[1]
    whole = parts - parts % CHAINS
    for p in range(0, whole, CHAINS):
        a += tables[query, p, codes[row, p]]
        b += tables[query, p + 1, codes[row, p + 1]]
        c += tables[query, p + 2, codes[row, p + 2]]
        d += tables[query, p + 3, codes[row, p + 3]]
    for p in range(whole, parts):
        a += tables[query, p, codes[row, p]]
    return (a + b) + (c + d)


@kernel(
    frozen(types.uint8, 2),
    frozen(types.float32, 1),
    frozen(types.float32, 3),
    frozen(types.float32, 2),
    frozen(types.float32, 2),
    types.boolean,
    *VISITS,
)
def scan(
    codes: Any,
    squares: Any,
    tables: Any,
    vectors: Any,
    centres: Any,
    squared: Any,
    visited: Any,
    starts: Any,
    members: Any,
    order: Any,
    offsets: Any,
    allowed: Any,
    first: Any,
    last: Any,
    places: Any,
    seen: Any,
    keys: Any,
    states: Any,
) -> None:
    """Do what kernels/ivf.py says for codes (n, p), list by list.

    tables (q, p, 256) are those of `prepare`, vectors (q, d) the queries; centres (lists, d) are the lists'. squared
    says that the metric is L2; then squares (n,) is subtracted from a row's score.
    """
    for visit in range(first, last):
        which = visited[visit]
        count = pick(order, offsets[which], offsets[which + 1], allowed, places)
        for at in range(starts[visit], starts[visit + 1]):
            member = members[at]
            query = vectors[member]
            add = -l2_squared(centres, which, query) if squared else dot(centres, which, query)
            floor = least_float(worst(member, keys, states))
            for i in range(count):
                place = places[i]
                score = add + table_sum(codes, place, tables, member)
                if squared:
                    score -= squares[place]
                # A NaN, where infinities met, is dropped like what is too far.
                if score >= floor:
                    keep(keys[member], states[member], key_of(score + np.float32(0), order[place]))
                    floor = least_float(worst(member, keys, states))
            seen[member] += count
