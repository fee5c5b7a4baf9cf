"""The memory of all requests together: a budget of a request that also asks the server's."""

import threading
from collections.abc import Callable

from vecdb.errors import ResourceExhaustedError
from vecdb_index.budget import Budget


class Memory:
    """How many bytes requests hold."""

    def __init__(self, limit: int, told: Callable[[float], None] | None = None) -> None:
        """Hold nothing; `told` is called with the bytes whenever they change."""
        self._limit = limit
        self._held = 0
        self._guard = threading.Lock()
        self._told = told

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._held

    def take(self, size: int) -> None:
        """Count bytes.

        Raises:
            ResourceExhaustedError: all requests together would hold more than the server may; later there is room.

        """
        with self._guard:
            if self._held + size > self._limit:
                raise ResourceExhaustedError(
                    f"requests hold {self._held} of {self._limit} bytes and this one needs {size}: try again later"
                )
            self._held += size
        if self._told is not None:
            self._told(self._held)

    def give(self, size: int) -> None:
        """Count bytes that were given back."""
        with self._guard:
            self._held -= size
        if self._told is not None:
            self._told(self._held)


class RequestBudget(Budget):
    """What one request may take of its own and of the server's memory. `end` gives back what is left."""

    def __init__(self, seconds: float | None, memory_bytes: int, memory: Memory) -> None:
        super().__init__(seconds, memory_bytes)
        self._memory: int = memory_bytes
        self._shared = memory

    def narrow(self, memory_bytes: int) -> None:
        """Hold at most so much from now on, where the server allows no less."""
        self._memory = min(self._memory, memory_bytes)

    def hold(self, stage: str, size: int) -> None:
        """Count memory that the request is about to take; see `Budget.hold`."""
        super().hold(stage, size)
        try:
            self._shared.take(size)
        except ResourceExhaustedError:
            super().release(size)
            raise

    def release(self, size: int) -> None:
        """Say that memory was given back."""
        super().release(size)
        self._shared.give(size)

    def end(self) -> None:
        """Give back all that the request still holds."""
        if self._held:
            self.release(self._held)
