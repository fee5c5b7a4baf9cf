"""Encoders of tokens: texts in, several vectors for each out, for fields of multi-vectors.

`TokenFunction` is any Python function, `SentenceTokens` a model of sentence-transformers before it pools its tokens,
`PyLate` one that was trained for late interaction. The libraries are imported when they are first used.
"""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecdb.encoders.base import functions_of, prompts_of
from vecdb.encoders.sentence_transformer import SentenceTransformer
from vecdb.encoders.weights import folder_of, name_of, weights_of
from vecdb.errors import EncoderError, InvalidInputError, MissingExtraError, VecdbError
from vecdb.schema.given import whole_number
from vecdb.schema.space import Space

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOKENS = "tokens"
"""What the space of tokens says of pooling: there is none."""


class TokenEncoder(ABC):
    """Makes vectors of the tokens of texts; from several threads too."""

    def __init__(self, name: str, batch_size: int) -> None:
        if not isinstance(name, str) or not name:
            raise InvalidInputError(f"name is {name!r}, expected what to call the model")
        self.name = name
        self.batch_size = whole_number("batch_size", batch_size)

    @abstractmethod
    def described(self, dimension: int) -> Space:
        """Return the space of the vectors; of that dimension where the encoder does not know its own."""

    @abstractmethod
    def _tokens(self, texts: list[str], kind: str) -> Sequence[Any]:
        """Return (tokens, dimension) numbers for each text, as the model makes them; kind is "query" or "document"."""

    def space(self, dimension: int) -> Space:
        """Return the space of the vectors, if they have that many values.

        Raises:
            InvalidInputError: they have another number of values.

        """
        found = self.described(dimension)
        if found.dimension != dimension:
            told = f"{self.name!r} makes {found.dimension} values, the field has dimension {dimension}"
            raise InvalidInputError(told)
        return found

    def documents(self, texts: Sequence[str]) -> list[NDArray[Any]]:
        """Return the vectors of documents: (tokens, dimension) for each.

        Raises:
            EncoderError: what makes them failed, or made something else; the cause is chained.

        """
        return self._checked(list(texts), "document")

    def queries(self, texts: Sequence[str]) -> list[NDArray[Any]]:
        """Return the vectors of questions: (tokens, dimension) for each.

        Raises:
            EncoderError: as `documents`.

        """
        return self._checked(list(texts), "query")

    def _checked(self, texts: list[str], kind: str) -> list[NDArray[Any]]:
        import numpy as np

        try:
            made = [np.asarray(one) for one in self._tokens(texts, kind)]
        except VecdbError:
            raise
        except Exception as error:
            told = f"{self.name!r} failed on {len(texts)} texts: {type(error).__name__}: {error}"
            raise EncoderError(told) from error
        if len(made) != len(texts):
            raise EncoderError(f"{self.name!r} made tokens of {len(made)} texts out of {len(texts)}")
        for text, one in zip(texts, made, strict=True):
            if one.ndim != 2 or one.dtype.kind not in "fiu" or not np.isfinite(one).all():
                told = f"an array of shape {one.shape} and type {one.dtype}" if one.ndim != 2 else "no finite numbers"
                raise EncoderError(f"{self.name!r} made {told} of {text!r:.80}, expected (tokens, dimension) numbers")
        return made


class TokenFunction(TokenEncoder):
    """A function from a list of texts to the vectors of their tokens."""

    def __init__(
        self,
        function: Callable[[list[str]], Any],
        name: str,
        *,
        version: str | None = None,
        query: Callable[[list[str]], Any] | None = None,
        prompts: Mapping[str, str] | None = None,
        batch_size: int = 64,
    ) -> None:
        """Describe the function; it is not called yet.

        Args:
            function: takes a list of texts and returns (tokens, dimension) numbers for each. It may be called from
                several threads at once.
            name: what to call the model; stored, and compared when the collection is opened again.
            version: changes whenever the vectors of the same text do.
            query: another function for questions, where the model has one.
            prompts: texts to put before every "query" and every "document".
            batch_size: the most texts of one call.

        Raises:
            InvalidInputError: an argument is of another kind.

        """
        super().__init__(name, batch_size)
        self._functions = functions_of(function, query, version)
        self.version = version
        self.prompts = prompts_of(prompts)

    def described(self, dimension: int) -> Space:
        """Return the space of the vectors."""
        return Space(
            self.name,
            dimension,
            version=self.version,
            pooling=TOKENS,
            query_prompt=self.prompts.get("query", ""),
            document_prompt=self.prompts.get("document", ""),
        )

    def _tokens(self, texts: list[str], kind: str) -> Sequence[Any]:
        texts = [self.prompts.get(kind, "") + text for text in texts]
        made: list[Any] = []
        for at in range(0, len(texts), self.batch_size):
            made += list(self._functions[kind](texts[at : at + self.batch_size]))
        return made

    def __repr__(self) -> str:
        version = "" if self.version is None else f", version={self.version!r}"
        return f"TokenFunction({self.name!r}{version})"


