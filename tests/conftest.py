"""For all tests: no time limits in property tests, because a busy machine is no defect; the usual costs of plans.

VECDB_SLOW_SHARE=2/8 leaves of the slow tests every eighth from the third on, and the fuzzers: tests of one function are
spread over the shares.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

# Plans must not depend on the machine, nor tests write into the user's cache.
os.environ["VECDB_COSTS"] = "usual"

settings.register_profile("vecdb", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vecdb")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the slow tests of other shares."""
    given = os.environ.get("VECDB_SLOW_SHARE")
    if given is None:
        return
    share, shares = map(int, given.split("/"))

    slow = [item for item in items if item.get_closest_marker("slow") is not None and "/fuzz/" not in item.nodeid]
    others = {item for at, item in enumerate(slow) if at % shares != share}
    config.hook.pytest_deselected(items=list(others))
    items[:] = [item for item in items if item not in others]
