"""One call from a query to its best rows: encode it, gather candidates by codes, score the best of them exactly.

Compiled when an index first needs it, for each type of element that a search meets.
"""

import functools
from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.codes import encode_query, prefetch, reach_of
from vecdb_index.kernels.graph import BEAM_ROOM, beam, count_of, insert, key_of, row_of
from vecdb_index.kernels.jit import filled, frozen, helper, kernel
from vecdb_index.kernels.packed import MIDDLE, are_packed, similarity
from vecdb_index.kernels.query import direction
from vecdb_index.kernels.rescoring import AHEAD, SIGMAS, finer, rescore, squares, unit_of, variance, variance_of_near
from vecdb_index.kernels.topk import row_of as row_of_score
from vecdb_index.kernels.topk import score_of

_CODE, _QUERY, _LINK, _KEY, _WORD = types.uint8, types.int8, types.int32, types.int64, types.uint32
_SIZE, _FLAG, _MASK, _ROW, _SCORE = types.intp, types.boolean, types.uint8, types.uint32, types.float32


@helper
def _scan(
    codes: Any,
    listed: Any,
    ready: Any,
    shift: Any,
    normed: Any,
    own: Any,
    noise: Any,
    packed: Any,
    least: Any,
    keys: Any,
) -> Any:
    """Fill keys with those of the listed rows that may be among the `least` best; return how many.

    A row whose code says less than that of the last of these so far, by as much as both may be wrong, is left out:
    putting rows into their place is the larger part of the work.
    """
    size, room, floor = 0, keys.shape[0], np.float64(-np.inf)
    for at in range(listed.shape[0]):
        if at + AHEAD < listed.shape[0]:
            prefetch(codes, listed[at + AHEAD])
        sim = similarity(codes, listed[at], ready, 0, shift, normed)
        if np.float64(sim) < floor:
            continue
        key = key_of(sim, listed[at])
        if size < room or key > keys[room - 1]:
            place = insert(keys, size, key)
            size = min(size + 1, room)
            if place < least and size >= least:
                last = keys[least - 1]
                band = 2 * SIGMAS * np.sqrt(variance(codes, last, own, noise, packed, normed))
                floor = np.float64(last >> np.int64(32)) - band
    return size


@helper
def _keep(keys: Any, size: Any, allowed: Any) -> Any:
    """Move the allowed rows among keys[:size] to the front; return how many."""
    kept = 0
    for at in range(size):
        if allowed[row_of(keys[at])] != 0:
            keys[kept] = keys[at]
            kept += 1
    return kept


@helper
def _leads_away(
    codes: Any,
    links: Any,
    code: Any,
    shift: Any,
    normed: Any,
    entries: Any,
    allowed: Any,
    visited: Any,
    keys: Any,
    fewest: Any,
    beam_room: Any,
) -> Any:
    """Walk a little; return how many codes were read, and whether fewer than `fewest` of the rows met are allowed."""
    every = allowed[:0]
    size, read = beam(
        codes, links, code, 0, shift, normed, entries, every, visited, keys, every, 0, beam_room, 0.0, 0, 0.0, 0.0
    )
    return read, count_of(keys, size, allowed) < fewest


