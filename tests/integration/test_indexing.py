"""When indexes are built, and when one that exists is not used."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import vecdb
from support.unsynced import unsynced

VECTORS = np.random.default_rng(4).standard_normal((400, 4)).astype(np.float32)
FOREGROUND = vecdb.Settings(background=False, free_bytes=0)


@pytest.fixture(autouse=True)
def without_syncs() -> Iterator[None]:
    with unsynced():
        yield


def made(database: vecdb.Database) -> vecdb.Collection:
    return database.create_collection("docs", vecdb.Schema(id=vecdb.Id("int64"), v=vecdb.Vector(4, index="hnsw")))


def store(docs: vecdb.Collection, first: int, last: int) -> None:
    docs.upsert([{"id": number, "v": VECTORS[number]} for number in range(first, last)])
    docs.flush()


def plans(docs: vecdb.Collection) -> list[str]:
    return [part["plan"] for part in docs.search(v=VECTORS[0], k=3).explain["parts"]]


def test_without_indexing_nothing_is_built_until_it_is_asked_for(tmp_path: Path) -> None:
    with vecdb.connect(tmp_path / "db", settings=vecdb.Settings(indexing=False, free_bytes=0)) as database:
        docs = made(database)
        store(docs, 0, 400)
        before = docs.stats()

        built = docs.build_indexes()

        assert "index" not in before["background"]
        assert (before["indexes"]["v"]["rows"], built) == ({"flat": 400}, 1)
        assert docs.stats()["indexes"]["v"]["rows"] == {"hnsw": 400}


def test_what_is_due_to_be_merged_is_merged_before_an_index_is_built(tmp_path: Path) -> None:
    with vecdb.connect(tmp_path / "db", settings=FOREGROUND) as database:
        docs = made(database)
        for first in range(0, 400, 100):
            store(docs, first, first + 100)
        heard: list[tuple[int, int]] = []

        built = docs.build_indexes(lambda done, rows: heard.append((done, rows)))

        assert built == 1
        assert {rows for _, rows in heard} == {400}
        assert docs.stats()["segments"] == 1


def test_a_field_without_an_index_from_now_on_is_scanned_although_the_index_is_still_there(tmp_path: Path) -> None:
    with vecdb.connect(tmp_path / "db", settings=FOREGROUND) as database:
        docs = made(database)
        store(docs, 0, 400)
        docs.build_indexes()
        found = [plans(docs)]
        rows = [docs.stats()["indexes"]["v"]["rows"]]

        for kind in ("flat", "hnsw"):
            docs.set_index("v", kind)
            found.append(plans(docs))
            rows.append(docs.stats()["indexes"]["v"]["rows"])

        assert found == [["graph"], ["scan"], ["graph"]]
        assert rows == [{"hnsw": 400}, {"flat": 400}, {"hnsw": 400}]
