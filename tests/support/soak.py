"""A mixed load for a server: bounded, seeded and checked; and what a process holds, to be compared before and after."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import vecdb
import vecdb_client
from vecdb.config import Limits
from vecdb.errors import DeadlineExceededError, InvalidInputError, NotFoundError

DIMENSION = 16
IDS = 400
"""Ids that each client writes, over and over: what is stored stays bounded."""
WORDS = ["amber", "basalt", "cedar", "delta", "ember", "fjord", "granite", "harbour", "isle", "juniper"]


@dataclass(frozen=True)
class Held:
    """What a process holds.

    Attributes:
        memory: bytes of its own, without mapped files.
        files: open descriptors.
        threads: how many.
        disk: bytes of the folder that it serves.

    """

    memory: int
    files: int
    threads: int
    disk: int

    @classmethod
    def by(cls, pid: int, folder: Path) -> Held:
        """Look at a process; Linux only."""
        proc = Path(f"/proc/{pid}")
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        sizes = []
        for file in folder.rglob("*"):
            try:
                sizes.append(file.stat().st_size if file.is_file() else 0)
            except FileNotFoundError:  # a merge removed it
                continue
        return cls(
            1024 * int(status["RssAnon"].split()[0]),
            len(list((proc / "fd").iterdir())),
            len(list((proc / "task").iterdir())),
            sum(sizes),
        )

    def grown_since(self, before: Held) -> list[str]:
        """Return what has grown more than the same load, done again, may make it grow."""
        allowed = Held(
            before.memory + max(48 << 20, before.memory // 4),
            before.files + 24,  # segments that a merge has made, and those that it has not removed yet
            before.threads + 8,
            2 * before.disk + (16 << 20),
        )
        names = "memory", "files", "threads", "disk"
        return [
            f"{name}: {getattr(before, name)} -> {getattr(self, name)}"
            for name in names
            if getattr(self, name) > getattr(allowed, name)
        ]


def schema() -> vecdb.Schema:
    """Return the fields of the collection."""
    return vecdb.Schema(
        id=vecdb.Id(),
        n=vecdb.Int64(),
        text=vecdb.Text(search=True),
        embedding=vecdb.Vector(DIMENSION, metric="cosine"),
    )


@dataclass
class Client:
    """One user: rows of its own, of which it knows the last acknowledged state.

    Attributes:
        done: how often each action was carried out.
        errors: what went wrong and should not.

    """

    number: int
    target: str
    collection: str
    rows: dict[str, int] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with a seed of its own."""
        self._random = random.Random(self.number)
        self._numbers = np.random.default_rng(self.number)
        self._actions: list[tuple[int, Callable[[Any], None]]] = [
            (20, self.search), (10, self.get), (8, self.upsert_one), (4, self.upsert_many), (3, self.delete),
            (3, self.patch), (4, self.words), (3, self.batch), (2, self.pages), (1, self.scan), (2, self.snapshot),
            (2, self.facets), (2, self.too_late), (2, self.wrong), (1, self.given_up), (1, self.left),
        ]  # fmt: skip

    def work(self, until: float) -> None:
        """Do one thing after the other."""
        weights, actions = zip(*self._actions, strict=True)
        with vecdb_client.connect(self.target) as database:
            docs = database.collection(self.collection)
            while time.monotonic() < until and len(self.errors) < 10:
                (action,) = self._random.choices(actions, weights)
                try:
                    action(docs)
                    self.done[action.__name__] += 1
                except Exception as error:
                    self.errors.append(f"client {self.number}, {action.__name__}: {type(error).__name__}: {error}")

    # -- actions ---------------------------------------------------------------------------------------------------

    def search(self, docs: Any) -> None:
        where = "n >= 500" if self._random.random() < 0.3 else None
        found = docs.search(embedding=self._vector(), k=5, where=where)
        assert len(found) <= 5
        assert where is None or all(hit["n"] >= 500 for hit in found)

    def get(self, docs: Any) -> None:
        name = self._name()
        row = docs.get(name, fields=["n"])
        assert (None if row is None else row["n"]) == self.rows.get(name), f"{name} is {row}"

    def upsert_one(self, docs: Any) -> None:
        self._upsert(docs, [self._name()])

    def upsert_many(self, docs: Any) -> None:
        self._upsert(docs, list({self._name() for _ in range(60)}))

    def patch(self, docs: Any) -> None:
        if self.rows:
            name, value = self._random.choice(list(self.rows)), self._random.randrange(1000)
            docs.patch([{"id": name, "n": value}])
            self.rows[name] = value

    def delete(self, docs: Any) -> None:
        names = [self._name() for _ in range(5)]
        docs.delete(names)
        for name in names:
            self.rows.pop(name, None)

    def words(self, docs: Any) -> None:
        found = docs.search(text=" ".join(self._random.choices(WORDS, k=2)), k=5)
        assert len(found.highlights()) == len(found)

    def batch(self, docs: Any) -> None:
        asked = self._numbers.standard_normal((20, DIMENSION), dtype=np.float32)
        assert len(docs.search_batch(embedding=asked, k=3)) == 20

    def pages(self, docs: Any) -> None:
        for at, _ in enumerate(docs.search_iter(embedding=self._vector(), k=10)):
            if at == 3:  # the rest is not read
                break

    def scan(self, docs: Any) -> None:
        mine = f"id >= 'c{self.number}-' and id < 'c{self.number}.'"
        seen = {row["id"]: row["n"] for part in docs.scan(mine, fields=["n"]) for row in part.to_pylist()}
        assert seen == self.rows

    def snapshot(self, docs: Any) -> None:
        with docs.snapshot() as kept:
            before = kept.count()
            self._upsert(docs, [self._name()])
            assert kept.count() == before

    def facets(self, docs: Any) -> None:
        docs.facets("n", k=3)

    def too_late(self, docs: Any) -> None:
        try:
            docs.within(Limits(seconds=0.0005)).search(embedding=self._vector(), k=5, exact=True)
        except DeadlineExceededError:
            return

    def wrong(self, docs: Any) -> None:
        for ask in (lambda: docs.search(embedding=[1.0], k=5), lambda: docs.at(tag="missing").count()):
            try:
                ask()
            except (InvalidInputError, NotFoundError):
                continue
            raise AssertionError("a wrong request was answered")

    def given_up(self, docs: Any) -> None:
        """Begin an upload and leave it: nothing of it is there."""
        with docs.bulk() as load:
            load.add([self._row(f"never-{self.number}", 0)])
            load.abandon()

    def left(self, _: Any) -> None:
        """Come and go as one more client."""
        with vecdb_client.connect(self.target) as database:
            database.collection(self.collection).count()

    # -- rows ------------------------------------------------------------------------------------------------------

    def _upsert(self, docs: Any, names: list[str]) -> None:
        values = {name: self._random.randrange(1000) for name in names}
        docs.upsert([self._row(name, value) for name, value in values.items()])
        self.rows |= values

    def _row(self, name: str, value: int) -> dict[str, Any]:
        text = " ".join(self._random.choices(WORDS, k=6))
        return {"id": name, "n": value, "text": text, "embedding": self._vector()}

    def _name(self) -> str:
        return f"c{self.number}-{self._random.randrange(IDS)}"

    def _vector(self) -> np.ndarray:
        return self._numbers.standard_normal(DIMENSION, dtype=np.float32)


def work_all(clients: list[Client], seconds: float) -> None:
    """Let all clients work at once."""
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=one.work, args=(until,)) for one in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
