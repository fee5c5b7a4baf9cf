"""Exact search of binary vectors against faiss IndexBinaryFlat, both with one thread: milliseconds a call.

    python -m bench.kernels.bits                        # 384 and 1024 bits, 500,000 rows, 1 and 64 queries
    python -m bench.kernels.bits --bits 96,256 --rows 2000000

`index` is the scan of a matrix, `database` the public search of a collection with one segment, ties broken by id.
Subjects take turns, and each ratio to faiss is taken turn by turn; a line shows the median time, the median ratio and
its range. Above 1, faiss takes longer.
"""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

if not __package__:  # run as a script: this folder is on the path instead of the one two above it
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from bench import measure
from bench.checkout import import_from_checkout

K = 10


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line for each number of bits, number of queries, and subject."""
    options = _parser().parse_args(arguments)
    import_from_checkout()
    for bits in map(int, options.bits.split(",")):
        rng = np.random.default_rng(7)
        rows = rng.integers(0, 256, (options.rows, bits // 8), dtype=np.uint8)
        queries = rng.integers(0, 256, (max(map(int, options.queries.split(","))), bits // 8), dtype=np.uint8)
        with TemporaryDirectory() as folder:
            _print_bits(rows, queries, options, Path(folder))


def _print_bits(rows: np.ndarray, queries: np.ndarray, options: argparse.Namespace, folder: Path) -> None:
    import faiss

    import vecdb
    from vecdb_index.dense import binary

    faiss.omp_set_num_threads(1)
    bits = 8 * rows.shape[1]
    peer: Any = faiss.IndexBinaryFlat(bits)
    peer.add(rows)
    schema = vecdb.Schema(id=vecdb.Id("int64"), code=vecdb.Vector(bits, "binary"))
    with vecdb.connect(folder, settings=vecdb.Settings(threads=1, background=False)) as database:
        codes = database.create_collection("codes", schema)
        with codes.bulk() as load:
            load.add({"id": np.arange(len(rows)), "code": rows})
        codes.compact()
        for count in map(int, options.queries.split(",")):
            asked = queries[:count]
            found = codes.search_batch(K, code=asked)
            assert [(-one.scores).tolist() for one in found] == peer.search(asked, K)[0].tolist()
            subjects = {
                "faiss": partial(peer.search, asked, K),
                "index": partial(binary.search_batch, rows, asked, K),
                "database": partial(_ask, codes, asked),
            }
            samples = measure.interleave(subjects, options.repeats)
            limit = np.array([sample.wall_s for sample in samples["faiss"]])
            for name, taken in samples.items():
                times = np.array([sample.wall_s for sample in taken])
                ratios = limit / times
                told = f"{np.median(ratios):5.2f} [{ratios.min():5.2f}, {ratios.max():5.2f}]"
                print(f"{bits:5} bits, {count:3} queries, {name:9} {1e3 * np.median(times):8.2f} ms   {told}")


def _ask(codes: Any, asked: np.ndarray) -> list[list[Any]]:
    """Search, and fetch the ids."""
    if len(asked) == 1:
        return [codes.search(K, code=asked[0]).ids]
    return [one.ids for one in codes.search_batch(K, code=asked)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Exact search of binary vectors against faiss, one thread.")
    parser.add_argument("--bits", default="384,1024")
    parser.add_argument("--queries", default="1,64")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--repeats", type=int, default=31)
    return parser


if __name__ == "__main__":
    main()
