"""MaxSim over stored tokens: the exact score of any rows, and the best of all rows.

Invariant: the score of a (row, question) pair has the same bits whichever function computed it. Codes of 8 and 4 bits
are scanned with a question that is coded too, which is several times as fast and not exact; but how far off a score
can be is known, so the rows that may be among the best are scored again, and the answer is the exact one. Signs are
compared with a question that is rotated as they are; `estimated_rows` rounds it more coarsely, and bounds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.multivector import sign
from vecdb_index.multivector.residual import WIDE
from vecdb_index.multivector.stored import Tokens, eight_of_four, ends_of, longest_of
from vecdb_index.slices import HELPER_BYTES, SLICE_BYTES, Slice, aligned, shared

SLICE_WORK = 64 << 20
"""Bytes of tokens, times blocks of a question's, that one call of a kernel works through: about 0.1 s."""
_ALL = np.empty(0, np.uint32)
_SMALLEST = np.float32(2.0**-126)
TABLE_BYTES = 256 << 20
"""The largest table of a question's products with centroids; beyond that rows are scored exactly."""
WIDER = {4: eight_of_four, 1: sign.eight_of_one}
"""How codes of few bits become those of 8 bits that stand for the same numbers."""
ROUNDING = 2.0**-16
"""By how much sums in float32 of products of 8-bit numbers may be off, as a share of the largest that they can be."""


