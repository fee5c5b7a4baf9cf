"""The process that is killed while it writes links: a stream of operations, each told when it was acknowledged.

The n-th operation follows from the seed and n alone, so that whoever counts acknowledgements knows what must be there.
"""

import os
import random
import threading
from typing import Any

Links = dict[tuple[str, str, str], float]
COLLECTION = "docs"
NODES = 30
MANY = 12_000
"""Of these links a batch is so large that it goes past the log."""
SETTINGS: dict[str, Any] = {"memtable_bytes": 16 << 10, "merge_fan_in": 2, "free_bytes": 0}


def step(seed: int, turn: int) -> tuple[str, list[tuple[str, str, str]], float]:
    """Return what is done, with which links, and their weight."""
    rng = random.Random(f"{seed}/{turn}")
    kind = rng.choices(["link", "unlink", "cut", "cascade", "many"], [8, 3, 1, 1, 1])[0]
    if kind == "many":
        ends = [(f"{'m' * 300}{number}", f"{'m' * 300}{number * 7 % MANY}", "many") for number in range(MANY)]
        return kind, ends, turn % 64
    count = 1 if kind in ("cut", "cascade") else rng.randrange(1, 20)
    ends = [(f"n{rng.randrange(NODES)}", f"n{rng.randrange(NODES)}", rng.choice(["a", "b"])) for _ in range(count)]
    return kind, ends, turn % 64


def after(links: Links, seed: int, turn: int) -> Links:
    """Return the links that an operation leaves."""
    kind, ends, weight = step(seed, turn)
    if kind in ("link", "many"):
        return links | dict.fromkeys(ends, float(weight))
    if kind == "unlink":
        return {key: value for key, value in links.items() if key not in set(ends)}
    node = ends[0][0]
    return {key: value for key, value in links.items() if key[0] != node and (kind == "cut" or key[1] != node)}


def carry_out(docs: Any, seed: int, turn: int) -> None:
    """Do it."""
    import pyarrow as pa

    kind, ends, weight = step(seed, turn)
    columns = dict(zip(("src", "dst", "type"), map(list, zip(*ends, strict=True)), strict=True))
    if kind in ("link", "many"):
        docs.link(pa.table({**columns, "weight": pa.array([weight] * len(ends), pa.float64())}), request_id=f"{turn}")
    elif kind == "unlink":
        docs.unlink(columns)
    elif kind == "cut":
        docs.unlink(src=ends[0][0])
    else:
        docs.delete(ends[0][0], cascade=True)


def work(path: str, given_seed: str, first: str) -> None:
    """Work until killed, from operation `first` on."""
    import vecdb

    seed, turn = int(given_seed), int(first)
    database = vecdb.connect(path, settings=vecdb.Settings(**SETTINGS))
    docs = database.create_collection(COLLECTION, vecdb.Schema(id=vecdb.Id()), exist_ok=True)
    os.write(1, b"ready\n")

    def keep() -> None:
        while True:
            docs.flush()
            docs.compact()

    threading.Thread(target=keep, daemon=True).start()
    while True:
        carry_out(docs, seed, turn)
        os.write(1, f"{turn}\n".encode())
        turn += 1
