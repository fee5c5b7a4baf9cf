"""Writes the golden database with request ids: `python tests/golden/make_requests.py tests/golden/format-1-requests`.

Run once per format version, never again for one that is committed: the point is that ids of the past stay known.
"""

import sys
from pathlib import Path

import vecdb

AT = 1_790_000_000.0
"""When all of it was written, by the writer's clock."""
SCHEMA = vecdb.Schema(id=vecdb.Id("int64"), n=vecdb.Int64())


def rows(first: int, count: int) -> list[dict[str, int]]:
    """Return rows numbered from first on."""
    return [{"id": number, "n": number * number} for number in range(first, first + count)]


def write(docs: vecdb.Collection, flush: bool = False) -> list[vecdb.WriteResult]:
    """Make every kind of write under an id, some before a flush and some after it; return what came of each."""
    results = [
        docs.upsert(rows(0, 20), request_id="upsert"),
        docs.upsert(rows(20, 5), request_id="upload", chunk=0),
        docs.delete([3, 4, 500], request_id=bytes(range(16))),
        docs.delete(where="n > 1000", request_id="nothing"),
    ]
    if flush:
        docs.flush()
    return [
        *results,
        docs.patch({"id": 7, "n": -7}, request_id="8a6e0804-2bd0-4672-b79d-d97027f9071a"),
        docs.upsert(rows(25, 5), request_id="upload", chunk=1),
        docs.delete(where="n < 5", request_id="where"),
    ]


def main(path: Path) -> None:
    """Write the database."""
    from vecdb.storage import manifest

    manifest.time.time = lambda: AT
    with vecdb.connect(path, settings=vecdb.Settings(background=False)) as database:
        write(database.create_collection("docs", SCHEMA), flush=True)
    (path / "LOCK").unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
