"""Groups of rows that are always written together, and a process that watches them through a read-only database.

Run as `python -m support.groups PATH`: says "watching", looks again and again until a line comes on its standard input,
then prints one JSON object.
"""

import json
import sys
import threading
from typing import Any

import numpy as np

import vecdb

GROUPS = 12
SIZE = 15
DIMENSION = 8

Groups = dict[tuple[int, int], int]


def group_schema() -> vecdb.Schema:
    """Return the schema of a collection of groups."""
    return vecdb.Schema(
        id=vecdb.Id(),
        writer=vecdb.Int64(),
        group=vecdb.Int64(),
        stamp=vecdb.Int64(),
        embedding=vecdb.Vector(DIMENSION, metric="l2"),
    )


def ids_of(writer: int, group: int) -> list[str]:
    """Return the ids of a group."""
    return [f"{writer}/{group}/{row}" for row in range(SIZE)]


def batch(writer: int, group: int, stamp: int) -> dict[str, Any]:
    """Return a whole group as it is written by one upsert."""
    return {
        "id": ids_of(writer, group),
        "writer": np.full(SIZE, writer),
        "group": np.full(SIZE, group),
        "stamp": np.full(SIZE, stamp),
        "embedding": np.full((SIZE, DIMENSION), stamp, np.float32) + np.arange(SIZE, dtype=np.float32)[:, None],
    }


def look(reader: Any) -> tuple[Groups, list[str]]:
    """Return each group's stamp, and a sentence for each group that is not whole."""
    rows: dict[tuple[int, int], list[tuple[int, float]]] = {}
    for found in reader.scan():
        columns = [found[name].to_pylist() for name in ("writer", "group", "stamp", "embedding")]
        for writer, group, stamp, embedding in zip(*columns, strict=True):
            rows.setdefault((writer, group), []).append((stamp, embedding[0]))
    torn = []
    for (writer, group), entries in rows.items():
        stamps = {stamp for stamp, _ in entries}
        values = sorted(value - stamp for stamp, value in entries)
        if len(stamps) != 1 or values != [float(row) for row in range(SIZE)]:
            torn.append(f"group {writer}/{group} is torn: {len(entries)} rows, stamps {sorted(stamps)}")
    return {name: entries[0][0] for name, entries in rows.items()}, torn


def main() -> None:
    """Watch the database named on the command line until a line arrives."""
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
    complaints: list[str] = []
    last: Groups = {}
    looks = moved = 0
    settings = vecdb.Settings(refresh_interval=0)
    with vecdb.connect(sys.argv[1], read_only=True, settings=settings) as database:
        collection = database.collection("groups")
        sys.stdout.write("watching\n")
        sys.stdout.flush()
        while True:
            stopping = stop.is_set()
            seen, torn = look(collection)
            complaints += torn
            complaints += [
                f"group {name} went from write {last[name]} back to {seen[name]}"
                for name in last.keys() & seen.keys()
                if seen[name] < last[name]
            ]
            moved += seen != last
            looks += 1
            last = last | seen
            if stopping or len(complaints) > 20:
                break
    sys.stdout.write(json.dumps({"complaints": complaints[:20], "looks": looks, "moved": moved}))


if __name__ == "__main__":
    main()
