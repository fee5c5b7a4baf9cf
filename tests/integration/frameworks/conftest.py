"""Where the frameworks' stores are: every suite runs on each."""

from collections.abc import Iterator
from typing import Any

import pytest

import vecdb


@pytest.fixture(params=["embedded"])
def location(request: pytest.FixtureRequest) -> Iterator[Any]:
    """An open database without collections."""
    with vecdb.connect(":memory:") as database:
        yield database
