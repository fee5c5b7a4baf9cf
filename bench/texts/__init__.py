"""The engines that the workload `text` compares, by name; a module is imported only when a job uses it."""

import importlib

from bench.texts.base import Engine

# name -> (module, class, package that must be importable)
_ENGINES = {
    "vecdb": ("bench.texts.vecdb_text", "VecdbText", "vecdb"),
    "tantivy": ("bench.texts.tantivy_text", "TantivyText", "tantivy"),
    "bm25s": ("bench.texts.bm25s_text", "Bm25sText", "bm25s"),
}


def names() -> list[str]:
    """Return every known name."""
    return list(_ENGINES)


def package(name: str) -> str | None:
    """Return the package that an engine needs; None for a name that is no engine."""
    return _ENGINES[name][2] if name in _ENGINES else None


def make(name: str) -> Engine:
    """Return a new, closed engine."""
    module, cls, _ = _ENGINES[name]
    return getattr(importlib.import_module(module), cls)()


__all__ = ["Engine", "make", "names", "package"]
