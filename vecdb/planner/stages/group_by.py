"""Grouping: the best rows of each value of a field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from vecdb.planner.bound import BoundStage
from vecdb.planner.candidates import Candidates, comparable
from vecdb.planner.gather import Context
from vecdb.query.stages import GroupBy
from vecdb.schema.arrays import codes_of, numbers_array


def group_by(_: Context, bound: BoundStage, candidates: Candidates) -> Candidates:
    """Return the groups one after the other, that of the best row first, each with its best rows in their order."""
    stage = bound.stage
    assert isinstance(stage, GroupBy)
    values: Any = comparable(candidates.take(bound.columns[0]))
    place = np.arange(len(candidates))
    if pa.types.is_list(values.type):
        lengths = values.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        place, values = np.repeat(place, lengths), values.flatten()
    coded: Any = values.dictionary_encode()
    codes = codes_of(coded)
    known = codes >= 0
    place, codes = place[known], codes[known]
    first = np.full(len(coded.dictionary), len(place), np.int64)
    np.minimum.at(first, codes, np.arange(len(codes)))
    order = np.lexsort((np.arange(len(codes)), first[codes]))  # by the group's best row, then as ranked
    codes, place = codes[order], place[order]
    # A list may have a value twice.
    again = np.r_[False, (codes[1:] == codes[:-1]) & (place[1:] == place[:-1])][: len(codes)]
    codes, place = codes[~again], place[~again]
    begins = _begins(codes)
    within = np.arange(len(codes)) - np.repeat(begins, np.diff(np.r_[begins, len(codes)]))
    kept = within < stage.per_group
    codes, place = codes[kept], place[kept]
    begins = _begins(codes)
    ends = np.r_[begins, len(codes)][1:].astype(np.int64)
    names = coded.dictionary.take(numbers_array(codes[begins])).to_pylist()
    groups = tuple(zip(names, begins.tolist(), ends.tolist(), strict=True))
    return replace(candidates.some(place), groups=groups)


def _begins(codes: np.ndarray) -> np.ndarray:
    """Return where each run of equal codes begins."""
    return np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]]) if len(codes) else np.empty(0, np.int64)
