"""Compiling ahead of the first search.

The first search of a dtype compiles its kernels, which takes seconds, and so does the first build of each kind of
index; numba's cache keeps them for every later process on the machine (beside the package, or in the user's cache
folder, or in NUMBA_CACHE_DIR).
"""

import importlib
from collections.abc import Callable, Iterable

from vecdb_index.kernels.names import cached

_KERNELS = ("scan", "scan_batch", "norms")
# Modules of kernels, by the dtype whose first search imports them, the element type in their names, and the kernels.
_MODULES = {
    "float32": ("dense", "float32", _KERNELS),
    "float16": ("half", "uint16", _KERNELS),
    "int8": ("int8", "int8", _KERNELS),
    "binary": ("bits", "uint8", ("hamming", "hamming_batch")),
}
_LETTERS = {"float32": "f", "float16": "H", "int8": "b"}
_USUAL = {"queries": ("query",), "graphs": ("codes", "graph", "reach", "consolidate")}
_OTHERS = {
    "inverted files": ("kmeans", "ivf_scalar"),
    "4-bit codes": ("fourbit", "ivf_fourbit"),
    "product codes": ("ivf_product",),
    "rabitq codes": ("rotation", "rabitq", "rabitq_encode", "ivf_rabitq"),
    "funnels": ("funnel",),
    "fusions": ("fuse", "worth"),
    "selections": ("selection", "dispersion", "units"),
    "late interaction": ("maxsim", "maxsim_sign", "maxsim_residual", "rotation", "tokens"),
    "walks over links": ("push", "steps", "labels"),
    "texts": ("inverted", "postings", "phrase", "terms", "sparse"),
}


def warmup(progress: Callable[[str, int, int], None] | None = None) -> None:
    """Compile, or load, all kernels: those of searches and graphs first, then those of the other kinds of index.

    At the end it is measured what a walk costs on this machine (dense/machine.py), where nobody has before. What was
    compiled when this is interrupted stays compiled.

    Args:
        progress: called with (what comes next, how many are done, how many there are), and at the end with
            ("", n, n).

    """
    compiling = steps()
    total = len(compiling) + 1
    for done, (what, step) in enumerate([*compiling, ("costs", _measuring)]):
        if progress is not None:
            progress(what, done, total)
        step()
    if progress is not None:
        progress("", total, total)


def steps() -> list[tuple[str, Callable[[], object]]]:
    """Return what compiles all kernels: of what each, and how."""
    found = [(dtype, _importing(module)) for dtype, (module, *_) in _MODULES.items()]
    found += [(what, _importing(*modules)) for what, modules in _USUAL.items()]
    found += [(f"graphs of {dtype}", _making("answer", "answer_of", letter)) for dtype, letter in _LETTERS.items()]
    found += [(f"lists of {dtype}", _making("lists", "scan_lists", letter)) for dtype, letter in _LETTERS.items()]
    return found + [(what, _importing(*modules)) for what, modules in _OTHERS.items()]


def load(dtypes: Iterable[str], texts: bool = False) -> None:
    """Compile, or load, what searches of some kinds of vectors need, and of words or sparse vectors if `texts`."""
    needed = [_importing(*_USUAL["queries"])]
    for dtype in dict.fromkeys(dtypes):
        needed.append(_importing(_MODULES[dtype][0]))
        if dtype in _LETTERS:
            needed.append(_making("answer", "answer_of", _LETTERS[dtype]))
    if texts:
        needed.append(_importing(*_OTHERS["texts"]))
    for step in needed:
        step()


def _importing(*modules: str) -> Callable[[], object]:
    return lambda: [importlib.import_module(f"vecdb_index.kernels.{module}") for module in modules]


def _measuring() -> object:
    from vecdb_index.dense.machine import measure_once

    return measure_once()


def _making(module: str, function: str, letter: str) -> Callable[[], object]:
    return lambda: getattr(importlib.import_module(f"vecdb_index.kernels.{module}"), function)(letter)


def compiled(dtype: str | None = None) -> bool:
    """Return whether a first search would find its kernels in the cache: of one dtype, or of all.

    Costs some file look-ups and does not import numba. The cache of another processor counts too, although
    this one would compile again: a hint for the user, not a promise.
    """
    modules = [_MODULES[name] for name in ([dtype] if dtype else _MODULES)]
    return all(cached(kernel, element) for _, element, kernels in modules for kernel in kernels)
