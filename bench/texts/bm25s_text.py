"""bm25s with its own tokenizer and English stop words; it has no filters."""

from pathlib import Path

import bm25s  # pyright: ignore[reportMissingImports]
import numpy as np


class Bm25sText:
    """An index saved in a folder."""

    def build(self, texts: list[str], groups: np.ndarray, home: Path) -> None:
        index = bm25s.BM25()
        index.index(bm25s.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)
        index.save(str(home / "index"))

    def open(self, home: Path) -> None:
        self._index = bm25s.BM25.load(str(home / "index"))

    def search(self, question: str, k: int) -> list[int]:
        tokens = bm25s.tokenize(question, stopwords="en", show_progress=False)
        return self._index.retrieve(tokens, k=k, show_progress=False)[0][0].tolist()

    def filtered(self, question: str, k: int, group: int) -> list[int] | None:
        return None
