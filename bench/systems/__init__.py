"""The systems that workloads compare, by name; a system's module is imported only when a job uses it.

To add one: a subclass of System in its own file, and a line here. A name may also be a library's (bench.libraries):
then the workload decides which of the two it means.
"""

import importlib

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
    "zvec": ("bench.systems.zvec_system", "Zvec", "zvec"),
    "zvec-int8": ("bench.systems.zvec_system", "ZvecInt8", "zvec"),
    "qdrant-edge": ("bench.systems.qdrant_edge", "QdrantEdge", "qdrant_edge"),
    "log": ("bench.systems.log", "AppendLog", "os"),
    "log-zeroed": ("bench.systems.log", "ZeroedLog", "os"),
}


def names() -> list[str]:
    """Return every known name."""
    return list(_SYSTEMS)


def package(name: str) -> str | None:
    """Return the package that a system needs; None for a name that is no system (a reference)."""
    return _SYSTEMS[name][2] if name in _SYSTEMS else None


def make(name: str) -> System:
    """Return a new, closed system."""
    module, cls, _ = _SYSTEMS[name]
    return getattr(importlib.import_module(module), cls)()


__all__ = ["System", "make", "names", "package"]
