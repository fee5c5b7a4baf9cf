"""Where the frameworks' stores are: every suite runs in this process and through a server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.ways import opened


@pytest.fixture(params=["embedded", "blocking"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """An open database without collections."""
    with opened(request.param, tmp_path / "database") as database:
        yield database
