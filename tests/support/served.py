"""A server in this process or in one of its own, on a free port of loopback, and stubs that call it with a key."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import msgspec

from vecdb_proto.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    collection_service_pb2,
    collection_service_pb2_grpc,
    link_service_pb2,
    link_service_pb2_grpc,
    record_service_pb2,
    record_service_pb2_grpc,
    search_service_pb2,
    search_service_pb2_grpc,
    snapshot_service_pb2,
    snapshot_service_pb2_grpc,
)

FILES = (
    admin_service_pb2, collection_service_pb2, link_service_pb2, record_service_pb2, search_service_pb2,
    snapshot_service_pb2,
)  # fmt: skip
"""The modules whose descriptors have the services."""

OWN_CHANNEL = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
"""Options that give each channel a connection of its own."""


@dataclass(frozen=True)
class Stubs:
    """The stubs of all services on one channel."""

    channel: grpc.Channel

    def __post_init__(self) -> None:
        """Make them."""
        made = {
            "admin": admin_service_pb2_grpc.AdminServiceStub,
            "collections": collection_service_pb2_grpc.CollectionServiceStub,
            "links": link_service_pb2_grpc.LinkServiceStub,
            "records": record_service_pb2_grpc.RecordServiceStub,
            "search": search_service_pb2_grpc.SearchServiceStub,
            "snapshots": snapshot_service_pb2_grpc.SnapshotServiceStub,
        }
        for name, stub in made.items():
            object.__setattr__(self, name, stub(self.channel))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


@contextlib.contextmanager
def dialled(
    target: str,
    token: str | None = None,
    credentials: grpc.ChannelCredentials | None = None,
    options: Sequence[tuple[str, Any]] = (),
) -> Iterator[Stubs]:
    """Call a server, with a key or token where one is given."""
    every = (*OWN_CHANNEL, ("grpc.max_receive_message_length", -1), *options)
    plain = (
        grpc.insecure_channel(target, every) if credentials is None else grpc.secure_channel(target, credentials, every)
    )
    with plain:
        yield Stubs(plain if token is None else grpc.intercept_channel(plain, _Bearer(token)))


class _Details(msgspec.Struct):
    method: str
    timeout: Any
    metadata: Any
    credentials: Any
    wait_for_ready: Any
    compression: Any


class _Bearer(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds the key to each call."""

    def __init__(self, token: str) -> None:
        self._header = ("authorization", f"Bearer {token}")

    def _with(self, details: Any) -> Any:
        return _Details(
            details.method,
            details.timeout,
            (*(details.metadata or ()), self._header),
            details.credentials,
            details.wait_for_ready,
            details.compression,
        )

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._with(client_call_details), request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._with(client_call_details), request)

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return continuation(self._with(client_call_details), request_iterator)


class Program:
    """A `vecdb-server serve` of its own process."""

    def __init__(self, path: Path, arguments: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
        """Start it and wait until it says where it listens."""
        settings = ["--port", "0", "--log-level", "info"]
        self.log = path.parent / f"{path.name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vecdb_server.main", "serve", str(path), *settings, *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**os.environ, **(environment or {})},
            )
        self.told = self._until_it_serves()

    def _until_it_serves(self) -> list[str]:
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        assert first.startswith("serving "), self.log.read_text()
        return [first.strip()]

    @property
    def target(self) -> str:
        """What clients dial."""
        return self.told[0].rpartition("://")[2]

    def rest(self) -> list[str]:
        """Return the other lines that it printed; after its end."""
        assert self.process.stdout is not None
        return [line.rstrip() for line in self.process.stdout]

    def kill(self) -> None:
        """End it as a power cut would, as far as the process is concerned."""
        self.process.kill()
        self._reap()

    def terminate(self) -> int:
        """Ask it to end, and return its exit code."""
        self.process.terminate()
        return self._reap()

    def _reap(self) -> int:
        code = self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        elif self.process.stdout is not None:
            self.process.stdout.close()


def methods() -> dict[str, Any]:
    """Return the descriptor of each method of the product's services, by its full name."""
    return {
        f"/{service.full_name}/{method.name}": method
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
