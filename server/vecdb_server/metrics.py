"""What is counted and measured, in the form that Prometheus reads, on a port that serves nothing else."""

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

Stats = Callable[[], dict[str, dict[str, Any]]]

_OF_COLLECTIONS = {
    "rows": "Rows of a collection.",
    "segments": "Segments of a collection.",
    "deleted_rows": "Rows that were deleted and still take room.",
    "memtable_bytes": "Rows that wait in memory for a flush, in bytes.",
    "wal_bytes": "The log of a collection, in bytes.",
    "disk_bytes": "All files of a collection, in bytes.",
}


class Metrics:
    """All metrics of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._requests = Counter(
            "vecdb_requests",
            "Requests that ended, by method and status code.",
            ("method", "code"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "vecdb_request_seconds", "How long requests took.", ("method",), buckets=_SECONDS, registry=self.registry
        )
        self.running = Gauge("vecdb_requests_running", "Requests that run now.", registry=self.registry)
        self.threads = Gauge("vecdb_request_threads", "Threads that answer requests.", registry=self.registry)
        self.refused = Counter(
            "vecdb_refused",
            "Requests without the right to what they asked, by reason.",
            ("reason",),
            registry=self.registry,
        )
        self.rows_written = Counter("vecdb_rows_written", "Rows that were acknowledged.", registry=self.registry)
        self.snapshots = Gauge("vecdb_snapshots_open", "Snapshots that clients hold.", registry=self.registry)
        self.reserved = Gauge(
            "vecdb_query_memory_bytes", "Memory that running queries reserved.", registry=self.registry
        )
        self._ended: dict[tuple[str, str], tuple[Any, Any]] = {}

    def ended(self, method: str, code: str, seconds: float) -> None:
        """Count a request. Methods and codes are few: those of the services and of gRPC."""
        key = method, code
        both = self._ended.get(key)
        if both is None:
            both = self._ended[key] = self._requests.labels(method, code), self._seconds.labels(method)
        both[0].inc()
        both[1].observe(seconds)

    def watch(self, stats: Stats) -> None:
        """Measure collections whenever somebody reads the metrics."""
        self.registry.register(_Collections(stats))

    def serve(self, host: str, port: int) -> tuple[int, Callable[[], None]]:
        """Serve the metrics; returns the port and what ends it."""
        server, thread = start_http_server(port, host, self.registry)

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return server.server_port, stop


class _Collections(Collector):
    """Sizes of all collections."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    def describe(self) -> Iterable[Metric]:
        """Return nothing: a registry would measure everything once to learn the names."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Measure."""
        found = self._stats()
        for name, told in _OF_COLLECTIONS.items():
            family = GaugeMetricFamily(f"vecdb_collection_{name}", told, labels=("collection",))
            for collection, stats in found.items():
                if name in stats:
                    family.add_metric((collection,), float(stats[name]))
            yield family
