"""File systems on loop devices whose power can be cut.

The cut is the shutdown ioctl of ext4 and xfs with NOLOGFLUSH: dirty pages and the unwritten journal are gone at once,
as if the machine had lost power; the next mount replays the journal for real. It does not reorder writes inside a
flush and tears no sectors: damage of that kind is the business of test_damage.py.
"""

import contextlib
import gc
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FS_IOC_SHUTDOWN, NOLOGFLUSH = 0x8004587D, 2  # _IOR('X', 125, u32)

_MAKE = {"ext4": ["mkfs.ext4", "-q", "-F"], "xfs": ["mkfs.xfs", "-q", "-f"]}
# mkfs.xfs refuses less than 300 MiB; the images are sparse.
_MEGABYTES = {"ext4": 128, "xfs": 320}


def unavailable(kind: str) -> str:
    """Return why volumes of this kind cannot be had here, empty if they can."""
    if sys.platform != "linux":
        return "power cuts need Linux"
    if os.geteuid() != 0:
        return "power cuts need root, to mount loop devices"
    if kind in _MAKE and shutil.which(_MAKE[kind][0]) is None:
        return f"{_MAKE[kind][0]} is not installed (packages e2fsprogs, xfsprogs)"
    if kind != "tmpfs" and not Path("/dev/loop-control").exists():
        return "this kernel has no loop devices"
    return ""


def open_files(folder: Path) -> list[str]:
    """Return the files below a folder that this process has open, removed ones too; none where /proc is missing."""
    found = []
    for descriptor in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(descriptor))
    return sorted(name for name in found if name.startswith(f"{folder}/"))


@dataclass
class Volume:
    """A mounted file system in an image file."""

    kind: str
    image: Path
    mount_point: Path

    def mount(self) -> None:
        """Mount the image; replays the journal after a cut."""
        _run("mount", "-o", "loop", str(self.image), str(self.mount_point))

    def unmount(self) -> None:
        """Unmount; the loop device detaches itself."""
        gc.collect()  # what a database had mapped keeps the volume busy
        _run("umount", str(self.mount_point))

    def settle(self) -> None:
        """Return once everything written so far is on the disk."""
        _run("sync", "-f", str(self.mount_point))

    def cut(self) -> None:
        """Cut the power: nothing that is not on the disk by now will be there after the next mount."""
        import fcntl

        descriptor = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, FS_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(descriptor)

    def cycle(self) -> None:
        """Unmount and mount again; every process that used the volume must be gone."""
        self.unmount()
        self.mount()


@contextmanager
def volume(kind: str, folder: Path, megabytes: int | None = None) -> Iterator[Volume]:
    """Make and mount a file system of its own image in `folder`; unmounts it whatever happens."""
    image, mount_point = folder / f"{kind}.img", folder / kind
    mount_point.mkdir(parents=True)
    with open(image, "wb") as file:
        file.truncate((megabytes or _MEGABYTES[kind]) << 20)
    _run(*_MAKE[kind], str(image))
    made = Volume(kind, image, mount_point)
    made.mount()
    try:
        yield made
    finally:
        _unmount_for_good(mount_point)
        image.unlink()


@contextmanager
def small_tmpfs(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount an empty tmpfs of that size."""
    folder.mkdir(parents=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        _unmount_for_good(folder)


def _unmount_for_good(mount_point: Path) -> None:
    """Unmount; when something still uses the volume, detach it now and let the kernel finish later."""
    if os.path.ismount(mount_point) and subprocess.run(["umount", str(mount_point)], check=False).returncode:
        _run("umount", "-l", str(mount_point))


def _run(*command: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {result.stderr.strip()}")
