"""vecdb's full-text search, by its public methods."""

from pathlib import Path

import numpy as np
import pyarrow as pa

import vecdb


class VecdbText:
    """A collection of id, text and group."""

    def build(self, texts: list[str], groups: np.ndarray, home: Path) -> None:
        schema = vecdb.Schema(id=vecdb.Id("int64"), text=vecdb.Text(search=True), part=vecdb.Int64())
        table = pa.table({"id": np.arange(len(texts)), "text": texts, "part": groups})
        with vecdb.connect(home / "db", settings=vecdb.Settings(background=False)) as database:
            docs = database.create_collection("docs", schema)
            with docs.bulk() as load:
                load.add(table)
            docs.build_indexes()

    def open(self, home: Path) -> None:
        self._docs = vecdb.connect(home / "db", read_only=True).collection("docs")

    def search(self, question: str, k: int) -> list[int]:
        return self._docs.search(text=question, k=k, fields=[]).ids

    def filtered(self, question: str, k: int, group: int) -> list[int] | None:
        return self._docs.search(text=question, k=k, fields=[], where=f"part = {group}").ids
