"""A fresh process that opens a store and answers: `python bench/probe.py SYSTEM STORE QUERY.npy [GETS] [ROWS]`.

Run as a script, importing nothing before it must, so that its times are those of a user's own first lines. Prints one
JSON object: marks on the system-wide monotonic clock (started, imported, opened, answered, again) and private memory
(/proc/self/smaps_rollup, bytes; reading it is not timed) at the same moments; then reopens the store in the same
process (reopen_ms: no library is loaded any more) and states median and 99th percentile of `get`.
"""

import time

STARTED = time.monotonic()

import importlib  # noqa: E402  the first line of code above is the first moment that can be marked
import json  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

K = 10


class Store:
    """What the probe measures: two closures, made by one opener per system."""

    def __init__(
        self, search: Callable[[Any], Any] | None, get: Callable[[str], Any] | None, close: Callable[[], None]
    ):
        self.search, self.get, self.close = search, get, close


def open_vecdb(path: Path, mark: Callable[[str], None]) -> Store:
    import vecdb

    mark("imported")
    db = vecdb.connect(path, create=False)
    rows = db.collection("rows")
    return Store(lambda query: rows.search(embedding=query, k=K, fields=[]).ids, rows.get, db.close)


def open_numpy(path: Path, mark: Callable[[str], None]) -> Store:
    import numpy as np

    mark("imported")
    vectors = np.load(path / "vectors.npy", mmap_mode="r")

    def search(query: np.ndarray) -> list[int]:
        scores = vectors @ query
        top = np.argpartition(scores, -K)[-K:]
        return top[np.argsort(-scores[top])].tolist()

    return Store(search, None, lambda: None)


def open_faiss(path: Path, mark: Callable[[str], None]) -> Store:
    faiss = importlib.import_module("faiss")
    mark("imported")
    index: Any = faiss.read_index(str(path / "index.faiss"))
    return Store(lambda query: index.search(query[None], K), None, lambda: None)


def open_sqlite(path: Path, mark: Callable[[str], None]) -> Store:
    import sqlite3

    mark("imported")
    connection = sqlite3.connect(path / "rows.sqlite")

    def get(row: str) -> Any:
        return connection.execute("select * from rows where id = ?", [row]).fetchone()

    return Store(None, get, connection.close)


def open_lancedb(path: Path, mark: Callable[[str], None]) -> Store:
    lancedb = importlib.import_module("lancedb")
    mark("imported")
    table: Any = lancedb.connect(str(path)).open_table("rows")

    def search(query: Any) -> list[str]:
        asked = table.search(query, vector_column_name="embedding").distance_type("cosine").limit(K)
        return asked.select(["id"]).to_arrow().column("id").to_pylist()

    def get(row: str) -> Any:
        return table.search().where(f"id = '{row}'").limit(1).to_list()[0]

    return Store(search, get, lambda: None)


OPENERS = {
    "vecdb": open_vecdb,
    "numpy": open_numpy,
    "faiss": open_faiss,
    "sqlite": open_sqlite,
    "lancedb": open_lancedb,
}


def private_bytes() -> int | None:
    """Return the anonymous memory of this process: what it copied or computed, not what it mapped."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))


def get_latencies(get: Callable[[str], Any], rows: int, gets: int) -> dict[str, float]:
    """Return microseconds of `get` for random ids, after a few untimed ones."""
    import random

    wanted = [f"{random.Random(3).randrange(rows):09d}"] * 10 + [f"{row:09d}" for row in _draws(rows, gets)]
    seconds = []
    for row in wanted:
        begun = time.perf_counter()
        found = get(row)
        seconds.append(time.perf_counter() - begun)
        if found is None:
            raise LookupError(f"the row {row} is missing")
    seconds = sorted(seconds[10:])
    return {"get_p50_us": seconds[len(seconds) // 2] * 1e6, "get_p99_us": seconds[int(len(seconds) * 0.99)] * 1e6}


def _draws(rows: int, count: int) -> list[int]:
    import random

    chosen = random.Random(4)
    return [chosen.randrange(rows) for _ in range(count)]


def main(system: str, store: str, query_file: str, gets: int, rows: int) -> None:
    marks: dict[str, float] = {"started": STARTED}
    memory: dict[str, int | None] = {}

    paused = 0.0

    def mark(name: str) -> None:
        nonlocal paused
        now = time.monotonic()
        marks[name] = now - paused
        # The kernel walks every mapped page for this figure: milliseconds that no user would wait.
        memory[name] = private_bytes()
        paused += time.monotonic() - now

    opened = OPENERS[system](Path(store), mark)
    mark("opened")
    if opened.search is not None:
        import numpy as np

        queries = np.load(query_file)
        opened.search(queries[0])
        mark("answered")
        opened.search(queries[1])
        mark("again")
    elif opened.get is not None:
        opened.get(f"{0:09d}")
        mark("answered")
    opened.close()
    begun = time.perf_counter()
    opened = OPENERS[system](Path(store), lambda _: None)
    metrics = {"reopen_ms": (time.perf_counter() - begun) * 1e3}
    if opened.get is not None and gets:
        metrics |= get_latencies(opened.get, rows, gets)
    opened.close()
    print(json.dumps({"marks": marks, "private_bytes": memory, "metrics": metrics}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], *(int(text) for text in (sys.argv[4:6] or ["0", "1"])))
