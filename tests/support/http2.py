"""HTTP/2 as no decent client speaks it: frames written by hand, for what a library would refuse to send."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def headers(path: str, *more: tuple[str, str]) -> bytes:
    """Return the header block of a gRPC request, without compression."""
    fields = [
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost"),
        ("content-type", "application/grpc"), ("te", "trailers"), *more,
    ]  # fmt: skip
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)


def _text(text: str) -> bytes:
    data = text.encode()
    if len(data) < 127:
        return bytes((len(data),)) + data
    rest, size = len(data) - 127, b"\x7f"
    while rest >= 128:
        size += bytes((rest % 128 + 128,))
        rest //= 128
    return size + bytes((rest,)) + data


class Peer:
    """A connection that has said hello."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), 10)
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0))

    def send(self, data: bytes) -> bool:
        """Send; False when the server has closed the connection."""
        try:
            self.socket.sendall(data)
        except (ConnectionError, TimeoutError):
            return False
        return True

    def frames(self, seconds: float = 2.0) -> Iterator[tuple[int, int, bytes]]:
        """Yield what the server sent: kind, stream and payload; until it is silent for so long, or closes."""
        self.socket.settimeout(seconds)
        held = b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            while data := self.socket.recv(65536):
                held += data
                while len(held) >= 9 and len(held) >= 9 + (size := int.from_bytes(held[:3], "big")):
                    kind, stream = held[3], int.from_bytes(held[5:9], "big")
                    yield kind, stream, held[9 : 9 + size]
                    held = held[9 + size :]

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
