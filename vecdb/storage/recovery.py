"""Opening: from the files to the rows in memory.

1. CURRENT names the manifest; both are verified. Files of segments are compared by size.
2. The log is read from the first write that the manifest does not contain. Its files must follow each other
   without a gap: a gap means that CURRENT is older than the log, or that a log file is gone.
3. A writer removes what no version names: output of work that a crash interrupted.

A torn tail of the log is cut and reported, never silently: without a second copy no log can tell a torn write from
damage to its very last group. CLEAN closes that hole for a database that was closed: it says where the log ended.
"""

from collections.abc import Set
from dataclasses import dataclass, field

from vecdb.config import Verify
from vecdb.errors import CorruptionError
from vecdb.storage import format as names
from vecdb.storage import manifest as manifests
from vecdb.storage import requests, wal
from vecdb.storage.apply import Live
from vecdb.storage.directory import TEMPORARY, LocalDirectory
from vecdb.storage.requests import Requests


@dataclass(slots=True)
class OpenReport:
    """What opening found."""

    version: int = 0
    replayed_writes: int = 0
    wal_bytes: int = 0
    wal_tail_cut_bytes: int = 0
    removed: list[str] = field(default_factory=list)
    clean_up: str = "done"


@dataclass(slots=True)
class LogFile:
    """A log file on disk, and what it holds."""

    name: str
    first_lsn: int
    last_lsn: int
    end: int


@dataclass(slots=True)
class Opened:
    """A collection as found on disk."""

    live: Live
    logs: list[LogFile]
    epoch: int
    report: OpenReport


def open_collection(
    directory: LocalDirectory,
    base: str,
    verify: Verify,
    writer: bool,
    known: Live | None = None,
    remembered: Requests | None = None,
) -> Opened:
    """Load the manifest in force and replay the log behind it; segments that are known are not opened again.

    remembered takes the request ids; who does not write needs none.

    Raises:
        CorruptionError: a file is damaged, missing, or contradicts another one.

    """
    closed_at = read_clean(directory, base)
    located = manifests.load_current(directory, base)
    if remembered is not None and located.manifest.requests is not None:
        for key, done in requests.read(directory, base, located.manifest.requests):
            remembered.add(key, done)
    live = Live(directory, base, located, verify, known, remembered)
    report = OpenReport(version=located.manifest.version)
    logs = replay_log(directory, base, live, report)
    check_clean(f"{base}/{names.CLEAN}", closed_at, live, report, writer)
    epoch = max([located.manifest.epoch, *(log_epoch(log.name) for log in logs)])
    return Opened(live, logs, epoch, report)


def log_epoch(name: str) -> int:
    """Return the epoch in a log file's name."""
    match = names.WAL_NAME.fullmatch(name.rpartition("/")[2])
    return int(match[1]) if match else 0


def log_names(directory: LocalDirectory, base: str) -> list[str]:
    """Return the log files in the order of their writes."""
    found = [name for name in directory.list(f"{base}/{names.WAL}") if names.WAL_NAME.fullmatch(name)]
    return [f"{base}/{names.WAL}/{name}" for name in sorted(found, key=lambda name: (name[11:31], name))]


def replay_log(directory: LocalDirectory, base: str, live: Live, report: OpenReport) -> list[LogFile]:
    """Apply every logged write that the manifest does not contain."""
    floor = live.lsn
    logs: list[LogFile] = []
    for path in log_names(directory, base):
        data = directory.read(path)
        found = wal.scan(data, path)
        last = found.frames[-1].lsn if found.frames else found.first_lsn - 1
        expected = logs[-1].last_lsn + 1 if logs else min(floor + 1, found.first_lsn)
        if found.first_lsn != expected or (not logs and found.first_lsn > floor + 1):
            raise CorruptionError(
                f"{path} begins with write {found.first_lsn}, write {expected if logs else floor + 1} is missing",
                path=path,
            )
        for frame in found.frames:
            if frame.lsn > floor:
                live.replay(frame, path)
                report.replayed_writes += 1
        live.requests.end_of_log_file()
        logs.append(LogFile(path, found.first_lsn, last, found.end))
        report.wal_bytes += found.end
        # A later file that goes on with the next write proves that an earlier file's tail was torn: a crash before
        # that file began. Only the last file's tail can be damage to a write that was acknowledged.
        report.wal_tail_cut_bytes = found.cut
    if not logs:
        path = f"{base}/{names.WAL}"
        raise CorruptionError(f"{path} holds no log: the writes behind {floor} are missing", path=path)
    if logs[-1].last_lsn < floor:
        raise CorruptionError(
            f"{logs[-1].name} ends with write {logs[-1].last_lsn}, the manifest contains {floor}", path=logs[-1].name
        )
    return logs


