"""One suite for every way to a database: rows to look at, and asyncio methods as plain calls.

`Waiting` wraps an object of `vecdb_client.aio` so that the tests of the embedded classes can call it: a coroutine is
waited for, what it returns is wrapped too, an asynchronous iterator becomes a plain one.
"""

import asyncio
import inspect
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import numpy as np

import vecdb
from vecdb.results import SearchResult

ROWS = 48
WORDS = ["honey", "bee", "hive", "wax", "clover", "nectar", "queen", "drone", "swarm", "pollen"]
SECTIONS = "animals", "plants", "food"


def schema() -> vecdb.Schema:
    """Return a schema with a field of each kind."""
    return vecdb.Schema(
        id=vecdb.Id(),
        body=vecdb.Text(search=True),
        note=vecdb.Text(),
        section=vecdb.Keyword(),
        tags=vecdb.Keyword(many=True),
        flag=vecdb.Bool(),
        size=vecdb.Int64(),
        price=vecdb.Float64(),
        added=vecdb.Timestamp(),
        extra=vecdb.Json(),
        place=vecdb.Geo(),
        embedding=vecdb.Vector(4),
        small=vecdb.Vector(2, dtype="int8", metric="l2"),
        half=vecdb.Vector(2, dtype="float16", metric="dot"),
        bits=vecdb.Vector(16, dtype="binary", metric="hamming"),
        terms=vecdb.Sparse(),
        tokens=vecdb.MultiVector(4),
        coded=vecdb.MultiVector(6, dtype="int8", pool_factor=2, normalise=False),
    )


def vector(number: int) -> np.ndarray:
    """Return the vector of a row, (4,) float32, the same whenever it is asked for."""
    return np.random.default_rng(number).standard_normal(4).astype(np.float32)


def row(number: int) -> dict[str, Any]:
    """Return the row of a number; some fields of some rows have no value."""
    rng = np.random.default_rng(1000 + number)
    words = [WORDS[at] for at in rng.integers(0, len(WORDS), 6)]
    return {
        "id": f"r{number:02}",
        "body": " ".join(words),
        "note": None if number % 7 == 0 else f"note {number}",
        "section": None if number % 11 == 0 else SECTIONS[number % 3],
        "tags": sorted({words[0], words[1]}),
        "flag": number % 2 == 0,
        "size": number * 10,
        "price": number / 3,
        "added": datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number),
        "extra": {"n": number, "deep": {"word": words[2]}},
        "place": None if number % 5 == 0 else {"lat": 50 + number / 100, "lon": 13.0},
        "embedding": None if number == 13 else vector(number),
        "small": [number % 100, -number],
        "half": [number / 8, 1.0],
        "bits": rng.integers(0, 2, 16).tolist(),
        "terms": {int(at): float(at + 1) for at in rng.integers(0, 50, 5)},
        "tokens": None if number % 9 == 0 else rng.standard_normal((number % 5, 4)),
        "coded": rng.standard_normal((number % 7, 6)),
    }


def rows() -> list[dict[str, Any]]:
    """Return all rows."""
    return [row(number) for number in range(ROWS)]


def fill(collection: Any) -> None:
    """Store the rows so that they lie in a segment and in memory, and one segment has deleted rows."""
    collection.upsert([*rows()[:30], {"id": "gone", "size": 1}])
    collection.flush()
    collection.delete("gone")
    collection.upsert(rows()[30:])


class Loop:
    """An event loop on a thread of its own, for tests that are no coroutines."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="contract-loop", daemon=True)
        self._thread.start()

    def wait(self, awaitable: Any) -> Any:
        """Return what an awaitable gives."""

        async def waited() -> Any:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(waited(), self._loop).result()

    def call(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a function on the loop's thread, wait for its coroutine if it returns one, and wrap the outcome."""

        async def called() -> Any:
            made = function(*args, **kwargs)
            return await made if inspect.isawaitable(made) else made

        return waiting(self, self.wait(called()))

    def close(self) -> None:
        """Stop the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def waiting(loop: Loop, value: Any) -> Any:
    """Return a value, wrapped if it is an object of the asyncio client or iterated asynchronously."""
    if isinstance(value, list):
        return [waiting(loop, one) for one in value]
    if isinstance(value, SearchResult):
        return highlighted(loop, value)
    module = type(value).__module__
    asynchronous = module.startswith("vecdb_client.aio") or hasattr(value, "__anext__")
    return Waiting(loop, value) if asynchronous else value


def highlighted(loop: Loop, result: SearchResult) -> SearchResult:
    """Return a result that waits for what the asyncio client awaits: its highlights and explanation."""
    rows: Any = result._rows
    found, told = rows.highlights, rows.explain

    class Rows(type(rows)):
        __slots__ = ()

        def highlights(self, length: int) -> Any:
            return loop.wait(found(length))

        def explain(self) -> Any:
            return loop.wait(told())

    rows = Rows.__new__(Rows)
    for name in cast(Any, type(result._rows)).__slots__:
        setattr(rows, name, getattr(result._rows, name))
    return SearchResult(rows, result._metric)


class Waiting:
    """An asyncio object whose methods are called and waited for."""

    def __init__(self, loop: Loop, value: Any) -> None:
        self.__dict__["wrapped"] = value
        self.__dict__["_loop"] = loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.wrapped, name)
        if inspect.ismethod(found) or inspect.iscoroutinefunction(found):
            return lambda *args, **kwargs: self._loop.call(found, *args, **kwargs)
        return waiting(self._loop, found)

    def __enter__(self) -> Any:
        return waiting(self._loop, self._loop.wait(self.wrapped.__aenter__()))

    def __exit__(self, *error: Any) -> None:
        self._loop.wait(self.wrapped.__aexit__(*error))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return waiting(self._loop, self._loop.wait(self.wrapped.__anext__()))
        except StopAsyncIteration:
            raise StopIteration from None

    # What cannot be awaited has a method of the same meaning, by which the tests of both can read alike.

    def __len__(self) -> int:
        if not hasattr(self.wrapped, "count"):
            raise TypeError(f"{self.wrapped!r} has no length")
        return self._loop.call(self.wrapped.count)

    def __getitem__(self, name: str) -> Any:
        return self._loop.call(self.wrapped.collection, name)

    def __contains__(self, name: object) -> bool:
        return name in self._loop.call(self.wrapped.collections)

    def __repr__(self) -> str:
        return repr(self.wrapped)
