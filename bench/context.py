"""What one job of a workload is given, and how it marks its phases."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

Parameter = int | float | str


@dataclass(frozen=True)
class Context:
    """One job: a system under a workload, with its folders and the workload's parameters.

    `scratch` is shared by all jobs of a workload (prepared inputs live there) and `home` belongs to the system.
    `phases` collects (name, begin, end) in seconds of the system-wide monotonic clock, so that the parent can say
    how much memory each phase took.
    """

    workload: str
    system: str
    scratch: Path
    data: Path | None
    parameters: Mapping[str, Parameter]
    phases: list[tuple[str, float, float]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """The folder of this system inside the scratch folder; the system's set-up creates it."""
        return self.scratch / self.system

    def folder(self, name: str) -> Path:
        """Return the folder of a data set.

        Raises:
            FileNotFoundError: no data folder was given.

        """
        if self.data is None:
            raise FileNotFoundError(f"{name!r} needs a data folder: give --data or VECDB_BENCH_DATA")
        return self.data / name

    def integer(self, name: str) -> int:
        """Return a parameter as an int."""
        return int(self.parameters[name])

    def number(self, name: str) -> float:
        """Return a parameter as a float."""
        return float(self.parameters[name])

    def text(self, name: str) -> str:
        """Return a parameter as a str."""
        return str(self.parameters[name])

    def words(self, name: str) -> list[str]:
        """Return a comma-separated parameter as its parts."""
        return [part for part in self.text(name).split(",") if part]

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Mark the block as one phase of the job."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.phases.append((name, begun, time.monotonic()))


def parse_settings(settings: list[str], defaults: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Return the defaults with `name=value` settings applied, each parsed by the type of its default.

    Raises:
        ValueError: a setting has no "=", or names no parameter of the workload.

    """
    values = dict(defaults)
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in defaults:
            raise ValueError(f"{setting!r} is not name=value with a name among {', '.join(sorted(defaults))}")
        values[name] = type(defaults[name])(value)
    return values
