"""For all tests: no time limits in property tests, because a busy machine is no defect; the usual costs of plans.

The tests that take longest begin first, so that they do not come last, each alone while the other cores wait.
"""

import os
from itertools import chain, zip_longest

import pytest
from hypothesis import HealthCheck, settings

# Plans must not depend on the machine, nor tests write into the user's cache.
os.environ["VECDB_COSTS"] = "usual"

settings.register_profile("vecdb", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vecdb")

LONGEST = (
    "test_failpoints.py::test_acknowledged_writes_survive_a_kill_at_every_point[every-point]",
    "test_model.py::TestBackground",
    "test_kill.py::test_acknowledged_writes_survive_a_kill_at_any_time[60-kills]",
    "test_warmup.py::test_after_warming_up_nothing_compiles",
    "test_model.py::TestThorough",
    "test_bench.py::test_every_workload_runs_quickly_and_leaves_a_complete_record[startup]",
    "test_failpoints.py::test_acknowledged_writes_survive_a_power_cut_at_any_point",
    "test_power_cut.py::test_acknowledged_writes_survive_a_power_cut[",
    "test_io_errors.py::test_a_failing_call_is_reported_and_loses_nothing[100-",
    "test_fuzz.py::",
    "test_damage.py::test_damage_is_detected_and_never_answers_wrongly[500]",
    "test_index_damage.py::",
    "test_killed_links.py::",
    "test_concurrency.py::test_readers_never_see_half_a_batch_or_a_deleted_row[3000-writes]",
    "test_bench.py::test_every_workload_runs_quickly_and_leaves_a_complete_record[open]",
)
"""The slowest of the slow tests, the slowest first; CONTRIBUTING.md says how long they take."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest of the chosen tests begin, each with a short one behind it: workers take tests by twos."""
    places = {id(item): next((at for at, name in enumerate(LONGEST) if name in item.nodeid), None) for item in items}
    slow = [item for item in items if item.get_closest_marker("slow") or item.get_closest_marker("power")]
    if len(slow) < len(items):
        return  # the quick tests: files stay together
    long = [item for item in items if places[id(item)] is not None]
    long.sort(key=lambda item: places[id(item)] or 0)
    short = [item for item in items if places[id(item)] is None]
    pairs = chain.from_iterable(zip_longest(long, short[: len(long)]))
    items[:] = [*(item for item in pairs if item is not None), *short[len(long) :]]
