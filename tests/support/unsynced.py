"""Syncing switched off: for tests that open, close and copy many databases and cut no power."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from vecdb.storage import directory


@contextmanager
def unsynced() -> Iterator[None]:
    """Let every sync in the block return at once; what a killed process leaves is the same, and comes faster."""
    with (
        mock.patch.object(directory, "_sync_data", return_value=None),
        mock.patch.object(directory.LocalDirectory, "_sync_folder", return_value=None),
    ):
        yield
