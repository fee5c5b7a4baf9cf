"""Timing: warm-up, interleaved repeats, medians, spread, CPU seconds.

A busy machine doubles any single figure. So subjects that are compared take turns, every figure is a median with
its extremes beside it, a ratio is taken turn by turn, and CPU seconds (this process, all its threads) stand beside
wall seconds to tell a busy machine from slow code.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import numpy as np

T = TypeVar("T")


class Timer:
    """Context manager: `wall_s` and `cpu_s` of its block, set when the block ends."""

    wall_s = 0.0
    cpu_s = 0.0

    def __enter__(self) -> Self:
        self._cpu = time.process_time()
        self._wall = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wall_s = time.perf_counter() - self._wall
        self.cpu_s = time.process_time() - self._cpu


@dataclass(frozen=True, slots=True)
class Sample:
    """One timed call, in seconds."""

    wall_s: float
    cpu_s: float


def timed(call: Callable[[], object]) -> Sample:
    """Time one call."""
    with Timer() as timer:
        call()
    return Sample(timer.wall_s, timer.cpu_s)


def interleave(
    subjects: Mapping[str, Callable[[], object]], repeats: int, *, warmup: int = 1, budget_s: float | None = None
) -> dict[str, list[Sample]]:
    """Time every subject once a round, for `repeats` rounds after `warmup` untimed ones.

    Rounds alternate direction, so that no subject always runs behind the same neighbour. After `budget_s` seconds
    no further round begins; at least one round is always complete.
    """
    order = list(subjects)
    for _ in range(warmup):
        for name in order:
            subjects[name]()
    samples: dict[str, list[Sample]] = {name: [] for name in order}
    begun = time.perf_counter()
    for turn in range(repeats):
        for name in order if turn % 2 == 0 else reversed(order):
            samples[name].append(timed(subjects[name]))
        if budget_s is not None and time.perf_counter() - begun > budget_s:
            break
    return samples


def latencies(call: Callable[[T], object], items: Iterable[T]) -> np.ndarray:
    """Return the wall seconds of call(item) for each item, float64, in order."""
    clock = time.perf_counter
    seconds = []
    for item in items:
        begun = clock()
        call(item)
        seconds.append(clock() - begun)
    return np.asarray(seconds)


def percentiles(seconds: np.ndarray | Sequence[float], unit: str = "ms") -> dict[str, float]:
    """Return p50, p95 and p99 of `seconds` in `unit` ("s", "ms" or "us"), keyed p50_ms and so on."""
    scale = {"s": 1.0, "ms": 1e3, "us": 1e6}[unit]
    return {f"p{p}_{unit}": float(np.percentile(seconds, p)) * scale for p in (50, 95, 99)}


def median(values: Iterable[float]) -> float:
    """Return the median of a non-empty series."""
    return float(np.median(list(values)))


def summary(values: Sequence[float]) -> dict[str, float | int]:
    """Return median, min, max, count and spread (interquartile range over the median; 0 for a zero median)."""
    series = np.asarray(values, dtype=np.float64)
    middle = float(np.median(series))
    low, high = (float(np.percentile(series, p)) for p in (25, 75))
    spread = (high - low) / abs(middle) if middle else 0.0
    return {
        "median": middle,
        "min": float(series.min()),
        "max": float(series.max()),
        "spread": spread,
        "count": len(series),
    }


def paired_ratio(numerators: Sequence[float | None], denominators: Sequence[float | None]) -> list[float]:
    """Return numerator / denominator turn by turn; turns in which either is missing or the divisor is 0 drop out."""
    pairs = zip(numerators, denominators, strict=False)
    return [above / below for above, below in pairs if above is not None and below]
