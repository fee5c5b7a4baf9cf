"""Options that several commands share."""

from typing import Annotated, Any

import typer

from vecdb.errors import InvalidInputError
from vecdb_server.sources import Loaded, load

ConfigFile = Annotated[
    str | None,
    typer.Option("--config", "-c", metavar="FILE", envvar="VECDB_CONFIG", help="A TOML file.", show_default=False),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any setting, such as limits.k=100.", show_default=False),
]


def loaded(file: str | None, given: list[str] | None, flags: dict[str, Any] | None = None) -> Loaded:
    """Return the configuration.

    Raises:
        InvalidInputError: a value is wrong, or --set has no `=`.

    """
    named: dict[str, Any] = {}
    for one in given or []:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise InvalidInputError(f"--set {one!r}: expected name=value, such as limits.k=100", field="set", value=one)
        named[name.strip()] = value
    return load(file, flags=flags or {}, settings=named)
