"""Snapshots that clients hold: each is let go when it is closed, or when nobody has read it for the time of its lease.

A token is 16 random bytes and belongs to one collection and to one caller; whoever else shows it gets the error of a
token that never was. What is kept is the whole state; each read sees of it what its caller may see.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vecdb.errors import NotFoundError, ResourceExhaustedError

if TYPE_CHECKING:
    from vecdb.reads import Snapshot


@dataclass(slots=True)
class _Lease:
    snapshot: Snapshot
    owner: str
    seconds: float
    until: float


class Leases:
    """All snapshots that are held."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[bytes, _Lease] = {}
        self._guard = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def open(self, snapshot: Snapshot, owner: str, seconds: float) -> bytes:
        """Hold a snapshot, and return its token.

        Raises:
            ResourceExhaustedError: too many are held.

        """
        self.expire()
        token = secrets.token_bytes(16)
        with self._guard:
            if len(self._held) >= self._most:
                raise ResourceExhaustedError(f"{self._most} snapshots are open: close some, or wait for their leases")
            self._held[token] = _Lease(snapshot, owner, seconds, time.monotonic() + seconds)
        return token

    def read(self, token: bytes, collection: str, owner: str) -> Snapshot:
        """Return a snapshot and renew its lease.

        Raises:
            NotFoundError: there is none, or not of this collection, or not this caller's.

        """
        with self._guard:
            lease = self._mine(token, collection, owner)
            lease.until = time.monotonic() + lease.seconds
            return lease.snapshot

    def renew(self, token: bytes, collection: str, owner: str) -> float:
        """Renew the lease of a snapshot, and return its seconds.

        Raises:
            NotFoundError: as `read`.

        """
        self.read(token, collection, owner)
        with self._guard:
            return self._mine(token, collection, owner).seconds

    def close(self, token: bytes, collection: str, owner: str) -> None:
        """Let a snapshot go; one that is gone already is fine."""
        with self._guard:
            held = self._held.get(token)
            if held is not None and held.owner == owner and held.snapshot.name == collection:
                del self._held[token]

    def forget(self, collection: str) -> None:
        """Let go all snapshots of a collection that is dropped."""
        with self._guard:
            self._held = {token: held for token, held in self._held.items() if held.snapshot.name != collection}

    def expire(self) -> None:
        """Let go what nobody has read in time."""
        now = time.monotonic()
        with self._guard:
            self._held = {token: held for token, held in self._held.items() if held.until > now}

    def _mine(self, token: bytes, collection: str, owner: str) -> _Lease:
        lease = self._held.get(token)
        if (
            lease is None
            or lease.owner != owner
            or lease.snapshot.name != collection
            or lease.until <= time.monotonic()
        ):
            raise NotFoundError("this snapshot is not open: it was closed, or nobody read it for the time of its lease")
        return lease
