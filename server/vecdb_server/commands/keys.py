"""`vecdb-server keys`: make, rotate, revoke and list API keys. A running server sees the change within a second."""

import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from vecdb.errors import InvalidInputError
from vecdb_server.auth.grants import Roles
from vecdb_server.auth.keys import Key, Keys, changing
from vecdb_server.commands.options import ConfigFile, Set, loaded
from vecdb_server.config import Config

app = typer.Typer(help="Make, rotate, revoke and list API keys.", no_args_is_help=True)

KeyFile = Annotated[
    str | None,
    typer.Option("--file", "-f", metavar="FILE", help="The file of keys; else auth.keys.", show_default=False),
]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="The key's id: the part between vdb_ and the secret.")]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LONGEST = 36_500 * 86_400


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is; stands in the log.")],
    role: Annotated[list[str], typer.Option("--role", "-r", metavar="ROLE", help="A role; give several if needed.")],
    file: KeyFile = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="TIME", help="For how long it is valid: 90d, 12h.")
    ] = None,
    config_file: ConfigFile = None,
    given: Set = None,
) -> None:
    """Make a key and print it. It cannot be shown again."""
    config, path = _where(file, config_file, given)
    roles = Roles(config.auth.roles).known(role)
    ends = None if expires is None else time.time() + seconds(expires)
    if not path.parent.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
    with changing(path):
        keys, key, token = Keys.read_or_none(path).with_key(name, roles, ends)
        keys.write(path)
    _show(key, token, path)


@app.command()
def rotate(
    key_id: KeyId,
    grace: Annotated[
        str, typer.Option("--grace", metavar="TIME", help="For how long the old key stays valid: 24h, 10m, 0s.")
    ] = "24h",
    file: KeyFile = None,
    config_file: ConfigFile = None,
    given: Set = None,
) -> None:
    """Make a new key with the same name and roles; the old one expires."""
    _, path = _where(file, config_file, given)
    with changing(path):
        keys, key, token = Keys.read(path).rotated(key_id, seconds(grace))
        keys.write(path)
    _show(key, token, path)


@app.command()
def revoke(key_id: KeyId, file: KeyFile = None, config_file: ConfigFile = None, given: Set = None) -> None:
    """Make a key invalid at once."""
    _, path = _where(file, config_file, given)
    with changing(path):
        Keys.read(path).revoked(key_id).write(path)
    print(f"{key_id} is revoked", file=sys.stderr)


@app.command("list")
def list_keys(file: KeyFile = None, config_file: ConfigFile = None, given: Set = None) -> None:
    """List keys, without their secrets."""
    _, path = _where(file, config_file, given)
    now = time.time()
    rows = [("ID", "NAME", "ROLES", "CREATED", "EXPIRES", "STATE")]
    for key in Keys.read(path).by_id.values():
        rows.append((key.id, key.name, ",".join(key.roles), _day(key.created), _day(key.expires), key.state(now)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def seconds(text: str) -> float:
    """Return how long a text such as 90d or 12h is, 100 years at most.

    Raises:
        InvalidInputError: it is none, or longer.

    """
    match = re.fullmatch(r"(\d+)([smhd])", text)
    if match is None:
        raise InvalidInputError(
            f"{text!r} is no time: expected a number and one of s, m, h, d, such as 90d", value=text
        )
    told = int(match[1]) * _UNITS[match[2]]
    if told > _LONGEST:
        raise InvalidInputError(f"{text!r} is more than 100 years", value=text)
    return told


def _where(file: str | None, config_file: str | None, given: list[str] | None) -> tuple[Config, Path]:
    config = loaded(config_file, given, {"auth.keys": file}).config
    if not config.auth.keys:
        raise InvalidInputError("which file of keys? Give --file, or set auth.keys in the configuration", field="file")
    return config, Path(config.auth.keys)


def _day(moment: float | None) -> str:
    return "-" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%MZ")


def _show(key: Key, token: str, path: Path) -> None:
    print(token)
    print(f"{key.name}: {', '.join(key.roles)}; id {key.id}, kept as a hash in {path}", file=sys.stderr)
