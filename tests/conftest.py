"""For all tests: no time limits in property tests, because a busy machine is no defect."""

from hypothesis import HealthCheck, settings

settings.register_profile("vecdb", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vecdb")
