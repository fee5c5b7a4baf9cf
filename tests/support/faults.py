"""Named places where a database touches the disk, and what can be made to happen there.

A point is "<operation>:<kind of file>:<moment>", e.g. "link:manifest:before" or "write:wal:half". Operations are what
the kernel is asked for (create, write, sync, link, rename, unlink, truncate, sync_dir) and the few that Python does
as one (make, remove_tree, map, read, list); moments are before, after, and for a write half, when the first half of
the bytes is in the file. Names are derived from the calls, so a new call in the engine is a new point at once.

The surprise: the points inside `publish` and `swap` are reached by standing in for the `os` module in
vecdb.storage.directory, not by re-implementing the two here: what is tested is the engine's own order of calls.
"""

import errno
import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vecdb.storage import directory as seam
from vecdb.storage.directory import LocalDirectory

_UUID = re.compile(r"[0-9a-f]{32}")
_SEGMENT_FILE = re.compile(
    r"(ids|keys|data|text|sparse|vec|norm|index|nodes|out|in|attributes)(-\d+)?(-[0-9a-f]{12})?\.arrow"
)
_FOLDERS = ("wal", "manifests", "segments", "tmp", "catalog", "collections")

GROWING = ("create", "write", "sync", "link", "rename", "make", "sync_dir")


class Plan:
    """What happens at which point of the database at `root`.

    Args:
        action: "trace" counts points; "kill" sends SIGKILL to this process when `point` is hit for the `nth` time;
            "park" says "parked" on standard output there, and waits to be killed;
            "fail" raises OSError(code) at the `nth` point of all (0: never), once, or with `sticky` from then on
            (for ENOSPC only where something grows counts: a full disk can be read and cleaned);
            "fail_at" raises it when `point` is next hit, once.
        root: paths elsewhere are left alone.

    """

    def __init__(
        self, action: str = "trace", point: str = "", nth: int = 1, code: int = errno.EIO, root: str = "",
        sticky: bool = False,
    ) -> None:  # fmt: skip
        self.action = action
        self.point = point
        self.nth = nth
        self.code = code
        self.root = root
        self.sticky = sticky
        self.counts: Counter[str] = Counter()
        self.total = 0
        self.failed_at = ""
        self._lock = threading.Lock()

    def hit(self, point: str) -> None:
        """Pass a point, if the plan lets us."""
        with self._lock:
            self.counts[point] += 1
            if self.code == errno.ENOSPC and point.partition(":")[0] not in GROWING:
                return
            self.total += 1
            if self.action == "park" and point == self.point and self.counts[point] == self.nth:
                os.write(1, b"parked\n")
                threading.Event().wait()
            if self.action == "kill" and point == self.point and self.counts[point] == self.nth:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.action == "fail_at" and point == self.point:
                self.action, self.failed_at = "trace", point
                raise OSError(self.code, os.strerror(self.code), point)
            due = self.total == self.nth or (self.sticky and self.total > self.nth > 0)
            if self.action == "fail" and due:
                self.failed_at = self.failed_at or point
                raise OSError(self.code, os.strerror(self.code), point)

    @contextmanager
    def around(self, operation: str, path: str) -> Iterator[None]:
        """Pass the points before and after an operation on a path."""
        name = self.name_of(path)
        if name is None:
            yield
            return
        self.hit(f"{operation}:{kind_of(name)}:before")
        yield
        self.hit(f"{operation}:{kind_of(name)}:after")

    def name_of(self, path: str) -> str | None:
        """Return a path's name inside the database, None for one outside."""
        relative = os.path.relpath(path, self.root)
        return None if relative.startswith("..") else relative.replace(os.sep, "/")


def kind_of(name: str) -> str:
    """Return the kind of a file, e.g. "wal", "tmp-manifest", "segment-vec", "folder-wal"."""
    *above, last = name.split("/")
    temporary = "tmp-" if "tmp" in above or ".tmp." in last else ""
    last = last.partition(".tmp.")[0]
    catalog = "catalog-" if "catalog" in above else ""
    segment = _SEGMENT_FILE.fullmatch(last)
    if segment:
        return f"{temporary}segment-{segment.group(1)}"
    if last == "CURRENT" or (last.endswith(".json") and "manifests" in above):
        return f"{temporary}{catalog}{'current' if last == 'CURRENT' else 'manifest'}"
    if last in ("FORMAT", "LOCK", "CLEAN"):
        return f"{temporary}{last.lower()}"
    if last.startswith("requests-"):
        return f"{temporary}requests"
    if last.endswith((".wal", ".roar")):
        return f"{temporary}{'wal' if last.endswith('.wal') else 'deletions'}"
    if last in _FOLDERS:
        return f"folder-{catalog}{last}"
    if _UUID.fullmatch(last):
        return f"folder-{temporary}segment" if {"segments", "tmp"} & {*above} else "folder-collection"
    return "folder-root" if name == "." else f"{temporary}other"


