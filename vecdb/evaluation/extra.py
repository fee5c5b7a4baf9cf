"""The libraries of the extra `evaluate`, or an error that says how to get them."""

from importlib import import_module
from typing import Any

from vecdb.errors import MissingExtraError

HOW = "the extra 'evaluate' is not installed: `pip install -e '.[evaluate]'` in a checkout brings it"


def library(module: str, purpose: str) -> Any:
    """Return a module of the extra.

    Raises:
        MissingExtraError: it is not installed.

    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(f"{purpose} needs {module.partition('.')[0]}, and {HOW}") from error
