"""For all tests: no time limits in property tests, because a busy machine is no defect; the usual costs of plans."""

import os

from hypothesis import HealthCheck, settings

# Plans must not depend on the machine, nor tests write into the user's cache.
os.environ["VECDB_COSTS"] = "usual"

settings.register_profile("vecdb", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vecdb")
