"""The identity of a model on disk: a hash of its weights, wherever they lie.

Of one file it is the SHA-256 that model hubs show beside the file. Only the folders that the model's own
`modules.json` names are looked at, so that other formats of the same model beside them change nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from vecdb.errors import EncoderError, NotFoundError

PATTERNS = ("*.safetensors", "*.bin", "*.pt")
"""In this order: the first that a folder has anything of holds its weights."""

_BLOCK = 1 << 22
_SNAPSHOT = re.compile(r"models--(.+?)--(.+)")
HUB_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
_NAMELESS = frozenset({"", "model", "models", "weights", "snapshot", "latest"})


def folder_of(model: str) -> Path:
    """Return the folder with a model's files: itself, or where the hub's client keeps the model of that name.

    Raises:
        NotFoundError: it is not on this machine.

    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    names = (model,) if "/" in model else (f"sentence-transformers/{model}", model)
    with contextlib.suppress(ImportError):
        download = import_module("huggingface_hub").snapshot_download
        for name in names if HUB_NAME.fullmatch(model) else ():
            with contextlib.suppress(OSError, ValueError):
                return Path(download(name, local_files_only=True))
    raise NotFoundError(f"there is no model {model!r} on this machine")


def name_of(folder: Path) -> str:
    """Return what to call the model in a folder: the hub's name where the folder is the hub client's, or its own."""
    path = folder.resolve()
    for part in path.parts:
        found = _SNAPSHOT.fullmatch(part)
        if found:
            return f"{found[1]}/{found[2]}"
    return next((name for name in (path.name, path.parent.name) if name.lower() not in _NAMELESS), "model")


def weights_of(folder: Path) -> str:
    """Return the hash of the weights in a model's folder. Read once; reads 1 GB in about a second.

    Raises:
        EncoderError: there are none.

    """
    stamps = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in weight_files(folder)]
    hashes = [_hash(*stamp) for stamp in stamps]
    whole = hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    return f"sha256:{whole}"


def weight_files(folder: Path) -> list[Path]:
    """Return the files of the weights in a model's folder; none of them is read.

    Raises:
        EncoderError: there are none.

    """
    try:
        modules = json.loads((folder / "modules.json").read_bytes())
        paths = [str(module["path"]) for module in modules]
    except FileNotFoundError:
        paths = [""]
    except (ValueError, TypeError, KeyError) as error:
        raise EncoderError(f"{folder / 'modules.json'} cannot be read: {error}") from error
    files: list[Path] = []
    for path in paths:
        found = (sorted((folder / path).glob(pattern)) for pattern in PATTERNS)
        files += next((some for some in found if some), [])
    if not files:
        raise EncoderError(f"there are no weights in {folder}: expected {', '.join(PATTERNS)}")
    return files


@lru_cache(64)
def _hash(file: str, size: int, mtime_ns: int) -> str:
    """Hash a file; its size and time are in the key, so that a changed file is read again."""
    digest = hashlib.sha256()
    with Path(file).open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
