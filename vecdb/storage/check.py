"""The checker: every checksum, and every reference from one file to another. Reads only.

It works on a database that does not open, and beside a running writer: a file that the writer replaced while we
looked is looked at again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from vecdb.errors import CorruptionError, VecdbError
from vecdb.results import CheckReport, Problem
from vecdb.storage import arrow_file, keys, requests, tombstones
from vecdb.storage import catalog as catalogs
from vecdb.storage import format as names
from vecdb.storage import manifest as manifests
from vecdb.storage.apply import Live
from vecdb.storage.directory import LocalDirectory
from vecdb.storage.links.check import contradictions, twice
from vecdb.storage.links.table import entries_of
from vecdb.storage.links.writer import IN
from vecdb.storage.manifest import IndexEntry, Located, SegmentEntry
from vecdb.storage.packed import Packed
from vecdb.storage.recovery import OpenReport, check_clean, read_clean, replay_log
from vecdb.storage.segment import Segment, content_of
from vecdb.storage.segment_writer import IDS, KEYS, has_norms, norm_file, row_norms, vector_file
from vecdb.storage.token_files import CENTROID_FILES, ROW_FILES, TOKEN_FILES, mismatch

Progress = Callable[[str, int, int], None]

ERROR = "error"
DERIVED = "derived"
NOTE = "note"

_LOOKS = 100
"""How often to look again when a writer publishes versions faster than a check takes."""
_MISSED = 5
"""How often a file may go away while it is read before that is a problem."""


@dataclass(slots=True)
class Audit:
    """Problems found so far, and how much was read."""

    problems: list[Problem] = field(default_factory=list)
    files: int = 0
    bytes: int = 0

    def note(self, path: str, message: str, severity: str = ERROR) -> None:
        """Add a problem once."""
        problem = Problem(path, message, severity)
        if problem not in self.problems:
            self.problems.append(problem)

    def failed(self, error: CorruptionError, fallback: str, severity: str = ERROR) -> None:
        """Add what a CorruptionError says."""
        self.note(error.path or fallback, str(error), severity)

    def report(self) -> CheckReport:
        """Return the result."""
        return CheckReport(tuple(self.problems), self.files, self.bytes)


def is_derived(name: str) -> bool:
    """Tell whether a segment's file can be rebuilt from its other files."""
    return name in (KEYS, IN) or name.startswith("norm-")


def is_index(path: str) -> bool:
    """Tell whether a file is an index, without which its segment is as good, only slower."""
    return names.INDEX_NAME.fullmatch(path.rpartition("/")[2]) is not None


def index_damage(
    directory: LocalDirectory, base: str, entry: SegmentEntry, index: IndexEntry
) -> CorruptionError | None:
    """Return what is wrong with one index of a segment, or None."""
    alone = Segment(directory, base, replace(entry, files=(), deletes=None, indexes=(index,)), "first_use")
    return alone.verify_index(index)


def check(directory: LocalDirectory, progress: Progress | None = None) -> CheckReport:
    """Check a whole database.

    Raises:
        NotFoundError: there is no database.

    """
    audit = Audit()
    try:
        catalogs.check_format(directory)
        audit.files += 1
        catalog = catalogs.load(directory)
        audit.files += 2
    except CorruptionError as error:
        audit.failed(error, names.FORMAT)
        return audit.report()
    for number, (name, uuid) in enumerate(sorted(catalog.collections.items())):
        if progress is not None:
            progress(name, number, len(catalog.collections))
        check_collection(directory, f"{names.COLLECTIONS}/{uuid}", audit)
    return audit.report()


def check_collection(directory: LocalDirectory, base: str, audit: Audit) -> None:
    """Check one collection; what was seen counts only when no new version came and no file went meanwhile."""
    missed = 0
    for look in range(_LOOKS):
        fresh, gone = Audit(), False
        before = _nonce(directory, base)
        try:
            _check_collection(directory, base, fresh)
        except FileNotFoundError as error:
            # Files are removed after the version that does without them was published: it may be this very one.
            fresh.note(base, f"a file went away while it was read: {error}")
            missed += 1
            gone = missed < _MISSED
        if not fresh.problems or look == _LOOKS - 1 or (not gone and before == _nonce(directory, base)):
            audit.files += fresh.files
            audit.bytes += fresh.bytes
            for problem in fresh.problems:
                audit.note(problem.path, problem.message, problem.severity)
            return


def _nonce(directory: LocalDirectory, base: str) -> str | None:
    try:
        return manifests.read_current(directory, base)["nonce"]
    except CorruptionError:
        return None


