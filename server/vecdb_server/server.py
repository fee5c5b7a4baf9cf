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
from vecdb_server import addresses, ports, services, tls
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
from vecdb_server.readers.processes import Readers
from vecdb_server.served import Served
from vecdb_server.services.shared import Shared
from vecdb_server.sheets import THREADS, Sheets
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
        if config.server.readers:
            ports.refuse_unsharable(config.server)
        if not config.server.path:
            raise InvalidInputError("server.path is missing: which folder has the database?", field="server.path")
        self.config = config
        self.identities = Identities(config.auth)
        self._readers = Readers(config) if self._has_readers else None
        self.stalls = Stalls()
        self._inner: grpc.Server | None = None
        self._ends = contextlib.ExitStack()
        with contextlib.ExitStack() as failed:
            failed.callback(self._ends.close)
            if self._readers is not None:
                self._ends.callback(self._readers.remove)
            self.metrics = Metrics(self._sheets())
            self._build(encoders or {})
            failed.pop_all()

    def _build(self, encoders: Mapping[str, Encoder]) -> None:
        config, limits = self.config, self.config.limits
        self.served = self._opened(encoders)
        memory = Memory(limits.server_memory_bytes, self.metrics.sheets)
        self.metrics.reserved.set_function(lambda: memory.held)
        threads = config.server.threads or settings_of(config).thread_count
        servers = 1 if self._readers is None else 2
        self._workers = Workers(threads, servers * limits.concurrent_requests)
        self._ends.callback(self._workers.shutdown)
        leases = Leases(limits.snapshots)
        self.metrics.snapshots.set_function(lambda: len(leases))
        span, end_spans = spans(config.telemetry)
        self._ends.callback(end_spans)
        admission = Admission(self.identities, limits, memory, self.served.names)
        parts = admission, limits, self.metrics, self.stalls, config.log.requests, span
        guard = self._outer_guard(*parts)
        self._guards = [guard]
        self._server = grpc.server(
            cast("ThreadPoolExecutor", self._workers),  # any executor will do
            interceptors=[guard],
            options=channel_options(config),
            maximum_concurrent_rpcs=limits.concurrent_requests,
        )
        shared = Shared(self.served, config, leases, self.metrics)
        _serve(self._server, shared)
        self._lanes = Lanes(self._server, QUICK, guard.guarded, threads) if usable() else None
        if self._lanes is not None:
            self._ends.callback(self._lanes.shutdown)
        self._ends.callback(Housekeeping(self.stalls.look, leases.expire, self._count_threads).close)
        self.metrics.threads.set_function(lambda: self.metrics.sheets.total(THREADS))
        self._count_threads()
        self._health = Health(services.NAMES)
        self._health.add_to(self._server)
        if self._readers is not None:
            inner = Guard(*parts, inner=True)
            self._guards.append(inner)
            self._inner = self._readers.server(self._workers, inner)
            _serve(self._inner, shared)

    @property
    def _has_readers(self) -> bool:
        return bool(self.config.server.readers)

    def _sheets(self) -> Sheets | None:
        return None if self._readers is None else self._readers.sheets

    def _outer_guard(self, *parts: Any) -> Guard:
        return Guard(*parts)

    def _count_threads(self) -> None:
        both = [self._workers] if self._lanes is None else [self._workers, self._lanes]
        self.metrics.sheets.own[THREADS] = sum(one.threads for one in both)

    def _opened(self, encoders: Mapping[str, Encoder]) -> Served:
        config = self.config
        local = {name: configured(name, told) for name, told in config.encoders.items()}
        both = {**local, **encoders}
        database = Database.open(
            Path(config.server.path).expanduser(),
            create=config.server.create,
            settings=settings_of(config),
            encoders=tuple(both.values()),
            board=None if self._readers is None else self._readers.board,
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
        if self._inner is not None:
            self._inner.start()
        if secure and port:
            host = config.server.host.strip("[]")
            tls.refuse_older("localhost" if addresses.is_everywhere(host) else host, port)
        if config.server.warmup:
            self.served.warm_up()  # meanwhile the guard refuses, and health says why
        for guard in self._guards:
            guard.open()
        if self._readers is not None:
            self._readers.start(port)
        self._health.ready()
        address = Address(target, port, secure, metrics)
        self._told(address)
        return address

    def _told(self, address: Address) -> None:
        told = {} if address.metrics is None else {"metrics": address.metrics}
        logger.info("serving", extra={"address": address.target, "pid": os.getpid(), **told})

    def _bound(self, credentials: grpc.ServerCredentials | None) -> tuple[str, int]:
        section = self.config.server
        if section.socket:
            return self._bound_socket(section.socket, credentials), 0
        wanted = addresses.written(section.host, section.port)
        if self._readers is not None:
            ports.refuse_taken(section)
        try:
            if credentials is None:
                port = self._server.add_insecure_port(wanted)
            else:
                port = self._server.add_secure_port(wanted, credentials)
        except RuntimeError:
            raise ports.taken(section.host, section.port) from None
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
        stopped = self._server.stop(self.config.server.drain_seconds)
        if self._readers is not None:
            self._readers.drain()
        stopped.wait()
        self._close()
        logger.info("stopped", extra={"seconds": round(time.monotonic() - begun, 3)})

    def stop(self) -> None:
        """End at once: running requests are cancelled."""
        self._server.stop(None).wait()
        self._close()

    def _close(self) -> None:
        if self._readers is not None:
            self._readers.close()
        if self._inner is not None:
            self._inner.stop(None).wait()
        self._ends.close()


def _serve(server: grpc.Server, shared: Shared) -> None:
    services.add_all(server, shared)
    # Who may see it is in `access.RULES`.
    reflection.enable_server_reflection((*services.NAMES, reflection.SERVICE_NAME, health.SERVICE_NAME), server)


def settings_of(config: Config) -> Settings:
    """Return the settings of the database."""
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
