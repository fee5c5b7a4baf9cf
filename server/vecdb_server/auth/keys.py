"""API keys: `vdb_<keyid>_<secret>`. The file keeps the SHA-256 of the secret and never the secret.

A secret has 32 random bytes, so a slow hash would protect nothing. A key is looked up by its id, so that the time of a
look-up tells nothing of secrets.
"""

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from vecdb.errors import InvalidInputError, NotFoundError

PREFIX = "vdb_"
_TOKEN = re.compile(r"vdb_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}")
_NOBODY = hashlib.sha256(b"").hexdigest()


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key, as the file has it. Times are seconds since 1970."""

    id: str
    name: str
    sha256: str
    roles: list[str]
    created: float
    expires: float | None = None
    revoked: float | None = None

    def state(self, now: float) -> str:
        """Return "valid", "expired" or "revoked"."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "valid"


class _File(msgspec.Struct, forbid_unknown_fields=True):
    keys: list[Key]


@dataclass(frozen=True, slots=True)
class Keys:
    """All keys of a file, by id."""

    by_id: dict[str, Key]

    @classmethod
    def read(cls, path: Path) -> "Keys":
        """Read a file of keys.

        Raises:
            NotFoundError: there is none.
            InvalidInputError: it is malformed, or others than its owner may read it.

        """
        try:
            if os.name == "posix" and path.stat().st_mode & 0o077:
                raise InvalidInputError(f"others may read {path}: run chmod 600 on it")
            content = msgspec.json.decode(path.read_bytes(), type=_File)
        except FileNotFoundError:
            raise NotFoundError(f"there is no file of keys {path}: `vecdb-server keys add` makes it") from None
        except msgspec.DecodeError as error:
            raise InvalidInputError(f"{path} is not a file of keys: {error}") from None
        return cls({key.id: key for key in content.keys})

    @classmethod
    def read_or_none(cls, path: Path) -> "Keys":
        """Read a file of keys that may not exist yet."""
        try:
            return cls.read(path)
        except NotFoundError:
            return cls({})

    def write(self, path: Path) -> None:
        """Replace the file, readable by its owner alone; durable on return."""
        path.parent.mkdir(parents=True, exist_ok=True)
        data = msgspec.json.format(msgspec.json.encode(_File(list(self.by_id.values()))), indent=2)
        made = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        file = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(file, "wb") as out:
                out.write(data + b"\n")
                out.flush()
                os.fsync(out.fileno())
            os.replace(made, path)
        except BaseException:
            made.unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def find(self, token: str, now: float) -> Key | None:
        """Return the valid key of a token."""
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        key = self.by_id.get(match[1])
        same = hmac.compare_digest(_hashed(match[2]), _NOBODY if key is None else key.sha256)
        return key if key is not None and same and key.state(now) == "valid" else None

    # -- changes; each returns new keys ---------------------------------------------------------------------------

    def with_key(self, name: str, roles: Sequence[str], expires: float | None = None) -> tuple["Keys", Key, str]:
        """Make a key; returns it and its token, which nothing keeps.

        Raises:
            InvalidInputError: the name is malformed.

        """
        if not _NAME.fullmatch(name):
            raise InvalidInputError(
                f"{name!r} cannot name a key: a name has 1 to 64 letters, digits, spaces and ._@- and begins with a "
                "letter or digit",
                field="name",
                value=name,
            )
        secret = secrets.token_urlsafe(32)
        key = Key(secrets.token_hex(6), name, _hashed(secret), list(roles), time.time(), expires)
        return Keys({**self.by_id, key.id: key}), key, f"{PREFIX}{key.id}_{secret}"

    def rotated(self, given: str, grace: float) -> tuple["Keys", Key, str]:
        """Make a key with the name and the roles of another one, which expires after `grace` seconds."""
        old = self.key(given)
        ends = time.time() + grace
        ending = msgspec.structs.replace(old, expires=ends if old.expires is None else min(ends, old.expires))
        return Keys({**self.by_id, old.id: ending}).with_key(old.name, old.roles, None)

    def revoked(self, given: str) -> "Keys":
        """Make a key invalid for good."""
        old = self.key(given)
        return Keys({**self.by_id, old.id: msgspec.structs.replace(old, revoked=time.time())})

    def key(self, given: str) -> Key:
        """Return the key of an id.

        Raises:
            NotFoundError: there is none.

        """
        found = self.by_id.get(given)
        if found is None:
            raise NotFoundError(f"there is no key {given!r}: `vecdb-server keys list` shows them")
        return found


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Keep other processes from changing a file of keys while the block runs: they wait for its end.

    The lock is a file of its own, which stays: each change replaces the file of keys.

    Raises:
        NotFoundError: there is no folder for the file.

    """
    import fcntl

    try:
        file = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise NotFoundError(f"there is no folder {path.parent} with a file of keys") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def _hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
