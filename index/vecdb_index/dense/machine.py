"""What this machine charges for a walk: measured once, kept in the user's cache, read once by each process.

The measurement is of codes and links made up by a fixed seed: a walk that reads the code of every row that it steps on
against a look at codes in order. It takes a fifth of a second, and never happens in a search: `warmup` begins it, and
so does the first index that a process builds.

Invariant: whatever is in the file or happens to it, there are costs. A file that cannot be read, is of another
processor or version, or says something beyond the limits is as good as none; then the usual costs hold. So they do
wherever VECDB_COSTS is "usual".
"""

import functools
import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecdb_index.dense.plan import USUAL, Costs
from vecdb_index.kernels.names import user_cache
from vecdb_index.types import METRIC_CODES, Answers

VERSION = 2
LEAST_STEP, MOST_STEP = 1.5, 6.0
"""Between these lies what a step is believed to cost; what is measured beyond is a machine that was busy."""
SWITCH, OFF = "VECDB_COSTS", "usual"

_ROWS, _WIDTH, _LINKS, _ENTRIES = 1 << 16, 384, 32, 64
_KNOWN = 19
"""Links of a row that lead to some of the first rows, which a walk has seen: 13 of 32 neighbours were new to the walks
over 60,000 texts."""
_EF, _QUERIES, _PASSES = 512, 8, 5


@functools.cache
def costs() -> Costs:
    """Return what this machine charges: what was measured on it, else the usual. Looked up once per process."""
    if os.environ.get(SWITCH) == OFF:
        return USUAL
    try:
        return _stored(_file()) or USUAL
    except RuntimeError:  # the user has no home
        return USUAL


def measure_once() -> None:
    """Measure what this machine charges and keep it, unless that was done before, is switched off or cannot be kept.

    It holds for what this process opens afterwards, and for every later process.
    """
    if os.environ.get(SWITCH) != OFF:
        _measured_and_kept()


@functools.cache
def _measured_and_kept() -> None:
    import tempfile

    try:
        path = _file()
        if _stored(path) is not None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".costs-")
        with os.fdopen(handle, "w") as file:
            step = min(max(measured_step(), LEAST_STEP), MOST_STEP)
            json.dump({"version": VERSION, "processor": processor(), "step": round(step, 3)}, file)
        os.replace(name, path)
    except (OSError, RuntimeError):  # RuntimeError: the user has no home
        return
    costs.cache_clear()


def measured_step() -> float:
    """Return what a code read on a walk costs here, in codes read in order. Takes a fifth of a second."""
    from vecdb_index.dense.hnsw.graph import unmarked
    from vecdb_index.kernels.answer import answer_of

    rng = np.random.default_rng(0)
    codes = np.frombuffer(rng.bytes(_ROWS * _WIDTH), np.uint8).reshape(_ROWS, _WIDTH)
    links = rng.integers(0, _ROWS, (_ROWS, _LINKS), np.int32)
    links[:, :_KNOWN] = rng.integers(0, _EF, (_ROWS, _KNOWN), np.int32)
    queries = rng.standard_normal((_QUERIES, _WIDTH), np.float32)
    listed = np.sort(rng.choice(_ROWS, _ROWS // 4, replace=False)).astype(np.uint32)
    # Rows that nobody wrote to take no memory; the few that are scored are all zeros.
    matrix, visited = np.zeros((_ROWS, _WIDTH), np.float32), unmarked(_ROWS)
    kernel, ones, centre = answer_of("f"), np.ones(_QUERIES, np.float32), np.zeros(_WIDTH, np.float32)
    no_mask, no_norms = np.empty(0, np.uint8), np.empty(0, np.float32)
    out = Answers.empty(_QUERIES, 10)

    def per_code(at: int, entries: NDArray[Any], listed: NDArray[Any], room: int) -> float:
        walk = codes, links, entries, no_mask, listed, False
        coding = False, centre, np.float32(0.02), np.float32(1 / 12), no_norms, METRIC_CODES["dot"], False
        sizes = _EF, 0, room, 0, 0, 10, np.float32(0)
        begun = time.perf_counter()
        kernel(matrix, *walk, *coding, *sizes, queries, queries, ones, at, at + 1, visited, *out)
        return (time.perf_counter() - begun) / int(out.reads[at])

    entries, none = np.arange(_ENTRIES, dtype=np.int32), np.empty(0, np.int32)
    ratios = []
    for at in range(_QUERIES):
        turns = [(per_code(at, entries, listed[:0], 0), per_code(at, none, listed, _EF)) for _ in range(_PASSES)]
        ratios.append(min(walk for walk, _ in turns) / min(look for _, look in turns))
    return float(np.median(ratios))


def processor() -> str:
    """Return a name of the processor and of what it can do."""
    import hashlib
    import platform

    import llvmlite.binding as llvm

    from vecdb_index.kernels.features import features

    able = hashlib.blake2b(" ".join(sorted(features())).encode(), digest_size=8).hexdigest()
    return f"{platform.machine()} {llvm.get_host_cpu_name()} {able}"


def _file() -> Path:
    return user_cache() / "vecdb" / "costs.json"


def _stored(path: Path) -> Costs | None:
    """Return what a file says of this processor, if it can be believed."""
    try:
        told = json.loads(path.read_bytes())
        step = float(told["step"])
        same = told["version"] == VERSION and told["processor"] == processor()
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return Costs(step) if same and math.isfinite(step) and LEAST_STEP <= step <= MOST_STEP else None
