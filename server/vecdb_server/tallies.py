"""Requests, counted as they begin and end: what Prometheus' own counters do for one request takes longer than this.

They are counted on the sheet of the process; what is told is the sum over all processes of the server.
"""

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate

import grpc
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from vecdb_server.access import RULES
from vecdb_server.sheets import NOW, RUNNING, Sheets

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""The upper ends of the buckets; what takes longer is in one more."""

_CODES = tuple(code.name for code in grpc.StatusCode)
_CODE_AT = {code: at for at, code in enumerate(_CODES)}
_BUCKETS = len(SECONDS) + 1
_WIDTH = len(_CODES) + _BUCKETS + 1
"""Words of a method: requests by code, requests by bucket, microseconds."""
_METHOD_AT = {method: NOW + at * _WIDTH for at, method in enumerate(RULES)}

WORDS = NOW + len(RULES) * _WIDTH
"""Words of a sheet."""


class Tallies(Collector):
    """How many requests run, and how many of each method ended in which way, after how long."""

    def __init__(self, sheets: Sheets) -> None:
        self._sheets = sheets
        self._sheet = sheets.own
        self._guard = threading.Lock()

    def begin(self) -> None:
        """Count a request that begins."""
        with self._guard:
            self._sheet[RUNNING] += 1

    def leave(self) -> None:
        """Forget a request that began and is answered elsewhere."""
        with self._guard:
            self._sheet[RUNNING] -= 1

    def end(self, method: str, code: str, seconds: float) -> None:
        """Count a request that ended. Methods and codes are few: those of the services and of gRPC."""
        at, sheet = _METHOD_AT[method], self._sheet
        bucket = at + len(_CODES) + bisect_left(SECONDS, seconds)
        with self._guard:
            sheet[RUNNING] -= 1
            sheet[at + _CODE_AT[code]] += 1
            sheet[bucket] += 1
            sheet[at + _WIDTH - 1] += int(1e6 * seconds)

    def describe(self) -> Iterable[Metric]:
        """Return the families, empty."""
        return self._families()

    def collect(self) -> Iterable[Metric]:
        """Return what was counted so far."""
        ended, seconds, running = families = self._families()
        total = self._sheets.total
        running.add_metric((), total(RUNNING))
        ends = [*map(str, SECONDS), "+Inf"]
        for method, at in _METHOD_AT.items():
            counts = [total(at + word) for word in range(_WIDTH)]
            codes, took = counts[: len(_CODES)], counts[len(_CODES) : -1]
            for code, count in zip(_CODES, codes, strict=True):
                if count:
                    ended.add_metric((method, code), count)
            if any(took):
                seconds.add_metric((method,), _cumulated(ends, took), counts[-1] / 1e6)
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


def _cumulated(ends: Sequence[str], took: Sequence[int]) -> list[tuple[str, float]]:
    return list(zip(ends, accumulate(took), strict=True))
