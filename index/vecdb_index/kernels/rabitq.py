"""Searching RaBitQ codes: tables of a query, estimates of a block of rows, better ones for those that are left.

Everything is rotated and less the mean. A row r = x - c, its centre c and a query p are compared through s, the signs
of r, or through u, its numbers on an even grid around zero (its levels):

    <r, p - c>  is about  scale * (<s, p> - <s, c>)      scale = |r|² / <s, r>

The part with c is in the row's first factor. So a query has one table, whatever the centres. Estimates are scores: more
is better, and a row's true score is at most its bound, as often as the width says.

(Gao, Long 2024, arXiv 2405.12497; Gao et al. 2024, arXiv 2409.09913.)
"""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.codes import prefetch
from vecdb_index.kernels.fastscan import BLOCK, block_sums
from vecdb_index.kernels.jit import filled, frozen, helper, kernel

REACH = 31
"""A query's largest number in the tables of signs: sums of four of them, and 128, fit a byte."""
FINE = 2047
"""A query's largest number for the refined codes."""
MIDDLE = 128
AHEAD = 8
"""Rows of a list that are asked for before their turn."""
EDGE = np.float32(2**0.5 - 1)

_BYTE, _SHORT, _INT, _LONG, _FLOAT = types.uint8, types.int16, types.int32, types.int64, types.float32
_SIZE = types.intp


@helper
def _largest(row: Any) -> Any:
    found = np.float32(0)
    for j in range(row.shape[0]):
        found = max(found, abs(row[j]))
    return found


@helper
def _unit(largest: Any, reach: Any) -> Any:
    """What one step of a whole number up to reach is worth: never 0, so that nothing is divided by it."""
    return max(np.float32(largest / np.float32(reach)), np.float32(2.0**-126))


@helper
def _fill(numbers: Any, table: Any) -> None:
    """Write to table[g, mask] the sum of the numbers of group g, each less than zero where its bit is not set."""
    for group in range(table.shape[0]):
        at, line = 4 * group, table[group]
        total = np.int32(MIDDLE)
        for i in range(4):
            total = np.int32(total - np.int32(numbers[at + i]))
        line[0] = np.uint8(total)
        for i in range(4):
            twice = np.uint8(np.int32(2 * np.int32(numbers[at + i])))
            for mask in range(1 << i):
                line[mask | (1 << i)] = np.uint8(line[mask] + twice)


