"""The only door to the file system.

Names are relative to the root and separated by "/". What holds after each call is said at each call; nothing else
may be assumed, because these are exactly the promises that POSIX file systems keep across a power cut:

- bytes written to a file are durable after the file is synced, its name after its directory is synced;
- a file that was published or renamed into place never changes again (the log aside), it is only ever unlinked:
  a mapping of an unlinked file stays readable, a mapping of a truncated one kills the process.

Faults plug in here: the crash tests subclass LocalDirectory.
"""

import contextlib
import errno
import os
import shutil
import socket
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from vecdb.errors import ConflictError, InvalidInputError, UnavailableError

if TYPE_CHECKING:
    import pyarrow as pa

TEMPORARY = ".tmp."

EARLY_BYTES = 32 << 20
"""A long file is synced each time so many bytes have been added."""

if sys.platform == "darwin":
    import fcntl

    def _sync_data(descriptor: int) -> None:
        # fsync on macOS stops at the disk's cache; F_FULLFSYNC does not.
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
else:
    _sync_data = getattr(os, "fdatasync", os.fsync)


@cache
def _syncer() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="vecdb-sync")


def write_all(descriptor: int, data: Any) -> int:
    """Write the whole buffer, however many system calls that takes; return its size in bytes."""
    view = memoryview(data).cast("B")
    total = len(view)
    while view:
        view = view[os.write(descriptor, view) :]
    return total


