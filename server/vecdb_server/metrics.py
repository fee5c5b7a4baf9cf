"""What is counted and measured, in the form that Prometheus reads, on a port that serves nothing else."""

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from vecdb_server.sheets import Sheets
from vecdb_server.tallies import WORDS, Tallies

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

    def __init__(self, sheets: Sheets | None = None) -> None:
        """Count on the own one of some sheets, and tell the sum of all."""
        self.sheets = Sheets(WORDS) if sheets is None else sheets
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.requests = Tallies(self.sheets)
        self.registry.register(self.requests)
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
