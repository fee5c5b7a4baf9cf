"""What a configuration does to the server: settings of the database, and what is loaded ahead."""

import queue
from pathlib import Path
from typing import Any

import pytest

from integration.server.running import schema
from vecdb.errors import InvalidInputError
from vecdb_server import sources
from vecdb_server.config import Config, ServerSection
from vecdb_server.server import Server


def test_what_searches_of_a_new_collection_need_is_loaded_before_somebody_searches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: queue.SimpleQueue[tuple[list[str], bool]] = queue.SimpleQueue()
    monkeypatch.setattr("vecdb_server.served.load", lambda *told: loaded.put(told))
    server = Server(Config(server=ServerSection(path=str(tmp_path / "db"), port=0)))
    try:
        server.served.create("docs", schema(), False)
        told = loaded.get(timeout=60)
    finally:
        server.stop()

    assert told == (["float32"], True)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("indexing", "false", False),
        ("indexing", "true", True),
        ("retain_versions", "3", 3),
        ("retain_days", "0.5", 0.5),
    ],
)
def test_a_setting_of_the_database_may_be_a_text(tmp_path: Path, name: str, text: str, expected: Any) -> None:
    config = sources.load(flags={"server.path": str(tmp_path / "db")}, settings={f"database.{name}": text}).config

    server = Server(config)
    try:
        assert getattr(server.served.database._settings, name) == expected
    finally:
        server.stop()


def test_a_setting_that_is_none_is_refused_by_its_name(tmp_path: Path) -> None:
    config = sources.load(flags={"server.path": str(tmp_path / "db")}, settings={"database.indexing": "perhaps"}).config

    with pytest.raises(InvalidInputError, match="indexing is 'perhaps'"):
        Server(config)
