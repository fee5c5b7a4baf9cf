"""The standard health service: NOT_SERVING while the server starts, SERVING until it drains.

Open to everybody, and it tells nothing else.
"""

from collections.abc import Iterable

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_SERVING = health_pb2.HealthCheckResponse.SERVING


class Health:
    """What `grpc.health.v1.Health` answers, Check and Watch."""

    def __init__(self, services: Iterable[str]) -> None:
        """Take the full names of all services."""
        # A watcher holds no thread: whoever reaches the server may watch.
        self._servicer = health.HealthServicer(experimental_non_blocking=True)
        self._services = ("", *services)

    def add_to(self, server: grpc.Server) -> None:
        """Serve it, and say that the server starts."""
        self._say(_NOT_SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    def ready(self) -> None:
        """Say that requests are welcome."""
        self._say(_SERVING)

    def _say(self, status: health_pb2.HealthCheckResponse.ServingStatus.ValueType) -> None:
        for service in self._services:
            self._servicer.set(service, status)

    def drain(self) -> None:
        """Say for good that no more requests are welcome."""
        self._servicer.enter_graceful_shutdown()
