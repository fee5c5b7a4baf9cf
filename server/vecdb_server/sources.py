"""Where a configuration comes from: flags win over the environment, that over a TOML file, that over the defaults."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from vecdb.errors import InvalidInputError, NotFoundError
from vecdb_server.config import Config

PREFIX = "VECDB__"
DEFAULT = "default"
_ADDRESS = re.compile(r"\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]")
"""An IPv6 address in brackets, which no JSON is."""

Origins = dict[str, str]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration, and for each value that is no default who said so, by the value's dotted name."""

    config: Config
    origins: Origins

    def lines(self, origin: bool = False) -> Iterator[str]:
        """Yield the configuration as TOML, each value with its origin as a comment."""
        for name, value in _leaves(msgspec.to_builtins(self.config)):
            shown = "# no " + name if value is None else f"{name} = {_toml(value)}"
            yield f"{shown}  # {self._origin(name)}" if origin else shown

    def _origin(self, name: str) -> str:
        known = (self.origins[given] for given in self.origins if f"{name}.".startswith(f"{given}."))
        return next(known, DEFAULT)


def load(
    file: str | os.PathLike[str] | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Loaded:
    """Read and check a configuration.

    Args:
        file: a TOML file, or none.
        environment: variables; those that begin with VECDB__ count. By default those of the process.
        flags: values of flags by dotted name; None for a flag that was not given.
        settings: values that were given with --set, by dotted name.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: the file is no TOML, or a value does not fit; the message names it and its origin.

    """
    merged: dict[str, Any] = {}
    origins: Origins = {}
    if file is not None:
        _merge(merged, origins, _toml_leaves(Path(file)), str(file))
    for variable, text in sorted((os.environ if environment is None else environment).items()):
        if variable.startswith(PREFIX):
            name = variable.removeprefix(PREFIX).lower().replace("__", ".")
            _merge(merged, origins, [(name, _value(variable, text))], variable)
    for name, value in (flags or {}).items():
        if value is not None:
            origin = _flag(name)
            _merge(merged, origins, [(name, _value(origin, value) if isinstance(value, str) else value)], origin)
    for name, text in (settings or {}).items():
        _merge(merged, origins, [(name, _value("--set", text))], "--set")
    try:
        config = msgspec.convert(merged, Config, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInputError(_told(error, origins)) from None
    return Loaded(config, origins)


def _flag(name: str) -> str:
    """Return the flag of `vecdb-server serve` that sets a value: those of the server and of keys are short."""
    section, _, last = name.partition(".")
    words = [last] if section in ("server", "auth") else [section, last]
    return "--" + "-".join(words).replace("_", "-")


def _merge(merged: dict[str, Any], origins: Origins, leaves: Any, origin: str) -> None:
    for name, value in leaves:
        *path, last = name.split(".")
        table = merged
        for at, part in enumerate(path):
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                told = ".".join(path[: at + 1])
                raise InvalidInputError(f"{name} in {origin} is inside {told}, which is a value in {origins[told]}")
        table[last] = value
        for given in [given for given in origins if given == name or given.startswith(f"{name}.")]:
            del origins[given]
        origins[name] = origin


def _toml_leaves(file: Path) -> Iterator[tuple[str, Any]]:
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"there is no configuration file {file}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{file} is not a TOML file: {error}") from None
    except OSError as error:
        raise InvalidInputError(f"cannot read {file}: {error.strerror}") from None
    yield from _leaves(content)


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted names and values; a name that has a dot of its own stays in the table that holds it."""
    for key, value in table.items():
        nested = isinstance(value, Mapping) and value and not any("." in inner for inner in value)
        if nested:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _value(origin: str, text: str) -> Any:
    """Return a text as a list or table where it is written as one in JSON; the use of a scalar converts it."""
    if not text.startswith(("[", "{")) or _ADDRESS.fullmatch(text):
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise InvalidInputError(f"{origin} begins like JSON and is none: {error}") from None


def _told(error: msgspec.ValidationError, origins: Origins) -> str:
    """Return msgspec's sentence, with the dotted name and the origin of the value."""
    sentence, _, place = str(error).partition(" - at `$")
    name = place.strip("`.").partition("[")[0]
    unknown = re.search("unknown field `(.*)`", sentence)
    if unknown is not None:
        name = f"{name}.{unknown[1]}".strip(".")
        sentence = "there is no such setting"
    inside = (origins[given] for given in origins if f"{name}.".startswith(f"{given}."))
    around = (origins[given] for given in origins if given.startswith(f"{name}."))
    origin = next(inside, None) or next(around, "the configuration")
    return f"{name} in {origin}: {sentence[:1].lower()}{sentence[1:]}"


def _toml(value: Any) -> str:
    """Return a value as TOML writes it. JSON's strings, numbers and lists are TOML's too."""
    if isinstance(value, Mapping):
        pairs = (f"{msgspec.json.encode(key).decode()} = {_toml(inner)}" for key, inner in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return msgspec.json.encode(value).decode()
