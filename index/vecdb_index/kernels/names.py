"""What the compiled files of a kernel are called, known without numba.

numba names the files of its cache after the module and the function, and recompiles when the file that
holds the function has changed; a change of what the function calls goes unnoticed. So the name carries a
digest of all files that reach into a kernel, and an upgrade never runs half of the old machine code.
"""

import functools
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent


@functools.cache
def digest() -> str:
    """Eight hex digits of the source of all kernels and of the types."""
    found = hashlib.blake2b(digest_size=4)
    for path in [*sorted(HERE.glob("*.py")), HERE.parent / "types.py"]:
        found.update(path.read_bytes())
    return found.hexdigest()


def name_of(function: str, element: str) -> str:
    """Name of a kernel that is compiled for matrices of an element type."""
    return f"{function}_{element}_{digest()}"


def cached(function: str, element: str) -> bool:
    """Whether the folders that numba would look into hold this kernel, for this version of Python.

    Another processor than the one that it was compiled for still has to compile again.
    """
    pattern = f"*.{name_of(function, element)}-*.py{sys.version_info.major}{sys.version_info.minor}*.nbi"
    return any(next(folder.glob(pattern), None) is not None for folder in _folders())


def _folders() -> Iterator[Path]:
    """The places of numba's cache for the kernels: one folder a source folder, its name made by numba."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    beside = HERE / "__pycache__"
    if given:
        yield from Path(given).glob("*")
    elif os.access(beside if beside.exists() else HERE, os.W_OK):
        yield beside
    else:
        # Where numba keeps its cache when the package's own folder cannot be written.
        yield from (_user_folder() / "numba").glob("*")


def user_cache() -> Path:
    """Return the folder of what this machine found out about itself: numba's, where it was named, else the user's."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    return Path(given) if given else _user_folder()


def _user_folder() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
