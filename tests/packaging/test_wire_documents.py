"""What docs/wire.md promises: a call for everything that is public, limits and codes as they are."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from google.rpc import code_pb2

from vecdb import errors
from vecdb.bulk import BulkLoad
from vecdb.collection import Collection
from vecdb.database import Database
from vecdb.reads import Snapshot
from vecdb.wire import errors as wire_errors
from vecdb.wire import filters, queries, rows

SERVICES = "collection", "link", "record", "search", "snapshot", "admin"
LOCAL = {"encoders", "trial", "checked_ids"} | {"restricted", "within", "stored_chunks", "pending_chunks"}
"""What serves the classes themselves, and what a server uses to answer calls."""


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "wire.md").read_text("utf-8")


def public(cls: type[Any]) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")} - LOCAL


def test_every_public_method_has_a_call_or_a_reason_for_none(page: str) -> None:
    named = set(re.findall(r"`(\w+\.\w+)`", page))
    collection = {f"Collection.{name}" for name in public(Collection)}
    # A snapshot reads as a collection does.
    snapshot = {f"Snapshot.{name}" for name in public(Snapshot) - public(Collection)}
    others = {f"{cls.__name__}.{name}" for cls in (Database, BulkLoad) for name in public(cls)}

    assert (collection | snapshot | others) - named == set()


def test_every_call_is_named_and_every_named_call_exists(page: str) -> None:
    calls = set()
    for name in SERVICES:
        file = importlib.import_module(f"vecdb_proto.v1.{name}_service_pb2").DESCRIPTOR
        for service in file.services_by_name.values():
            calls |= {f"{service.name}.{method.name}" for method in service.methods}

    assert set(re.findall(r"`(\w+Service\.\w+)`", page)) == calls


def test_the_limits_are_those_that_hold(page: str) -> None:
    for number, what in (
        (f"{filters.MAX_VALUES:,}", "values of all lists"),
        (f"{queries.MAX_ARMS:,}", "arms and stages"),
        (f"{rows.Bounds().rows:,}", "rows of one message"),
        (f"{rows.Bounds().bytes >> 30} GiB", "decompressed"),
        (f"{rows.Bounds().ratio};", "larger than they are compressed"),
        (f"{rows.COLUMNS:,}", "columns of one message"),
    ):
        assert re.search(rf"\| [^|]*{what}[^|]* \| {number}", page), what
    assert f"longer than {wire_errors.MESSAGE_BYTES:,} bytes" in page


def test_the_codes_are_those_that_are_sent(page: str) -> None:
    table = dict(re.findall(r"^\| `(\w+Error)`[^|]* \| `([A-Z_]+)`", page, re.MULTILINE))

    assert table
    for name, code in table.items():
        assert code_pb2.Code.Name(wire_errors.code_of(getattr(errors, name)("text"))) == code
    for kind in (getattr(errors, name) for name in errors.__all__):
        if not issubclass(kind, tuple(getattr(errors, name) for name in table)):
            assert code_pb2.Code.Name(wire_errors.code_of(kind("text"))) in (kind.code, "INTERNAL")