class Best(NamedTuple):
    """The best rows, and all that are as good as the last of them: rows (m,) int64, best first, and scores float32."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    scored: int


@dataclass(frozen=True)
class Question:
    """The tokens of a question.

    Attributes:
        tokens: (q, d) float32.
        weights: (q,) float32, how much each counts; not negative.

    """

    tokens: NDArray[np.float32]
    weights: NDArray[np.float32]

    @cached_property
    def padded(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Tokens and weights as the kernels over floats take them."""
        from vecdb_index.kernels.lanes import COLUMNS

        count = -(-len(self.tokens) // COLUMNS) * COLUMNS
        tokens, weights = np.zeros((count, self.tokens.shape[1]), np.float32), np.zeros(count, np.float32)
        tokens[: len(self.tokens)], weights[: len(self.weights)] = self.tokens, self.weights
        return tokens, weights

    @cached_property
    def turned(self) -> Question:
        """The question as tokens of signs are compared with it."""
        return Question(sign.turned(self.tokens), self.weights)

    @cached_property
    def tables(self) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """The turned question as the kernel over signs looks it up, and what each token counts."""
        tables, units = sign.tables_of(self.turned.tokens)
        return tables, units * self.weights

    @cached_property
    def coded(self) -> Coded:
        """The tokens as the kernel over codes takes them."""
        return Coded.of(self)


class Coded(NamedTuple):
    """A question in 8-bit numbers, as kernels/maxsim.py has them.

    A score is off by no more than `error` times the length of a row's longest token. That is made of `rounded`, which
    comes of the rounding of the question, and `summed`, which comes of that of sums.
    """

    blocks: NDArray[Any]
    shifts: NDArray[np.int32]
    weights: NDArray[np.float32]
    width: int
    units: NDArray[np.float32]
    rounded: float
    summed: float

    @property
    def error(self) -> float:
        """How far off a score may be, for tokens of length 1."""
        return self.rounded + self.summed

    def off(self, tokens: Tokens) -> float:
        """Return how far off a score of some tokens may be."""
        longest = longest_of(tokens) if math.isinf(tokens.longest) else tokens.longest
        if tokens.centroids is None:
            return self.error * longest
        # Products with centroids are those of the question as it is, but sums of floats.
        left = longest if math.isinf(tokens.longest_left) else tokens.longest_left
        more = max(1.0, tokens.dimension / 64)
        return self.rounded * left + 2 * more * self.summed * (longest + 2 * left)

    @classmethod
    def of(cls, question: Question) -> Coded:
        """Round the numbers of each token to steps of its own, and find out by how much they were changed."""
        from vecdb_index.kernels.maxsim import BYTES, LANES, STEP

        tokens, count = question.tokens, len(question.tokens)
        width, blocks = -(-tokens.shape[1] // 4) * 4, -(-max(count, 1) // LANES)
        units = np.abs(tokens).max(axis=1, initial=0).astype(np.float32) / np.float32(127)
        units = np.where(units >= _SMALLEST, units, np.float32(1))
        steps = np.rint(tokens / units[:, None]).clip(-127, 127)
        off = np.linalg.norm(tokens.astype(np.float64) - steps * units[:, None].astype(np.float64), axis=1)
        long = np.linalg.norm(tokens.astype(np.float64), axis=1)
        counted = question.weights.astype(np.float64)
        rounded, summed = float(counted @ off), float(counted @ (ROUNDING * (long + off)))
        whole = np.zeros((blocks * LANES, width), np.int64)
        whole[:count, : tokens.shape[1]] = steps
        weights = np.zeros(blocks * LANES, np.float32)
        weights[:count] = units * question.weights
        steps_of = np.ones(blocks * LANES, np.float32)
        steps_of[:count] = units
        shifts = 128 * whole.sum(axis=1) if BYTES else np.zeros(len(whole))
        laid = whole.reshape(blocks, LANES, width // STEP, STEP).transpose(0, 2, 1, 3).reshape(blocks, -1)
        return cls(
            np.ascontiguousarray(laid.astype(np.int8 if BYTES else np.int16)),
            shifts.reshape(blocks, LANES).astype(np.int32),
            weights.reshape(blocks, LANES),
            width,
            steps_of,
            rounded,
            summed,
        )


def score_rows(
    tokens: Tokens, question: Question, rows: NDArray[Any] | None = None, pool: ThreadPoolExecutor | None = None
) -> NDArray[np.float32]:
    """Return the exact scores of some rows, in their order, or of all: float32, -inf for rows without tokens."""
    given = _ALL if rows is None else np.ascontiguousarray(rows, np.uint32)
    count = len(tokens) if rows is None else len(given)
    out = np.empty(count, np.float32)
    if count == 0:
        return out

    def work(todo: Iterator[Slice]) -> None:
        for first, last in todo:
            out[first:last] = _exact(tokens, question, given, first, last)

    _run(work, tokens, question, given, count, pool)
    return out


def scorer(
    tokens: Tokens, question: Question, rows: NDArray[Any], pool: ThreadPoolExecutor | None = None
) -> Callable[[int, int], NDArray[np.float32]]:
    """Return a function (first, last) that scores rows[first:last] as `score_rows` does, for calls of a few rows."""
    given = np.ascontiguousarray(rows, np.uint32)
    ends = ends_of(tokens.lengths_of(given))
    few = HELPER_BYTES // (max(1, tokens.token_bytes) * _blocks(question))

    def score(first: int, last: int) -> NDArray[np.float32]:
        if ends[last] - ends[first] <= few:
            return _exact(tokens, question, given, first, last)
        return score_rows(tokens, question, given[first:last], pool)

    return score


def score_best(
    tokens: Tokens, question: Question, rows: NDArray[Any], k: int, pool: ThreadPoolExecutor | None = None
) -> NDArray[np.float32]:
    """Return the exact scores of those of some rows that may be among the k best of them, and -inf for the others."""
    rows = np.asarray(rows, np.int64)
    if tokens.bits is None or len(rows) <= k:
        return score_rows(tokens, question, rows, pool)
    out = np.full(len(rows), -np.inf, np.float32)
    filled = np.flatnonzero(tokens.lengths_of(rows))
    about = _about(tokens, question, rows[filled], len(filled), pool)
    left = filled[_possible(tokens, question, about, k)]
    out[left] = score_rows(tokens, question, rows[left], pool)
    return out


def estimated_rows(
    tokens: Tokens, question: Question, rows: NDArray[Any], pool: ThreadPoolExecutor | None = None
) -> NDArray[np.float32]:
    """Return about the scores of some rows, in their order, as `score_rows` does; of codes several times as fast."""
    if tokens.bits is None:
        return score_rows(tokens, question, rows, pool)
    if tokens.bits == 1:
        return _by_signs(tokens, question, np.ascontiguousarray(rows, np.uint32), pool)
    out = np.full(len(rows), -np.inf, np.float32)
    filled = np.flatnonzero(tokens.lengths_of(rows))
    out[filled] = _about(tokens, question, np.asarray(rows, np.int64)[filled], len(filled), pool)
    return out


def best(
    tokens: Tokens,
    question: Question,
    k: int,
    allowed: NDArray[Any] | None = None,
    *,
    exact: bool = False,
    pool: ThreadPoolExecutor | None = None,
) -> Best:
    """Return the k best rows that have tokens, with all that are as good as the last of them.

    Args:
        tokens: of all rows.
        question: what they are compared with.
        k: at least 1.
        allowed: (m,) row numbers, ascending; None: all rows.
        exact: look at no code; finds the same, more slowly.
        pool: threads that help.

    """
    rows = np.arange(len(tokens)) if allowed is None else np.asarray(allowed, np.int64)
    rows = rows[tokens.lengths_of(rows) > 0]
    some = None if len(rows) == len(tokens) else rows
    if exact or tokens.bits is None:
        return _ranked(rows, score_rows(tokens, question, some, pool), k)
    about = _about(tokens, question, some, len(rows), pool)
    rows = rows[_possible(tokens, question, about, k)]
    return _ranked(rows, score_rows(tokens, question, rows, pool), k)


def _possible(tokens: Tokens, question: Question, about: NDArray[np.float32], k: int) -> NDArray[np.bool_]:
    """Tell which rows may be among the k best, by their scores with a coded question."""
    if len(about) <= k:
        return np.ones(len(about), bool)
    least = np.partition(about, len(about) - k)[len(about) - k]
    coded = question.turned.coded if tokens.bits == 1 else question.coded
    return about >= np.float64(least) - 2 * coded.off(tokens)


def _ranked(rows: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> Best:
    scored = len(rows)
    if len(rows) > k:
        keep = scores >= np.partition(scores, len(scores) - k)[len(scores) - k]
        rows, scores = rows[keep], scores[keep]
    order = np.argsort(-scores, kind="stable")
    return Best(rows[order], scores[order], scored)


def _exact(tokens: Tokens, question: Question, rows: NDArray[np.uint32], first: int, last: int) -> NDArray[np.float32]:
    from vecdb_index.kernels import maxsim

    queries, weights = (question.turned if tokens.bits == 1 else question).padded
    out, room = np.empty(last - first, np.float32), np.empty(len(queries), np.float32)
    if tokens.bits is None:
        half = tokens.values.dtype == np.float16
        kernel = maxsim.maxsim_halves if half else maxsim.maxsim_floats
        values = tokens.values.view(np.uint16) if half else tokens.values
        kernel(values, tokens.offsets, rows, first, last, queries, weights, room, out)
        return out
    if tokens.bits == 8 and tokens.centroids is None:
        assert tokens.scales is not None
        pair = np.empty((2, tokens.dimension), np.float32)
        codes = tokens.values, tokens.scales, tokens.offsets
        maxsim.maxsim_bytes(*codes, rows, first, last, queries, weights, pair, room, out)
        return out
    some = tokens.slice(first, last) if len(rows) == 0 else tokens.some(rows[first:last])
    if tokens.bits == 1:
        assert some.scales is not None
        numbers = sign.numbers_of(some.values, some.scales)
    else:
        numbers = some.floats().tokens
    maxsim.maxsim_floats(numbers, some.offsets, _ALL, 0, last - first, queries, weights, room, out)
    return out


def _about(
    tokens: Tokens, question: Question, rows: NDArray[np.int64] | None, count: int, pool: ThreadPoolExecutor | None
) -> NDArray[np.float32]:
    """Return the scores of rows by a coded question, each at most `Coded.off` off."""
    if tokens.centroids is not None:
        return _about_residuals(tokens, question, rows, count, pool)
    from vecdb_index.kernels import maxsim

    coded, scales = (question.turned if tokens.bits == 1 else question).coded, tokens.scales
    assert scales is not None
    given = _ALL if rows is None else rows.astype(np.uint32)
    out = np.empty(count, np.float32)

    def work(todo: Iterator[Slice]) -> None:
        room = np.empty((maxsim.TILE, coded.width), np.int16)
        picked, part = np.empty(maxsim.TILE, np.int64), np.empty(maxsim.TILE, np.float32)
        found = np.empty((len(coded.blocks), maxsim.LANES), np.float32)
        for first, last in todo:
            values, offsets, units, at, begin, end = tokens.values, tokens.offsets, scales, given, first, last
            if tokens.bits in WIDER:
                some = tokens.slice(first, last) if len(given) == 0 else tokens.some(given[first:last])
                values, offsets, units = WIDER[tokens.bits](some.values), some.offsets, some.scales
                at, begin, end = _ALL, 0, last - first
            maxsim.maxsim_codes(
                values, units, offsets, at, begin, end, coded.blocks, coded.shifts, coded.weights, room, picked, part,
                found, out[first:last],
            )  # fmt: skip

    if count:
        _run(work, tokens, question, given, count, pool)
    return out


def _about_residuals(
    tokens: Tokens, question: Question, rows: NDArray[np.int64] | None, count: int, pool: ThreadPoolExecutor | None
) -> NDArray[np.float32]:
    """Do what `_about` does for tokens by centroids: their products with the question are made first, in one table."""
    from vecdb_index.kernels import maxsim
    from vecdb_index.kernels.maxsim_residual import maxsim_residuals

    coded, centroids, bits = question.coded, tokens.centroids, tokens.bits
    assert centroids is not None
    assert bits is not None
    if len(centroids) * coded.units.nbytes > TABLE_BYTES:
        return score_rows(tokens, question, rows, pool)
    if rows is not None and int(tokens.lengths_of(rows).sum()) < len(centroids):
        tokens = tokens.some(rows)  # so few tokens have few of the centroids
        used, numbers = np.unique(np.asarray(tokens.numbers), return_inverse=True)
        centroids = centroids.some(used)
        tokens, rows = replace(tokens, centroids=centroids, numbers=numbers.astype(np.uint32)), None
    asked = np.zeros((len(coded.units), tokens.dimension), np.float32)
    asked[: len(question.tokens)] = question.tokens / coded.units[: len(question.tokens), None]
    bases = centroids.vectors.astype(np.float32) @ asked.T
    wide = WIDE[bits] if maxsim.BYTES else WIDE[bits].astype(np.int16) - np.int16(128)
    word, kernel = np.dtype(f"u{wide[0].nbytes}"), maxsim_residuals[bits]
    out = np.empty(count, np.float32)

    def work(todo: Iterator[Slice]) -> None:
        room = np.empty((maxsim.TILE, coded.width), wide.dtype)
        words = room.view(word)
        picked, bases_of = np.empty(maxsim.TILE, np.int64), np.empty(maxsim.TILE, np.int64)
        part, found = np.empty(maxsim.TILE, np.float32), np.empty((len(coded.blocks), maxsim.LANES), np.float32)
        for first, last in todo:
            some = tokens.slice(first, last) if rows is None else tokens.some(rows[first:last])
            kernel(
                wide.view(word).ravel(), some.values, np.asarray(some.numbers, np.uint32), some.offsets,
                centroids.units, bases, coded.blocks, coded.shifts, coded.weights, words, room, picked, bases_of,
                part, found, out[first:last],
            )  # fmt: skip

    if count:
        given = _ALL if rows is None else rows.astype(np.uint32)
        _run(work, tokens, question, given, count, pool)
    return out


def _by_signs(
    tokens: Tokens, question: Question, rows: NDArray[np.uint32], pool: ThreadPoolExecutor | None
) -> NDArray[np.float32]:
    """Return the scores of rows by a question in numbers of about 5 bits."""
    from vecdb_index.kernels.maxsim_sign import BLOCK, maxsim_signs

    (tables, weights), scales = question.tables, tokens.scales
    words, out = tokens.values.view("<u4"), np.empty(len(rows), np.float32)
    middle = sign.MIDDLE * tables.shape[1]

    def work(todo: Iterator[Slice]) -> None:
        rest, rest_scales = np.empty((BLOCK, words.shape[1]), np.uint32), np.empty(BLOCK, np.float32)
        turned, apart = aligned((tables.shape[1], BLOCK), np.uint8), aligned((2, BLOCK // 2), np.float32)
        room = rest, rest_scales, turned, apart, aligned((len(weights), BLOCK // 2), np.float32)
        for first, last in todo:
            given = words, scales, tokens.offsets, rows, first, last
            maxsim_signs(*given, tables, middle, weights, *room, out[first:last])

    if len(rows):
        _run(work, tokens, question, rows, len(rows), pool)
    return out


def _run(
    work: Any,
    tokens: Tokens,
    question: Question,
    rows: NDArray[np.uint32],
    count: int,
    pool: ThreadPoolExecutor | None,
) -> None:
    """Cut rows into slices of bounded work, by their tokens, and let threads take them.

    Codes of few bits are widened to a byte a number, or looked up, which is as much work.
    """
    each = max(tokens.token_bytes, tokens.dimension)
    lengths = tokens.lengths if len(rows) == 0 else tokens.lengths_of(rows)
    ends = np.cumsum(lengths)
    blocks = _blocks(question)
    most = max(1, min(SLICE_BYTES, SLICE_WORK // blocks) // each)
    if ends[-1] <= most and pool is None:
        work(iter([(0, count)]))
        return
    if pool is not None:
        # Codes of a thousand rows fit into one slice, and would be one thread's: two for each, where that pays.
        few = HELPER_BYTES // (each * blocks)
        most = min(most, max(1, few, -(-int(ends[-1]) // (2 * pool._max_workers))))
    todo, first = [], 0
    while first < count:
        before = int(ends[first - 1]) if first else 0
        last = min(max(int(np.searchsorted(ends, before + most, "right")), first + 1), count)
        todo.append((first, last))
        first = last
    shared(work, todo, int(ends[-1]) * each * blocks, pool)


def _blocks(question: Question) -> int:
    """Return how many blocks of 16 a question's tokens fill."""
    return max(1, -(-len(question.tokens) // 16))
