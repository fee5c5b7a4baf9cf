"""The server: everything put together, started, drained and stopped."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_type_hints

import grpc
import msgspec
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

from vecdb.config import Settings
from vecdb.database import Database
from vecdb.errors import InvalidInputError, VecdbError
from vecdb_server import addresses, services, tls
from vecdb_server.admission import Admission
from vecdb_server.auth.identity import Identities
from vecdb_server.config import Config
from vecdb_server.encoders import Encoder, configured
from vecdb_server.guard import QUICK, Guard
from vecdb_server.health import Health
from vecdb_server.housekeeping import Housekeeping
from vecdb_server.lanes import Lanes, usable
from vecdb_server.leases import Leases
from vecdb_server.log import logger
from vecdb_server.memory import Memory
from vecdb_server.metrics import Metrics
from vecdb_server.options import channel_options
from vecdb_server.served import Served
from vecdb_server.services.shared import Shared
from vecdb_server.stalls import Stalls
from vecdb_server.telemetry import spans
from vecdb_server.workers import Workers


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens.

    Attributes:
        target: what clients dial: host:port, or unix:PATH.
        port: the port; 0 for a Unix socket.
        secure: whether it speaks TLS.
        metrics: the URL of the metrics; None where there are none.

    """

    target: str
    port: int
    secure: bool
    metrics: str | None