def _check_collection(directory: LocalDirectory, base: str, audit: Audit) -> None:
    try:
        located = manifests.load_current(directory, base)
        audit.files += 2
    except CorruptionError as error:
        audit.failed(error, base)
        return
    good: set[str] = set()
    bad: set[str] = set()
    for version in _versions(directory, base, located, audit):
        for entry in version.manifest.segments:
            if entry.uuid not in good | bad:
                (good if _check_segment(directory, base, entry, audit) else bad).add(entry.uuid)
            _check_deletes(directory, base, entry, audit)
            if version is located:
                _check_indexes(directory, base, entry, audit, DERIVED)
            else:
                # It does without: its rows are scanned, and nobody builds its index again.
                _check_indexes(directory, base, _without_repaired(directory, base, entry, located), audit, NOTE)
        for entry in entries_of(version.manifest):
            if entry.uuid not in good | bad:
                (good if _check_segment(directory, base, entry, audit, _check_links) else bad).add(entry.uuid)
            _check_deletes(directory, base, entry, audit)
        # Nobody writes to an older version, so nobody needs the request ids of its time.
        _check_requests(directory, base, version, audit, ERROR if version is located else NOTE)
    _check_log(directory, base, located, bad, audit)


def _versions(directory: LocalDirectory, base: str, located: Located, audit: Audit) -> Iterator[Located]:
    yield located
    for past in located.manifest.history:
        try:
            yield manifests.load(directory, base, past.file, past.sha256)
            audit.files += 1
        except CorruptionError as error:
            audit.failed(error, past.file)


def _check_segment(
    directory: LocalDirectory, base: str, entry: SegmentEntry, audit: Audit, compare: "Compare | None" = None
) -> bool:
    """Compare a segment's files with their checksums, and with each other; True when its rows can be read."""
    folder = f"{base}/{names.SEGMENTS}/{entry.uuid}"
    readable = True
    sound = True
    for file in entry.files:
        alone = replace(entry, files=(file,), deletes=None, indexes=())
        audit.files += 1
        audit.bytes += file.bytes
        try:
            problems = Segment(directory, base, alone, "first_use").verify_all()
        except CorruptionError as error:
            problems = [error]
        for error in problems:
            derived = is_derived(file.name)
            audit.failed(error, f"{folder}/{file.name}", DERIVED if derived else ERROR)
            sound = False
            readable = readable and derived
    if sound:
        (compare or _cross_check)(directory, base, entry, audit)
    return readable


Compare = Callable[[LocalDirectory, str, SegmentEntry, Audit], None]


def _check_links(directory: LocalDirectory, base: str, entry: SegmentEntry, audit: Audit) -> None:
    """Compare what the files of a segment of links say of each other."""
    for path, message, derived in contradictions(directory, base, entry):
        audit.note(path, message, DERIVED if derived else ERROR)


def _cross_check(directory: LocalDirectory, base: str, entry: SegmentEntry, audit: Audit) -> None:
    """Compare what the files say of each other: numbers of rows, keys, norms."""
    folder = f"{base}/{names.SEGMENTS}/{entry.uuid}"
    held = {file.name: _content(directory, folder, file.name) for file in entry.files}
    for name, one in held.items():
        if name != KEYS and not name.startswith((TOKEN_FILES, CENTROID_FILES)) and len(one) != entry.rows:
            audit.note(f"{folder}/{name}", f"{name} has {len(one)} rows, the manifest says {entry.rows}")
            return
    _check_tokens(folder, held, audit)
    batches = {name: one for name, one in held.items() if isinstance(one, pa.RecordBatch)}
    ids = batches[IDS].column(0)
    expected, _ = keys.build(ids)
    if not expected.equals(batches[KEYS]):
        audit.note(f"{folder}/{KEYS}", f"{folder}/{KEYS} does not belong to the ids beside it", DERIVED)
    for name, batch in batches.items():
        if not name.startswith("vec-") or not has_norms(batch.column(0).type):
            continue
        norms = norm_file(int(name[4:-6]))
        if vector_file(int(name[4:-6])) != name or norms not in batches:
            audit.note(f"{folder}/{name}", f"{folder}/{name} has no norms beside it", DERIVED)
        elif not np.array_equal(row_norms(arrow_file.matrix_of(batch)), batches[norms].column(0).to_numpy()):
            audit.note(f"{folder}/{norms}", f"{folder}/{norms} does not belong to the vectors beside it", DERIVED)


def _check_tokens(folder: str, held: dict[str, Any], audit: Audit) -> None:
    """Compare the tokens of multi-vectors with what says to which rows they belong."""
    for name, tokens in held.items():
        if name.startswith(TOKEN_FILES):
            rows, centroids = (held.get(name.replace(TOKEN_FILES, other)) for other in (ROW_FILES, CENTROID_FILES))
            problem = mismatch(tokens, rows, centroids)
            if problem is not None:
                audit.note(f"{folder}/{name}", f"{folder}/{name} is damaged: {problem}")


def _content(directory: LocalDirectory, folder: str, name: str) -> pa.RecordBatch | pa.Array:
    """Return what a file holds; every batch of a packed column, unpacked."""
    held = content_of(name, directory.map(f"{folder}/{name}"), f"{folder}/{name}")
    return held.all() if isinstance(held, Packed) else held


