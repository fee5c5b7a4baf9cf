"""Failures of the file system, as errors of ours."""

import contextlib
import errno
from collections.abc import Iterator

from vecdb.errors import ResourceExhaustedError, UnavailableError

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def typed_os_errors() -> Iterator[None]:
    """Turn an OSError of the block into ResourceExhaustedError or UnavailableError. Also works as a decorator."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise ResourceExhaustedError(f"the disk is full: {error}; nothing was lost, free some space") from error
        raise UnavailableError(f"the file system failed: {error}") from error
