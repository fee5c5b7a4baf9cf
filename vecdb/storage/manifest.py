"""The manifest: which segments exist at a version. Immutable values, and the one way to publish them.

A version's manifest describes exactly the rows as they were after the write `floor`: what the log holds up to there
is in the segments and their deletion bitmaps, what follows is only in the log. This is what makes `at(version)`
exact although writes go on while a version is being written.

The rename of CURRENT is the commit point: before it the old version is in force, after it the new one.
"""

import dataclasses
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from vecdb.errors import CorruptionError
from vecdb.schema.schema import Schema
from vecdb.storage import format as names
from vecdb.storage.directory import LocalDirectory

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file inside a segment folder, and what it must contain."""

    name: str
    bytes: int
    crc32c: int
    xxh128: str


@dataclass(frozen=True, slots=True)
class DeletesEntry:
    """A segment's deletion bitmap: which rows are gone."""

    name: str
    bytes: int
    crc32c: int
    count: int


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """An index of one column of a segment: derived data, added when it is built.

    kind and parameters say how it was made; where others are wanted it is made again.
    """

    field: int
    kind: str
    file: FileEntry
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """An immutable segment, the deletion bitmap in force, and the indexes that it has by now."""

    uuid: str
    rows: int
    min_lsn: int
    max_lsn: int
    files: tuple[FileEntry, ...]
    deletes: DeletesEntry | None = None
    indexes: tuple[IndexEntry, ...] = ()

    @property
    def bytes(self) -> int:
        """Bytes on disk of the rows, deletion bitmap included; indexes are not."""
        return sum(file.bytes for file in self.files) + (self.deletes.bytes if self.deletes else 0)

    def with_index(self, index: IndexEntry) -> "SegmentEntry":
        """Return the entry with an index instead of the one that its column had."""
        others = tuple(other for other in self.indexes if other.field != index.field)
        return replace(self, indexes=(*others, index))

    @property
    def live(self) -> int:
        """Rows that are not deleted."""
        return self.rows - (self.deletes.count if self.deletes else 0)

    def to_json(self) -> dict[str, Any]:
        """Return the form that manifests and log frames hold."""
        told = asdict(self)
        if not self.indexes:
            del told["indexes"]
        return told

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "SegmentEntry":
        """Return the entry that to_json() wrote; names that could lead outside a segment's folder are refused."""
        deletes, indexes = data["deletes"], data.get("indexes", ())
        listed = [file["name"] for file in data["files"]] + ([deletes["name"]] if deletes else [])
        sidecars = [index["file"]["name"] for index in indexes]
        sound = all(map(names.SEGMENT_FILE.fullmatch, listed)) and all(map(names.INDEX_NAME.fullmatch, sidecars))
        if not names.UUID_NAME.fullmatch(data["uuid"]) or not sound:
            listed += sidecars
            raise CorruptionError(f"segment {data['uuid']!r} names files that vecdb never writes: {listed}")
        return cls(
            uuid=data["uuid"],
            rows=data["rows"],
            min_lsn=data["min_lsn"],
            max_lsn=data["max_lsn"],
            files=tuple(FileEntry(**file) for file in data["files"]),
            deletes=DeletesEntry(**deletes) if deletes else None,
            indexes=tuple(
                IndexEntry(index["field"], index["kind"], FileEntry(**index["file"]), dict(index["parameters"]))
                for index in indexes
            ),
        )


