"""The systems that workloads compare, by name; a system's module is imported only when a job uses it.

To add one: a subclass of System in its own file, and a line here.
"""

import importlib
import importlib.util

from bench.systems.base import System

# name -> (module, class, package that must be importable)
_SYSTEMS = {
    "vecdb": ("bench.systems.vecdb_system", "VecdbSystem", "vecdb"),
    "numpy": ("bench.systems.numpy_exact", "NumpyExact", "numpy"),
    "faiss": ("bench.systems.faiss_flat", "FaissFlat", "faiss"),
    "faiss-1t": ("bench.systems.faiss_flat", "FaissFlatOneThread", "faiss"),
    "parquet": ("bench.systems.parquet", "Parquet", "pyarrow"),
    "parquet-plain": ("bench.systems.parquet", "PlainParquet", "pyarrow"),
    "sqlite": ("bench.systems.sqlite", "Sqlite", "sqlite3"),
    "lancedb": ("bench.systems.lance", "Lance", "lancedb"),
    "log": ("bench.systems.log", "AppendLog", "os"),
    "log-zeroed": ("bench.systems.log", "ZeroedLog", "os"),
}


def names() -> list[str]:
    """Return every known name."""
    return list(_SYSTEMS)


def importable(name: str) -> bool:
    """Tell whether the package behind a system is installed; names that are no system (a reference) are."""
    return name not in _SYSTEMS or importlib.util.find_spec(_SYSTEMS[name][2]) is not None


def make(name: str) -> System:
    """Return a new, closed system."""
    module, cls, _ = _SYSTEMS[name]
    return getattr(importlib.import_module(module), cls)()


__all__ = ["System", "importable", "make", "names"]
