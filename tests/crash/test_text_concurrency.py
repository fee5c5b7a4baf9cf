"""Searches by words while rows are written, flushed, merged and indexed, in threads.

Every row has one word, so whatever a search meets it must find all rows of its state; and pruning changes no answer.
"""

import threading
from pathlib import Path

import numpy as np

import vecdb
from support.graphs import small_graphs
from support.words import Texts, agree, sentence

SETTINGS = vecdb.Settings(memtable_bytes=40_000, merge_fan_in=3, free_bytes=0, retain_versions=2)
QUESTIONS = ("chess", "knight engine", '"chess board"', "+pawn -queen prog*")


def _write(docs: vecdb.Collection, first: int) -> None:
    rng = np.random.default_rng(first)
    for turn in range(60):
        ids = (rng.integers(0, 200, 10) * 2 + first).tolist()
        docs.upsert([{"id": key, "body": f"chess {sentence(rng)}", "mark": turn} for key in set(ids)])
        if turn % 7 == 0:
            docs.delete(ids[:3])


class Watch:
    """Looks at snapshots until told to stop."""

    def __init__(self, docs: vecdb.Collection) -> None:
        self.docs, self.stop = docs, threading.Event()
        self.complaints: list[str] = []
        self.looks = 0

    def run(self) -> None:
        while not self.stop.is_set():
            snapshot = self.docs.snapshot()
            found, exact = (snapshot.search(body="chess", k=1000, exact=exact) for exact in (False, True))
            if not len(found) == len(set(found.ids)) == len(snapshot):
                self.complaints.append(f"{len(found)} found of {len(snapshot)}")
            if (found.ids, found.scores.tobytes()) != (exact.ids, exact.scores.tobytes()):
                self.complaints.append("pruning changed an answer")
            self.looks += 1


def _together(docs: vecdb.Collection, watch: Watch) -> None:
    writers = [threading.Thread(target=_write, args=(docs, first)) for first in (0, 1)]
    watchers = [threading.Thread(target=watch.run) for _ in range(2)]
    for thread in (*writers, *watchers):
        thread.start()
    for thread in writers:
        thread.join()
    watch.stop.set()
    for thread in watchers:
        thread.join()


def test_searches_by_words_beside_writes_find_every_row_of_their_state(tmp_path: Path) -> None:
    with small_graphs(8), vecdb.connect(tmp_path / "db", settings=SETTINGS) as database:
        schema = vecdb.Schema(id=vecdb.Id("int64"), body=vecdb.Text(search=True), mark=vecdb.Int64())
        docs = database.create_collection("docs", schema)
        watch = Watch(docs)

        _together(docs, watch)

        rows = {row["id"]: {"body": row["body"]} for batch in docs.scan() for row in batch.to_pylist()}
        for question in QUESTIONS:
            true = Texts(rows, vecdb.FullText()).scores({"body": 1.0}, question)
            agree(docs.search(body=question, k=15), true, 15)
        assert docs.stats()["segments"] > 0
    assert watch.complaints == []
    assert watch.looks > 3
