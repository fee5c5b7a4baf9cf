"""tantivy with its English stemmer, as its users call it: a parsed question, ids from stored documents."""

from pathlib import Path
from typing import Any

import numpy as np
import tantivy  # pyright: ignore[reportMissingImports]

_WRITER_BYTES = 256_000_000


def _schema() -> Any:
    builder = tantivy.SchemaBuilder()
    builder.add_integer_field("id", stored=True, fast=True)
    builder.add_integer_field("part", stored=False, fast=True, indexed=True)
    builder.add_text_field("text", stored=False, tokenizer_name="en_stem")
    return builder.build()


class TantivyText:
    """An index in a folder, written by two threads."""

    def build(self, texts: list[str], groups: np.ndarray, home: Path) -> None:
        (home / "index").mkdir()
        index = tantivy.Index(_schema(), path=str(home / "index"))
        writer = index.writer(_WRITER_BYTES, num_threads=2)
        for number, text in enumerate(texts):
            writer.add_document(tantivy.Document(id=number, text=text, part=int(groups[number])))
        writer.commit()
        writer.wait_merging_threads()

    def open(self, home: Path) -> None:
        self._index = tantivy.Index.open(str(home / "index"))
        self._index.reload()
        self._searcher = self._index.searcher()

    def search(self, question: str, k: int) -> list[int]:
        return self._ids(self._parsed(question), k)

    def filtered(self, question: str, k: int, group: int) -> list[int] | None:
        only = tantivy.Query.term_query(self._index.schema, "part", group)
        both = [(tantivy.Occur.Must, self._parsed(question)), (tantivy.Occur.Must, only)]
        return self._ids(tantivy.Query.boolean_query(both), k)

    def _parsed(self, question: str) -> Any:
        return self._index.parse_query_lenient(question, ["text"])[0]

    def _ids(self, query: Any, k: int) -> list[int]:
        return [self._searcher.doc(place)["id"][0] for _, place in self._searcher.search(query, k).hits]
