"""Ways in which a file can be wrong: each is a value that can be sent to a child and applied to a copy there."""

import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from support.faults import kind_of
from vecdb.storage import wal

PAGE = 4096
WAYS = ("flip", "zero", "truncate", "swap", "older", "empty", "delete", "extra", "grow")


@dataclass(frozen=True)
class Damage:
    """One damage.

    Attributes:
        way: one of WAYS.
        name: the file, relative to the database.
        kind: its kind (see faults.kind_of).
        position: bit for flip; byte for zero and truncate; number of the variant for extra.
        other: the file to swap with, relative to the database; or the absolute path of an older version.

    """

    way: str
    name: str
    kind: str
    position: int = 0
    other: str = ""

    def apply(self, root: Path) -> bool:
        """Do it to a copy of the database; False when it changed no byte that means anything.

        Zeros at the end of a log mean nothing: a log that was not closed has any number of them. Nor does the padding
        of its frames, which no checksum covers.
        """
        path = root / self.name
        before = path.read_bytes()
        if self.way == "extra":
            self._add_extra(root, path, before)
            return True
        if self.way == "delete":
            path.unlink()
            return True
        if self.way == "swap":
            partner = root / self.other
            content = partner.read_bytes()
            partner.write_bytes(before)
        else:
            content = self._changed(before)
        # A new file under the old name: a copy may be made of hard links.
        path.unlink()
        path.write_bytes(content)
        if self.kind == "wal":
            return _meaning(content, before) != _meaning(before, before)
        return content != before

    def _changed(self, content: bytes) -> bytes:
        data = bytearray(content)
        if self.way == "flip":
            data[self.position // 8] ^= 1 << self.position % 8
        elif self.way == "zero":
            end = min(len(data), self.position + PAGE)
            data[self.position : end] = bytes(end - self.position)
        elif self.way == "truncate":
            del data[self.position :]
        elif self.way == "empty":
            data.clear()
        elif self.way == "grow":
            data += random.Random(self.position).randbytes(self.position)
        elif self.way == "older":
            data[:] = Path(self.other).read_bytes()
        return bytes(data)

    def _add_extra(self, root: Path, path: Path, content: bytes) -> None:
        folder = path.parent
        variant = self.position % 4
        if variant == 0:
            (folder / f"{path.name}.tmp.17.4").write_bytes(content[: len(content) // 2])
        elif variant == 1:
            (folder / "stranger.bin").write_bytes(b"not ours")
        elif variant == 2:
            # A name that could be ours, with content that was: one digit of the name differs.
            name = path.name
            for place, letter in enumerate(name):
                if letter.isdigit():
                    name = f"{name[:place]}{(int(letter) + 1) % 10}{name[place + 1 :]}"
                    break
            if not (folder / name).exists():
                (folder / name).write_bytes(content)
        elif folder != root:
            shutil.copytree(folder, folder.with_name("f" * 32), dirs_exist_ok=True)

    def __str__(self) -> str:
        detail = f" with {self.other}" if self.other else ""
        return f"{self.way} {self.kind} {self.name} at {self.position}{detail}"


def _meaning(content: bytes, pristine: bytes) -> bytes:
    """Return a log's bytes with zeros where the undamaged log has padding, without the zeros at its end."""
    data = bytearray(content)
    position = 0
    for frame, end in wal.frames(pristine):
        start = position + wal.PREFIX + len(frame.payload)
        if len(data) >= end:
            data[start:end] = bytes(end - start)
        position = end
    return bytes(data).rstrip(b"\0")


def files(root: Path) -> list[str]:
    """Return the names of all files below root."""
    found = (Path(folder) / name for folder, _, names in os.walk(root) for name in names)
    return sorted(path.relative_to(root).as_posix() for path in found)


def damages(root: Path, moments: list[Path], count: int, rng: random.Random) -> list[Damage]:
    """Draw damages so that every kind of file meets every way about equally often."""
    by_kind: dict[str, list[str]] = {}
    for name in files(root):
        by_kind.setdefault(kind_of(name), []).append(name)
    drawn: list[Damage] = []
    pairs = [(kind, way) for kind in sorted(by_kind) for way in WAYS]
    rng.shuffle(pairs)
    while len(drawn) < count:
        before = len(drawn)
        for kind, way in pairs:
            made = _draw(root, moments, kind, way, by_kind[kind], rng)
            if made is not None:
                drawn.append(made)
        assert len(drawn) > before, "no damage is possible"
    return drawn[:count]


def of_each(root: Path, moments: list[Path], names: list[str], rng: random.Random) -> list[Damage]:
    """Draw one damage for each of some files of one kind in each way that is possible; the others are its partners."""
    drawn = [_draw(root, moments, kind_of(name), way, names, rng, name) for name in names for way in WAYS]
    return [damage for damage in drawn if damage is not None]


def _draw(
    root: Path, moments: list[Path], kind: str, way: str, names: list[str], rng: random.Random, name: str | None = None
) -> Damage | None:
    name = name or rng.choice(names)
    size = (root / name).stat().st_size
    if way in ("flip", "zero", "truncate", "empty") and size == 0:
        return None
    if way == "flip":
        return Damage(way, name, kind, rng.randrange(size * 8))
    if way == "zero":
        return Damage(way, name, kind, rng.randrange(-(-size // PAGE)) * PAGE)
    if way == "truncate":
        return Damage(way, name, kind, rng.choice([size - 1, rng.randrange(size), size // 2]))
    if way == "grow":
        return Damage(way, name, kind, rng.randrange(1, 100))
    if way == "extra":
        return Damage(way, name, kind, rng.randrange(4))
    if way == "swap":
        others = [other for other in names if other != name]
        return Damage(way, name, kind, other=rng.choice(others)) if others else None
    if way == "older":
        content = (root / name).read_bytes()
        # The same file at an earlier moment; or, for files that never change, an earlier one of its kind.
        same = [str(moment / name) for moment in moments if (moment / name).exists()]
        same = [path for path in same if Path(path).read_bytes() != content]
        alike = [str(root / other) for other in names if other < name]
        chosen = same or alike
        return Damage(way, name, kind, other=rng.choice(chosen)) if chosen else None
    return Damage(way, name, kind)
