"""What a fresh process costs: importing, the command's help, the first answer, and compiling the kernels.

The yardsticks are the interpreter alone and the imports of the libraries that vecdb stands on. "first_answer" is
import, open and one exact search over a small collection; "indexed_answer" is the same through a graph, and its parts
"indexed import", "indexed open" and "indexed search" say where its time goes ("indexed again" is the second search).
"cold_compile" is the exact one with an empty kernel cache, and "warmup" compiles every kernel into an empty cache.
Times run from the start of the process, as its user sees them.
"""

import shutil
from collections.abc import Callable, Mapping

import numpy as np

from bench import datasets, launch, measure, systems
from bench.context import Context, Parameter
from bench.records import Ratio
from bench.systems.base import Graph, Shape
from bench.workloads import Metrics

SYSTEMS = ("vecdb", "python", "numpy", "pyarrow", "numba")
REPEATS = 3
FULL: Mapping[str, Parameter] = {"dataset": "clustered:10000x384", "launches": 7, "compiles": 1, "warmups": 1}
QUICK: Mapping[str, Parameter] = {"dataset": "clustered:500x384", "launches": 2, "compiles": 0, "warmups": 0}
HEADLINES = ("import_ms", "help_ms", "first_answer_ms", "indexed_answer_ms", "cold_compile_first_answer_ms")
# The command as its installed script runs it, from the checkout.
_COMMAND = "import sys; sys.argv[0] = 'vecdb'; from vecdb_client.cli.main import main; sys.exit(main())"


def prepare(context: Context) -> None:
    """Write two queries."""
    found = datasets.load(context.text("dataset"), context.data)
    np.save(context.scratch / "queries.npy", np.resize(found.queries, (2, found.dimension)).astype(np.float32))


def setup(context: Context) -> None:
    """For vecdb: build the small collection twice, and see that the kernels of both are in this machine's cache."""
    if context.system != "vecdb":
        return
    found = datasets.load(context.text("dataset"), context.data)
    context.home.mkdir(parents=True, exist_ok=True)
    for store, graph in (("store", None), ("indexed", Graph())):
        system = systems.make("vecdb")
        system.create(context.home / store, Shape(found.dimension, found.metric, graph=graph))
        system.ingest_batches(found.batches())
        if graph is not None:
            system.settle()
        system.close()
        launch.probe(_first_answer(context, store))


def run(context: Context) -> Metrics:
    statement = "pass" if context.system == "python" else f"import {context.system}"
    subjects: dict[str, Callable[[], float]] = {"import_ms": lambda: launch.python("-c", statement).wall_s}
    if context.system == "vecdb":
        subjects |= {
            "help_ms": lambda: launch.python("-c", _COMMAND, "--help").wall_s,
            "first_answer_ms": lambda: _answered(context),
        }
    parts: list[dict[str, float]] = []
    taken: dict[str, list[float]] = {name: [] for name in subjects}
    for turn in range(context.integer("launches") + 1):
        for name, subject in subjects.items():
            seconds = subject()
            if turn:  # the first launch reads files and writes byte code
                taken[name].append(seconds)
        if context.system == "vecdb":
            parts += [_parts(context)] if turn else []
    metrics: Metrics = {name: measure.median(seconds) * 1e3 for name, seconds in taken.items()}
    if context.system == "vecdb":
        metrics |= {name: measure.median([part[name] for part in parts]) * 1e3 for name in parts[0]}
        metrics |= _compiles(context)
    return metrics


def ratios(parameters: Mapping[str, Parameter]) -> list[Ratio]:
    return [
        Ratio(f"import: vecdb / {other}", ("vecdb", "import_ms"), (other, "import_ms"))
        for other in ("python", "numpy", "pyarrow", "numba")
    ]


def _compiles(context: Context) -> Metrics:
    empty = context.home / "empty-kernels"

    def emptied(subject: Callable[[], float], times: int) -> list[float]:
        taken = []
        for _ in range(times):
            shutil.rmtree(empty, ignore_errors=True)
            taken.append(subject())
        return taken

    first = emptied(lambda: _answered(context, NUMBA_CACHE_DIR=str(empty)), context.integer("compiles"))
    every = emptied(lambda: _warmed(str(empty)), context.integer("warmups"))
    metrics: Metrics = {}
    if first:  # a quick run leaves both out: they take minutes
        metrics["cold_compile_first_answer_ms"] = measure.median(first) * 1e3
    if every:
        metrics["cold_warmup_s"] = measure.median(every)
    return metrics


def _warmed(kernels: str) -> float:
    return launch.python("-c", "import vecdb; vecdb.warmup()", NUMBA_CACHE_DIR=kernels).wall_s


def _answered(context: Context, **environment: str) -> float:
    return launch.probe(_first_answer(context), **environment)["marks"]["answered"]


def _parts(context: Context) -> dict[str, float]:
    told = launch.probe(_first_answer(context, "indexed"))["marks"]
    return {
        "indexed_answer_ms": told["answered"],
        "indexed import_ms": told["imported"],
        "indexed open_ms": told["opened"] - told["imported"],
        "indexed search_ms": told["answered"] - told["opened"],
        "indexed again_ms": told["again"] - told["answered"],
    }


def _first_answer(context: Context, store: str = "store") -> list[str]:
    return ["vecdb", str(context.home / store), str(context.scratch / "queries.npy")]
