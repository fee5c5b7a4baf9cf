"""The workloads, one module each.

A workload is a module with the attributes of `Workload`. Its `prepare` runs once, its `setup` once for each system,
its `run` once for each system and repeat, every one in its own process; the systems take turns.
"""

import importlib
from collections.abc import Mapping
from typing import Protocol, cast

from bench.context import Context, Parameter
from bench.records import Ratio

NAMES = (
    *("ingest", "upsert", "exact", "batch", "graph", "ann", "filtered", "index_ingest", "planner", "churn", "growth"),
    *("open", "memory", "startup", "quality", "selection", "relevance", "text", "arms", "serve", "multivector"),
    *("linked", "servers", "maxsim"),
)
Metrics = dict[str, float | None]


class Workload(Protocol):
    """What run.py needs of a workload module."""

    SYSTEMS: tuple[str, ...]  # compared when the command line names none
    REPEATS: int  # of a full run
    FULL: Mapping[str, Parameter]  # parameters of a full run
    QUICK: Mapping[str, Parameter]  # what --quick changes: seconds, and no data folder
    HEADLINES: tuple[str, ...]  # metrics worth a plot; a name matches the end of a metric's name

    def prepare(self, context: Context) -> Metrics | None:
        """Write what all systems share into context.scratch."""
        ...

    def setup(self, context: Context) -> Metrics | None:
        """Build what this system's runs share in context.home."""
        ...

    def run(self, context: Context) -> Metrics | None:
        """Measure once."""
        ...

    def ratios(self, parameters: Mapping[str, Parameter]) -> list[Ratio]:
        """Return the quotients that the record states, vecdb's side first."""
        ...


def load(name: str) -> Workload:
    """Return the module of a workload.

    Raises:
        ValueError: there is no such workload.

    """
    if name not in NAMES:
        raise ValueError(f"{name!r} is no workload; there are {', '.join(NAMES)}")
    return cast(Workload, importlib.import_module(f"bench.workloads.{name}"))


def environment(name: str, system: str) -> Mapping[str, str]:
    """Return what a system's processes have in their environment: of `ENVIRONMENT` where a workload has one."""
    return getattr(load(name), "ENVIRONMENT", {}).get(system, {})
