"""The process that is killed while it brings links between rows that are alike up to date.

It writes and deletes rows, says that it refreshes, and does so.
"""

import os
from typing import Any

import numpy as np

COLLECTION = "docs"
FIELD = "v"
ROWS, WIDTH, K = 300, 6, 5
SETTINGS: dict[str, Any] = {"memtable_bytes": 16 << 10, "merge_fan_in": 2, "free_bytes": 0}


def work(path: str, seed: str) -> None:
    """Work until killed."""
    import vecdb
    from vecdb.overlays import refresh_similar

    rng = np.random.default_rng(int(seed))
    database = vecdb.connect(path, settings=vecdb.Settings(**SETTINGS))
    schema = vecdb.Schema(id=vecdb.Id("int64"), v=vecdb.Vector(WIDTH))
    docs = database.create_collection(COLLECTION, schema, exist_ok=True)
    while True:
        ids = rng.choice(ROWS, 20, replace=False)
        docs.upsert({"id": ids, FIELD: list(rng.standard_normal((len(ids), WIDTH)))})
        docs.delete(rng.choice(ROWS, 5, replace=False).tolist())
        os.write(1, b"refreshing\n")
        refresh_similar(docs, FIELD, K, exact=True)
