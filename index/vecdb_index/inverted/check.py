"""What must hold of an inverted index before a kernel may read it: kernels trust every number."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from vecdb_index.codes.stored import mismatches
from vecdb_index.inverted.index import DIMENSION, Inverted, blocks
from vecdb_index.kernels.layout import BLOCK, GONE, LAST


def problems(index: Inverted) -> list[str]:
    """Return what is wrong with an index's arrays, a sentence each; one may only be searched without any."""
    count, size = len(index.lengths), len(index.rows)
    if index.kind not in ("counts", "weights") or count >= GONE:
        return [f"it holds {index.kind!r} of {count} rows"]
    if not 0 < index.scale < np.inf:
        return [f"its scale is {index.scale}"]
    terms, full = len(index.offsets) - 1, -(-size // BLOCK)
    placed = len(index.positions) > 0
    found = mismatches(
        {
            "words are": (index.words, np.uint8, (index.words.size,)),
            "offsets of words are": (index.word_offsets, np.int64, (terms + 1,)),
            "offsets are": (index.offsets, np.int64, (max(terms, 0) + 1,)),
            "rows are": (index.rows, np.uint32, (size,)),
            "values are": (index.values, np.uint8, (size,)),
            "lengths are": (index.lengths, np.uint32, (count,)),
            "the blocks' values are": (index.tops, np.uint8, (full,)),
            "the blocks' lengths are": (index.shortest, np.uint32, (full,)),
            "positions are": (index.positions, np.uint32, (index.positions.size,)),
            "the blocks' positions are": (index.begins, np.int64, (full if placed else 0,)),
        }
    )
    if found:
        return found
    found = [*_offsets(index)]
    return found or [*_terms(index), *_postings(index)]


def _offsets(index: Inverted) -> Iterator[str]:
    for offsets, size, words in (
        (index.word_offsets, len(index.words), "terms do not cover their bytes"),
        (index.offsets, len(index.rows), "terms do not cover the postings"),
    ):
        if offsets[0] != 0 or offsets[-1] != size or (np.diff(offsets) < 0).any():
            yield f"the {index.terms} {words} one after the other"


def _terms(index: Inverted) -> Iterator[str]:
    if index.kind == "weights" and (np.diff(index.word_offsets) != DIMENSION).any():
        yield "a term is no dimension"
    if not _ascend(index.words, index.word_offsets):
        yield "the terms do not ascend"
    if (np.diff(index.offsets) == 0).any():
        yield "a term has no postings"


def _ascend(words: NDArray[np.uint8], offsets: NDArray[np.int64]) -> bool:
    """Return whether each term sorts behind the one before it."""
    lengths, at = np.diff(offsets), 0
    pairs = np.arange(len(lengths) - 1)
    while len(pairs):
        # Bytes behind a term's end count as 0, one less than any byte: so a prefix sorts before what it begins.
        heads = [np.zeros(len(pairs), np.int64) for _ in range(2)]
        for head, which in zip(heads, (pairs, pairs + 1), strict=True):
            inside = lengths[which] > at
            head[inside] = words[offsets[which[inside]] + at].astype(np.int64) + 1
        if (heads[0] > heads[1]).any() or ((heads[0] == heads[1]) & (heads[0] == 0)).any():
            return False
        pairs, at = pairs[heads[0] == heads[1]], at + 1
    return True


def _postings(index: Inverted) -> Iterator[str]:
    rows, positions = index.rows, index.positions
    if len(rows) == 0:
        if len(positions):
            yield "there are positions without postings"
        return
    if rows.max() >= len(index):
        yield f"a posting lies outside the {len(index)} rows"
        return
    behind = rows[1:] > rows[:-1]
    behind[index.offsets[1:-1] - 1] = True
    if not behind.all():
        yield "the rows of a term do not ascend"
    if index.values.min() == 0:
        yield "a value is 0"
    if len(positions) and (positions[-1] < LAST or int(np.count_nonzero(positions >= LAST)) != len(rows)):
        yield f"the positions are not those of {len(rows)} postings"
        return
    if not ((positions[1:] & ~LAST > positions[:-1]) | (positions[:-1] >= LAST)).all():
        yield "the positions of a posting do not ascend"
    summary = blocks(rows, index.values, index.lengths, positions)
    names = ("values", "lengths", "positions")
    for name, kept, right in zip(names, (index.tops, index.shortest, index.begins), summary, strict=True):
        if not np.array_equal(kept, right):
            yield f"the blocks' {name} are not those of their postings"
