"""The exact scan against what the machine can do: GB/s beside a plain read, GFLOP/s beside a matrix product.

    python -m bench.kernels.scan                        # 384 dimensions, 1 GB, all dtypes
    python -m bench.kernels.scan --dimension 768 --queries 1,8,256 --dtypes float16

Subjects and limits take turns, and each ratio is taken turn by turn; a line shows the median figure, the median
ratio and its range, and the best of both, which is what to read on a machine that others use too. Single queries
are compared in bytes with a plain read, batches in operations with NumPy's best matrix product.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

if not __package__:  # run as a script: this folder is on the path instead of the one two above it
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from bench import machine, measure
from bench.checkout import import_from_checkout
from bench.roofline import MatrixProduct, ReadBandwidth

K = 10


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line for each dtype, number of queries and metric."""
    options = _parser().parse_args(arguments)
    import_from_checkout()
    queries = [int(count) for count in options.queries.split(",")]
    print(f"{machine.cores()} cores; median, then its share of the limit [least, most], then the best of each")
    print(f"compiling or loading all kernels: {_seconds_of_warmup():.1f} CPU seconds")
    limits: dict[str, Callable[[], float]] = {
        "read": ReadBandwidth().sample,
        "sgemm": MatrixProduct(options.dimension, max(queries)).sample,
    }
    with ThreadPoolExecutor(machine.cores()) as pool:
        for dtype in options.dtypes.split(","):
            rows = int(options.size * 1e9) // (options.dimension * np.dtype(dtype).itemsize)
            _print_dtype(_matrix(rows, options.dimension, dtype), queries, options.repeats, limits, pool)


def _print_dtype(
    matrix: np.ndarray,
    queries: Sequence[int],
    repeats: int,
    limits: Mapping[str, Callable[[], float]],
    pool: ThreadPoolExecutor,
) -> None:
    from vecdb_index.dense import flat
    from vecdb_index.types import METRIC_CODES

    norms = flat.norms(matrix)
    for count in queries:
        # A batch computes long enough on fewer rows.
        part = matrix[: max(1, len(matrix) // max(1, count // 8))]
        unit, amount = ("GB/s", part.nbytes) if count == 1 else ("GFLOP/s", 2 * part.size * count)
        limit = "read" if count == 1 else "sgemm"
        for metric in METRIC_CODES:
            search = partial(flat.search_batch, part, matrix[:count], K, metric, norms=norms[: len(part)], pool=pool)
            figures, shares, bounds = [], [], [limits[limit]()]
            search()
            for _ in range(repeats):
                figures.append(amount / measure.timed(search).wall_s / 1e9)
                bounds.append(limits[limit]())
                shares.append(figures[-1] / ((bounds[-2] + bounds[-1]) / 2))
            print(
                f"{matrix.dtype!s:8} x {matrix.shape[1]:<5} {count:4} queries {metric:6} "
                f"{np.median(figures):6.1f} {unit:8} {np.median(shares):5.2f} [{min(shares):.2f}, {max(shares):.2f}]   "
                f"best {max(figures):6.1f} of {limit} {max(bounds):6.1f}",
                flush=True,
            )


def _seconds_of_warmup() -> float:
    from vecdb_index.warmup import warmup

    return measure.timed(warmup).cpu_s


def _matrix(rows: int, dimension: int, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(7)
    return rng.integers(-100, 100, (rows, dimension), np.int8).astype(dtype, copy=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="The exact scan against the limits of this machine.")
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--size", type=float, default=1.0, metavar="GB", help="of the matrix (default 1)")
    parser.add_argument("--dtypes", default="float32,float16,int8")
    parser.add_argument("--queries", default="1,8,64,256")
    parser.add_argument("--repeats", type=int, default=7)
    return parser


if __name__ == "__main__":
    main()
