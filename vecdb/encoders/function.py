"""Any Python function from texts to vectors as an encoder: a client of a remote model, an ONNX session, a table.

What the function computes cannot be seen from here, so its identity is what its user says: a name, and a version
that is changed when the function is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vecdb.encoders.base import TextEncoder, functions_of, prompts_of
from vecdb.schema.space import Space


class Encoder(TextEncoder):
    """A function from a list of texts to their vectors."""

    def __init__(
        self,
        function: Callable[[list[str]], Any],
        name: str,
        *,
        version: str | None = None,
        query: Callable[[list[str]], Any] | None = None,
        prompts: Mapping[str, str] | None = None,
        truncate: int | None = None,
        normalize: bool = False,
        batch_size: int = 256,
    ) -> None:
        """Describe the function; it is not called yet.

        Args:
            function: takes a list of texts and returns (texts, dimension) numbers. It may be called from several
                threads at once, and with fewer texts than the batch size.
            name: what to call the model; stored, and compared when the collection is opened again.
            version: changes whenever the vectors of the same text do.
            query: another function for queries, where the model has one.
            prompts: texts to put before every "query" and every "document".
            truncate: keep only so many of the first values.
            normalize: scale vectors to length 1, after truncating.
            batch_size: the most texts of one call.

        Raises:
            InvalidInputError: an argument is of another kind.

        """
        super().__init__(name, truncate, normalize, batch_size)
        self._functions = functions_of(function, query, version)
        self.version = version
        self.prompts = prompts_of(prompts)

    def described(self, dimension: int) -> Space:
        """Return the space of the vectors; of that dimension unless they are truncated."""
        return Space(
            self.name,
            self.truncate or dimension,
            self.normalize,
            version=self.version,
            query_prompt=self.prompts.get("query", ""),
            document_prompt=self.prompts.get("document", ""),
        )

    def _vectors(self, texts: list[str], kind: str) -> Any:
        import numpy as np

        prompt = self.prompts.get(kind)
        if prompt:
            texts = [prompt + text for text in texts]
        step, function = self.batch_size, self._functions[kind]
        parts = [np.asarray(function(texts[at : at + step])) for at in range(0, len(texts), step)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def __repr__(self) -> str:
        version = "" if self.version is None else f", version={self.version!r}"
        return f"Encoder({self.name!r}{version})"
