"""A model of the sentence-transformers library as an encoder.

The library comes with the extra `embed` and is imported when the encoder is first used, and so is the model.

Two surprises. Calls take turns: the tokenizers below do not stand several threads. And a model that is given by name
may be downloaded by the library, because its user named it here; `local_files_only=True` forbids it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

from vecdb.encoders.base import TextEncoder, prompts_of
from vecdb.encoders.weights import HUB_NAME, folder_of, name_of, weight_files, weights_of
from vecdb.errors import EncoderError, InvalidInputError, MissingExtraError, NotFoundError, VecdbError
from vecdb.schema.space import Space

POOLINGS = ("cls", "lasttoken", "max", "mean", "mean_sqrt_len_tokens", "weightedmean")
EXTRA = "the extra 'embed' is not installed: `pip install -e '.[embed]'` in a checkout, or `pip install \
sentence-transformers`"


class SentenceTransformer(TextEncoder):
    """A model by name or folder, and how it is used."""

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        pooling: str | None = None,
        prompts: Mapping[str, str] | None = None,
        truncate: int | None = None,
        normalize: bool = True,
        batch_size: int = 32,
        name: str | None = None,
        device: str | None = None,
        local_files_only: bool = False,
    ) -> None:
        """Describe the model; nothing is loaded yet.

        Args:
            model: a folder, or a name that sentence-transformers knows.
            pooling: how the vectors of tokens become one; by default as the model's files say.
            prompts: texts to put before every "query" and every "document"; by default the model's own.
            truncate: keep only so many of the first values, for models that were trained for it.
            normalize: scale vectors to length 1, after truncating.
            batch_size: texts that go through the model at once.
            name: what to call the model; by default what its folder or the hub calls it.
            device: such as "cpu" or "cuda"; by default what the library chooses.
            local_files_only: never download.

        Raises:
            InvalidInputError: an argument is of another kind.

        """
        if not isinstance(model, str | os.PathLike) or not os.fspath(model):
            raise InvalidInputError(f"model is {model!r}, expected a folder or a name", field="model", value=model)
        self.model = os.fspath(model)
        folder = Path(self.model).expanduser()
        super().__init__(name or (name_of(folder) if folder.is_dir() else self.model), truncate, normalize, batch_size)
        if pooling is not None and pooling not in POOLINGS:
            raise InvalidInputError(f"pooling {pooling!r} is not one of {', '.join(POOLINGS)}", field="pooling")
        self.pooling = pooling
        self.prompts = prompts_of(prompts)
        self.device = device
        self.local_files_only = local_files_only
        self._loading = threading.Lock()
        self._turn = threading.Lock()

    @classmethod
    def of_space(cls, model: str | os.PathLike[str], space: Space, field: str, local_files_only: bool = False) -> Self:
        """Return the model, used as the space of a field says.

        The weights in a folder are compared before anything loads them.

        Raises:
            SpaceMismatchError: the weights are others.

        """
        made = cls(
            model,
            pooling=space.pooling if space.pooling in POOLINGS else None,
            prompts={"query": space.query_prompt, "document": space.document_prompt},
            truncate=space.dimension,
            normalize=space.normalized,
            local_files_only=local_files_only,
        )
        if Path(made.model).expanduser().is_dir() or local_files_only:
            found = weights_of(made.folder)
            if found != space.weights:
                space.check_same(
                    Space(made.name, space.dimension, space.normalized, found, None, *_used(space)),
                    field,
                    "the model makes those",
                )
        return made

    @property
    def folder(self) -> Path:
        """Where the model's files are; a model given by name is fetched by the library first, unless forbidden.

        Raises:
            NotFoundError: they are not on this machine.

        """
        if not self.local_files_only and not Path(self.model).expanduser().is_dir():
            _ = self._loaded
        return folder_of(self.model)

    def check(self) -> None:
        """Look whether the library and the files of the model are here. Nothing is loaded, nothing downloaded.

        Raises:
            NotFoundError: the model is not on this machine.
            EncoderError: its folder has no weights.
            MissingExtraError: the library is not installed.

        """
        weight_files(folder_of(self.model))
        if find_spec("sentence_transformers") is None:
            raise self._missing()

    def described(self, dimension: int) -> Space:
        """Return the space of the vectors. Loads the model."""
        return self._described

    @property
    def dimension(self) -> int:
        """How many values its vectors have. Loads the model."""
        return self._described.dimension

    @cached_property
    def _described(self) -> Space:
        loaded = self._loaded
        whole = loaded.get_embedding_dimension()
        if whole is None or (self.truncate or 0) > whole:
            raise InvalidInputError(f"{self.name!r} makes {whole} values, truncate asks for {self.truncate}")
        return Space(
            self.name,
            self.truncate or whole,
            self.normalize,
            weights_of(self.folder),
            pooling=_pooling(loaded),
            query_prompt=self._prompts["query"],
            document_prompt=self._prompts["document"],
        )

    @cached_property
    def _prompts(self) -> dict[str, str]:
        """The prompts in use: those given, else the model's, looked for as the library does."""
        own = self._loaded.prompts
        usual = own.get(self._loaded.default_prompt_name, "")
        document = next((own[name] for name in ("document", "passage", "corpus") if name in own), usual)
        return {"query": own.get("query") or "", "document": document or "", **self.prompts}

    @property
    def _loaded(self) -> Any:
        with self._loading:
            return self._load

    @cached_property
    def _load(self) -> Any:
        try:
            library = import_module("sentence_transformers")
        except ImportError as error:
            raise self._missing() from error
        folder = Path(self.model).expanduser()
        if not folder.is_dir() and not HUB_NAME.fullmatch(self.model):
            raise NotFoundError(f"there is no folder {self.model!r} with a model")
        model = str(folder) if folder.is_dir() else self.model
        try:
            with _without_bar() if folder.is_dir() else contextlib.nullcontext():
                loaded = library.SentenceTransformer(model, device=self.device, local_files_only=self.local_files_only)
        except Exception as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise EncoderError(f"the model {self.model!r} cannot be loaded: {reason}") from error
        if self.pooling is not None:
            _pool(loaded, self.pooling, self.name)
        return loaded

    def _missing(self) -> MissingExtraError:
        return MissingExtraError(f"{self.name!r} needs sentence-transformers, and {EXTRA}")

    def _vectors(self, texts: list[str], kind: str) -> Any:
        loaded, prompt = self._loaded, self._prompts[kind]
        encode = loaded.encode_query if kind == "query" else loaded.encode_document
        with self._turn:
            return encode(texts, prompt=prompt, batch_size=self.batch_size, show_progress_bar=False)

    def token_vectors(self, texts: list[str], kind: str) -> list[Any]:
        """Return the last layer's vectors of each text's tokens, (tokens, values) arrays; padding is left out."""
        loaded, prompt = self._loaded, self._prompts[kind]
        encode = loaded.encode_query if kind == "query" else loaded.encode_document
        with self._turn:
            made = encode(
                texts,
                prompt=prompt,
                batch_size=self.batch_size,
                show_progress_bar=False,
                output_value="token_embeddings",
                convert_to_numpy=False,
            )
        return [one.detach().cpu().numpy() for one in made]

    def __repr__(self) -> str:
        return f"SentenceTransformer({self.model!r})"