@kernel(
    frozen(_FLOAT, 2),
    filled(_BYTE, 3),
    filled(_FLOAT, 1),
    filled(_FLOAT, 1),
    filled(_SHORT, 2),
    filled(_LONG, 1),
    filled(_FLOAT, 1),
)
def prepare(queries: Any, tables: Any, units: Any, misses: Any, numbers: Any, totals: Any, fine_units: Any) -> None:
    """Write the tables of (q, width) queries.

    Args:
        queries: rotated, less the mean.
        tables: (q, width / 4, 16) sums of signed numbers, + 128, for the signs.
        units: (q,) what 1 in tables is worth.
        misses: (q,) length of what rounding took away, times the root of the width.
        numbers: (q, width) the query in finer steps, for the levels.
        totals: (q,) their sums.
        fine_units: (q,) what 1 in numbers is worth.

    """
    width = queries.shape[1]
    finest = min(FINE, 0x7FFFFFFF // (256 * width))
    for q in range(queries.shape[0]):
        largest = _largest(queries[q])
        unit, fine = _unit(largest, REACH), _unit(largest, finest)
        missed = 0.0
        for j in range(width):
            number = np.rint(queries[q, j] / unit)
            numbers[q, j] = np.int16(number)
            missed += np.float64(queries[q, j] - number * unit) ** 2
        _fill(numbers[q], tables[q])
        total = np.int64(0)
        for j in range(width):
            numbers[q, j] = np.int16(np.rint(queries[q, j] / fine))
            total += np.int64(numbers[q, j])
        units[q], misses[q], totals[q], fine_units[q] = unit, np.float32(np.sqrt(width * missed)), total, fine


@helper
def scan_rows(
    codes: Any,
    factors: Any,
    tables: Any,
    query: int,
    unit: Any,
    missed: Any,
    add: Any,
    length: Any,
    width: Any,
    first: int,
    last: int,
    sums: Any,
    estimates: Any,
    bounds: Any,
) -> None:
    """Do what `scan` does; for kernels that go through several lists."""
    middle = np.int32(MIDDLE * tables.shape[1])
    for block in range(first // BLOCK, (last + BLOCK - 1) // BLOCK):
        block_sums(codes, block, tables, query, sums)
        start = block * BLOCK
        low, high = max(first, start), min(last, start + BLOCK)
        adds, scales, errors = factors[0, low:high], factors[1, low:high], factors[2, low:high]
        dots, found = sums[low - start : high - start], estimates[low - first : high - first]
        limits = bounds[low - first : high - first]
        # Two loops, for LLVM makes vectors of them only when few arrays could overlap.
        for i in range(high - low):
            estimate = (adds[i] + scales[i] * (unit * np.float32(np.int32(dots[i] - middle)))) + add
            # Infinities of both signs met: nothing is known, so nothing may drop the row.
            found[i] = estimate if estimate == estimate else np.float32(-np.inf)
        for i in range(high - low):
            error, rounded = errors[i] * length, scales[i] * missed
            # A little more than the root of both squares, which could be too small for a float32.
            size = max(error, rounded) + EDGE * min(error, rounded)
            limit = found[i] + width * size
            limits[i] = limit if limit > np.float32(-np.inf) else np.float32(np.inf)


@kernel(
    frozen(_BYTE, 3),
    frozen(_FLOAT, 2),
    frozen(_BYTE, 3),
    _SIZE,
    _FLOAT,
    _FLOAT,
    _FLOAT,
    _FLOAT,
    _FLOAT,
    _SIZE,
    _SIZE,
    filled(_INT, 1),
    filled(_FLOAT, 1),
    filled(_FLOAT, 1),
)
def scan(
    codes: Any,
    factors: Any,
    tables: Any,
    query: int,
    unit: Any,
    missed: Any,
    add: Any,
    length: Any,
    width: Any,
    first: int,
    last: int,
    sums: Any,
    estimates: Any,
    bounds: Any,
) -> None:
    """Estimate the scores of the rows first .. last - 1, which share a centre, from their signs.

    Args:
        codes: (b, bytes, 32), blocks of kernels/fastscan.py.
        factors: (3, n): what is added, what multiplies, the error's size.
        tables: (q, 2 bytes, 16) from `prepare`.
        query: which of the tables.
        unit: units[query].
        missed: misses[query].
        add: what is added for the query and this centre.
        length: distance of the query from the centre.
        width: epsilon / sqrt(dimensions - 1).
        first: first row.
        last: last row + 1.
        sums: (32,): room.
        estimates: at least last - first long; estimates[0] is the row `first`.
        bounds: like estimates: what the score is hardly above.

    """
    scan_rows(
        codes,
        factors,
        tables,
        query,
        unit,
        missed,
        add,
        length,
        width,
        first,
        last,
        sums,
        estimates,
        bounds,
    )


@helper
def _product(line: Any, numbers: Any) -> Any:
    """Sum of a row's levels times a query's numbers: int32, exact. Two levels share a byte when the line is short."""
    half, total = line.shape[0], np.int32(0)
    if half == numbers.shape[0]:
        for j in range(half):
            total = np.int32(total + np.int32(np.int32(line[j]) * np.int32(numbers[j])))
    else:
        lower, upper = numbers[:half], numbers[half:]
        for j in range(half):
            low, high = np.int32(line[j] & np.uint8(15)), np.int32(line[j] >> np.uint8(4))
            pair = np.int32(np.int32(low * np.int32(lower[j])) + np.int32(high * np.int32(upper[j])))
            total = np.int32(total + pair)
    return total


@kernel(
    frozen(_BYTE, 2),
    frozen(_FLOAT, 2),
    frozen(_SHORT, 2),
    _SIZE,
    _LONG,
    _FLOAT,
    _FLOAT,
    _FLOAT,
    _FLOAT,
    _SIZE,
    frozen(types.uint32, 1),
    filled(_FLOAT, 1),
    filled(_FLOAT, 1),
)
def refine(
    levels: Any,
    factors: Any,
    numbers: Any,
    query: int,
    total: int,
    unit: Any,
    add: Any,
    length: Any,
    width: Any,
    bits: int,
    rows: Any,
    estimates: Any,
    bounds: Any,
) -> None:
    """Estimate the scores of some rows, which share a centre, from all their bits.

    Args:
        levels: (n, ..) a byte a number, or two numbers a byte (j and j + width / 2), 0 to 2^bits - 1.
        factors: (3, n) for the levels, not those for the signs.
        numbers: from `prepare`.
        query: which of the queries.
        total: totals[query].
        unit: fine_units[query].
        add: as in `scan`.
        length: as in `scan`.
        width: as in `scan`.
        bits: of a number: at least 2.
        rows: (m,) row numbers.
        estimates: (m,).
        bounds: (m,).

    """
    count = rows.shape[0]
    for at in range(min(AHEAD, count)):
        prefetch(levels, rows[at])
    for at in range(count):
        if at + AHEAD < count:
            prefetch(levels, rows[at + AHEAD])
        row = np.int64(rows[at])
        # A level stands for the middle of its step, seen from the middle of all.
        twice = np.int64(2) * np.int64(_product(levels[row], numbers[query])) - ((1 << bits) - 1) * total
        dot = np.float32(np.float64(twice) * 0.5 * np.float64(unit))
        estimate = (factors[0, row] + factors[1, row] * dot) + add
        bound = estimate + width * factors[2, row] * length
        estimates[at] = estimate if estimate == estimate else np.float32(-np.inf)
        bounds[at] = bound if bound == bound else np.float32(np.inf)
