"""Threads write links while others read them and segments are flushed and merged: nothing is lost, no read is torn."""

import random
import threading
from pathlib import Path
from typing import Any

import numpy as np

import vecdb

WRITERS = 3
STEPS = 60
NODES = 12

Mine = dict[tuple[str, str], float]


def write(docs: vecdb.Collection, rng: random.Random, writer: int, mine: Mine) -> None:
    """Link and unlink; the sources are the writer's own."""
    for turn in range(STEPS):
        ends = [(f"{writer}-{rng.randrange(NODES)}", f"n{rng.randrange(NODES)}") for _ in range(8)]
        if turn % 4 == 3:
            docs.unlink([{"src": src, "dst": dst} for src, dst in ends])
            for pair in ends:
                mine.pop(pair, None)
        elif turn % 16 == 5:
            docs.unlink(src=ends[0][0], where="weight >= 0")
            for pair in [pair for pair in mine if pair[0] == ends[0][0]]:
                del mine[pair]
        else:
            docs.link([{"src": src, "dst": dst, "weight": turn} for src, dst in ends])
            mine.update(dict.fromkeys(ends, float(turn)))


def links_of(reads: Any) -> Mine:
    rows = [row for batch in reads.links() for row in batch.to_pylist()]
    found = {(row["src"], row["dst"]): row["weight"] for row in rows}
    assert len(found) == len(rows)
    return found


def look(docs: vecdb.Collection) -> None:
    """See that a state's links and its graph are the same."""
    snapshot = docs.snapshot()
    graph = snapshot._state.links.graph
    ids = graph.ids(np.arange(graph.nodes))
    walked = {(value, other) for node, value in enumerate(ids) for other in graph.ids(graph.out.row(node)[0])}
    assert walked == links_of(snapshot).keys()
    assert int(graph.incoming.degrees(graph.nodes).sum()) == len(walked)


def test_threads_that_write_links_at_once_lose_none_and_readers_see_whole_states(tmp_path: Path, seed: int) -> None:
    settings = vecdb.Settings(memtable_bytes=16 << 10, merge_fan_in=2, free_bytes=0, durability="none")
    expected: list[Mine] = [{} for _ in range(WRITERS)]
    problems: list[BaseException] = []
    done = threading.Event()
    with vecdb.connect(tmp_path / "db", settings=settings) as database:
        docs = database.create_collection("docs", vecdb.Schema(id=vecdb.Id()))

        def writing(writer: int) -> None:
            try:
                write(docs, random.Random(f"{seed}/{writer}"), writer, expected[writer])
            except BaseException as error:
                problems.append(error)

        def reading() -> None:
            try:
                while not done.is_set():
                    look(docs)
            except BaseException as error:
                problems.append(error)

        reader = threading.Thread(target=reading)
        writers = [threading.Thread(target=writing, args=(number,)) for number in range(WRITERS)]
        for thread in (reader, *writers):
            thread.start()
        for thread in writers:
            thread.join()
        done.set()
        reader.join()

        assert problems == []
        assert links_of(docs) == {pair: weight for mine in expected for pair, weight in mine.items()}
        assert database.check().ok
        assert all(worker["last_error"] is None for worker in docs.stats()["background"].values())