class SystemCalls:
    """Stands in for the `os` module inside vecdb.storage.directory; everything not named here is passed on."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._paths: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        if not flags & os.O_CREAT:
            descriptor = os.open(path, flags, mode)
        else:
            with self._plan.around("create", str(path)):
                descriptor = os.open(path, flags, mode)
        self._paths[descriptor] = str(path)
        return descriptor

    def close(self, descriptor: int) -> None:
        self._paths.pop(descriptor, None)
        os.close(descriptor)

    def write(self, descriptor: int, data: Any) -> int:
        path = self._paths.get(descriptor, "")
        name = self._plan.name_of(path) if path else None
        with self._plan.around("write", path or "/"):
            view = memoryview(data).cast("B")
            half = len(view) // 2
            if name is None or half == 0:
                return os.write(descriptor, view)
            written = os.write(descriptor, view[:half])
            self._plan.hit(f"write:{kind_of(name)}:half")
            return written + os.write(descriptor, view[written:])

    def fsync(self, descriptor: int) -> None:
        path = self._paths.get(descriptor, "/")
        with self._plan.around("sync_dir" if os.path.isdir(path) else "sync", path):
            os.fsync(descriptor)

    def ftruncate(self, descriptor: int, size: int) -> None:
        with self._plan.around("truncate", self._paths.get(descriptor, "/")):
            os.ftruncate(descriptor, size)

    def link(self, source: Any, target: Any) -> None:
        with self._plan.around("link", str(target)):
            os.link(source, target)

    def rename(self, source: Any, target: Any) -> None:
        with self._plan.around("rename", str(target)):
            os.rename(source, target)
            # A log is renamed while it is open: what is written to it from now on is written to its new name.
            for descriptor, path in self._paths.items():
                if path == str(source):
                    self._paths[descriptor] = str(target)

    def unlink(self, path: Any) -> None:
        with self._plan.around("unlink", str(path)):
            os.unlink(path)


class FaultyDirectory(LocalDirectory):
    """A LocalDirectory whose calls pass the points of the installed plan."""

    def make(self, name: str) -> None:
        if self.exists(name):
            return super().make(name)
        with _installed().around("make", str(self.path(name))):
            return super().make(name)

    def unlink(self, name: str) -> None:
        with _installed().around("unlink", str(self.path(name))):
            super().unlink(name)

    def remove_tree(self, name: str) -> None:
        with _installed().around("remove_tree", str(self.path(name))):
            super().remove_tree(name)

    def list(self, name: str) -> list[str]:
        with _installed().around("list", str(self.path(name))):
            return super().list(name)

    def read(self, name: str) -> bytes:
        with _installed().around("read", str(self.path(name))):
            return super().read(name)

    def map(self, name: str) -> Any:
        with _installed().around("map", str(self.path(name))):
            return super().map(name)


_PLAN: list[Plan] = []
_ORIGINAL = {"os": os, "_sync_data": vars(seam)["_sync_data"]}


def install(plan: Plan) -> None:
    """Make this process pass the plan's points; for the rest of its life, or until `uninstall`."""
    calls = SystemCalls(plan)
    _PLAN[:] = [plan]

    def sync_data(descriptor: int) -> None:
        calls.fsync(descriptor)

    seam.__dict__.update(os=calls, _sync_data=sync_data)


def uninstall() -> None:
    """Give vecdb.storage.directory its own system calls back."""
    seam.__dict__.update(_ORIGINAL)
    _PLAN.clear()


def reached() -> dict[str, int]:
    """Return how often each point was hit in this process."""
    return dict(_PLAN[0].counts) if _PLAN else {}


def _installed() -> Plan:
    return _PLAN[0] if _PLAN else Plan(root=str(Path.cwd() / "nowhere"))
