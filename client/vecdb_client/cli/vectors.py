"""A query vector, or a sparse one, on the command line: JSON, @file.npy, @file.json, or - for one of these on stdin."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vecdb_client.cli.errors import NOT_FOUND, CommandError

if TYPE_CHECKING:
    import numpy as np


def read_vector(text: str) -> "np.ndarray":
    """Read a query vector, or the several vectors of a question, a matrix.

    Raises:
        CommandError: the file does not exist, or the content is no numbers.

    """
    return _parsed(*_content(text, "--vector"))


def read_terms(text: str) -> dict[str, float]:
    """Read a sparse query vector: a JSON object of terms and weights.

    Raises:
        CommandError: the file does not exist, or the content is no JSON object.

    """
    import json

    content, where = _content(text, "--terms")
    hint = """write it as '{"12": 0.5, "907": 1.25}'"""
    try:
        terms = json.loads(content)
    except ValueError as error:
        raise CommandError(f"{where} does not hold terms and weights: {error}", hint=hint) from None
    if not isinstance(terms, dict):
        raise CommandError(f"{where} does not hold terms and weights, but {type(terms).__name__}", hint=hint)
    return terms


def _content(text: str, option: str) -> tuple[bytes, str]:
    """Return what an option gives: itself, a file, or stdin; and where that was."""
    if text == "-":
        return sys.stdin.buffer.read(), "stdin"
    if text.startswith("@"):
        file = Path(text[1:])
        try:
            return file.read_bytes(), str(file)
        except FileNotFoundError:
            raise CommandError(f"no such file: {file}", NOT_FOUND) from None
    return text.encode("utf-8", "surrogateescape"), option


def _parsed(content: bytes, where: str) -> "np.ndarray":
    import io
    import json

    import numpy as np

    try:
        if content.startswith(b"\x93NUMPY"):
            values = np.load(io.BytesIO(content), allow_pickle=False)
        else:
            values = np.array(json.loads(content))
    except (ValueError, EOFError) as error:
        raise CommandError(
            f"{where} does not hold a vector: {error}", hint="write it as '[0.1, 0.2, ...]' or save it with numpy.save"
        ) from None
    if values.ndim == 2 and len(values) == 1:
        values = values[0]
    if values.ndim not in (1, 2) or not values.size or values.dtype.kind not in "iufb":
        found = f"an array of shape {values.shape} and type {values.dtype}"
        raise CommandError(f"{where} does not hold a vector of numbers, nor several, but {found}")
    return values