@dataclass(frozen=True, slots=True)
class LinksEntry:
    """The links of a version: their schema and their segments, whose folders are beside those of the rows."""

    schema: Schema
    segments: tuple[SegmentEntry, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the form that manifests hold."""
        return {"schema": self.schema.to_json(), "segments": [segment.to_json() for segment in self.segments]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "LinksEntry":
        """Return the entry that to_json() wrote."""
        return cls(Schema.from_json(data["schema"]), tuple(map(SegmentEntry.from_json, data["segments"])))


@dataclass(frozen=True, slots=True)
class Past:
    """An older version that can still be reached."""

    version: int
    file: str
    sha256: str
    committed_at: float
    rows: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """One version of a collection."""

    collection: str
    version: int
    epoch: int
    committed_at: float
    floor: int
    schema: Schema
    segments: tuple[SegmentEntry, ...] = ()
    history: tuple[Past, ...] = ()
    tags: dict[str, int] = field(default_factory=dict)
    parent: str = ""
    tuning: dict[str, list[list[float]]] = field(default_factory=dict)
    requests: FileEntry | None = None
    links: LinksEntry | None = None
    calibrators: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def all_segments(self) -> tuple[SegmentEntry, ...]:
        """The segments of rows, then those of links."""
        return self.segments if self.links is None else self.segments + self.links.segments

    @property
    def rows(self) -> int:
        """Live rows in the segments of this version."""
        return sum(segment.live for segment in self.segments)

    def to_json(self) -> dict[str, Any]:
        """Return the content of the manifest's file."""
        return {
            "format": names.FORMAT_VERSION,
            "collection": self.collection,
            "version": self.version,
            "epoch": self.epoch,
            "committed_at": self.committed_at,
            "floor": self.floor,
            "schema": self.schema.to_json(),
            "segments": [segment.to_json() for segment in self.segments],
            "history": [asdict(past) for past in self.history],
            "tags": self.tags,
            "parent": self.parent,
            **({"tuning": self.tuning} if self.tuning else {}),
            **({"requests": asdict(self.requests)} if self.requests else {}),
            **({"links": self.links.to_json()} if self.links else {}),
            **({"calibrators": self.calibrators} if self.calibrators else {}),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Manifest":
        """Return the manifest that to_json() wrote; a name that could lead elsewhere is refused."""
        requests = data.get("requests")
        if requests is not None and not names.REQUESTS_NAME.fullmatch(requests["name"]):
            raise CorruptionError(f"a manifest names a file that vecdb never writes: {requests['name']!r}")
        return cls(
            collection=data["collection"],
            version=data["version"],
            epoch=data["epoch"],
            committed_at=data["committed_at"],
            floor=data["floor"],
            schema=Schema.from_json(data["schema"]),
            segments=tuple(SegmentEntry.from_json(segment) for segment in data["segments"]),
            history=tuple(Past(**past) for past in data["history"]),
            tags=dict(data["tags"]),
            parent=data["parent"],
            tuning=dict(data.get("tuning", {})),
            requests=None if requests is None else FileEntry(**requests),
            links=LinksEntry.from_json(data["links"]) if "links" in data else None,
            calibrators=dict(data.get("calibrators", {})),
        )


@dataclass(frozen=True, slots=True)
class Located:
    """A manifest and the file that holds it."""

    manifest: Manifest
    file: str
    sha256: str

    def past(self) -> Past:
        """Return the entry by which later versions remember this one."""
        manifest = self.manifest
        return Past(manifest.version, self.file, self.sha256, manifest.committed_at, manifest.rows)


def successor(current: Located, now: float, retain_versions: int, retain_days: float, **changes: Any) -> Manifest:
    """Return the next version: current with changes, remembering what retention and tags keep of the past."""
    manifest = current.manifest
    tags = changes.get("tags", manifest.tags)
    tagged = set(tags.values())
    past = (*manifest.history, current.past())
    recent = {entry.version for entry in past[-(retain_versions - 1) :]} if retain_versions > 1 else set()
    oldest = now - retain_days * 86400
    history = tuple(
        entry for entry in past if entry.version in tagged or (entry.version in recent and entry.committed_at >= oldest)
    )
    return replace(
        manifest,
        version=manifest.version + 1,
        committed_at=now,
        history=history,
        parent=current.sha256,
        **changes,
    )


def commit(directory: LocalDirectory, base: str, manifest: Manifest) -> Located:
    """Publish a manifest and make it the one in force; durable on return.

    Every file that it names must be durable already.
    """
    data = names.seal(manifest.to_json())
    file = names.manifest_name(manifest.version, manifest.epoch)
    sha256 = names.digest(data)
    directory.publish(f"{base}/{names.MANIFESTS}/{file}", data)
    current = {
        "version": manifest.version,
        "file": file,
        "sha256": sha256,
        "epoch": manifest.epoch,
        "nonce": names.nonce(),
    }
    directory.swap(f"{base}/{names.CURRENT}", names.seal(current))
    return Located(manifest, file, sha256)


def load(directory: LocalDirectory, base: str, file: str, sha256: str | None) -> Located:
    """Read one manifest and verify it against its own checksum, and against sha256 if given."""
    path = f"{base}/{names.MANIFESTS}/{file}"
    try:
        data = directory.read(path)
    except FileNotFoundError:
        raise names.missing(path) from None
    content = names.unseal(data, path)
    found = names.digest(data)
    if sha256 is not None and found != sha256:
        raise names.exchanged(path)
    return Located(parsed(content, path), file, found)


def parsed(content: Any, path: str) -> Manifest:
    """Return the manifest of a file's content, whose checksum may be right although vecdb never wrote it."""
    try:
        return Manifest.from_json(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        told = f"{path} has a right checksum, and a form that vecdb never writes: {type(error).__name__}: {error}"
        raise CorruptionError(told[:500], path=path) from error


def read_current(directory: LocalDirectory, base: str) -> dict[str, Any]:
    """Return the verified content of CURRENT."""
    path = f"{base}/{names.CURRENT}"
    try:
        return names.unseal(directory.read(path), path)
    except FileNotFoundError:
        raise names.missing(path) from None


def load_current(directory: LocalDirectory, base: str) -> Located:
    """Read the manifest in force."""
    current = read_current(directory, base)
    return load(directory, base, current["file"], current["sha256"])


def wall_clock() -> float:
    """Seconds since 1970."""
    return time.time()
