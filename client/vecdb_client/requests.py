"""By what a write is known to the server: its request id, and its number among those of an upload."""

from __future__ import annotations

import os

from vecdb.arguments import RequestId, chunk_number, request_bytes
from vecdb.errors import InvalidInputError


def write_id(given: RequestId | None) -> bytes:
    """Return the 16 bytes by which a write is known: random ones where none are given."""
    return os.urandom(16) if given is None else request_bytes(given)


def numbered(request_id: RequestId | None, chunk: int | None) -> int | None:
    """Return the number of a part of an upload.

    Raises:
        InvalidInputError: it is none, or the upload has no request id.

    """
    if chunk is None:
        return None
    if request_id is None:
        raise InvalidInputError(f"chunk {chunk!r} belongs to an upload: give its request_id too", field="chunk")
    return chunk_number(chunk)
