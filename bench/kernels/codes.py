"""Scans of compressed vectors, nanoseconds a row, beside the exact scan of float32.

    python -m bench.kernels.codes                       # 384 dimensions, 60,000 rows
    python -m bench.kernels.codes --dimension 768

Subjects take turns, and each has one thread. A line shows the median and the best; on a machine that others use too,
read the best.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

if not __package__:  # run as a script: this folder is on the path instead of the one two above it
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from bench import measure
from bench.checkout import import_from_checkout

NO_ROWS = np.empty(0, np.uint32)
LISTED = 2000


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line for each kind of code."""
    options = _parser().parse_args(arguments)
    import_from_checkout()
    matrix = np.random.default_rng(7).standard_normal((options.rows, options.dimension)).astype(np.float32)
    subjects = {name: call for make in (_flat, _rabitq, _fourbit, _product, _bits) for name, call in make(matrix)}
    samples = measure.interleave(subjects, options.repeats)
    for name, taken in samples.items():
        rows = LISTED if "any order" in name else len(matrix)
        times = [sample.wall_s / rows * 1e9 for sample in taken]
        print(f"{name:44} {np.median(times):7.1f} ns a row, best {min(times):7.1f}")


Subject = tuple[str, Callable[[], object]]


def _flat(matrix: np.ndarray) -> list[Subject]:
    from vecdb_index.codes.bfloat16 import encode
    from vecdb_index.dense import flat

    short = encode(matrix)
    return [
        ("float32, exact search", partial(flat.search, matrix, matrix[0], 10, "l2")),
        ("bfloat16, exact search", partial(flat.search, short, matrix[0], 10, "l2")),
    ]


def _rabitq(matrix: np.ndarray) -> list[Subject]:
    from vecdb_index.codes.rabitq import RaBitQ
    from vecdb_index.dense import flat
    from vecdb_index.kernels.rabitq import refine, scan

    norms, found = flat.norms(matrix), []
    rows = np.random.default_rng(1).integers(0, len(matrix), LISTED).astype(np.uint32)
    out, bounds, room = (np.empty(len(matrix), np.float32), np.empty(len(matrix), np.float32), np.empty(32, np.int32))
    for bits in (1, 4, 8):
        coder = RaBitQ.fit(matrix, "l2", norms, bits=bits)
        codes, ready = coder.encode(matrix, norms, np.arange(len(matrix))), coder.prepare(matrix[:1])
        adds, lengths = coder.against(ready.vectors)
        place = adds[0, 0], lengths[0, 0], coder.deviation()
        if bits == 1:
            given = ready.tables, 0, ready.units[0], ready.misses[0], *place, 0, len(matrix), room, out, bounds
            found.append(("RaBitQ, signs", partial(scan, codes.signs, codes.factors, *given)))
        else:
            given = ready.numbers, 0, ready.totals[0], ready.fine_units[0], *place, bits, rows, out, bounds
            name = f"RaBitQ, {bits} bits, rows in any order"
            found.append((name, partial(refine, codes.levels, codes.level_factors, *given)))
    return found


def _fourbit(matrix: np.ndarray) -> list[Subject]:
    from vecdb_index.codes.fourbit import FourBit
    from vecdb_index.dense import flat
    from vecdb_index.kernels.fourbit import scan

    norms = flat.norms(matrix)
    coder = FourBit.fit(matrix, "l2", norms)
    codes, ready = coder.encode(matrix, norms, np.arange(len(matrix))), coder.prepare(matrix[:1])
    adds, lengths = coder.against(ready)
    query = ready.numbers, 0, ready.totals[0], ready.units[0], ready.misses[0]
    given = codes.levels, codes.factors, *query, adds[0, 0], lengths[0, 0], coder.deviation()
    rows = np.random.default_rng(1).integers(0, len(matrix), LISTED).astype(np.uint32)
    outs = np.empty(len(matrix), np.float32), np.empty(len(matrix), np.float32)
    return [
        ("4 bits", partial(scan, *given, NO_ROWS, 0, len(matrix), *outs)),
        ("4 bits, rows in any order", partial(scan, *given, rows, 0, LISTED, *outs)),
    ]


def _product(matrix: np.ndarray) -> list[Subject]:
    from vecdb_index.dense import flat
    from vecdb_index.dense.heaps import Heaps
    from vecdb_index.dense.ivf.codings.coding import Listed
    from vecdb_index.dense.ivf.codings.product import ProductLists

    count, mean = len(matrix), matrix.mean(axis=0)[None]
    order, offsets = np.arange(count, dtype=np.uint32), np.array([0, count])
    lists = ProductLists.make(Listed(matrix, "l2", flat.norms(matrix), order, np.zeros(count, np.int32), mean), None)
    heaps, first, one = Heaps.empty(1, 20), np.zeros(1, np.uint32), np.array([0, 1])
    room = np.empty(count + 1, np.int64), np.zeros(1, np.int64), heaps.keys, heaps.states
    given = first, one, first, order, offsets, np.empty(0, np.uint8), 0, 1, *room
    return [(f"product codes, {lists.codes.shape[1]} bytes", partial(lists.scan(matrix[:1]), *given))]


def _bits(matrix: np.ndarray) -> list[Subject]:
    from vecdb_index.dense import binary

    bits = binary.binarise(matrix)
    return [("sign bits by Hamming, search", partial(binary.search, bits, bits[0], 10))]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Scans of compressed vectors, nanoseconds a row.")
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--repeats", type=int, default=15)
    return parser


if __name__ == "__main__":
    main()
