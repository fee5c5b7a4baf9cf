"""Making an inverted index of texts that were read, or of sparse vectors."""

import json
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb_index.inverted.analysis import Analyzer, TokenReader, Tokens
from vecdb_index.inverted.index import Inverted, Kind, Packed, packed, packed_dimensions
from vecdb_index.inverted.merge import merged
from vecdb_index.kernels.layout import GONE, MOST

PART = 1 << 24
"""Words that are read before an index is made of them: 64 MB, and about twice as much while it is made."""
_NONE = np.empty(0, np.uint8)


def build(texts: Iterable[str | None], analyzer: Analyzer, *, positions: bool = False, part: int = PART) -> Inverted:
    """Return the index of a column of texts; row i is the i-th of them.

    Args:
        texts: less than 2^32, taken one by one; None and "" have no terms.
        analyzer: what makes terms of them; the index remembers it as its origin.
        positions: whether phrases may be asked for.
        part: words to be read before an index is made of them; several such indexes are merged in the end.

    """
    reader, parts, origin = TokenReader(analyzer), [], json.dumps(analyzer.to_json())
    for text in texts:
        reader.add(text)
        if len(reader) >= part:
            parts.append(from_tokens(reader.take(), positions=positions, origin=origin))
    last = from_tokens(reader.take(), positions=positions, origin=origin)
    if not parts:
        return last
    return merged([(one, np.arange(len(one), dtype=np.uint32)) for one in (*parts, last)])


def from_tokens(tokens: Tokens, *, positions: bool = False, origin: str = "") -> Inverted:
    """Return the index of texts whose tokens are known; arguments as those of `build`."""
    terms = [term.encode("utf-8", "surrogatepass") for term in tokens.terms]
    order = sorted(range(len(terms)), key=terms.__getitem__)
    rank = np.empty(len(terms) + 1, np.int32)
    rank[order] = np.arange(len(terms), dtype=np.int32)
    rank[-1] = -1  # where the number of a skipped word leads
    words = packed(terms[i] for i in order)
    return _made("counts", 1.0, words, rank[tokens.ids], tokens.starts, _NONE, positions, origin)


def from_sparse(
    dimensions: NDArray[Any], weights: NDArray[np.floating[Any]], starts: NDArray[np.int64], *, origin: str = ""
) -> Inverted:
    """Return the index of sparse vectors, for dot products with weights of 8 bits.

    Args:
        dimensions: (w,) whole numbers from 0 to 2^32 - 1, none twice in a row.
        weights: (w,) finite and not negative; those of 0 are left out.
        starts: (n + 1,) row i is the places starts[i] to starts[i + 1].
        origin: what made the vectors.

    A weight is stored as one of 255 multiples of `scale`: the least that is not below it, so that no sum by the index
    is below the exact one. The scale is as coarse a power of the root of 2 as the largest weight needs: most segments
    of one model have the same, and merging those loses nothing.

    """
    kept = weights > 0
    places = _offsets(kept.astype(np.int64))
    distinct, ids = np.unique(np.asarray(dimensions)[kept], return_inverse=True)
    scale = _scale(float(weights.max(initial=0)))
    values = np.clip(np.ceil(weights[kept].astype(np.float64) / scale), 1, MOST).astype(np.uint8)
    return _made(
        "weights", scale, packed_dimensions(distinct), ids.astype(np.int32), places[starts], values, False, origin
    )


def _made(
    kind: Kind,
    scale: float,
    words: Packed,
    ids: NDArray[np.int32],
    starts: NDArray[np.int64],
    weights: NDArray[np.uint8],
    positions: bool,
    origin: str,
) -> Inverted:
    """Sort tokens, whose ids are places of `words`, into postings. Every term must have one."""
    from vecdb_index.kernels.postings import count, place

    terms, rows = len(words[1]) - 1, len(starts) - 1
    lengths, seen = np.empty(rows, np.uint32), np.full(terms, GONE)
    postings, tokens = np.zeros(terms, np.int64), np.zeros(terms, np.int64)
    count(ids, starts, lengths, seen, postings, tokens)
    offsets = _offsets(postings)
    seen.fill(GONE)
    out_rows, values = np.empty(offsets[-1], np.uint32), np.empty(offsets[-1], np.uint8)
    placed = np.empty(int(tokens.sum()) if positions else 0, np.uint32)
    place(ids, starts, weights, seen, offsets[:-1].copy(), _offsets(tokens)[:-1].copy(), out_rows, values, placed)
    return Inverted.made(kind, scale, words, offsets, out_rows, values, lengths, placed, origin)


def _scale(largest: float) -> float:
    return 2.0 ** (math.ceil(2 * math.log2(largest / int(MOST))) / 2) if largest > 0 else 1.0


def _offsets(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
