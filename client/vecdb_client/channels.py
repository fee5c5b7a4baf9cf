"""What both kinds of connection have in common: the options of channels, and how their failures are told."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from vecdb.__about__ import __version__
from vecdb.errors import DeadlineExceededError, VecdbError
from vecdb.wire import errors
from vecdb_client.address import Address
from vecdb_client.methods import Method
from vecdb_client.retries import Failure
from vecdb_client.settings import Settings, Tls

DETAILS = "grpc-status-details-bin"
"""Where the details of a failed call are."""


_CLOSED = "Socket closed", "Connection reset", "Broken pipe"
"""What gRPC says of a connection that the other side closed."""
_CERTIFICATE = {
    False: "it may ask for a certificate of the client: name it and its key as Tls(certificate=..., key=...) or in"
    " VECDB_TLS_CERTIFICATE and VECDB_TLS_KEY",
    True: "it may not know who signed the certificate that the client shows",
}


def options(address: Address, settings: Settings, tls: Tls) -> list[tuple[str, Any]]:
    """Return the options of a channel."""
    told: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", settings.message_bytes),
        ("grpc.max_send_message_length", -1),
        # Each channel has a connection of its own; else gRPC would lead channels of the same options over one.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.primary_user_agent", f"vecdb/{__version__}"),
    ]
    if address.local:
        told.append(("grpc.enable_http_proxy", 0))
    if tls.server_name is not None:
        told.append(("grpc.ssl_target_name_override", tls.server_name))
    return told


def metadata(api_key: str | None) -> tuple[tuple[str, str], ...]:
    """Return what is sent beside each request."""
    return () if api_key is None else (("authorization", f"Bearer {api_key}"),)


def check_time(limit: float | None, address: Address, method: Method[Any]) -> None:
    """Raise where a call has no time at all: gRPC would give it a millisecond, in which it may succeed.

    Raises:
        DeadlineExceededError: it has none.

    """
    if limit is not None and limit <= 0:
        raise DeadlineExceededError(_late(address, method))


def _late(address: Address, method: Method[Any]) -> str:
    return f"the server at {address} did not answer {method.name} in time"


def failure(error: Any) -> Failure:
    """Return what a gRPC error says for those who may try again."""
    status = _status(error)
    if status is None:
        return Failure(error.code())
    info, retry = ErrorInfo(), RetryInfo()
    decided = any(detail.Unpack(info) for detail in status.details)
    asked = any(detail.Unpack(retry) for detail in status.details)
    seconds = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    return Failure(error.code(), decided and info.domain == errors.DOMAIN, seconds if asked else None)


def raised(error: Any, address: Address, method: Method[Any], tls: Tls) -> VecdbError:
    """Return the error of vecdb for one of gRPC: the server's own, or one about the connection."""
    status = _status(error)
    if status is not None:
        return errors.from_message(status)
    code, told = error.code(), " ".join(str(error.details() or "").split())
    told = f": {told}" if told else ""
    sentence = f"{method.name} at {address}: {code.name.lower().replace('_', ' ')}{told}"
    if code is grpc.StatusCode.UNAVAILABLE:
        sentence = f"the server at {address} cannot be reached{told}"
        if "CERTIFICATE_VERIFY_FAILED" in told:
            sentence = (
                f"the certificate of the server at {address} is not trusted: name the file of whoever signed it as"
                f" Tls(ca=...) or in VECDB_TLS_CA{told}"
            )
        elif "Socket closed" in told and not address.tls:
            sentence += f": where it speaks TLS, its address is grpcs://{address.target}"
        elif address.tls and "failed to connect" in told and any(end in told for end in _CLOSED):
            # With TLS 1.3 a server that wants another certificate says so when the client takes them for connected.
            sentence += f": {_CERTIFICATE[tls.certificate is not None]}"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        sentence = _late(address, method)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        sentence = f"the server at {address} knows no {method.name}: it is older than this client, or no vecdb"
    return errors.from_code(code.value[0], sentence)


def _status(error: Any) -> Status | None:
    """Return the status that came with an error; None where none did, or it cannot be read."""
    for name, value in error.trailing_metadata() or ():
        if name == DETAILS:
            try:
                return Status.FromString(value)
            except DecodeError:
                return None
    return None
