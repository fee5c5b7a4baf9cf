"""Kernels over the tokens of documents: projections, Ward's clustering, fixed dimensional encodings.

The tokens of all documents are the rows of one matrix, those of document r the rows offsets[r] .. offsets[r + 1] - 1.
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.lanes import COLUMNS, dot, dots_of_two, l2_squared, square


@kernel(frozen(types.float32, 2), frozen(types.float32, 2), types.intp, types.intp, filled(types.float32, 2))
def project(tokens: Any, directions: Any, first: int, last: int, out: Any) -> None:
    """Write the products of tokens with directions: the same bits whatever is computed beside them.

    Args:
        tokens: (n, d) float32.
        directions: (p, d) float32, p a multiple of COLUMNS.
        first: first token.
        last: last token + 1.
        out: (last - first, p) float32.

    """
    for token in range(first, last, 2):
        other = min(token + 1, last - 1)
        for column in range(0, directions.shape[0], COLUMNS):
            products = dots_of_two(tokens, token, other, directions, column)
            for i in range(COLUMNS):
                out[token - first, column + i] = products[i]
                out[other - first, column + i] = products[COLUMNS + i]


@helper
def _nearest(distances: Any, active: Any, count: Any, a: Any, before: Any) -> Any:
    """Return the cluster nearest to a; of equal ones the one before a in the chain, else the first."""
    best, least = before, np.float32(np.inf) if before < 0 else distances[a, before]
    for b in range(count):
        if active[b] and b != a and distances[a, b] < least:
            best, least = b, distances[a, b]
    return best


@helper
def _join(distances: Any, sizes: Any, active: Any, count: Any, a: Any, b: Any) -> None:
    """Put b into a: distances of the joined cluster by Lance and Williams (1967), for Ward's criterion."""
    between, of_a, of_b = distances[a, b], sizes[a], sizes[b]
    for other in range(count):
        if active[other] and other != a and other != b:
            of = sizes[other]
            joined = ((of + of_a) * distances[a, other] + (of + of_b) * distances[b, other] - of * between) / (
                of + of_a + of_b
            )
            distances[a, other] = joined
            distances[other, a] = joined
    sizes[a] = of_a + of_b
    active[b] = False


@helper
def _measure(tokens: Any, begin: Any, count: Any, angular: Any, distances: Any) -> None:
    """Fill the squared distances of a document's tokens."""
    for i in range(count):
        distances[i, i] = np.float32(0)
        for j in range(i):
            if angular:
                apart = np.float32(1) - dot(tokens, begin + i, tokens[begin + j])
                apart = apart * apart
            else:
                apart = l2_squared(tokens, begin + i, tokens[begin + j])
            distances[i, j] = apart
            distances[j, i] = apart


@helper
def _chain(
    distances: Any, sizes: Any, active: Any, count: Any, chain: Any, heights: Any, left: Any, right: Any
) -> None:
    """Join everything: go from a cluster to its nearest until two are each other's nearest, and join these."""
    steps, depth, start = 0, 0, 0
    while steps < count - 1:
        if depth == 0:
            while not active[start]:
                start += 1
            chain[0], depth = start, 1
        a = chain[depth - 1]
        before = chain[depth - 2] if depth > 1 else -1
        b = _nearest(distances, active, count, a, before)
        if b != before:
            chain[depth] = b
            depth += 1
            continue
        heights[steps], left[steps], right[steps] = distances[a, b], min(a, b), max(a, b)
        _join(distances, sizes, active, count, left[steps], right[steps])
        steps += 1
        depth -= 2


@helper
def _root(parents: Any, at: Any) -> Any:
    while parents[at] != at:
        parents[at] = parents[parents[at]]
        at = parents[at]
    return at


@kernel(
    frozen(types.float32, 2),
    frozen(types.int64, 1),
    frozen(types.int64, 1),
    types.intp,
    types.intp,
    types.boolean,
    filled(types.float32, 2),
    filled(types.int32, 1),
)
def ward(tokens: Any, offsets: Any, wanted: Any, first: int, last: int, angular: bool, room: Any, labels: Any) -> None:
    """Cluster the tokens of each document by Ward's criterion, with chains of nearest neighbours (Murtagh 1983).

    Args:
        tokens: (n, d) float32, of unit length where angular.
        offsets: (r + 1,) int64.
        wanted: (r,) int64, how many clusters each document shall have; at least 1 where it has tokens.
        first: first document.
        last: last document + 1.
        angular: start from (1 - cosine) squared instead of squared distances, as PyLate does.
        room: (m, m) float32, m at least the tokens of any document.
        labels: (n,) int32, filled: a token's cluster, numbered from 0 in the order of their first tokens.

    """
    most = room.shape[0]
    sizes, active = np.empty(most, np.float32), np.empty(most, np.bool_)
    chain, parents = np.empty(most + 1, np.int64), np.empty(most, np.int64)
    heights, left, right = np.empty(most, np.float32), np.empty(most, np.int64), np.empty(most, np.int64)
    for document in range(first, last):
        begin = offsets[document]
        count = offsets[document + 1] - begin
        for i in range(count):
            sizes[i], active[i], parents[i] = np.float32(1), True, i
        if count > wanted[document]:
            _measure(tokens, begin, count, angular, room)
            _chain(room, sizes, active, count, chain, heights, left, right)
            # The lowest joins come first; a join is never lower than those that it rests on.
            order = np.argsort(heights[: count - 1], kind="mergesort")
            for at in range(count - wanted[document]):
                a, b = _root(parents, left[order[at]]), _root(parents, right[order[at]])
                parents[max(a, b)] = min(a, b)
        number = np.int32(0)
        for i in range(count):
            root = _root(parents, i)
            if root == i:  # a root is its cluster's first token
                labels[begin + i] = number
                number += np.int32(1)
            else:
                labels[begin + i] = labels[begin + root]


