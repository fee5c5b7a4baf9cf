"""Damage to index files alone: no answer changes, check says what repair rebuilds, and then searches use it again."""

import json
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

import vecdb
from support.damage import WAYS, Damage, files, of_each
from support.damage_child import meet
from support.faults import kind_of
from support.figures import Figures
from support.graphs import plans_of
from support.museum import DENSE, HALF, SETTING, TINY, WIDE, Museum, fingerprint, questions

PARTS = 8
"""Tests that go through all damages together."""


def _indexes_alone(pristine: Path, moments: list[Path], rounds: int, rng: random.Random) -> list[Damage]:
    """Return every way in which each index file can be damaged, `rounds` times at other places, in random order."""
    names = _names(pristine)
    drawn = [
        damage for _ in range(rounds) for damage in of_each(pristine, moments, names, rng) if damage.way != "extra"
    ]
    rng.shuffle(drawn)
    return drawn


def _names(pristine: Path) -> list[str]:
    """Return the index files in an order that is the same for every museum: by field, then by size."""
    names = [name for name in files(pristine) if kind_of(name) == "segment-index"]
    return sorted(names, key=lambda name: (name.rpartition("/")[2].split("-")[1], (pristine / name).stat().st_size))


def _part_of(damage: Damage, names: list[str]) -> int:
    """Return in which of PARTS tests a damage is made."""
    return (names.index(damage.name) + WAYS.index(damage.way)) % PARTS


def _in_force(path: Path) -> set[str]:
    """Return the index files that the version in force names."""
    with vecdb.connect(path, settings=SETTING, read_only=True) as database:
        entries = database.collection("items").snapshot()._state.located.manifest.segments
    named = {index.file.name for entry in entries for index in entry.indexes}
    return {name for name in files(path) if name.rpartition("/")[2] in named}


def _plans(path: Path, expected: dict[str, str]) -> list[str]:
    """Ask through the indexes, compare the answers, and return how each part was searched."""
    with vecdb.connect(path, settings=SETTING) as database:
        items = database.collection("items")
        names = (
            "dense",
            "dense where",
            "half",
            "tiny",
            "tiny all",
            "short",
            "signs",
            "words",
            "phrase",
            "terms",
            "count",
        )
        for name in names:
            assert fingerprint(questions(database)[name]()) == expected[name], name
        searches = (
            items.search(dense=[1] * DENSE, ef=WIDE),
            items.search(half=[1] * HALF, ef=WIDE),
            items.search(tiny=[1] * TINY, probes=WIDE, plan="lists"),
            items.search(short=[1] * TINY, ef=WIDE, plan="codes"),
            items.search(signs=[1] * TINY, ef=WIDE, plan="codes"),
            items.search(body="text"),
            items.search(terms=dict.fromkeys(range(500), 1)),
        )
        return [plan for found in searches for plan in plans_of(found)]


def test_the_answers_of_the_museum_are_the_exact_ones_and_come_through_indexes(museum: Museum, tmp_path: Path) -> None:
    path, _, expected = museum
    shutil.copytree(path, tmp_path / "copy")

    plans = Counter(_plans(tmp_path / "copy", expected))

    assert expected["dense"] == expected["dense exact"]
    assert expected["tiny all"] == expected["tiny exact"]
    assert expected["short"] == expected["short exact"]
    assert expected["signs"] == expected["signs exact"]
    # Two segments have an index for each of seven fields; the rows behind them are few.
    assert plans.total() - plans["scan"] - plans["words in memory"] - plans["terms in memory"] == 14


