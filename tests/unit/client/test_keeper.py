"""Leases are renewed while somebody holds their snapshot, and no longer."""

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Any

from vecdb.errors import UnavailableError
from vecdb_client.aio import keeper as waiting
from vecdb_client.blocking import keeper as blocking


class Held:
    """What a keeper knows of a snapshot; every other renewal fails."""

    lease = 0.003

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def renewed(self) -> None:
        self.told.append("renewed")
        if len(self.told) % 2:
            raise UnavailableError("out of reach for a moment")


class Blocking(Held):
    def _renew(self) -> None:
        self.renewed()


class Waiting(Held):
    async def _renew(self) -> None:
        self.renewed()


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.001)


def test_a_thread_renews_what_is_held_and_ends_with_the_last_one() -> None:
    keeper, told = blocking.Keeper(), ([], [])
    first: Any = Blocking(told[0])
    second: Any = Blocking(told[1])
    keeper.keep(first)
    keeper.keep(second)
    until(lambda: len(told[0]) > 3 and len(told[1]) > 3)

    del first  # nobody refers to it any more
    gc.collect()
    keeper.forget(second)

    until(lambda: not keeper._running)
    keeper.keep(second)
    count = len(told[1])
    until(lambda: len(told[1]) > count)
    keeper.close()
    until(lambda: not keeper._running)


def test_a_task_renews_what_is_held_and_ends_with_the_last_one() -> None:
    async def run() -> None:
        keeper, told = waiting.Keeper(), ([], [])
        first: Any = Waiting(told[0])
        second: Any = Waiting(told[1])
        keeper.keep(first)
        keeper.keep(second)
        while len(told[0]) < 4 or len(told[1]) < 4:
            await asyncio.sleep(0.001)

        del first
        gc.collect()
        keeper.forget(second)

        assert keeper._task is not None
        await keeper._task
        keeper.keep(second)
        await keeper.close()
        assert keeper._task is None

    asyncio.run(run())
