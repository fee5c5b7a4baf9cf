"""The memory of all requests together: a budget of a request that also asks the server's."""

import threading

from vecdb.errors import ResourceExhaustedError
from vecdb_index.budget import Budget
from vecdb_server.sheets import NOW, RESERVED, Sheets


class Memory:
    """How many bytes requests hold, in all processes of the server together.

    Two processes that ask at the same moment may together get more than there is, by what the two requests hold.
    """

    def __init__(self, limit: int, sheets: Sheets | None = None) -> None:
        """Hold nothing; `sheets` are those of the processes that share the limit."""
        self._limit = limit
        self._sheets = Sheets(NOW) if sheets is None else sheets
        self._sheet = self._sheets.own
        self._guard = threading.Lock()

    @property
    def held(self) -> int:
        """Bytes that are held now."""
        return self._sheets.total(RESERVED)

    def take(self, size: int) -> None:
        """Count bytes.

        Raises:
            ResourceExhaustedError: all requests together would hold more than the server may; later there is room.

        """
        with self._guard:
            held = self.held
            if held + size > self._limit:
                raise ResourceExhaustedError(
                    f"requests hold {held} of {self._limit} bytes and this one needs {size}: try again later"
                )
            self._sheet[RESERVED] += size

    def give(self, size: int) -> None:
        """Count bytes that were given back."""
        with self._guard:
            self._sheet[RESERVED] -= size


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
