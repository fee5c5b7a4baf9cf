"""Bytes on disk: names, versions, and the two sealed forms that every small file uses.

    <database>/
      FORMAT                          sealed JSON: format version and required features
      LOCK                            flock target; its text is advice for people
      catalog/                        CURRENT + manifests/: collection name -> folder
      collections/<uuid>/
        CURRENT                       sealed JSON: the manifest in force; the only file that is ever replaced
        CLEAN                         sealed JSON: where the log ended when the last writer closed
        manifests/<version>-<epoch>-<nonce>.json
        requests-<lsn>-<nonce>.arrow  request ids that are remembered, see requests.py
        overlay-<hash of a type of links>.arrow   nearest rows of each row, see overlay_file.py; derived
        wal/<epoch>-<first lsn>.wal
        segments/<uuid>/              immutable files of rows, see segment_writer.py
        tmp/                          unpublished output, emptied when a writer opens

Sealed JSON is canonical JSON, a newline, the SHA-256 of what precedes it in hex, a newline.
"""

import hashlib
import os
import re
import uuid
from typing import Any

import orjson

from vecdb.errors import CorruptionError

FORMAT_VERSION = 1
FEATURES = ("arrow-segments", "roaring-deletes", "binary-vectors", "sparse-vectors", "multi-vectors", "links")

FORMAT = "FORMAT"
LOCK = "LOCK"
CATALOG = "catalog"
COLLECTIONS = "collections"
CURRENT = "CURRENT"
CLEAN = "CLEAN"
MANIFESTS = "manifests"
WAL = "wal"
SEGMENTS = "segments"
TMP = "tmp"

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
MANIFEST_NAME = re.compile(r"(\d{20})-(\d{10})-([0-9a-f]{12})\.json")
WAL_NAME = re.compile(r"(\d{10})-(\d{20})\.wal")
UUID_NAME = re.compile(r"[0-9a-f]{32}")
SEGMENT_FILE = re.compile(
    r"(ids|keys|data|text|(vec|norm|text|sparse|tok|doc|cen)-\d+|nodes|out|in|attributes)\.arrow"
    r"|del-\d{20}-[0-9a-f]{8}\.roar"
)
INDEX_NAME = re.compile(r"index-(\d+)-[0-9a-f]{12}\.arrow")
REQUESTS_NAME = re.compile(r"requests-(\d{20})-([0-9a-f]{8})\.arrow")
DELETES_NAME = re.compile(r"del-(\d{20})-([0-9a-f]{8})\.roar")

_DIGEST = 64


def new_uuid() -> str:
    """Return a fresh folder name."""
    return uuid.uuid4().hex


def nonce(size: int = 6) -> str:
    """Return random hex digits that keep two writers' names apart."""
    return os.urandom(size).hex()


def manifest_name(version: int, epoch: int) -> str:
    """Return a manifest's file name; the nonce makes names of two writers differ."""
    return f"{version:020d}-{epoch:010d}-{nonce()}.json"


def index_name(field_id: int) -> str:
    """Return the file name of an index of a vector column; each build makes another."""
    return f"index-{field_id}-{nonce()}.arrow"


def wal_name(epoch: int, first_lsn: int) -> str:
    """Return the file name of a log that starts at first_lsn."""
    return f"{epoch:010d}-{first_lsn:020d}.wal"


def requests_name(lsn: int) -> str:
    """Return the file name of the request ids of all writes up to one."""
    return f"requests-{lsn:020d}-{nonce(4)}.arrow"


def overlay_name(type: str) -> str:
    """Return the file name of the lists behind links of a type; a type may hold what a file name may not."""
    return f"overlay-{hashlib.sha256(type.encode()).hexdigest()[:32]}.arrow"


def seal(content: dict[str, Any]) -> bytes:
    """Return canonical JSON followed by its digest."""
    body = orjson.dumps(content, option=orjson.OPT_SORT_KEYS) + b"\n"
    return body + hashlib.sha256(body).hexdigest().encode() + b"\n"


def unseal(data: bytes, path: str) -> dict[str, Any]:
    """Return what seal() was given.

    Raises:
        CorruptionError: the digest does not match, or the bytes are not sealed JSON; it names path.

    """
    body, digest = data[: -_DIGEST - 1], data[-_DIGEST - 1 : -1]
    if hashlib.sha256(body).hexdigest().encode() != digest or data[-1:] != b"\n":
        raise CorruptionError(f"{path} is damaged: its checksum does not match its content", path=path)
    return orjson.loads(body)


def missing(path: str) -> CorruptionError:
    """Return the error about a file that another one names."""
    return CorruptionError(f"{path} is missing", path=path)


def damaged(path: str) -> CorruptionError:
    """Return the error about a file whose bytes are not those that were written."""
    return CorruptionError(f"{path} is damaged: its checksum does not match the manifest", path=path)


def exchanged(path: str) -> CorruptionError:
    """Return the error about a file that is sound, and another than the one that should be there."""
    return CorruptionError(f"{path} is not the file that was committed under this name", path=path)


def digest(data: bytes) -> str:
    """Return the SHA-256 of a sealed file, by which CURRENT names a manifest."""
    return hashlib.sha256(data).hexdigest()
