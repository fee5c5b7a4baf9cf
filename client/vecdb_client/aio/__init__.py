"""The asyncio client: the classes of `vecdb_client` whose methods are awaited.

    async with await vecdb_client.aio.connect("grpc://localhost:7700") as db:
        docs = await db.collection("docs")
        found = await docs.search(embedding=query, k=10)
        async for batch in docs.scan():
            ...

What cannot be awaited has other names: `await docs.count()` for `len(docs)`, `await db.collection("docs")` for
`db["docs"]`, `await found.highlights()`.

The modules of this package are the source of both clients, `transport` aside: `client/generate.py` makes those of
`vecdb_client.blocking` of them.
"""

from vecdb_client.aio.bulk import BulkLoad
from vecdb_client.aio.collection import Collection
from vecdb_client.aio.database import Database, connect
from vecdb_client.aio.scan import Scan
from vecdb_client.aio.snapshot import Snapshot

__all__ = ["BulkLoad", "Collection", "Database", "Scan", "Snapshot", "connect"]
