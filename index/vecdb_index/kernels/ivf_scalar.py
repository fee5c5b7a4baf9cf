"""Scanning lists of 8-bit codes (codes.py)."""

from typing import Any

import numpy as np
from numba import types

from vecdb_index.kernels.codes import COLUMNS, dots_of_codes, norm_at_end, similarity
from vecdb_index.kernels.ivf import VISITS, key_of_int, least_int, pick, worst
from vecdb_index.kernels.jit import frozen, helper, kernel
from vecdb_index.kernels.topk import keep


@helper
def _read_for_some(
    codes: Any,
    queries: Any,
    shifts: Any,
    normed: Any,
    members: Any,
    at: Any,
    order: Any,
    places: Any,
    count: Any,
    floors: Any,
    keys: Any,
    states: Any,
) -> None:
    for column in range(COLUMNS):
        floors[column] = least_int(worst(members[at + column], keys, states))
    for i in range(count):
        place = places[i]
        dots = dots_of_codes(codes, place, queries, members, at, shifts)
        norm = norm_at_end(codes, place) if normed else np.int32(0)
        for column in range(COLUMNS):
            sim = np.int32(np.int32(2) * dots[column] - norm) if normed else dots[column]
            if sim >= floors[column]:
                member = members[at + column]
                keep(keys[member], states[member], key_of_int(sim, order[place]))
                floors[column] = least_int(worst(member, keys, states))


@helper
def _read_for_one(
    codes: Any,
    queries: Any,
    shifts: Any,
    normed: Any,
    member: Any,
    order: Any,
    places: Any,
    count: Any,
    keys: Any,
    states: Any,
) -> None:
    floor = least_int(worst(member, keys, states))
    for i in range(count):
        sim = similarity(codes, places[i], queries, member, shifts[member], normed)
        if sim >= floor:
            keep(keys[member], states[member], key_of_int(sim, order[places[i]]))
            floor = least_int(worst(member, keys, states))


@kernel(frozen(types.uint8, 2), frozen(types.int8, 2), frozen(types.int32, 1), types.boolean, *VISITS)
def scan(
    codes: Any,
    queries: Any,
    shifts: Any,
    normed: Any,
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
    """Do what kernels/ivf.py says for codes (n, width), list by list, and queries (q, width) with their shifts (q,).

    normed says whether codes end with their squared length.
    """
    floors = np.empty(COLUMNS, np.int32)
    for visit in range(first, last):
        count = pick(order, offsets[visited[visit]], offsets[visited[visit] + 1], allowed, places)
        at, end = starts[visit], starts[visit + 1]
        while at + COLUMNS <= end:
            _read_for_some(codes, queries, shifts, normed, members, at, order, places, count, floors, keys, states)
            at += COLUMNS
        while at < end:
            member = members[at]
            _read_for_one(codes, queries, shifts, normed, member, order, places, count, keys, states)
            at += 1
        for at in range(starts[visit], end):
            seen[members[at]] += count