def read_clean(directory: LocalDirectory, base: str) -> int | None:
    """Return the last write when the last writer closed, None when it did not close or another has begun to write."""
    path = f"{base}/{names.CLEAN}"
    try:
        return names.unseal(directory.read(path), path)["lsn"]
    except FileNotFoundError:
        return None


def check_clean(path: str, closed_at: int | None, live: Live, report: OpenReport, alone: bool) -> None:
    """Compare the end of the log with what the last writer said when it closed.

    Beside a writer (not alone) the log may have grown since closed_at was read, which was before the log was read.
    """
    if closed_at is None:
        return
    if live.lsn < closed_at or (alone and (live.lsn > closed_at or report.wal_tail_cut_bytes)):
        raise CorruptionError(
            f"the log ends with write {live.lsn}, the last writer closed it after write {closed_at}: "
            "writes are lost or damaged",
            path=path,
        )


def referenced(directory: LocalDirectory, base: str, live: Live, cache: dict[str, set[str]]) -> set[str]:
    """Return the names that a version or the log still needs, relative to the collection's folder.

    cache keeps what each older manifest refers to; it is read once.
    """
    located = live.located
    keep = {f"{names.MANIFESTS}/{located.file}"}
    needed = _files_of(located.manifest)
    for past in located.manifest.history:
        keep.add(f"{names.MANIFESTS}/{past.file}")
        if past.file not in cache:
            cache[past.file] = _files_of(manifests.load(directory, base, past.file, past.sha256).manifest)
        needed |= cache[past.file]
    for stale in cache.keys() - {past.file for past in located.manifest.history}:
        del cache[stale]
    named = {entry.uuid for entry in located.manifest.all_segments}
    for view in (*live.views.values(), *live.links.views.values()):
        if view.segment.uuid not in named:  # only the log names it so far
            needed |= _entry_files(view.segment.entry)
    return keep | needed


def _files_of(manifest: manifests.Manifest) -> set[str]:
    files = {manifest.requests.name} if manifest.requests is not None else set[str]()
    return files.union(*(_entry_files(entry) for entry in manifest.all_segments))


def _entry_files(entry: manifests.SegmentEntry) -> set[str]:
    folder = f"{names.SEGMENTS}/{entry.uuid}"
    files = {f"{folder}/{file.name}" for file in entry.files}
    if entry.deletes:
        files.add(f"{folder}/{entry.deletes.name}")
    files |= {f"{folder}/{index.file.name}" for index in entry.indexes}
    return files | {folder}


def list_files(directory: LocalDirectory, base: str) -> list[str]:
    """Return what matches our naming patterns, relative to the collection's folder: all that clean-up may remove."""
    listed = []
    for name in directory.list(f"{base}/{names.SEGMENTS}"):
        if names.UUID_NAME.fullmatch(name):
            folder = f"{names.SEGMENTS}/{name}"
            listed.append(folder)
            files = directory.list(f"{base}/{folder}")
            listed += [f"{folder}/{file}" for file in files if _is_sidecar(file) or TEMPORARY in file]
    for name in directory.list(f"{base}/{names.MANIFESTS}"):
        if names.MANIFEST_NAME.fullmatch(name) or TEMPORARY in name:
            listed.append(f"{names.MANIFESTS}/{name}")
    return listed + [name for name in directory.list(base) if TEMPORARY in name or names.REQUESTS_NAME.fullmatch(name)]


def _is_sidecar(file: str) -> bool:
    """Tell whether a segment's file came after the segment, so that a version may do without it."""
    return bool(names.DELETES_NAME.fullmatch(file) or names.INDEX_NAME.fullmatch(file))


def remove(directory: LocalDirectory, base: str, listed: list[str], keep: set[str], unpublished: Set[str]) -> list[str]:
    """Remove what is listed and not kept; return what was removed. unpublished segments are about to be named."""
    removed = []
    for path in listed:
        parts = path.split("/")
        if path in keep or (parts[0] == names.SEGMENTS and parts[1] in unpublished):
            continue
        if parts[0] == names.SEGMENTS and len(parts) == 2:
            directory.remove_tree(f"{base}/{path}")
        else:
            directory.unlink(f"{base}/{path}")
        removed.append(path)
    return removed


def empty_tmp(directory: LocalDirectory, base: str) -> None:
    """Remove unpublished output that a crash left; make the folder where a copy tool dropped it as empty."""
    directory.make(f"{base}/{names.TMP}")
    directory.make(f"{base}/{names.SEGMENTS}")
    for name in directory.list(f"{base}/{names.TMP}"):
        path = f"{base}/{names.TMP}/{name}"
        if directory.path(path).is_dir():
            directory.remove_tree(path)
        else:
            directory.unlink(path)