@helper
def _nearest_cell(cells: Any, begin: Any, end: Any, repetition: Any, cell: Any) -> Any:
    nearest, least = begin, 33
    for token in range(begin, end):
        apart, different = 0, np.int64(cells[token, repetition]) ^ cell
        while different:
            different &= different - 1
            apart += 1
        if apart < least:
            nearest, least = token, apart
    return nearest


@helper
def _spread(tokens: Any, cells: Any, begin: Any, end: Any, repetition: Any, sums: Any, lengths: Any) -> None:
    """Write of each cell the sum of its tokens, and the sum of their lengths."""
    sums[:], lengths[:] = np.float32(0), np.float32(0)
    for token in range(begin, end):
        cell = np.int64(cells[token, repetition])
        lengths[cell] += np.sqrt(square(tokens, token))
        for j in range(tokens.shape[1]):
            sums[cell, j] += tokens[token, j]


@helper
def _share(count: Any, sums: Any, lengths: Any, cell: Any) -> Any:
    """Return what the sum of a cell's tokens is to be multiplied with: for their mean, or one of their usual length."""
    share = np.float32(1) / np.float32(count)
    if lengths.shape[0] == 0:
        return share
    length = np.sqrt(square(sums, cell))
    # Tokens that cancel each other out have no direction.
    return share * (lengths[cell] / length) if length > np.float32(1e-3) * lengths[cell] else share


@kernel(
    frozen(types.float32, 2),
    frozen(types.uint32, 2),
    frozen(types.int64, 1),
    frozen(types.float32, 2),
    types.intp,
    types.intp,
    types.intp,
    types.boolean,
    filled(types.float32, 2),
)
def fde(
    projected: Any,
    cells: Any,
    offsets: Any,
    tokens: Any,
    first: int,
    last: int,
    bits: int,
    question: bool,
    out: Any,
) -> None:
    """Write fixed dimensional encodings (MUVERA: Dhulipala et al., NeurIPS 2024, section 2).

    Args:
        projected: (n, R p) float32, the tokens' projections of each of R repetitions.
        cells: (n, R) uint32, in which of 2^bits cells of a repetition a token lies.
        offsets: (r + 1,) int64.
        tokens: (n, d) float32 where the mean of a cell is to be made as long as its tokens are on average; else (0, d).
        first: first document.
        last: last document + 1.
        bits: of a cell's number.
        question: sum the tokens of a cell and leave empty ones empty; else take their mean, and for an empty cell the
            token whose cell differs in the fewest bits, the first of equal ones.
        out: (last - first, R 2^bits p) float32, filled.

    """
    repetitions = cells.shape[1]
    width = projected.shape[1] // repetitions
    count, stretched = np.empty(1 << bits, np.int64), tokens.shape[0] > 0 and not question
    room = (1 << bits) if stretched else 0
    sums, lengths = np.empty((room, tokens.shape[1]), np.float32), np.empty(room, np.float32)
    for document in range(first, last):
        begin, end = offsets[document], offsets[document + 1]
        line = out[document - first]
        line[:] = np.float32(0)
        if begin == end:
            continue
        for repetition in range(repetitions):
            count[:] = 0
            base = repetition << bits
            for token in range(begin, end):
                cell = np.int64(cells[token, repetition])
                count[cell] += 1
                start = (base + cell) * width
                line[start : start + width] += projected[token, repetition * width : (repetition + 1) * width]
            if question:
                continue
            if stretched:
                _spread(tokens, cells, begin, end, repetition, sums, lengths)
            for cell in range(1 << bits):
                start = (base + cell) * width
                if count[cell] == 0:
                    nearest = _nearest_cell(cells, begin, end, repetition, cell)
                    line[start : start + width] = projected[nearest, repetition * width : (repetition + 1) * width]
                elif count[cell] > 1:
                    line[start : start + width] *= _share(count[cell], sums, lengths, cell)
