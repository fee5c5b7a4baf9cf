"""Both clients are made from one source."""

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import vecdb
import vecdb_client
from vecdb.bulk import BulkLoad
from vecdb_client import aio
from vecdb_client.aio import transport as waiting_transport
from vecdb_client.blocking import transport as blocking_transport

CLIENT = Path(vecdb_client.__file__).parents[1]


def test_the_blocking_client_is_what_the_source_makes() -> None:
    program = [sys.executable, str(CLIENT / "generate.py"), "--check"]

    assert subprocess.run(program, capture_output=True, text=True).stderr == ""


def methods(kind: type) -> dict[str, Any]:
    """Return the public methods of a class with their arguments."""
    members = {name: value for name, value in inspect.getmembers(kind) if not name.startswith("_")}
    return {name: inspect.signature(value) if callable(value) else value for name, value in members.items()}


@pytest.mark.parametrize("name", ["BulkLoad", "Collection", "Database", "Scan", "Snapshot"])
def test_both_clients_have_the_same_methods(name: str) -> None:
    blocking, waiting = (methods(getattr(package, name)) for package in (vecdb_client, aio))

    assert blocking.keys() == waiting.keys()
    for method, signature in blocking.items():
        if isinstance(signature, inspect.Signature):
            assert list(signature.parameters.values()) == list(waiting[method].parameters.values())


def test_both_transports_have_the_same_names() -> None:
    def names(module: Any) -> dict[str, list[str]]:
        own = {
            name: value for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__
        }
        return {name: sorted(vars(value)) if inspect.isclass(value) else [] for name, value in own.items()}

    def without(told: dict[str, list[str]]) -> dict[str, list[str]]:
        private = {name: [one for one in held if not one.startswith("_")] for name, held in told.items()}
        return private

    assert without(names(blocking_transport)) == without(names(waiting_transport))


EMBEDDED_ALONE = {
    "Database": {"open"},
    "Collection": set(),
    "Snapshot": {"trial"},
    "Scan": set(),
    "BulkLoad": set(),
}
"""What a server uses of the embedded classes."""
ATTRIBUTES = {"lsn", "name", "rows", "version"}
"""What instances have, not classes."""


@pytest.mark.parametrize("name", EMBEDDED_ALONE)
def test_the_client_has_the_methods_of_the_embedded_classes(name: str) -> None:
    embedded = methods(BulkLoad if name == "BulkLoad" else getattr(vecdb, name))
    client = methods(getattr(vecdb_client, name))

    assert embedded.keys() - client.keys() - EMBEDDED_ALONE[name] - ATTRIBUTES == set()
    for method in embedded.keys() & client.keys():
        ours, theirs = embedded[method], client[method]
        if isinstance(ours, inspect.Signature) and isinstance(theirs, inspect.Signature):
            assert list(theirs.parameters) == list(ours.parameters), method
