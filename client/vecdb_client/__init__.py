"""The vecdb client: databases that a server has, with the methods of embedded ones.

    import vecdb

    with vecdb.connect("grpc://localhost:7700") as db:
        docs = db.collection("docs")
        docs.search(embedding=[...], k=10, where="title is not null")

`vecdb_client.aio` has the same for asyncio. Importing vecdb_client loads neither numba nor faiss, and gRPC and NumPy
only when they are needed first.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vecdb_client import aio
    from vecdb_client.blocking.bulk import BulkLoad
    from vecdb_client.blocking.collection import Collection
    from vecdb_client.blocking.database import Database, connect
    from vecdb_client.blocking.scan import Scan
    from vecdb_client.blocking.snapshot import Snapshot
    from vecdb_client.settings import Settings, Tls

_LAZY = {
    "BulkLoad": "vecdb_client.blocking.bulk",
    "Collection": "vecdb_client.blocking.collection",
    "Database": "vecdb_client.blocking.database",
    "Scan": "vecdb_client.blocking.scan",
    "Settings": "vecdb_client.settings",
    "Snapshot": "vecdb_client.blocking.snapshot",
    "Tls": "vecdb_client.settings",
    "connect": "vecdb_client.blocking.database",
}

__all__ = ["BulkLoad", "Collection", "Database", "Scan", "Settings", "Snapshot", "Tls", "aio", "connect"]


def __getattr__(name: str) -> Any:
    """Load what is heavy when it is first asked for."""
    if name == "aio":
        return import_module("vecdb_client.aio")
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'vecdb_client' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