def _check_indexes(directory: LocalDirectory, base: str, entry: SegmentEntry, audit: Audit, severity: str) -> None:
    for index in entry.indexes:
        audit.files += 1
        audit.bytes += index.file.bytes
        problem = index_damage(directory, base, entry, index)
        if problem is not None:
            audit.failed(problem, f"{base}/{names.SEGMENTS}/{entry.uuid}", severity)


def _without_repaired(directory: LocalDirectory, base: str, entry: SegmentEntry, located: Located) -> SegmentEntry:
    """Return a segment of an older version without the indexes that repair removed and built anew."""
    present = {(now.uuid, index.field) for now in located.manifest.segments for index in now.indexes}
    folder = f"{base}/{names.SEGMENTS}/{entry.uuid}"
    held = set(directory.list(folder))
    kept = [index for index in entry.indexes if index.file.name in held or (entry.uuid, index.field) not in present]
    return replace(entry, indexes=tuple(kept))


def _check_deletes(directory: LocalDirectory, base: str, entry: SegmentEntry, audit: Audit) -> None:
    if entry.deletes is None:
        return
    folder = f"{base}/{names.SEGMENTS}/{entry.uuid}"
    audit.files += 1
    audit.bytes += entry.deletes.bytes
    try:
        deleted = tombstones.read(directory, folder, entry.deletes)
    except CorruptionError as error:
        audit.failed(error, folder)
        return
    if deleted and deleted.max() >= entry.rows:
        audit.note(f"{folder}/{entry.deletes.name}", f"row {deleted.max()} is deleted, there are {entry.rows} rows")


def _check_requests(directory: LocalDirectory, base: str, version: Located, audit: Audit, severity: str) -> None:
    entry = version.manifest.requests
    if entry is None:
        return
    audit.files += 1
    audit.bytes += entry.bytes
    problem = requests.damage(directory, base, entry)
    if problem is not None:
        audit.failed(problem, f"{base}/{entry.name}", severity)


def _check_log(directory: LocalDirectory, base: str, located: Located, bad: set[str], audit: Audit) -> None:
    """Replay the log into memory, and see that no id is alive twice."""
    audit.files += len(directory.list(f"{base}/{names.WAL}"))
    if bad:
        return  # rows that cannot be read make any replay fail, and that is reported already
    report = OpenReport()
    try:
        closed_at = read_clean(directory, base)
        live = Live(directory, base, located, "first_use")
        replay_log(directory, base, live, report)
        check_clean(f"{base}/{names.CLEAN}", closed_at, live, report, alone=True)
        _check_logged(directory, base, located, live, audit)
        _unique_ids(live, base, audit)
    except CorruptionError as error:
        known = any(problem.path == error.path for problem in audit.problems)
        if not known:
            audit.failed(error, f"{base}/{names.WAL}")
    except (VecdbError, pa.ArrowException) as error:
        audit.note(f"{base}/{names.WAL}", f"the log cannot be replayed: {error}")
    if report.wal_tail_cut_bytes:
        audit.note(
            f"{base}/{names.WAL}",
            f"{report.wal_tail_cut_bytes} bytes at the end of the log are no complete write: "
            "a write that was never acknowledged, or damage to the last one",
            NOTE,
        )


def _check_logged(directory: LocalDirectory, base: str, located: Located, live: Live, audit: Audit) -> None:
    """Check the segments that only the log names, and that no link is alive twice."""
    named = {entry.uuid for entry in located.manifest.all_segments}
    for uuid, view in live.views.items():
        if uuid not in named:
            _check_segment(directory, base, view.segment.entry, audit)
    for uuid, view in live.links.views.items():
        if uuid not in named:
            _check_segment(directory, base, view.segment.entry, audit, _check_links)
    link = twice(live.links.state())
    if link is not None:
        audit.note(base, f"the link from {link[0]!r} to {link[1]!r} of type {link[2]!r} is alive twice")


def _unique_ids(live: Live, base: str, audit: Audit) -> None:
    pieces = [hashed for _, hashed in _live_ids(live)]
    unique, counts = np.unique(np.concatenate(pieces or [np.empty(0, np.uint64)]), return_counts=True)
    # Two ids may share a hash; that many that do would be a wonder, one pair is worth a look by id.
    doubtful = set(unique[counts > 1].tolist())
    if not doubtful:
        return
    seen: set[object] = set()
    for ids, hashed in _live_ids(live):
        for value, key in zip(ids, hashed.tolist(), strict=True):
            if key in doubtful:
                if value in seen:
                    audit.note(base, f"id {value!r} is alive twice")
                seen.add(value)


def _live_ids(live: Live) -> Iterator[tuple[list[Any], np.ndarray]]:
    """Yield the ids that are alive in each part, and their keys."""
    for part in live.state().parts:
        mask = part.live()
        ids = part.ids() if mask is None else part.ids().filter(pa.array(mask))
        listed = ids.to_pylist()
        yield listed, keys.keys_of(listed, ids.type)
