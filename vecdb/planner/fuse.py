"""Making one ranking of several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vecdb.planner.candidates import ROW_BITS, ArmColumn, Candidates
from vecdb.query.fusion import Fusion, Rrf
from vecdb.storage.snapshot import Part


def fused(parts: Sequence[Part], fusion: Fusion, pools: Sequence[Candidates], labels: Sequence[str]) -> Candidates:
    """Return the rows of all pools, best first, with their rank and score in each; equal ones by id."""
    keys = np.unique(np.concatenate([pool.keys for pool in pools]))
    total = np.zeros(len(keys))
    arms = []
    for label, pool in zip(labels, pools, strict=True):
        at = np.searchsorted(keys, pool.keys)
        ranks, scores = np.zeros(len(keys), np.int32), np.full(len(keys), np.nan, np.float32)
        ranks[at], scores[at] = np.arange(1, len(pool) + 1), pool.score
        assert isinstance(fusion, Rrf)
        total += np.where(ranks > 0, 1 / (fusion.k + ranks), 0)
        arms.append(ArmColumn(label, ranks, scores))
    row = keys & ((1 << ROW_BITS) - 1)
    return Candidates(parts, keys >> ROW_BITS, row, total.astype(np.float32), tuple(arms)).ranked()
