"""Connections: so many at once and no more, and none that never says hello."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.http2 import Peer
from vecdb_server.config import Config, LimitsSection, ServerSection
from vecdb_server.server import Server


@pytest.fixture
def target(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    section = ServerSection(path=str(tmp_path / "db"), port=0)
    server = Server(Config(server=section, limits=LimitsSection(**request.param)))
    address = server.start()
    yield address.target
    server.stop()


def welcome(target: str) -> Peer | None:
    """Return a connection that the server keeps, or none."""
    peer = Peer(target)
    peer.socket.settimeout(None)
    try:
        if peer.socket.recv(9):  # the server's settings
            return peer
    except ConnectionError:
        pass
    peer.socket.close()
    return None


@pytest.mark.parametrize("target", [{"connections": 3}], indirect=True)
def test_a_connection_too_many_is_closed_and_there_is_room_again_when_others_go(target: str) -> None:
    kept = [welcome(target) for _ in range(3)]
    assert None not in kept
    assert [welcome(target) for _ in range(5)] == [None] * 5

    for peer in kept:
        assert peer is not None
        peer.socket.close()

    again = None
    while again is None:  # the server hears of it in its own time
        again = welcome(target)
    again.socket.close()


@pytest.mark.parametrize("target", [{"handshake_seconds": 0.1}], indirect=True)
def test_a_connection_that_says_nothing_is_closed(target: str) -> None:
    host, _, port = target.rpartition(":")
    with socket.create_connection((host, int(port))) as silent:
        while silent.recv(4096):  # ends when the server closes it
            pass
