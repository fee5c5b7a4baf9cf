"""Compiles every kernel into the cache and tells what the functions return that only borrow arrays (`jit.helper`).

`python -m support.kernels FILE` does what `vecdb.warmup()` does and writes a line for each such function and its types:
its name, and whether arrays come back. `--backwards` goes from the last kernels to the first: two processes, one from
each end, share the work. Of a kernel that is loaded from the cache, nobody learns what its parts return: they stand in
the file of the process that compiled it.
"""

import argparse
import importlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numba import types
from numba.core import config as numba_config

from vecdb_index import warmup
from vecdb_index.kernels import names

_PACKAGE = "vecdb_index.kernels"


def holds_arrays(kind: Any) -> bool:
    """Tell whether a value of this type is an array or has one."""
    parts: Any = kind if isinstance(kind, types.BaseTuple) else ()
    return isinstance(kind, types.Array) or any(map(holds_arrays, parts))


def borrowing() -> Iterator[tuple[str, bool]]:
    """Yield the functions that borrow arrays, once for each compilation in this process."""
    for title, module in list(sys.modules.items()):
        for name, part in vars(module).items() if title.startswith(f"{_PACKAGE}.") else ():
            if not getattr(part, "targetoptions", {}).get("_nrt", True):
                for overload in part.overloads.values():
                    yield f"{title}.{name}", holds_arrays(overload.signature.return_type)


def main() -> None:
    """Compile, and write the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--backwards", action="store_true")
    given = parser.parse_args()
    if given.backwards:
        for _, compile_it in reversed(warmup.steps()):
            compile_it()
    else:
        warmup.warmup()
        with tempfile.TemporaryDirectory() as apart:
            # What no warm-up compiles must not lie in the cache that it filled.
            config: Any = numba_config
            config.CACHE_DIR = apart
            for path in names.HERE.glob("*.py"):
                importlib.import_module(f"{_PACKAGE}.{path.stem}")
    given.file.write_text("".join(f"{name} {holds}\n" for name, holds in borrowing()))


if __name__ == "__main__":
    main()
