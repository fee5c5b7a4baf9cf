"""Making the index: choose how to encode, encode all rows block by block, and put the encodings into lists of codes.

The same rows give the same index, with any number of threads.

Unless it is told, how long encodings are, and their codes, are chosen from a sample of the rows: those of the fewest
bytes by which as many of the true best rows are among the first candidates as TARGET says.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense.ivf.build import build as lists_of
from vecdb_index.dense.ivf.build import default_lists
from vecdb_index.dense.ivf.index import Ivf
from vecdb_index.multivector.fde import Directions, FdeEncoder
from vecdb_index.multivector.maxsim import Question
from vecdb_index.multivector.stored import Tokens
from vecdb_index.muvera import questions as made
from vecdb_index.muvera.index import CANDIDATES, Muvera
from vecdb_index.muvera.search import ranked
from vecdb_index.slices import Slice, shared

LADDER = (40, 2, 8), (40, 3, 8), (80, 3, 8), (160, 3, 8)
"""Repetitions, bits and projection of ever longer encodings."""
CODES = {"rabitq": 1, "4bit": 4}
"""Codes that are tried for each, and the bits of a number."""
CODES_LOSE = 0.02
"""Of the share of the best rows among the first candidates, what codes may lose against the encodings themselves."""
USUAL = 40, 3, 8
"""What stands for each of these that was not given where another one was."""
TARGET = 0.95
"""The share of the true ten best rows that the first CANDIDATES ought to hold."""
SAMPLE_ROWS = 2048
"""Rows of the sample that decides."""
LEAST_CANDIDATES = 20
CENTRE_TOKENS = 1 << 16
"""Tokens that the centre is the mean of, at most; of whole rows, evenly spread."""
ONE_LIST = 20_000
"""Up to so many rows all codes are read: half of the lists have to be, to miss no more than a hundredth."""
PROBES_LOSE = 0.01
"""Of the share of the best rows among the first candidates, what reading some of the lists may lose."""
WIDTHS = 16, 32, 50, 100, 200, 400, 800, 1600, 3200, 6400, 12800
"""Numbers of rows scored by MaxSim at which the recall is measured."""
ENOUGH = 0.999
BLOCK = 512
"""Rows that are encoded at once."""
IN_MEMORY = 256 << 20
"""Bytes of encodings that are held in memory while codes are made of them; more lie in a file without a name."""

Progress = Callable[[int, int], None]


class Options(NamedTuple):
    """How rows are encoded; None: chosen. See FdeEncoder, and Ivf for codes and lists."""

    repetitions: int | None = None
    bits: int | None = None
    projection: int | None = None
    directions: Directions = "orthogonal"
    final: int | None = None
    centred: bool = True
    renormalise: bool = True
    codes: str | None = None
    lists: int | None = None
    seed: int = 0


USUAL_OPTIONS = Options()


def build(
    tokens: Tokens,
    options: Options = USUAL_OPTIONS,
    *,
    pool: ThreadPoolExecutor | None = None,
    progress: Progress | None = None,
) -> Muvera:
    """Return the index of all rows, which has measured its own recall.

    Rows without tokens are in it, as zeros: searches leave them out.

    Args:
        tokens: of the rows; one row at least.
        options: how they are encoded.
        pool: threads that help; None: the calling thread alone.
        progress: called with (rows done, rows) now and then; it may raise to stop.

    """
    rows = len(tokens)
    centre = _centre(tokens) if options.centred else None
    encoder, codes = _chosen(tokens, options, centre, pool, progress)
    encodings = _encoded(encoder, tokens, pool, progress)
    lists = options.lists or (1 if rows <= ONE_LIST else default_lists(rows))
    index = Muvera(encoder, _listed(encodings, lists, codes, pool, progress))
    asked = made.made(tokens)
    if not asked:
        return index
    true = made.truth(tokens, asked, pool)
    index = replace(index, probes=_probes(index, asked, true, pool))
    return replace(index, curve=_curve(index, asked, true, pool))


def _centre(tokens: Tokens) -> NDArray[np.float32]:
    """Return the mean of the tokens of some rows."""
    step = max(1, math.ceil(len(tokens.values) / CENTRE_TOKENS))
    some = tokens.some(np.arange(0, len(tokens), step)).floats().tokens
    if len(some) == 0:
        return np.zeros(tokens.dimension, np.float32)
    return some.mean(axis=0, dtype=np.float64).astype(np.float32)


def _chosen(
    tokens: Tokens,
    options: Options,
    centre: NDArray[np.float32] | None,
    pool: ThreadPoolExecutor | None,
    progress: Progress | None,
) -> tuple[FdeEncoder, str]:
    """Return the encoder and the kind of codes that were asked for, or those of the fewest bytes that do."""
    given = options.repetitions, options.bits, options.projection
    ladder = LADDER
    if given != (None, None, None):
        filled = (usual if one is None else one for one, usual in zip(given, USUAL, strict=True))
        ladder = (tuple(filled),)
    kinds = CODES if options.codes is None else {options.codes: 1}
    same: dict[str, Any] = {"final": options.final, "seed": options.seed, "directions": options.directions}
    same |= {"centre": centre, "renormalise": options.renormalise}
    pairs = [
        (FdeEncoder(tokens.dimension, repetitions, bits, projection, **same), kind)
        for repetitions, bits, projection in ladder
        for kind in kinds
    ]
    pairs.sort(key=lambda pair: pair[0].width * kinds[pair[1]])
    sample = tokens.some(np.linspace(0, len(tokens) - 1, min(len(tokens), SAMPLE_ROWS)).astype(np.int64))
    size = max(LEAST_CANDIDATES, round(CANDIDATES * len(sample) / len(tokens)))
    asked = made.made(sample)
    if len(pairs) == 1 or len(sample) <= size or not asked:
        return pairs[0]
    # In a sample fewer rows are as near as the ten best of all.
    best = max(1, round(made.K * len(sample) / len(tokens)))
    true = [rows[:best] for rows in made.truth(sample, asked, pool)]
    told = progress and (lambda done, rows: progress(0, len(tokens)))
    for encoder, kind in pairs[:-1]:
        encodings = _encoded(encoder, sample, pool, told)
        trial = Muvera(encoder, _listed(encodings, 1, kind, pool, None))
        found = made.share(_places(trial, asked, true, size, pool), size)
        if found < TARGET:
            continue
        if options.codes is not None or found >= made.share(_floats(trial, encodings, asked, true), size) - CODES_LOSE:
            return encoder, kind
    return pairs[-1]


def _floats(
    index: Muvera, encodings: NDArray[np.float16], asked: list[Question], true: list[NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Return what `_places` does, by the encodings instead of their codes."""
    whole = encodings.astype(np.float32)

    def by_product(one: Question) -> NDArray[np.intp]:
        return np.argsort(-(whole @ index.encoder.query(one.tokens, one.weights)), kind="stable")

    return made.places(asked, true, by_product, len(index))


