"""vecdb.repair: what derives from other files comes back whole; of the rest, what is left, and the loss is counted."""

import random
import shutil
from pathlib import Path

import pytest

import vecdb
from support.damage import Damage, files
from support.damage_child import meet
from support.faults import kind_of
from support.figures import Figures
from support.museum import SETTING, Museum
from vecdb.errors import CorruptionError
from vecdb.storage.catalog import load
from vecdb.storage.directory import LocalDirectory

DERIVED = ["segment-keys", "segment-norm", "segment-index", "segment-in", "current", "catalog-current", "clean"]
WAYS = ["flip", *(pytest.param(way, marks=pytest.mark.slow) for way in ("delete", "empty"))]
LOSSY = [
    "segment-ids",
    "segment-data",
    "segment-text",
    "segment-vec",
    "segment-out",
    "segment-nodes",
    "segment-attributes",
    "deletions",
    "wal",
    "manifest",
    "requests",
]


@pytest.fixture(scope="module")
def ever(museum: Museum, tmp_path_factory: pytest.TempPathFactory) -> set[tuple[str, str]]:
    """Return every row that was ever readable, with its content then."""
    seen: set[tuple[str, str]] = set()
    for number, path in enumerate([museum[0], *museum[1]]):
        copy = tmp_path_factory.mktemp("ever") / str(number)
        shutil.copytree(path, copy)
        seen |= _rows(copy).items()
    return seen


def _damaged(pristine: Path, folder: Path, kind: str, way: str, rng: random.Random) -> Path:
    """Copy the database and damage a file of the collection "items" that is in force: the newest of its kind."""
    path = folder / "library"
    shutil.copytree(pristine, path)
    items = load(LocalDirectory(path)).uuid("items")
    known = [name for name in files(path) if kind_of(name) == kind and ("collections/" not in name or items in name)]
    name = max(known, key=lambda name: (path / name).stat().st_mtime)
    bit = rng.randrange((path / name).stat().st_size * 8)
    Damage(way, name, kind, bit).apply(path)
    return path


def _rows(path: Path) -> dict[str, str]:
    with vecdb.connect(path, settings=SETTING) as database:
        rows = database.collection("items").scan() if "items" in database.collections() else []
        return {row["id"]: repr(row) for batch in rows for row in batch.to_pylist()}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", DERIVED)
def test_repair_brings_everything_back_when_only_derived_files_are_damaged(
    kind: str, way: str, museum: Museum, tmp_path: Path, seed: int
) -> None:
    pristine, _, expected = museum
    path = _damaged(pristine, tmp_path, kind, way, random.Random(seed))

    report = vecdb.repair(path)

    assert report.rows_lost == 0
    met = meet(path, expected, read_only=False)
    assert (met["detected"], met["unexpected"]) == ([], [])
    # An index that was built again is a new version.
    assert [text for text in met["wrong"] if kind != "segment-index" or not text.startswith("versions ")] == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", LOSSY)
def test_repair_with_allow_loss_brings_the_rest_back_and_counts_what_is_lost(
    kind: str,
    way: str,
    museum: Museum,
    ever: set[tuple[str, str]],
    tmp_path: Path,
    seed: int,
    figures: Figures,
) -> None:
    pristine = museum[0]
    path = _damaged(pristine, tmp_path / "damaged", kind, way, random.Random(seed))
    shutil.copytree(pristine, tmp_path / "whole")
    whole = _rows(tmp_path / "whole")

    report = vecdb.repair(path, allow_loss=True)

    assert vecdb.check(path).ok
    rows = _rows(path)
    # Where the log or a list of deletions is lost, rows come back as they were before; otherwise none may change.
    assert rows.items() <= ever, "repair invented rows"
    if kind.startswith("segment"):
        assert rows.items() <= whole.items(), "repair changed rows"
    # How many rows a lost segment had is known; of a lost log only that there were some.
    missing = len(whole) - len(rows)
    assert report.rows_lost >= (missing if kind.startswith("segment") else min(missing, 1))
    figures(f"{len(rows)} of {len(whole)} rows left, {report.rows_lost} reported lost; {report.actions}"[:300])


@pytest.mark.parametrize("kind", ["segment-ids", "segment-data", "segment-vec", "segment-out", "wal", "requests"])
def test_repair_without_allow_loss_throws_nothing_away(kind: str, museum: Museum, tmp_path: Path, seed: int) -> None:
    pristine = museum[0]
    path = _damaged(pristine, tmp_path, kind, "flip", random.Random(seed))
    before = {name: (path / name).read_bytes() for name in files(path) if kind_of(name) != "lock"}

    try:
        report = vecdb.repair(path)
    except CorruptionError:
        lost = 0
    else:
        lost = report.rows_lost

    assert lost == 0
    missing = [name for name in before if not (path / name).exists() and kind_of(name).startswith(("segment", "wal"))]
    assert missing == []
    assert not vecdb.check(path).ok