class SentenceTokens(TokenEncoder):
    """The last layer of a model of sentence-transformers, a vector for each token, before they become one."""

    def __init__(self, model: SentenceTransformer | str | os.PathLike[str], projection: Any = None) -> None:
        """Describe the model; nothing is loaded yet.

        Args:
            model: a `SentenceTransformer`, or the folder or name of one.
            projection: (values of the model, dimension) numbers by which tokens are multiplied, to make them shorter.

        Raises:
            InvalidInputError: an argument is of another kind.

        """
        import numpy as np

        self.model = model if isinstance(model, SentenceTransformer) else SentenceTransformer(model)
        super().__init__(self.model.name, self.model.batch_size)
        self._projection = None if projection is None else np.array(projection, np.float32)
        if self._projection is not None and self._projection.ndim != 2:
            told = f"projection has the shape {self._projection.shape}, expected (values of the model, dimension)"
            raise InvalidInputError(told, field="projection")

    def described(self, dimension: int) -> Space:
        """Return the space of the vectors. Loads the model."""
        import hashlib

        own = self.model.described(dimension)
        values, version = own.dimension, None
        if self._projection is not None:
            values = self._projection.shape[1]
            version = hashlib.sha256(self._projection.tobytes()).hexdigest()[:16]
        return Space(
            own.model,
            values,
            weights=own.weights,
            version=version,
            pooling=TOKENS,
            query_prompt=own.query_prompt,
            document_prompt=own.document_prompt,
        )

    def _tokens(self, texts: list[str], kind: str) -> Sequence[Any]:
        made = self.model.token_vectors(texts, kind)
        return made if self._projection is None else [one @ self._projection for one in made]

    def __repr__(self) -> str:
        return f"SentenceTokens({self.model.model!r})"


class PyLate(TokenEncoder):
    """A model that was trained for late interaction, loaded by the library PyLate, which its user installs."""

    def __init__(
        self, model: str | os.PathLike[str], *, batch_size: int = 32, device: str | None = None, **options: Any
    ) -> None:
        """Describe the model; nothing is loaded yet.

        Args:
            model: a folder, or a name that PyLate knows, which it may download.
            batch_size: texts that go through the model at once.
            device: such as "cpu" or "cuda"; by default what the library chooses.
            **options: further arguments of `pylate.models.ColBERT`.

        Raises:
            InvalidInputError: an argument is of another kind.

        """
        if not isinstance(model, str | os.PathLike) or not os.fspath(model):
            raise InvalidInputError(f"model is {model!r}, expected a folder or a name", field="model", value=model)
        self.model = os.fspath(model)
        folder = Path(self.model).expanduser()
        super().__init__(name_of(folder) if folder.is_dir() else self.model, batch_size)
        self._options = {"device": device, **options}
        self._loading, self._turn = threading.Lock(), threading.Lock()

    @cached_property
    def _load(self) -> Any:
        try:
            library = import_module("pylate.models")
        except ImportError as error:
            raise MissingExtraError(f"{self.name!r} needs PyLate: `pip install pylate`") from error
        try:
            return library.ColBERT(model_name_or_path=self.model, **self._options)
        except Exception as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise EncoderError(f"the model {self.model!r} cannot be loaded: {reason}") from error

    @property
    def _loaded(self) -> Any:
        with self._loading:
            return self._load

    def described(self, dimension: int) -> Space:
        """Return the space of the vectors, of as many values as the model makes of a word. Loads the model."""
        return self._described

    @cached_property
    def _described(self) -> Space:
        (probe,) = self.documents(["a"])
        return Space(self.name, probe.shape[1], True, weights_of(folder_of(self.model)), pooling=TOKENS)

    def _tokens(self, texts: list[str], kind: str) -> Sequence[Any]:
        loaded = self._loaded
        with self._turn:
            return loaded.encode(texts, batch_size=self.batch_size, is_query=kind == "query", show_progress_bar=False)

    def __repr__(self) -> str:
        return f"PyLate({self.model!r})"
