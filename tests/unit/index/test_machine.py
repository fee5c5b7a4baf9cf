"""What a machine charges is measured once and kept; whatever happens to the file, there are costs."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vecdb_index import factory
from vecdb_index.dense import flat, machine
from vecdb_index.dense import plan as plans
from vecdb_index.dense.plan import USUAL, Costs


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file in an empty cache, a process that has not looked yet, and a measurement that says 3.25."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv(machine.SWITCH)
    monkeypatch.setattr(machine, "measured_step", Measured())
    forget()
    yield tmp_path / "vecdb" / "costs.json"
    forget()


class Measured:
    def __init__(self) -> None:
        self.step, self.calls = 3.25, 0

    def __call__(self) -> float:
        self.calls += 1
        return self.step


def forget() -> None:
    """Do what the start of another process does."""
    machine.costs.cache_clear()
    machine._measured_and_kept.cache_clear()


def test_a_machine_is_measured_once_and_later_processes_know(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Measured()
    monkeypatch.setattr(machine, "measured_step", measured)
    assert machine.costs() == USUAL

    machine.measure_once()
    first = machine.costs()
    forget()
    later = machine.costs()
    machine.measure_once()

    assert first == later == Costs(step=3.25)
    assert measured.calls == 1
    assert [path.name for path in cache.parent.iterdir()] == ["costs.json"]


@pytest.mark.parametrize("measured", [0.1, 50.0])
def test_what_only_a_busy_machine_charges_is_not_believed(
    cache: Path, monkeypatch: pytest.MonkeyPatch, measured: float
) -> None:
    monkeypatch.setattr(machine, "measured_step", lambda: measured)

    machine.measure_once()

    assert machine.costs().step in (machine.LEAST_STEP, machine.MOST_STEP)


def test_a_file_that_cannot_be_believed_is_as_good_as_none_and_is_replaced(cache: Path) -> None:
    machine.measure_once()
    good = json.loads(cache.read_text())
    bad = [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"3",
        b"[" * 100_000,
        *(
            json.dumps({**good, **change}).encode()
            for change in (
                {"version": 0},
                {"processor": "another"},
                {"step": "wide"},
                {"step": None},
                {"step": float("nan")},
                {"step": float("inf")},
                {"step": 0},
                {"step": -2.6},
                {"step": 7.0},
                {"step": 10**400},
            )
        ),
    ]
    for content in bad:
        cache.write_bytes(content)
        forget()
        assert machine.costs() == USUAL

        machine.measure_once()

        assert machine.costs() == Costs(step=3.25)


def test_where_nothing_can_be_written_the_usual_costs_hold(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = Measured()
    monkeypatch.setattr(machine, "measured_step", measured)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))

    machine.measure_once()

    assert machine.costs() == USUAL
    assert measured.calls == 0


def test_switched_off_nothing_is_read_or_measured(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.measure_once()
    forget()
    monkeypatch.setenv(machine.SWITCH, machine.OFF)
    cache.touch()

    assert machine.costs() == USUAL


def test_a_step_of_a_walk_costs_more_than_a_code_in_order() -> None:
    assert 1 < machine.measured_step() < 30


def test_a_searcher_weighs_its_plans_with_the_costs_that_it_was_given() -> None:
    matrix = np.random.default_rng(1).standard_normal((6000, 16)).astype(np.float32)
    norms = flat.norms(matrix)
    graph = factory.build(factory.Wanted("hnsw", {"m": 8, "ef_construction": 20}), matrix, "cosine", norms)
    for costs in (USUAL, Costs(1.5), Costs(6.0)):
        searcher = factory.searcher(graph, matrix, "cosine", norms, costs)

        assert searcher.considered(3000, 10, 64) == plans.considered(6000, 3000, 10, 64, costs)
        assert searcher.plan(3000, 10, 64) == searcher.considered(3000, 10, 64)[0]
