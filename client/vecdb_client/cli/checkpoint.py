"""How far a file has been loaded, kept beside the database (`Target.memory`) so that the next run continues there.

A record is replaced atomically (temporary file, fsync, rename, fsync of the folder) and only after the rows that it
speaks of were committed. A crash in between repeats one chunk, and repeating an upsert changes nothing.

A record is believed only if it fits: same file (path, size, modification time), same mapping, and a collection that
still has the last row of which the record speaks: it was not dropped, emptied or restored from an older backup.
"""

import contextlib
import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vecdb.collection import Collection

VERSION = 1
ROWS, LINKS = "rows", "links"
"""What a file was loaded as."""


@dataclass(frozen=True)
class Record:
    """Progress of one file into one collection.

    Attributes:
        next_row: the first row of the file that is not stored yet.
        stored: rows stored. skipped: bad rows passed over.
        first_id: the number of row 0 when rows are numbered.
        report_bytes: the length of the report of bad rows when this was written.
        lsn: the collection's last write when this was written. last_id: the last row that was stored.
        done: the whole file is stored.
        what: whether the file is one of rows or of links; of links, `next_row` and `stored` count these.
        last_link: source, destination and type of the last link that was stored.

    """

    collection: str
    file: str
    size: int
    mtime_ns: int
    options: dict[str, Any] = field(default_factory=dict)
    next_row: int = 0
    stored: int = 0
    skipped: int = 0
    first_id: int = 0
    report_bytes: int = 0
    lsn: int = 0
    last_id: str | int | None = None
    done: bool = False
    what: str = ROWS
    last_link: list[Any] | None = None

    @classmethod
    def of(cls, file: Path, collection: str, options: dict[str, Any]) -> "Record":
        """Return the record of a file of which nothing is loaded."""
        status = file.stat()
        return cls(collection, str(file.resolve()), status.st_size, status.st_mtime_ns, options)

    @property
    def key(self) -> str:
        """The name of the record's file: the same for the same content of a file, use of it, and collection name."""
        loaded_as = [] if self.what == ROWS else [self.what]
        identity = json.dumps([self.file, self.size, self.mtime_ns, self.collection, *loaded_as])
        return hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Checkpoints:
    """The records of one database."""

    def __init__(self, folder: Path) -> None:
        """Name the folder (`Target.memory`); it is made with the first record."""
        self._folder = folder

    def load(self, fresh: Record) -> Record | None:
        """Return the stored record of the same file and collection, None when there is none or it is unreadable."""
        try:
            content = json.loads((self._folder / f"{fresh.key}.json").read_bytes())
            if content.pop("version") != VERSION:
                return None
            return Record(**content)
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def fitting(self, fresh: Record, collection: "Collection") -> tuple[Record | None, str | None]:
        """Return the stored record if it can be continued, else None and (if there is one) the reason why not."""
        found = self.load(fresh)
        if found is None:
            return None, None
        gone = found.last_id is not None and collection.get(found.last_id, fields=[]) is None
        if found.last_link is not None:
            src, dst, kind = found.last_link
            gone = not any(batch.num_rows for batch in collection.links(src=src, dst=dst, type=kind))
        with collection.snapshot() as snapshot:
            gone = gone or found.lsn > snapshot.lsn
        if gone:
            return None, f"{found.what} that were loaded are no longer there"
        if found.options != fresh.options:
            return None, "the file was loaded with another mapping or schema"
        return found, None

    def save(self, record: Record) -> None:
        """Replace the record; on return it survives a power cut."""
        self._folder.mkdir(parents=True, exist_ok=True)
        content = json.dumps({"version": VERSION, **asdict(record)}).encode("utf-8", "surrogatepass")
        descriptor, temporary = tempfile.mkstemp(dir=self._folder, suffix=".tmp")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self._folder / f"{record.key}.json")
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def forget(self, collection: str) -> None:
        """Remove the records of a collection that was dropped."""
        for path in self._folder.glob("*.json"):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                if json.loads(path.read_bytes()).get("collection") == collection:
                    path.unlink()


def restarted(found: Record) -> Record:
    """Return a record that begins again but numbers rows as before, so that they are replaced, not added."""
    return replace(found, next_row=0, stored=0, skipped=0, report_bytes=0, done=False)