def answer(
    matrix: Any,
    codes: Any,
    links: Any,
    entries: Any,
    allowed: Any,
    listed: Any,
    two_hops: Any,
    normed: Any,
    centre: Any,
    scale: Any,
    noise: Any,
    norms: Any,
    metric: Any,
    prepare: Any,
    ef: Any,
    enough: Any,
    room: Any,
    probe: Any,
    fewest: Any,
    least: Any,
    stretch: Any,
    queries: Any,
    ready: Any,
    scales: Any,
    first: Any,
    last: Any,
    visited: Any,
    rows: Any,
    scores: Any,
    met: Any,
    reads: Any,
    scored: Any,
) -> None:
    """Answer queries[first:last].

    Args:
        matrix: (n, d), the rows themselves.
        codes: (n, width) uint8, 8-bit or packed ones.
        links: (n, m) int32 of the graph.
        entries: (e,) int32 rows where a walk starts; empty: the listed rows are scanned instead.
        allowed: (n,) uint8, or empty when all rows are.
        listed: (m,) uint32 rows to scan, where that may come to pass.
        two_hops: walk over the allowed rows only (all entries are); else over all, keeping what is allowed.
        normed: whether codes end with a squared length.
        centre: (d,) of the codes.
        scale: of the codes.
        noise: of the codes, see rescoring.py.
        norms: (n,) float32, read for cosine.
        metric: one of METRIC_CODES.
        prepare: write each query's direction to ready; else ready holds what the exact scores need.
        ef: candidates that a walk keeps.
        enough: a walk over all rows may end when it knows so many that are allowed, and where they lead.
        room: candidates that a scan keeps.
        probe: width of a first, short walk, where fewest is not 0.
        fewest: when it meets fewer rows that are allowed, the listed ones are scanned.
        least: candidates that are scored exactly however poor their codes are; at least the r below.
        stretch: where it is not 0 and all rows are allowed, a walk keeps no row whose squared distance is more than so
            many times that of the last of the `least` best.
        queries: (q, d) float32.
        ready: (q, d) of the type that is multiplied with the rows.
        scales: (q,) factor of every score.
        first: first query.
        last: last query + 1.
        visited: uint32, a bit for each row at least: marks of one thread, for any number of graphs.
        rows: (q, r) uint32: the r best candidates, best first by their exact scores.
        scores: (q, r) float32.
        met: (q,) int32: how many candidates passed; the first min(met, r) of a line mean something.
        reads: (q,) int32: how many codes were read.
        scored: (q,) int32: how many rows were scored exactly.

    """
    packed = are_packed(codes, queries.shape[1], normed)
    half = (queries.shape[1] + 1) >> 1 if packed else queries.shape[1]
    code = np.empty((1, codes.shape[1] * (2 if packed else 1)), np.int8)
    measure = np.float32(scale * np.float32(finer(packed, normed)))
    keys = np.empty(max(ef, room, probe), np.int64)
    beam_room = np.empty((BEAM_ROOM, links.shape[1]), np.int32)
    best, everything = np.empty(rows.shape[1], np.uint64), allowed[:0]
    for query in range(first, last):
        if prepare:
            direction(queries, query, ready, query)
        reach = reach_of(queries, query)
        total = encode_query(queries, query, reach, centre, measure, normed, half, code, 0)
        shift = np.int32(np.int32(MIDDLE if packed else 128) * total)
        own = squares(code[0])
        read, scans = np.int64(0), entries.shape[0] == 0
        if fewest > 0:
            read, scans = _leads_away(
                codes, links, code, shift, normed, entries, allowed, visited, keys[:probe], fewest, beam_room
            )
        if scans:
            size = _scan(codes, listed, code, shift, normed, own, noise, packed, least, keys[:room])
            met[query], reads[query] = listed.shape[0], read + listed.shape[0]
        else:
            # Of unit vectors, twice this less the product is the squared distance.
            base = own / finer(packed, normed) if normed else np.sqrt(np.float64(own)) * scale
            over, wanted = (allowed, everything) if two_hops else (everything, allowed)
            size, more = beam(
                codes,
                links,
                code,
                0,
                shift,
                normed,
                entries,
                over,
                visited,
                keys[:ef],
                wanted,
                enough,
                beam_room,
                0.0 if allowed.shape[0] > 0 else np.float64(stretch),
                least - 1,
                base,
                np.sqrt(variance_of_near(codes, own, noise, packed, normed)),
            )
            if allowed.shape[0] > 0 and not two_hops:
                size = _keep(keys, size, allowed)
            met[query], reads[query] = size, read + more
        unit = unit_of(queries, query, reach, scale, packed, normed, metric)
        count, scored[query] = rescore(
            matrix,
            codes,
            keys,
            size,
            least,
            own,
            unit,
            noise,
            packed,
            normed,
            ready[query],
            metric,
            scales[query],
            norms,
            best,
        )
        for at in range(count):
            rows[query, at] = np.uint32(row_of_score(best[at]))
            scores[query, at] = score_of(best[at])


# By NumPy's letter for the element: float32, float16 as uint16, int8. Asking for the letter is the cheapest.
_TYPES = {"f": (types.float32, types.float32), "H": (types.uint16, types.float32), "b": (types.int8, types.int16)}


@functools.cache
def answer_of(element: str) -> Any:
    """Return `answer` for matrices of an element."""
    stored, multiplied = _TYPES[element]
    signature = (
        frozen(stored, 2),
        frozen(_CODE, 2),
        frozen(_LINK, 2),
        frozen(_LINK, 1),
        frozen(_MASK, 1),
        frozen(_ROW, 1),
        _FLAG,
        _FLAG,
        frozen(_SCORE, 1),
        _SCORE,
        _SCORE,
        frozen(_SCORE, 1),
        _SIZE,
        _FLAG,
        *(_SIZE,) * 6,
        _SCORE,
        frozen(_SCORE, 2),
        filled(multiplied, 2),
        frozen(_SCORE, 1),
        _SIZE,
        _SIZE,
        filled(_WORD, 1),
        filled(_ROW, 2),
        filled(_SCORE, 2),
        filled(types.int32, 1),
        filled(types.int32, 1),
        filled(types.int32, 1),
    )
    return kernel(*signature)(answer)