class Server:
    """A database behind gRPC: `start` it, and `drain` it at the end."""

    def __init__(self, config: Config, encoders: Mapping[str, Encoder] | None = None) -> None:
        """Open the database; nothing listens yet.

        Args:
            config: what to serve, where, to whom.
            encoders: what makes vectors of texts, by the name that clients use, beside those of the configuration.

        Raises:
            InvalidInputError: the configuration does not fit together, or would leave a public address open.
            ConflictError: another process has the database open for writing.
            CorruptionError: its files are damaged.

        """
        addresses.refuse_open(config)
        if not config.server.path:
            raise InvalidInputError("server.path is missing: which folder has the database?", field="server.path")
        self.config = config
        self.metrics = Metrics()
        self.identities = Identities(config.auth)
        self._ends = contextlib.ExitStack()
        with contextlib.ExitStack() as failed:
            failed.callback(self._ends.close)
            self._build(encoders or {})
            failed.pop_all()

    def _build(self, encoders: Mapping[str, Encoder]) -> None:
        config, limits = self.config, self.config.limits
        self.served = self._opened(encoders)
        memory = Memory(limits.server_memory_bytes)
        self.metrics.reserved.set_function(lambda: memory.held)
        threads = config.server.threads or _settings(config).thread_count
        self._workers = Workers(threads, limits.concurrent_requests)
        self._ends.callback(self._workers.shutdown)
        stalls, leases = Stalls(), Leases(limits.snapshots)
        self.metrics.snapshots.set_function(lambda: len(leases))
        self._ends.callback(Housekeeping(stalls.look, leases.expire).close)
        span, end_spans = spans(config.telemetry)
        self._ends.callback(end_spans)
        admission = Admission(self.identities, limits, memory, self.served.names)
        self._guard = guard = Guard(admission, limits, self.metrics, stalls, config.log.requests, span)
        self._server = grpc.server(
            cast("ThreadPoolExecutor", self._workers),  # any executor will do
            interceptors=[guard],
            options=channel_options(config),
            maximum_concurrent_rpcs=limits.concurrent_requests,
        )
        services.add_all(self._server, Shared(self.served, config, leases, self.metrics))
        self._lanes = Lanes(self._server, QUICK, guard.guarded, threads) if usable() else None
        if self._lanes is not None:
            self._ends.callback(self._lanes.shutdown)
        both = [self._workers] if self._lanes is None else [self._workers, self._lanes]
        self.metrics.threads.set_function(lambda: sum(one.threads for one in both))
        self._health = Health(services.NAMES)
        self._health.add_to(self._server)
        # Who may see it is in `access.RULES`.
        reflection.enable_server_reflection(
            (*services.NAMES, reflection.SERVICE_NAME, health.SERVICE_NAME), self._server
        )

    def _opened(self, encoders: Mapping[str, Encoder]) -> Served:
        config = self.config
        local = {name: configured(name, told) for name, told in config.encoders.items()}
        both = {**local, **encoders}
        database = Database.open(
            Path(config.server.path).expanduser(),
            create=config.server.create,
            settings=_settings(config),
            encoders=tuple(both.values()),
        )
        self._ends.callback(database.close)
        served = Served(database, both, config.server.warmup)
        self.metrics.watch(served.stats)
        for name in database.collections():
            try:
                served.open(name)
            except VecdbError as error:  # one damaged collection does not keep the others from being served
                logger.error("collection not opened", extra={"collection": name, "reason": error.code})
        return served

    def start(self) -> Address:
        """Listen; requests are welcome on return.

        Raises:
            InvalidInputError: an address cannot be listened on.

        """
        try:
            return self._started()
        except BaseException:
            self.stop()
            raise

    def _started(self) -> Address:
        config = self.config
        metrics = None
        if config.metrics.port is not None:
            try:
                port, stop = self.metrics.serve(config.metrics.host, config.metrics.port)
            except OSError as error:
                told = addresses.written(config.metrics.host, config.metrics.port)
                raise InvalidInputError(f"cannot serve metrics on {told}: {error}", field="metrics.port") from None
            self._ends.callback(stop)
            metrics = f"http://{addresses.written(config.metrics.host, port)}/metrics"
        secure = bool(config.tls.certificate)
        target, port = self._bound(tls.credentials(config.tls) if secure else None)
        self._server.start()
        if self._lanes is not None:
            self._lanes.start()
        if secure and port:
            everywhere = config.server.host in ("0.0.0.0", "[::]", "::")  # nosec B104
            tls.refuse_older("localhost" if everywhere else config.server.host, port)
        if config.server.warmup:
            self.served.warm_up()  # meanwhile the guard refuses, and health says why
        self._guard.open()
        self._health.ready()
        told = {} if metrics is None else {"metrics": metrics}
        logger.info("serving", extra={"address": target, "pid": os.getpid(), **told})
        return Address(target, port, secure, metrics)

    def _bound(self, credentials: grpc.ServerCredentials | None) -> tuple[str, int]:
        section = self.config.server
        if section.socket:
            return self._bound_socket(section.socket, credentials), 0
        wanted = addresses.written(section.host, section.port)
        try:
            if credentials is None:
                port = self._server.add_insecure_port(wanted)
            else:
                port = self._server.add_secure_port(wanted, credentials)
        except RuntimeError:
            raise InvalidInputError(
                f"cannot listen on {wanted}: the port is taken, or the address is none of this machine's",
                field="server.port",
                value=section.port,
            ) from None
        return addresses.written(section.host, port), port

    def _bound_socket(self, path: str, credentials: grpc.ServerCredentials | None) -> str:
        target = f"unix:{path}"
        before = os.umask(0o177)  # the socket is its owner's from the first moment
        try:
            if credentials is None:
                self._server.add_insecure_port(target)
            else:
                self._server.add_secure_port(target, credentials)
        except RuntimeError:
            raise InvalidInputError(f"cannot listen on {target}", field="server.socket", value=path) from None
        finally:
            os.umask(before)
        return target

    def drain(self) -> None:
        """Take no more requests, let those that run end, then close the database.

        Requests that still run after `drain_seconds` are cancelled.
        """
        self._health.drain()
        begun = time.monotonic()
        logger.info("draining", extra={"seconds": self.config.server.drain_seconds})
        self._server.stop(self.config.server.drain_seconds).wait()
        self._ends.close()
        logger.info("stopped", extra={"seconds": round(time.monotonic() - begun, 3)})

    def stop(self) -> None:
        """End at once: running requests are cancelled."""
        self._server.stop(None).wait()
        self._ends.close()


def _settings(config: Config) -> Settings:
    kinds = get_type_hints(Settings)
    try:
        return Settings(**{name: _scalar(value, kinds.get(name)) for name, value in config.database.items()})
    except TypeError:
        known = ", ".join(Settings.__dataclass_fields__)
        unknown = next(name for name in config.database if name not in Settings.__dataclass_fields__)
        raise InvalidInputError(f"there is no setting database.{unknown} (there are: {known})") from None


def _scalar(value: Any, kind: Any) -> Any:
    """Return what a text of the environment or of a flag means to a setting; what it cannot mean, as it is."""
    if not isinstance(value, str) or kind is None:
        return value
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        return value


def run(config: Config, started: Callable[[Server, Address], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain. A second signal ends at once."""
    import signal

    asked = threading.Event()
    signals = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in signals}

    def ask(*_: object) -> None:
        asked.set()
        for number in signals:
            signal.signal(number, before[number])

    for number in signals:
        signal.signal(number, ask)
    server = Server(config)
    started(server, server.start())
    while not asked.wait(1.0):  # with a time limit, so that Python runs the handlers of signals
        pass
    server.drain()
