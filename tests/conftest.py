"""For all tests: no time limits in property tests, because a busy machine is no defect; the usual costs of plans.

VECDB_SLOW_SHARE=2/5 leaves of the slow tests those whose names fall into the third of five shares, and the fuzzers.
"""

import os
from zlib import crc32

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

    def is_others(item: pytest.Item) -> bool:
        slow = item.get_closest_marker("slow") is not None and "/fuzz/" not in item.nodeid
        return slow and crc32(item.nodeid.encode()) % shares != share

    others = [item for item in items if is_others(item)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if not is_others(item)]
