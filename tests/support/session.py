"""Carries out a ledger's operations on an open database, and tells how each ended, one line each.

The lines are those that `ledger.py` lists. A session keeps a ledger of its own, fed with its own lines, and takes the
next operation from it: so both sides of the pipe derive the same operations.
"""

import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.ledger import UPKEEP, Ledger
from support.workload import COLLECTION, Chore, Operation, PartlyStoredError
from vecdb.errors import ResourceExhaustedError, UnavailableError

Emit = Callable[[str], None]


class Session:
    """One open database under a workload."""

    def __init__(self, database: Any, ledger: Ledger, emit: Emit, outside: Path) -> None:
        self.database = database
        self.collection = database.collection(COLLECTION)
        self.ledger = ledger
        self.outside = outside
        self._emit = emit
        self._turn = threading.Lock()

    def write(self, writer: int) -> bool:
        """Do the writer's next operation; False when its script ended or its outcome is unknown."""
        with self._turn:
            made = self.ledger.next_operation(writer)
        return made is not None and self._done(str(writer), made, lambda: made.run(self.collection).rows)

    def keep(self) -> bool:
        """Do the next act of upkeep; False when the script ended or the outcome is unknown."""
        with self._turn:
            made = self.ledger.next_chore()
        if made is None:
            return False
        if made.kind == "backup":
            self.tell(f"begin {UPKEEP} {self.ledger.turn(UPKEEP)}")
        return self._done(UPKEEP, made, lambda: made.run(self.database, self.collection, self.outside))

    def tell(self, line: str) -> None:
        """Send a line and note it."""
        with self._turn:
            self._emit(line)
            self.ledger.note(line)

    def _done(self, actor: str, made: Operation | Chore, run: Callable[[], Any]) -> bool:
        turn = self.ledger.turn(actor)
        try:
            rows = run() or 0
        except PartlyStoredError as error:
            self.tell(f"part {actor} {turn} {error.rows}")
            return True
        except ResourceExhaustedError as error:
            # Of a stream the chunks before the refused one are stored; which one that was the error does not say.
            word = "unknown" if made.kind == "stream" else "refused"
            self.tell(f"{word} {actor} {turn} {made.kind} {type(error).__name__}: {_line(error)}")
            return word == "refused"
        except UnavailableError as error:
            self.tell(f"unknown {actor} {turn} {made.kind} {type(error).__name__}: {_line(error)}")
            return False
        except Exception as error:
            traceback.print_exc()
            self.tell(f"wrong {actor} turn {turn}, {made.kind}: {type(error).__name__}: {_line(error)}")
            self.tell(f"unknown {actor} {turn} {made.kind} {type(error).__name__}")
            return False
        self.tell(f"ack {actor} {turn} {rows}")
        return True


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:600]
