"""Searching: the rows whose encodings promise most, then MaxSim of these."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense.allowed import Allowed
from vecdb_index.dense.calibrate import K
from vecdb_index.dense.ivf.search import candidates
from vecdb_index.dense.plan import Plan
from vecdb_index.multivector.maxsim import Best, Question, best
from vecdb_index.multivector.stored import Tokens
from vecdb_index.muvera.index import Muvera
from vecdb_index.types import Rows

ASKING = 1 << 19
"""Code bytes that are read in the time in which a question is encoded and its codes' tables are made."""
BLOCK = 16
"""Tokens of a question that MaxSim compares at once."""
TOKEN_BYTE = 2.0
"""A byte of a token that MaxSim compares with a block costs as much as so many bytes of codes."""


class Ranked(NamedTuple):
    """Rows by their codes, the best first; `reads` codes were compared; `poor` ones need a scan of all rows."""

    rows: Rows
    reads: int
    poor: bool


def ranked(
    index: Muvera,
    question: Question,
    size: int,
    allowed: Allowed | None = None,
    pool: ThreadPoolExecutor | None = None,
) -> Ranked:
    """Return about the `size` best allowed rows by their codes; at least `size` must be allowed."""
    encoding = index.encoder.query(question.tokens, question.weights)
    # The order of rows is the same whatever a question's length, and codes are made for numbers of a usual size.
    encoding = np.ldexp(encoding, -math.frexp(float(np.abs(encoding).max(initial=0)))[1])
    mask, matching = (None, len(index)) if allowed is None else (allowed.mask, allowed.count)
    found = candidates(index.inner, encoding[None], size, index.probes, mask, matching, pool)
    return Ranked(found.rows[0, : found.counts[0]], int(found.reads[0]), bool(found.poor[0]))


class MuveraSearcher:
    """An index with the tokens that it was made of: what a question needs, looked up once.

    Args:
        index: of these rows.
        tokens: of the rows.

    """

    def __init__(self, index: Muvera, tokens: Tokens) -> None:
        self.index, self.tokens = index, tokens

    @property
    def curve(self) -> NDArray[np.float32]:
        """The recall at each number of rows scored by MaxSim."""
        return self.index.curve

    def wider(self, width: int, k: int) -> int:
        """Return how many rows a search for k of them scores, where one for ten scores `width`: in proportion."""
        return width if k <= K else -(-width * k // K)

    @cached_property
    def code_bytes(self) -> int:
        """The bytes of one row's code."""
        return max(1, self.index.bytes // len(self.index))

    @cached_property
    def row_bytes(self) -> int:
        """The bytes of one row's tokens, about."""
        return max(1, len(self.tokens.values) * self.tokens.token_bytes // len(self.index))

    def considered(self, allowed: int | None, k: int, width: int, length: int) -> tuple[Plan, ...]:
        """Return the ways to search among so many rows, None: all, for a question of so many tokens; cheapest first."""
        total = len(self.index) if allowed is None else allowed
        row = TOKEN_BYTE * self.row_bytes * -(-length // BLOCK)
        reads = len(self.index) * self.index.probes // self.index.inner.lists
        scan = Plan("scan", 0, total * row)
        codes = Plan("codes", width, ASKING + reads * self.code_bytes + width * row, reads=reads)
        if total <= width:
            return (scan,)
        return (scan, codes) if scan.cost <= codes.cost else (codes, scan)

    def answer(
        self,
        question: Question,
        k: int,
        plan: Plan,
        allowed: Allowed | None = None,
        pool: ThreadPoolExecutor | None = None,
    ) -> tuple[Best, int]:
        """Carry out a plan; return the k best rows, with all that are as good as the last, and the codes compared.

        Fewer than k rows come only when fewer are allowed and have tokens.
        """
        total = len(self.index) if allowed is None else allowed.count
        size, every = max(plan.ef, k), None if allowed is None else allowed.rows
        if plan.kind == "scan" or size >= total:
            return best(self.tokens, question, k, every, pool=pool), 0
        chosen = ranked(self.index, question, size, allowed, pool)
        found = best(self.tokens, question, k, every if chosen.poor else np.sort(chosen.rows), pool=pool)
        if len(found.rows) < k and not chosen.poor:  # rows without tokens were among them
            found = best(self.tokens, question, k, every, pool=pool)
        return found, chosen.reads
