"""A check beside a writer: what the writer removes meanwhile is no damage."""

from pathlib import Path
from typing import Any

import pytest

import vecdb
from vecdb.storage import check


def test_a_log_that_goes_between_listing_and_reading_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old logs are removed after the version that does without them was published."""
    gone: list[str] = []
    read = check._check_collection

    def reading(directory: Any, base: str, audit: check.Audit) -> None:
        if len(gone) < 2:
            gone.append(base)
            raise FileNotFoundError(2, "No such file or directory", f"{base}/wal/1.wal")
        read(directory, base, audit)

    with vecdb.connect(tmp_path / "db") as db:
        db.create_collection("docs", vecdb.Schema(id=vecdb.Id())).upsert({"id": "a"})
        monkeypatch.setattr(check, "_check_collection", reading)
        assert db.check().ok
    assert len(gone) == 2


def test_a_file_that_is_always_gone_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reading(directory: Any, base: str, audit: check.Audit) -> None:
        raise FileNotFoundError(2, "No such file or directory", f"{base}/wal/1.wal")

    with vecdb.connect(tmp_path / "db") as db:
        db.create_collection("docs", vecdb.Schema(id=vecdb.Id()))
        monkeypatch.setattr(check, "_check_collection", reading)
        (problem,) = db.check().problems
    assert "went away" in problem.message
