"""Writes the golden database of the present format: `python tests/golden/make.py tests/golden/format-1`.

Run once per format version, never again for one that is committed: the point is that files of the past stay readable.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

import vecdb


def record(number: int) -> dict[str, object]:
    """Return the record that a number stands for; every fifth has no values beside its id and number."""
    if number % 5 == 0:
        return {"id": f"row-{number}", "number": number}
    return {
        "id": f"row-{number}",
        "number": number,
        "text": f"text of row {number}",
        "section": ["games", "python", "math"][number % 3],
        "tags": [f"tag-{number % 4}", "all"],
        "flag": number % 2 == 0,
        "weight": number / 8,
        "added": datetime(2024, 1, 1 + number % 28, tzinfo=UTC),
        "extra": {"nested": {"list": [number, str(number)]}},
        "wide": np.arange(number, number + 6, dtype=np.float32),
        "half": np.array([number, 1, 2], np.float16),
        "small": np.array([number % 100, 1, -1, 0], np.int8),
    }


SCHEMA = vecdb.Schema(
    id=vecdb.Id(),
    number=vecdb.Int64(),
    text=vecdb.Text(),
    section=vecdb.Keyword(),
    tags=vecdb.Keyword(many=True),
    flag=vecdb.Bool(),
    weight=vecdb.Float64(),
    added=vecdb.Timestamp(),
    extra=vecdb.Json(),
    wide=vecdb.Vector(6, metric="l2"),
    half=vecdb.Vector(3, "float16", metric="dot"),
    small=vecdb.Vector(4, "int8", metric="cosine"),
)


def main(path: Path) -> None:
    """Write segments, deletions, a tag, a renamed and an added column, and a log that is not flushed."""
    with vecdb.connect(path, settings=vecdb.Settings(background=False)) as database:
        rows = database.create_collection("rows", SCHEMA)
        rows.upsert([record(number) for number in range(40)])
        rows.flush()
        with rows.bulk() as load:
            load.add([record(number) for number in range(30, 60)])
        rows.delete([f"row-{number}" for number in range(0, 60, 7)])
        rows.tag("before")
        rows.rename_column("weight", "mass")
        rows.add_column("later", vecdb.Int64())
        rows.upsert({"id": "row-100", "number": 100, "later": 1})
        rows.patch({"id": "row-1", "later": 2})
        rows.delete("row-2")
    (path / "LOCK").unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
