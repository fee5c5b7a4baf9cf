"""Requests, counted as they begin and end: what Prometheus' own counters do for one request takes longer than this."""

import threading
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""The upper ends of the buckets; what takes longer is in one more."""


class Tallies(Collector):
    """How many requests run, and how many of each method ended in which way, after how long."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._running = 0
        self._codes: dict[tuple[str, str], int] = {}
        self._took: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def begin(self) -> None:
        """Count a request that begins."""
        with self._guard:
            self._running += 1

    def leave(self) -> None:
        """Forget a request that began and is answered elsewhere."""
        with self._guard:
            self._running -= 1

    def end(self, method: str, code: str, seconds: float) -> None:
        """Count a request that ended. Methods and codes are few: those of the services and of gRPC."""
        bucket = bisect_left(SECONDS, seconds)
        with self._guard:
            self._running -= 1
            self._codes[method, code] = self._codes.get((method, code), 0) + 1
            took = self._took.get(method)
            if took is None:
                took = self._took[method] = [0] * (len(SECONDS) + 1)
            took[bucket] += 1
            self._sums[method] = self._sums.get(method, 0.0) + seconds

    def describe(self) -> Iterable[Metric]:
        """Return the families, empty."""
        return self._families()

    def collect(self) -> Iterable[Metric]:
        """Return what was counted so far."""
        ended, seconds, running = families = self._families()
        with self._guard:
            running.add_metric((), self._running)
            for labels, count in self._codes.items():
                ended.add_metric(labels, count)
            ends = [*map(str, SECONDS), "+Inf"]
            for method, took in self._took.items():
                seconds.add_metric((method,), list(zip(ends, accumulate(took), strict=True)), self._sums[method])
        return families

    @staticmethod
    def _families() -> tuple[CounterMetricFamily, HistogramMetricFamily, GaugeMetricFamily]:
        return (
            CounterMetricFamily(
                "vecdb_requests", "Requests that ended, by method and status code.", labels=("method", "code")
            ),
            HistogramMetricFamily("vecdb_request_seconds", "How long requests took.", labels=("method",)),
            GaugeMetricFamily("vecdb_requests_running", "Requests that run now.", labels=()),
        )
