"""A running server, its callers and their roles, and the rows that its collections have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import vecdb
from vecdb_server.config import GrantSection
from vecdb_server.server import Server

ISSUER, AUDIENCE = "https://issuer.example.org", "vecdb"

ROLES = {
    "reader-docs": [GrantSection(role="reader", collections="docs*")],
    "writer-docs": [GrantSection(role="writer", collections="docs*")],
    "admin-docs": [GrantSection(role="admin", collections="docs*")],
    "operator-docs": [GrantSection(role="operator", collections="docs*")],
    "filtered-docs": [GrantSection(role="reader", collections="docs*", where="n < 10")],
    "filtered-writer-docs": [GrantSection(role="writer", collections="docs*", where="n < 10")],
    "admin-other": [
        GrantSection(role="admin", collections="other*"),
        GrantSection(role="operator", collections="other*"),
    ],
}


def schema() -> vecdb.Schema:
    """Return the fields of the collections here."""
    return vecdb.Schema(
        id=vecdb.Id(), n=vecdb.Int64(), text=vecdb.Text(search=True), v=vecdb.Vector(8, metric="cosine")
    )


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Return some rows; row i has n = i."""
    rng = np.random.default_rng(start)
    return [
        {"id": f"r{at}", "n": at, "text": f"row number {at}", "v": rng.standard_normal(8, dtype=np.float32)}
        for at in range(start, start + count)
    ]


@dataclass
class Running:
    """A server that runs, and the token of each kind of caller."""

    server: Server
    target: str
    tokens: dict[str, str]
    keys: Path

    @property
    def database(self) -> vecdb.Database:
        """The database that it serves."""
        return self.server.served.database
