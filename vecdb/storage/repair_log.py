"""Repair of the log: it is kept up to its damage, and the next open replays that.

What is cut off goes to lost+found/. CLEAN says how many writes there were, so a log that ends too early is a loss
that must be allowed, even though every byte of it is sound.
"""

import orjson

from vecdb.errors import CorruptionError
from vecdb.storage import format as names
from vecdb.storage import wal
from vecdb.storage.directory import LocalDirectory
from vecdb.storage.manifest import Located, SegmentEntry
from vecdb.storage.recovery import log_epoch, log_names, read_clean
from vecdb.storage.repair_run import LOST, Repair, file_damage


def first_logged(directory: LocalDirectory, base: str) -> int | None:
    """Return the first write that the log files can hold, by their names; None without a log."""
    for path in log_names(directory, base):
        match = names.WAL_NAME.fullmatch(path.rpartition("/")[2])
        if match is not None:
            return int(match[2])
    return None


def repair_log(run: Repair, base: str, located: Located) -> int:
    """Make the log readable from the floor that is returned."""
    directory = run.directory
    floor = located.manifest.floor
    first = first_logged(directory, base)
    if first is not None and first > floor + 1:
        error = CorruptionError(f"the log begins with write {first}, write {floor + 1} is missing", path=base)
        run.lose(error, f"writes {floor + 1} to {first - 1} are lost")
        run.rows_lost += first - 1 - floor
        floor = first - 1
    last, cut = _readable_until(run, base, floor)
    if not log_names(directory, base):
        error = CorruptionError(f"{base}/{names.WAL} holds no log", path=f"{base}/{names.WAL}")
        run.lose(error, "the log was gone")
        _new_log(run, base, located, last)
    _repair_clean(run, base, last, cut)
    return floor


def _readable_until(run: Repair, base: str, floor: int) -> tuple[int, int | None]:
    """Cut the log at its first damage; return the last write that stays, and how many were cut, None if none was."""
    directory = run.directory
    expected: int | None = None
    for path in log_names(directory, base):
        data = directory.read(path)
        try:
            found = wal.scan(data, path)
            if expected is not None and found.first_lsn != expected:
                raise CorruptionError(
                    f"{path} begins with write {found.first_lsn}, write {expected} is missing", path=path
                )
            _check_segments(run, base, found, floor, path)
        except CorruptionError as error:
            return _cut(run, base, path, data, error, floor)
        expected = (found.frames[-1].lsn if found.frames else found.first_lsn - 1) + 1
    return (floor if expected is None else expected - 1), None


def _check_segments(run: Repair, base: str, found: wal.Scan, floor: int, path: str) -> None:
    """Raise CorruptionError when a segment that only the log names is damaged."""
    for frame in found.frames:
        if frame.type in (wal.SEGMENTS, wal.LINK_SEGMENTS) and frame.lsn > floor:
            for listed in orjson.loads(bytes(frame.payload)):
                entry = SegmentEntry.from_json(listed)
                for file in entry.files:
                    damage = file_damage(run.directory, base, entry, file)
                    if damage is not None:
                        raise _UnreadableError(frame.lsn, f"write {frame.lsn} in {path}: {damage}", path)


class _UnreadableError(CorruptionError):
    """The write `lsn` cannot be replayed, although its frame can be read."""

    def __init__(self, lsn: int, message: str, path: str) -> None:
        super().__init__(message, path=path)
        self.lsn = lsn


def _cut(run: Repair, base: str, path: str, data: bytes, error: CorruptionError, floor: int) -> tuple[int, int]:
    """Keep the readable beginning of a log file, set aside the rest; return the last write kept, and how many not."""
    directory = run.directory
    stop = error.lsn if isinstance(error, _UnreadableError) else None
    end, last = 0, floor
    for frame, behind in wal.frames(data):
        if frame.lsn == stop or (end == 0 and frame.type != wal.FILE) or (end and frame.lsn != last + 1):
            break
        end, last = behind, frame.lsn
    later = [name for name in log_names(directory, base) if name > path]
    run.lose(error, f"the log is cut behind write {last}; what follows is set aside in {LOST}")
    cut = {frame.lsn for frame in _all_frames(data) if frame.lsn > last and frame.type != wal.FILE}
    for name in later:
        cut |= {frame.lsn for frame in _all_frames(directory.read(name)) if frame.type != wal.FILE}
    directory.make(f"{base}/{LOST}")
    for name in (path, *later):
        directory.rename(name, f"{base}/{LOST}/{name.rpartition('/')[2]}-{names.nonce(4)}")
    if end:
        directory.publish(path, data[:end])
    last = max(last, floor)
    return last, max(len(cut), max(cut, default=last) - last)


def _all_frames(data: bytes) -> list[wal.Frame]:
    """Return every valid frame, also those behind damage."""
    found = []
    needle = wal.MAGIC.to_bytes(4, "little")
    position = data.find(needle)
    while position >= 0:
        end = position + 1
        for frame, behind in wal.frames(data, position):
            found.append(frame)
            end = behind
        position = data.find(needle, end)
    return found


def _repair_clean(run: Repair, base: str, last: int, cut: int | None) -> None:
    """Count the lost writes, and remove a CLEAN that is damaged or contradicts the log.

    Writes that it knew of and the log does not hold are lost.
    """
    directory = run.directory
    path = f"{base}/{names.CLEAN}"
    try:
        closed_at = read_clean(directory, base)
    except CorruptionError:
        run.actions.append(f"removed {path}, which was damaged")
        run.rows_lost += cut or 0
    else:
        run.rows_lost += max(cut or 0, (closed_at or last) - last)
        if closed_at is None:
            return
        if closed_at > last and cut is None:
            error = CorruptionError(f"the log ends with write {last} and was closed after write {closed_at}", path=path)
            run.lose(error, f"{closed_at - last} writes at the end of the log are lost")
        elif closed_at == last and not _torn(run, base):
            return
    directory.unlink(path)
    directory.sync_dir(base)


def _torn(run: Repair, base: str) -> bool:
    path = log_names(run.directory, base)[-1]
    return wal.scan(run.directory.read(path), path).cut > 0


def _new_log(run: Repair, base: str, located: Located, last: int) -> None:
    epoch = max([located.manifest.epoch, *(log_epoch(name) for name in log_names(run.directory, base))]) + 1
    name = f"{base}/{names.WAL}/{names.wal_name(epoch, last + 1)}"
    run.directory.make(f"{base}/{names.WAL}")
    run.directory.make(f"{base}/{names.TMP}")
    wal.LogWriter(run.directory, name, located.manifest.collection, epoch, last + 1).close()