def _encoded(
    encoder: FdeEncoder, tokens: Tokens, pool: ThreadPoolExecutor | None, progress: Progress | None
) -> NDArray[np.float16]:
    """Return the encodings of all rows (rows, width), divided by a power of two that float16 has room for."""
    rows, shape = len(tokens), (len(tokens), encoder.width)
    if 2 * math.prod(shape) <= IN_MEMORY:
        out = np.empty(shape, np.float16)
    else:
        with tempfile.TemporaryFile() as file:  # the mapping keeps it
            out = np.memmap(file, np.float16, "w+", shape=shape)
    sample = encoder.documents(tokens.some(np.linspace(0, rows - 1, min(rows, BLOCK)).astype(np.int64)).floats())
    unit = np.float32(2.0 ** -math.frexp(float(np.abs(sample).max(initial=0)))[1])

    def work(todo: Iterator[Slice]) -> None:
        for first, last in todo:
            made = encoder.documents(tokens.slice(first, last).floats())
            out[first:last] = np.clip(made * unit, -60_000, 60_000)

    step = 16 * BLOCK
    for start in range(0, rows, step):
        stop = min(start + step, rows)
        todo = [(first, min(first + BLOCK, stop)) for first in range(start, stop, BLOCK)]
        shared(work, todo, (stop - start) * encoder.width * 16, pool)
        if progress is not None:
            progress(stop // 2, rows)
    return out


def _listed(
    encodings: NDArray[np.float16], lists: int, codes: str, pool: ThreadPoolExecutor | None, progress: Progress | None
) -> Ivf:
    norms = np.empty(len(encodings), np.float32)
    for first in range(0, len(encodings), BLOCK):
        part = encodings[first : first + BLOCK].astype(np.float32)
        norms[first : first + BLOCK] = np.sqrt(np.einsum("ij,ij->i", part, part))
    half = (
        None if progress is None else lambda done, of: progress((len(norms) + len(norms) * done // of) // 2, len(norms))
    )
    return lists_of(encodings, "dot", norms, lists=lists, codes=codes, pool=pool, progress=half)


def _places(
    index: Muvera, asked: list[Any], true: list[NDArray[np.int64]], size: int, pool: ThreadPoolExecutor | None
) -> NDArray[np.int64]:
    size = min(size, len(index))
    return made.places(asked, true, lambda one: ranked(index, one, size, None, pool).rows, len(index))


def _probes(index: Muvera, asked: list[Any], true: list[NDArray[np.int64]], pool: ThreadPoolExecutor | None) -> int:
    """Return how many lists are enough."""
    every = index.inner.lists
    if every == 1:
        return 1
    whole = made.share(_places(replace(index, probes=every), asked, true, CANDIDATES, pool), CANDIDATES)
    for part in (32, 16, 8, 4, 2):
        few = max(1, every // part)
        found = made.share(_places(replace(index, probes=few), asked, true, CANDIDATES, pool), CANDIDATES)
        if found >= whole - PROBES_LOSE:
            return few
    return every


def _curve(
    index: Muvera, asked: list[Any], true: list[NDArray[np.int64]], pool: ThreadPoolExecutor | None
) -> NDArray[np.float32]:
    places = _places(index, asked, true, WIDTHS[-1], pool)
    points = []
    for width in WIDTHS:
        points.append((width, made.share(places, width)))
        if points[-1][1] >= ENOUGH or width >= len(index):
            break
    return np.array(points, np.float32)
