"""One run of repair: what was done, what was lost, and whether loss is allowed."""

from dataclasses import replace

from vecdb.errors import CorruptionError
from vecdb.storage.directory import LocalDirectory
from vecdb.storage.manifest import FileEntry, SegmentEntry
from vecdb.storage.segment import Segment

LOST = "lost+found"


class Repair:
    """The record that repair keeps of itself."""

    def __init__(self, directory: LocalDirectory, allow_loss: bool) -> None:
        self.directory = directory
        self.allow_loss = allow_loss
        self.actions: list[str] = []
        self.rows_lost = 0

    def lose(self, error: CorruptionError, what: str) -> None:
        """Record a loss, or refuse it.

        Raises:
            CorruptionError: loss is not allowed.

        """
        if not self.allow_loss:
            raise CorruptionError(
                f"{error}; repairing this loses data: {what}; allow_loss=True accepts that", path=error.path
            )
        self.actions.append(what)


def set_aside(directory: LocalDirectory, base: str, folder: str, uuid: str) -> None:
    """Move a segment's folder to lost+found."""
    directory.make(f"{base}/{LOST}")
    if directory.exists(folder):
        directory.rename(folder, f"{base}/{LOST}/{uuid}")


def file_damage(directory: LocalDirectory, base: str, entry: SegmentEntry, file: FileEntry) -> CorruptionError | None:
    """Return what is wrong with one file of a segment, or None."""
    try:
        problems = Segment(
            directory, base, replace(entry, files=(file,), deletes=None, indexes=()), "first_use"
        ).verify_all()
    except CorruptionError as error:
        return error
    return problems[0] if problems else None
