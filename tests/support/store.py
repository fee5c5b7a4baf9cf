"""A small collection on disk, and its files by their kinds."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import vecdb
from vecdb.storage.format import UUID_NAME

NAME = "docs"
SETTINGS = vecdb.Settings(background=False, free_bytes=0, retain_versions=3)


def small_schema() -> vecdb.Schema:
    return vecdb.Schema(id=vecdb.Id(), n=vecdb.Int64(), v=vecdb.Vector(2, metric="l2"))


def rows(numbers: Iterable[int], n: int | None = None) -> list[dict[str, Any]]:
    """Return records whose ids and vectors follow from their numbers."""
    return [{"id": f"r{number}", "n": number if n is None else n, "v": [number, 1]} for number in numbers]


def create(path: Path, settings: vecdb.Settings = SETTINGS) -> tuple[vecdb.Database, vecdb.Collection]:
    """Return a new database with one empty collection."""
    database = vecdb.connect(path, settings=settings)
    return database, database.create_collection(NAME, small_schema())


def reopen(path: Path, settings: vecdb.Settings = SETTINGS) -> tuple[vecdb.Database, vecdb.Collection]:
    """Open a database that nobody has open."""
    database = vecdb.connect(path, settings=settings, create=False)
    try:
        return database, database.collection(NAME)
    except BaseException:
        database.close()
        raise


def seen(reader: Any) -> dict[str, int]:
    """Return n by id, as a scan finds it; an id that comes twice fails."""
    found: dict[str, int] = {}
    for batch in reader.scan():
        for record in batch.to_pylist():
            assert record["id"] not in found, f"{record['id']} is alive twice"
            found[record["id"]] = record["n"]
    assert reader.count() == len(found)
    assert [record["n"] for record in reader.get(list(found))] == list(found.values())
    return found


def folder(path: Path) -> Path:
    """Return the folder of the only collection."""
    (only,) = [entry for entry in (path / "collections").iterdir() if UUID_NAME.fullmatch(entry.name)]
    return only


def logs(path: Path) -> list[Path]:
    """Return the log files, oldest first."""
    return sorted((folder(path) / "wal").iterdir(), key=lambda log: log.name[11:])


def segments(path: Path) -> list[Path]:
    return sorted((folder(path) / "segments").iterdir())


def killed(path: Path, target: Path) -> Path:
    """Copy a folder that is open: what a killed process leaves."""
    shutil.copytree(path, target)
    return target