@pytest.mark.parametrize(
    "part",
    [
        pytest.param(None, id="12"),
        *(pytest.param(part, id=f"part-{part}", marks=pytest.mark.slow) for part in range(PARTS)),
    ],
)
def test_damaged_indexes_change_no_answer_and_repair_builds_them_again(
    part: int | None, museum: Museum, memory_path: Path, scale: int, seed: int, figures: Figures
) -> None:
    pristine, moments, expected = museum
    in_force = _in_force(pristine)
    usual = Counter(_plans(Path(shutil.copytree(pristine, memory_path / "usual")), expected))
    copy = memory_path / "copy"
    rebuilt = noted = 0
    every, names = _indexes_alone(pristine, moments, scale, random.Random(seed)), _names(pristine)
    drawn = every[:12] if part is None else [damage for damage in every if _part_of(damage, names) == part]
    for number, damage in enumerate(drawn):
        shutil.copytree(pristine, copy)
        told = f"seed {seed}, {damage}"
        if not damage.apply(copy):
            shutil.rmtree(copy)
            continue

        met = meet(copy, expected, read_only=number % 2 == 0)
        assert (met["wrong"], met["unexpected"]) == ([], []), f"{told}: {met}"
        damaged = {damage.name, damage.other} & in_force
        found = {problem.path for problem in vecdb.check(copy).problems if problem.severity == "derived"}
        assert found == damaged, told
        assert damage.name in met["noted"] or damaged, told

        report = vecdb.repair(copy)
        assert report.rows_lost == 0, told
        assert Counter(_plans(copy, expected)) == usual, told
        assert vecdb.check(copy).ok, told
        rebuilt += len(damaged)
        noted += not damaged
        shutil.rmtree(copy)
    figures(f"{len(drawn)} damaged indexes, {rebuilt} built again, {noted} of older versions noted, 0 wrong answers")
    assert rebuilt > len(drawn) // 4


@pytest.mark.parametrize("way", ["flip", "delete", "truncate", "empty"])
def test_a_damaged_index_is_built_again_in_the_background(way: str, museum: Museum, tmp_path: Path, seed: int) -> None:
    copy = Path(shutil.copytree(museum[0], tmp_path / "copy"))
    name = sorted(_in_force(copy))[0]
    assert kind_of(name) == "segment-index"
    size = (copy / name).stat().st_size
    bit = random.Random(seed).randrange(size * 8)
    Damage(way, name, "segment-index", size // 2 if way == "truncate" else bit).apply(copy)

    with vecdb.connect(copy, settings=vecdb.Settings(retain_versions=4)) as database:
        items = database.collection("items")
        items.search(dense=[1] * DENSE)  # the checksum is compared when a file is first used
        items.search(half=[1] * HALF)
        items.search(tiny=[1] * TINY)
        items.search(short=[1] * TINY)
        items.search(signs=[1] * TINY)
        items.search(body="text")
        items.search(terms={1: 1})
        worker = items._index_worker
        assert worker is not None
        worker.wait(lambda: not any(told["pending_rows"] for told in items.stats()["indexes"].values()))
        indexes = items.stats()["indexes"]

    assert {told["pending_rows"] for told in indexes.values()} == {0}, json.dumps(indexes)
    assert not any(told["problems"] for told in indexes.values())
    assert not [problem for problem in vecdb.check(copy).problems if problem.severity == "derived"]


@pytest.mark.parametrize("way", ["flip", "delete"])
def test_nothing_is_noted_of_an_index_that_was_repaired(way: str, museum: Museum, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(museum[0], tmp_path / "copy"))
    name = min(_in_force(copy))
    Damage(way, name, "segment-index", 8 * ((copy / name).stat().st_size // 2)).apply(copy)

    assert vecdb.repair(copy).rows_lost == 0

    assert [problem for problem in vecdb.check(copy).problems if name in problem.path + problem.message] == []
    assert not (copy / name).exists()


def test_a_tag_survives_the_repair_of_an_index(museum: Museum, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(museum[0], tmp_path / "copy"))
    with vecdb.connect(copy, settings=SETTING) as database:
        database.collection("items").tag("last")
    (copy / min(_in_force(copy))).unlink()

    report = vecdb.repair(copy)

    assert report.rows_lost == 0
    with vecdb.connect(copy, settings=SETTING) as database:
        items = database.collection("items")
        assert set(items.tags()) == {"first", "second", "last"}
        assert items.at(tag="last").count() == items.count()
