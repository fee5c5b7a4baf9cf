"""What a `LookupSparse` is made of, read from files as those who train such models hand them out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from vecdb.errors import InvalidInputError, MissingExtraError, NotFoundError

EXTRA = "the extra 'tokenizers' is not installed: `pip install -e '.[tokenizers]'` in a checkout"

Name = str | os.PathLike[str]


def tokenizer_of(name: Name) -> Any:
    """Return the tokenizer of a `tokenizer.json`, or of the folder that has one; nothing is downloaded.

    Raises:
        NotFoundError: there is none.
        InvalidInputError: the file is something else.
        MissingExtraError: the library is not installed.

    """
    path = Path(name).expanduser()
    path = path / "tokenizer.json" if path.is_dir() else path
    if not path.is_file():
        raise NotFoundError(f"there is no tokenizer {str(path)!r}")
    try:
        library = import_module("tokenizers")
    except ImportError as error:
        raise MissingExtraError(f"the tokenizer {str(path)!r} needs tokenizers, and {EXTRA}") from error
    try:
        found = library.Tokenizer.from_file(str(path))
    except Exception as error:
        raise InvalidInputError(f"{str(path)!r} is no tokenizer: {error}", field="tokenizer") from error
    found.no_padding()  # what fills a text up to a length is no word of it
    return found


def table_of(name: Name, tokenizer: Any) -> Any:
    """Return the weights of a file, by number of a token.

    Args:
        name: `.npy` with a weight for each token, or `.json` with a list of them, or with weights by tokens.
        tokenizer: which tokens have which numbers.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it holds something else, or a token that the tokenizer does not know.

    """
    import numpy as np

    path = Path(name).expanduser()
    if not path.is_file():
        raise NotFoundError(f"there is no table {str(path)!r}")
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False)
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidInputError(f"{str(path)!r} is no table of weights: {error}", field="table") from error
    if not isinstance(found, Mapping):
        return found
    numbers = tokenizer.get_vocab()
    unknown = next((token for token in found if token not in numbers), None)
    if unknown is not None:
        raise InvalidInputError(
            f"the table {str(path)!r} has a weight for {unknown!r:.80}, which is no token of the tokenizer",
            field="table",
        )
    return {numbers[token]: weight for token, weight in found.items()}
