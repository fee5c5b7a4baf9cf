"""What gRPC is told: limits against floods, idle and dead connections."""

from typing import Any

from vecdb_server.config import Config

PATIENT = ("grpc.http2.ping_timeout_ms", 2**31 - 1)
"""Between processes of one machine a connection ends when one of them does, not when it was stopped for a while."""


def channel_options(config: Config) -> list[tuple[str, Any]]:
    """Return the options of the server's channels."""
    limits, server = config.limits, config.server
    options: list[tuple[str, Any]] = [
        # Readers share the port. Without them a second server on it is a mistake, and is told; see `ports.py`.
        ("grpc.so_reuseport", int(bool(server.readers))),
        ("grpc.max_allowed_incoming_connections", limits.connections),
        ("grpc.server_handshake_timeout_ms", max(1, int(1000 * limits.handshake_seconds))),
        ("grpc.max_concurrent_streams", limits.concurrent_streams),
        ("grpc.max_receive_message_length", limits.message_in_bytes),
        ("grpc.max_send_message_length", limits.message_out_bytes),
        ("grpc.max_metadata_size", limits.metadata_bytes),
        ("grpc.absolute_max_metadata_size", limits.metadata_bytes),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 30_000),
        ("grpc.http2.max_ping_strikes", 2),
        ("grpc.max_connection_idle_ms", int(1000 * server.connection_idle_seconds)),
    ]
    if server.connection_age_seconds:
        options += [
            ("grpc.max_connection_age_ms", int(1000 * server.connection_age_seconds)),
            ("grpc.max_connection_age_grace_ms", int(1000 * server.drain_seconds)),
        ]
    return options


def inner_options(config: Config) -> list[tuple[str, Any]]:
    """Return the options of the socket on which readers pass calls on, which have had the server's limits already."""
    limits = config.limits
    return [
        PATIENT,
        ("grpc.max_receive_message_length", limits.message_in_bytes),
        ("grpc.max_send_message_length", limits.message_out_bytes),
        ("grpc.max_metadata_size", limits.metadata_bytes + (16 << 10)),
        ("grpc.absolute_max_metadata_size", limits.metadata_bytes + (16 << 10)),
    ]
