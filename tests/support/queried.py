"""Rows to query, and what NumPy says of their scores."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

import vecdb
from support.spread import spread
from vecdb import Collection

ROWS = 400
SCHEMA = vecdb.Schema(
    id=vecdb.Id(),
    section=vecdb.Keyword(),
    tags=vecdb.Keyword(many=True),
    size=vecdb.Int64(),
    added=vecdb.Timestamp(),
    place=vecdb.Geo(),
    a=vecdb.Vector(16),
    b=vecdb.Vector(8, metric="l2"),
)


def rows() -> list[dict[str, Any]]:
    rng = np.random.default_rng(7)
    a, b = rng.standard_normal((ROWS, 16)), rng.integers(-2, 3, (ROWS, 8))
    a[50:60] = a[40:50] + 0.01 * rng.standard_normal((10, 16))  # nearly the same rows
    return [
        {
            "id": f"r{at:03}",
            "section": None if at % 40 == 7 else f"s{at * 7 % 13}",
            "tags": [f"t{at % 3}", f"t{at % 5}"],
            "size": None if at % 11 == 0 else at * 37 % 100,
            "added": datetime.fromtimestamp(1_700_000_000, UTC) + timedelta(seconds=at * 37 % 50),
            "place": None if at % 13 == 5 else (at * 0.37 % 120 - 60, at * 1.93 % 360 - 180),
            "a": a[at].astype(np.float32),
            "b": None if at % 17 == 3 else b[at].astype(np.float32),
        }
        for at in range(ROWS)
    ]


def stored(path: Path, way: str) -> Iterator[Collection]:
    """Yield a collection that holds the rows in one of the ways of `support.spread`."""
    yield from spread(path, way, SCHEMA, rows())


RECORDS = {record["id"]: record for record in rows()}
A, B = RECORDS["r010"]["a"] + 0.1, np.arange(8, dtype=np.float32) / 4


def score(record: dict[str, Any], field: str, query: np.ndarray) -> float | None:
    vector = record[field]
    if vector is None:
        return None
    vector, query = vector.astype(np.float64), np.asarray(query, np.float64)
    if field == "b":
        return -float(((vector - query) ** 2).sum())
    return float(vector @ query / np.linalg.norm(vector) / np.linalg.norm(query))


def ranking(field: str, query: np.ndarray, ids: Any = RECORDS) -> list[tuple[float, str]]:
    scored = [(score(RECORDS[name], field, query), name) for name in ids]
    return sorted([(one, name) for one, name in scored if one is not None], key=lambda pair: (-pair[0], pair[1]))
