"""What calls may take, as somebody passed it to `within`, and ready for their time to run."""

from vecdb.config import Limits, limits_of
from vecdb_index.budget import Budget


def limited(given: Limits | Budget) -> Limits | Budget:
    """Return the limits, with numba loaded where they are short of time: that takes a second, once in a process.

    Raises:
        InvalidInputError: they are something else.

    """
    limits = limits_of(given)
    if isinstance(limits, Limits) and limits.seconds is not None:
        from vecdb_index import warmup

        warmup.load(())
    return limits
