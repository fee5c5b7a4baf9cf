"""Files in and out of the operating system's page cache, so that "cold" and "warm" mean something.

Only clean pages that nobody maps can be dropped without privileges; `cached_share` tells what really happened. A
hypervisor's own cache below this machine cannot be seen or emptied from here.
"""

import ctypes
import mmap
import os
from pathlib import Path

import numpy as np


def files(folder: Path) -> list[Path]:
    """Return the regular files under `folder`, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def size_bytes(folder: Path) -> int:
    """Return the bytes of all files under `folder`."""
    return sum(path.stat().st_size for path in files(folder))


def allocated_bytes(folder: Path) -> int:
    """Return the bytes that the files under `folder` really take: files with holes take less than their size."""
    # Blocks are counted once they are allocated, which may be as late as when they are written.
    os.sync()
    return sum(path.stat().st_blocks * 512 for path in files(folder))


def load(folder: Path) -> None:
    """Read every file under `folder` once."""
    for path in files(folder):
        with path.open("rb", buffering=0) as file:
            while file.read(8 * 1024**2):
                pass


def evict(folder: Path) -> None:
    """Ask the kernel to drop every page of the files under `folder`. Does nothing where it cannot be asked."""
    if not hasattr(os, "posix_fadvise"):
        return
    os.sync()
    for path in files(folder):
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def cached_share(folder: Path) -> float | None:
    """Return the share of the pages under `folder` that are in the page cache; None where mincore is missing."""
    mincore = getattr(ctypes.CDLL(None, use_errno=True), "mincore", None)
    if mincore is None:
        return None
    resident = pages = 0
    for path in files(folder):
        length = path.stat().st_size
        if length == 0:
            continue
        count = -(-length // mmap.PAGESIZE)
        with path.open("rb") as file, mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ) as mapping:
            view = np.frombuffer(mapping, dtype=np.uint8)
            flags = np.zeros(count, dtype=np.uint8)
            failed = mincore(
                ctypes.c_void_p(view.ctypes.data), ctypes.c_size_t(length), ctypes.c_void_p(flags.ctypes.data)
            )
            # The mapping refuses to close while an array looks into it.
            del view
        if failed:
            return None
        resident += int((flags & 1).sum())
        pages += count
    return resident / pages if pages else None
