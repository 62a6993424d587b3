"""Sockets that datagrams come to and leave from."""

import socket
from collections.abc import Generator

import pytest

from radius.transport.udp import bind_udp


@pytest.fixture(params=["127.0.0.1", "::1"])
def receiver(request: pytest.FixtureRequest) -> Generator[socket.socket]:
    """A bound socket of each family."""
    with bind_udp(request.param, 0) as bound:
        yield bound


@pytest.fixture
def sender(receiver: socket.socket) -> Generator[socket.socket]:
    """A bound socket of the same family."""
    with bind_udp(receiver.getsockname()[0], 0) as bound:
        yield bound
