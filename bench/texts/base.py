"""What the workload `text` asks of an engine."""

from pathlib import Path
from typing import Protocol

import numpy as np


class Engine(Protocol):
    """Full-text search over texts that have a group each: whole numbers, of which a query may name one."""

    def build(self, texts: list[str], groups: np.ndarray, home: Path) -> None:
        """Index the texts, whose ids are their numbers, as a user does, and leave files in `home`."""
        ...

    def open(self, home: Path) -> None:
        """Make ready what was built."""
        ...

    def search(self, question: str, k: int) -> list[int]:
        """Return the ids of the best texts, best first."""
        ...

    def filtered(self, question: str, k: int, group: int) -> list[int] | None:
        """Return the best of one group; None where the engine has no filters."""
        ...
