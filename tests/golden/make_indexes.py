"""Writes the golden database with indexes: `python tests/golden/make_indexes.py tests/golden/format-1-indexes`.

Run once per format version, never again for one that is committed: the point is that indexes of the past stay usable.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

import vecdb

ROWS, DIMENSION = 96, 12
METRICS = {"hnsw": "cosine", "ivf_8bit": "l2", "ivf_4bit": "dot", "ivf_product": "l2", "ivf_rabitq": "cosine",
           "funnel": "dot", "binary": "cosine"}  # fmt: skip
SCHEMA = vecdb.Schema(
    id=vecdb.Id("int64"),
    hnsw=vecdb.Vector(DIMENSION, metric="cosine", index=vecdb.Hnsw(4, 32)),
    ivf_8bit=vecdb.Vector(DIMENSION, "float16", metric="l2", index=vecdb.Ivf(6)),
    ivf_4bit=vecdb.Vector(DIMENSION, "int8", metric="dot", index=vecdb.Ivf(6, "4bit")),
    ivf_product=vecdb.Vector(DIMENSION, metric="l2", index=vecdb.Ivf(6, "product")),
    ivf_rabitq=vecdb.Vector(DIMENSION, metric="cosine", index=vecdb.Ivf(6, "rabitq")),
    funnel=vecdb.Vector(DIMENSION, metric="dot", index=vecdb.Funnel(8, rotate=True)),
    binary=vecdb.Vector(DIMENSION, metric="cosine", index=vecdb.Binary()),
)


def vectors(name: str) -> np.ndarray:
    """Return the vectors of a field, (96, 12) whole numbers, by a formula that no library can change."""
    numbers, places = np.arange(ROWS)[:, None], np.arange(DIMENSION)[None]
    return (numbers * numbers * 31 + numbers * (7 + 2 * places) + places * places * 13 + len(name)) % 97 - 48


def records() -> list[dict[str, Any]]:
    """Return all rows."""
    fields = {
        name: vectors(name).astype(field.dtype)
        for name, field in SCHEMA.fields.items()
        if isinstance(field, vecdb.Vector)
    }
    return [{"id": number, **{name: rows[number] for name, rows in fields.items()}} for number in range(ROWS)]


def main(path: Path) -> None:
    """Write a segment with an index for each field, a deletion, and a row that is in the log alone."""
    with vecdb.connect(path, settings=vecdb.Settings(background=False)) as database:
        rows = database.create_collection("rows", SCHEMA)
        rows.upsert(records())
        rows.flush()
        rows.build_indexes()
        rows.delete([5])
        rows.flush()
        rows.upsert(records()[7])
    (path / "LOCK").unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