class Writer:
    """An open file that only this process writes. Nothing is durable before sync()."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._position = 0
        self._unsynced = 0
        self._early: Future[None] | None = None

    def write(self, data: Any) -> int:
        """Append a buffer at the current position and return its size in bytes."""
        count = write_all(self._descriptor, data)
        self._position += count
        return count

    def write_at(self, position: int, data: Any) -> None:
        """Overwrite bytes at position; the current position stays."""
        os.lseek(self._descriptor, position, os.SEEK_SET)
        write_all(self._descriptor, data)
        os.lseek(self._descriptor, self._position, os.SEEK_SET)

    def seek(self, position: int) -> None:
        """Continue writing at position; a gap behind the end reads as zeros."""
        self._position = os.lseek(self._descriptor, position, os.SEEK_SET)

    def tell(self) -> int:
        """Return the position of the next write."""
        return self._position

    def size(self) -> int:
        """Return the size in bytes that the file system reports."""
        return os.fstat(self._descriptor).st_size

    def truncate(self, size: int) -> None:
        """Cut the file. Only for files that nobody maps."""
        os.ftruncate(self._descriptor, size)

    def sync_early(self) -> None:
        """Start syncing beside the caller when much has been written: a long file is then short to sync at its end.

        A failure is kept and raised by sync().
        """
        if self._position - self._unsynced < EARLY_BYTES or (self._early is not None and not self._early.done()):
            return
        if self._early is None or self._early.exception() is None:
            self._unsynced = self._position
            self._early = _syncer().submit(_sync_data, self._descriptor)

    def sync(self) -> None:
        """Return once every byte written so far is on the disk. After a failure the file must not be trusted."""
        if self._early is not None:
            self._early.result()
        _sync_data(self._descriptor)

    def close(self) -> None:
        """Close without syncing."""
        if self._early is not None:
            wait([self._early])
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Lock:
    """A held flock; close() releases it. A killed process releases it at once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def close(self) -> None:
        """Release the lock; closing twice is fine."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class LocalDirectory:
    """A folder on a local file system that honours fsync."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)

    def path(self, name: str) -> Path:
        """Return the absolute path of a name ("." is the root), and refuse one that leaves the root."""
        if name == ".":
            return self.root
        parts = PurePosixPath(name).parts
        if not parts or name.startswith("/") or ".." in parts or "\0" in name:
            raise InvalidInputError(f"{name!r} is not a name inside the database", value=name)
        return self.root.joinpath(*parts)

    def exists(self, name: str) -> bool:
        """Tell whether a file or folder of this name exists."""
        return self.path(name).exists()

    def size(self, name: str) -> int:
        """Return the size of a file in bytes; FileNotFoundError when it is missing."""
        return self.path(name).stat().st_size

    def free(self) -> int:
        """Return the bytes that the file system has left for us."""
        if not hasattr(os, "statvfs"):
            return shutil.disk_usage(self.root).free
        status = os.statvfs(self.root)
        return status.f_bavail * status.f_frsize

    def list(self, name: str) -> list[str]:
        """Return the names inside a folder, sorted; an absent folder is empty."""
        try:
            return sorted(os.listdir(self.path(name)))
        except FileNotFoundError:
            return []

    def read(self, name: str) -> bytes:
        """Return the whole content of a file."""
        return self.path(name).read_bytes()

    def read_from(self, name: str, position: int, most: int = -1) -> bytes:
        """Return what stands behind position, so many bytes at most; empty when the file ends before it."""
        with open(self.path(name), "rb") as file:
            file.seek(position)
            return file.read(most)

    def map(self, name: str) -> "pa.Buffer":
        """Map a file read-only without copying; the mapping outlives the file's name and holds no descriptor."""
        import pyarrow as pa

        path = self.path(name)
        if path.stat().st_size == 0:
            return pa.py_buffer(b"")
        with pa.memory_map(str(path)) as file:
            return file.read_buffer()

    def make(self, name: str) -> None:
        """Create a folder and the missing ones above it; durable on return, and fine when it exists."""
        missing = []
        path = self.path(name)
        while not path.exists():
            missing.append(path)
            path = path.parent
        for path in reversed(missing):
            path.mkdir(mode=0o700, exist_ok=True)
            self._sync_folder(path.parent)

    def create(self, name: str) -> Writer:
        """Open a new file for writing; FileExistsError when the name is taken. Its name is durable after sync_dir."""
        path = self.path(name)
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
        return Writer(path, os.open(path, flags, 0o600))

    def publish(self, name: str, data: bytes) -> None:
        """Create a file with this content, whole and durable on return, or not at all.

        Raises:
            FileExistsError: the name is taken; the existing file is untouched.

        """
        path = self.path(name)
        temporary = self._write_temporary(path, data)
        try:
            os.link(temporary, path)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP) or path.exists():
                raise
            os.rename(temporary, path)  # a file system without hard links
            temporary = None
        finally:
            if temporary is not None:
                os.unlink(temporary)
        self._sync_folder(path.parent)

    def swap(self, name: str, data: bytes) -> None:
        """Replace a file by this content in one step, durable on return. A reader sees the old bytes or the new."""
        path = self.path(name)
        temporary = self._write_temporary(path, data)
        os.rename(temporary, path)
        self._sync_folder(path.parent)

    def rename(self, old: str, new: str) -> None:
        """Move a file or folder inside the database; durable on return."""
        source, target = self.path(old), self.path(new)
        os.rename(source, target)
        self._sync_folder(target.parent)
        if source.parent != target.parent:
            self._sync_folder(source.parent)

    def unlink(self, name: str) -> None:
        """Remove a file if it exists. Existing mappings stay readable."""
        self.path(name).unlink(missing_ok=True)

    def remove_tree(self, name: str) -> None:
        """Remove a folder and everything in it, if it exists."""
        shutil.rmtree(self.path(name), ignore_errors=True)

    def sync_dir(self, name: str) -> None:
        """Return once the names inside a folder are durable."""
        self._sync_folder(self.path(name))

    def lock(self, name: str) -> Lock:
        """Take the one writer's lock or raise ConflictError at once, naming the holder.

        flock and not lockf: the latter is lost when any descriptor of the file is closed anywhere in the process.
        """
        try:
            import fcntl
        except ImportError:
            raise UnavailableError("this platform has no flock: open the database with read_only=True") from None
        path = self.path(name)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
            os.close(descriptor)
            if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK):
                raise
            raise ConflictError(
                f"another writer has {self.root} open ({holder or 'unknown'}); open it with read_only=True, "
                "or close the other one"
            ) from None
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with contextlib.suppress(OSError):  # advice for people: the lock holds without it, also on a full disk
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"pid {os.getpid()} on {socket.gethostname()} since {now}\n".encode(), 0)
        return Lock(descriptor)

    def _write_temporary(self, path: Path, data: bytes) -> Path:
        temporary = path.with_name(f"{path.name}{TEMPORARY}{os.getpid()}.{threading.get_ident()}")
        descriptor = os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | getattr(os, "O_CLOEXEC", 0), 0o600)
        try:
            write_all(descriptor, data)
            size = os.fstat(descriptor).st_size
            if size != len(data):
                raise OSError(errno.EIO, f"wrote {len(data)} bytes, the file has {size}", str(temporary))
            self._sync_file(descriptor)
        except BaseException:
            os.close(descriptor)
            os.unlink(temporary)
            raise
        os.close(descriptor)
        return temporary

    def _sync_file(self, descriptor: int) -> None:
        _sync_data(descriptor)

    def _sync_folder(self, path: Path) -> None:
        if os.name == "nt":
            return  # Windows cannot open folders; durability of names is not promised there
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
