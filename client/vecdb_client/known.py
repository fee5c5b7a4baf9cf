"""What is known of servers beforehand: the API key and the certificates, from the environment or the user's own file.

The file is `vecdb/client.toml` in $XDG_CONFIG_HOME (~/.config), or what VECDB_CLIENT_CONFIG names:

    api_key_file = "~/.config/vecdb/key"            # for every server that has no entry of its own

    [servers."grpcs://search.example.org:7700"]
    api_key = "vdb_..."
    ca = "~/.config/vecdb/ca.pem"

A key is looked for in the argument, in VECDB_API_KEY, in VECDB_API_KEY_FILE, in the server's entry, and at the top.
Certificates likewise: in the argument, in VECDB_TLS_CA, VECDB_TLS_CERTIFICATE, VECDB_TLS_KEY and VECDB_TLS_SERVER_NAME,
and in the entry.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vecdb.errors import InvalidInputError, NotFoundError
from vecdb_client.address import Address
from vecdb_client.settings import Settings, Tls

VARIABLE = "VECDB_API_KEY"
_KEY = "api_key", "api_key_file"
_TLS = "ca", "certificate", "key", "server_name"


def api_key(address: Address, given: str | None, settings: Settings) -> str | None:
    """Return the API key for a server, None where there is none.

    Raises:
        InvalidInputError: what was found is no key, or it would be sent where others can read it.
        NotFoundError: a file that should hold it is missing.

    """
    key = _given(given) or _found(address)
    if key is None:
        return None
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidInputError("the API key has characters that no key has", field="api_key")
    if not (address.tls or address.local or settings.plaintext_key):
        raise InvalidInputError(
            f"the API key would be sent to {address} unencrypted: connect to grpcs://, or say"
            " settings=Settings(plaintext_key=True) where the network is your own",
            field="api_key",
        )
    return key


def tls_of(address: Address, given: Tls | None) -> Tls:
    """Return the certificates for a server.

    Raises:
        InvalidInputError: the address is not one of an encrypted connection, or the file is malformed.

    """
    if given is not None:
        if not address.tls:
            raise InvalidInputError(f"tls is given and {address} is not encrypted: grpcs:// is", field="tls")
        return given
    if not address.tls:
        return Tls()
    told = {name: value for name, value in _entry(address).items() if name in _TLS}
    told |= {
        name: os.environ[f"VECDB_TLS_{name.upper()}"] for name in _TLS if os.environ.get(f"VECDB_TLS_{name.upper()}")
    }
    return Tls(**told)


def _given(given: str | None) -> str | None:
    if given is not None and not isinstance(given, str):
        raise InvalidInputError(f"api_key is of type {type(given).__name__}, expected a text", field="api_key")
    return given


def _found(address: Address) -> str | None:
    if os.environ.get(VARIABLE):
        return os.environ[VARIABLE].strip()
    if os.environ.get(f"{VARIABLE}_FILE"):
        return _read(os.environ[f"{VARIABLE}_FILE"])
    for entry in (_entry(address), _content()):
        if "api_key" in entry:
            return entry["api_key"].strip()
        if "api_key_file" in entry:
            return _read(entry["api_key_file"])
    return None


def _read(name: str) -> str:
    try:
        return Path(name).expanduser().read_text("ascii").strip()
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {name}, which should hold the API key") from None
    except OSError as error:
        raise InvalidInputError(f"cannot read the API key from {name}: {error.strerror}", field="api_key") from None
    except UnicodeDecodeError:
        raise InvalidInputError(f"{name} holds no API key", field="api_key") from None


def _entry(address: Address) -> Mapping[str, Any]:
    servers = _content().get("servers", {})
    for text, entry in servers.items():
        if Address.parse(text).target == address.target:
            return entry
    return {}


def _content() -> Mapping[str, Any]:
    path = _path()
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror}", field="config") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInputError(f"{path} is malformed: {error}", field="config") from None
    servers = content.get("servers", {})
    entries = servers.values() if isinstance(servers, dict) else [servers]
    for entry, known in ((content, {*_KEY, "servers"}), *((entry, {*_KEY, *_TLS}) for entry in entries)):
        if not isinstance(entry, dict):
            raise InvalidInputError(f"{path}: servers is a table of tables, one for each address", field="config")
        for name, value in entry.items():
            if name not in known or (name != "servers" and not isinstance(value, str)):
                raise InvalidInputError(f"{path}: {name!r} is not known there, or no text", field="config")
    return content


def _path() -> Path:
    named = os.environ.get("VECDB_CLIENT_CONFIG")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "vecdb" / "client.toml"