@contextlib.contextmanager
def _without_bar() -> Iterator[None]:
    """Keep transformers from drawing a bar while it reads files that lie here already."""
    logs = import_module("transformers.utils.logging")
    drawn = logs.is_progress_bar_enabled()
    logs.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            logs.enable_progress_bar()


def _used(space: Space) -> tuple[str | None, str, str]:
    return space.pooling, space.query_prompt, space.document_prompt


def _pooling_module(loaded: Any) -> tuple[str, Any] | None:
    return next(((at, module) for at, module in loaded.named_children() if type(module).__name__ == "Pooling"), None)


def _pooling(loaded: Any) -> str | None:
    found = _pooling_module(loaded)
    if found is None:
        return None
    mode = found[1].pooling_mode
    return mode if isinstance(mode, str) else "+".join(mode)


def _pool(loaded: Any, pooling: str, name: str) -> None:
    """Put another pooling in the place of the model's.

    Raises:
        EncoderError: the model does not pool tokens.

    """
    if _pooling(loaded) == pooling:
        return
    found = _pooling_module(loaded)
    if found is None:
        raise EncoderError(f"{name!r} does not pool the vectors of tokens: give no pooling")
    at, module = found
    try:
        setattr(loaded, at, type(module)(module.embedding_dimension, pooling_mode=pooling))
    except VecdbError:
        raise
    except Exception as error:
        raise EncoderError(f"{name!r} cannot be pooled by {pooling!r}: {error}") from error
