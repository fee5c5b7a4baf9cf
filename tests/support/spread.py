"""The same rows, spread over a collection in several ways: answers must not depend on it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

import vecdb
from vecdb import Collection

ROWS = 300
WAYS = ("one segment", "many segments", "in memory", "with deleted rows")
SCHEMA = vecdb.Schema(
    id=vecdb.Id(),
    section=vecdb.Keyword(),
    tags=vecdb.Keyword(many=True),
    size=vecdb.Int64(),
    price=vecdb.Float64(),
    free=vecdb.Bool(),
    added=vecdb.Timestamp(),
    a=vecdb.Vector(16),
    b=vecdb.Vector(8, metric="l2"),
)


def rows() -> list[dict[str, Any]]:
    """Return the rows: nulls in every field, ties in every order, coarse vectors with equal scores."""
    rng = np.random.default_rng(11)
    a, b = rng.standard_normal((ROWS, 16)), rng.integers(-1, 2, (ROWS, 8))
    return [
        {
            "id": f"r{at * 7919 % 1000:03}",
            "section": None if at % 40 == 7 else f"s{at * 7 % 13}",
            "tags": None if at % 23 == 1 else [f"t{at % 3}", f"t{at % 5}"][: at % 4],
            "size": None if at % 11 == 0 else at * 37 % 100,
            "price": None if at % 19 == 0 else (at * 31 % 50) / 4,
            "free": None if at % 9 == 4 else at % 3 == 0,
            "added": None if at % 29 == 3 else datetime(2024, 5, 1, tzinfo=UTC) + timedelta(microseconds=at * 37 % 50),
            "a": a[at].astype(np.float32),
            "b": None if at % 17 == 3 else b[at].astype(np.float32),
        }
        for at in range(ROWS)
    ]


def spread(
    path: Path, way: str, schema: vecdb.Schema = SCHEMA, records: list[dict[str, Any]] | None = None
) -> Iterator[Collection]:
    """Yield a collection that holds the rows, or others with a `size` and a `section`, in one of `WAYS`."""
    records = rows() if records is None else records
    count = len(records)
    half = count // 2
    with vecdb.connect(path, settings=vecdb.Settings(background=False)) as db:
        docs = db.create_collection("docs", schema)
        if way == "with deleted rows":
            docs.upsert([record | {"size": 1, "section": "old"} for record in records[: half + 50]])
            docs.flush()
            docs.upsert([record | {"id": f"x{record['id']}"} for record in records[: count // 4]])
            docs.upsert(records[:half])
            docs.flush()
            docs.delete(where="id startswith 'x'")
            docs.upsert(records[half:])
        step = count if way != "many segments" else 70
        for start in range(0, count, step):
            docs.upsert(records[start : start + step])
            if way in ("one segment", "many segments"):
                docs.flush()
        yield docs
