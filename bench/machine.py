"""What a figure depends on besides the code: the machine, the library versions and the noise of the moment.

Nothing here identifies a machine: no host name, no address, no path.
"""

import importlib.metadata
import os
import platform
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench import measure

LIBRARIES = (
    *("numpy", "pyarrow", "numba", "llvmlite", "faiss-cpu", "h5py", "lancedb"),
    *("hnswlib", "usearch", "scalable-vs", "voyager", "zvec", "qdrant-edge-py", "milvus-lite", "chromadb"),
)


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe(scratch: Path) -> dict[str, Any]:
    """Return CPU model, cores, L3 cache, memory, kernel, and the kind of file system that holds `scratch`."""
    return {
        "cpu": _cpu_model(),
        "cores": cores(),
        "l3_bytes": _l3_bytes(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.system(),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "scratch_filesystem": filesystem(scratch),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, vecdb, SQLite, the BLAS of NumPy and the installed ones of LIBRARIES."""
    found = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    try:
        from vecdb.__about__ import __version__

        found["vecdb"] = __version__
    except ImportError:
        pass  # a run over other systems only
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    build: Any = np.show_config(mode="dicts") or {}
    described = build.get("Build Dependencies", {}).get("blas", {})
    found["blas"] = f"{described.get('name', 'unknown')} {described.get('version', '')}".strip()
    return found


def filesystem(path: Path) -> str:
    """Return the type of the file system that holds `path`, such as "ext4"; "unknown" where /proc is missing."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return "unknown"
    resolved = str(path.resolve())
    best, kind = "", "unknown"
    for line in mounts.read_text().splitlines():
        _, point, type_name, *_ = line.split()
        inside = resolved == point or resolved.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, type_name
    return kind


def calibrate() -> dict[str, float]:
    """Time a fixed one-thread job twelve times: best and worst milliseconds, so that a bad moment shows."""
    block = np.ones((4096, 1024), dtype=np.float32)
    milliseconds = [measure.timed(lambda: np.add.reduce(block, axis=1)).wall_s * 1e3 for _ in range(12)]
    return {"best_ms": min(milliseconds), "worst_ms": max(milliseconds)}


class Noise:
    """How much of the machine others took between construction and `report`."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._stolen = _stolen_s()

    def report(self) -> dict[str, float | None]:
        """Return the one-minute load average and the share of the cores' time that the hypervisor gave away."""
        elapsed = max(time.perf_counter() - self._begun, 1e-9)
        now = _stolen_s()
        stolen = None if now is None or self._stolen is None else (now - self._stolen) / elapsed / cores()
        return {"load_1m": os.getloadavg()[0], "stolen_share": stolen}


def memory(field: str, pid: int | str = "self") -> int | None:
    """Return one field of /proc/PID/status in bytes (RssAnon, VmHWM, ...); None where it cannot be read."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return None


def peak_resident_bytes() -> int:
    """Return this process's peak resident memory, mapped files included."""
    # Linux keeps the resident peak of the process that forked us in ru_maxrss; VmHWM starts again at exec.
    high_water = memory("VmHWM")
    if high_water is not None:
        return high_water
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith(("model name", "Model")):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _l3_bytes() -> int | None:
    size = Path("/sys/devices/system/cpu/cpu0/cache/index3/size")
    try:
        text = size.read_text().strip()
    except OSError:
        return None
    return int(text[:-1]) * {"K": 1024, "M": 1024**2}[text[-1]] if text[-1:] in "KM" else int(text)


def _stolen_s() -> float | None:
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    fields = stat.read_text().split("\n", 1)[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK") if len(fields) > 8 else None
