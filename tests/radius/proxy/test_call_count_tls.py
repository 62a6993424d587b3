"""What a login costs that comes or goes by RADIUS/TLS, in calls of functions; see `test_call_count`.

Eight requests come at once, as they do under load, and eight answers do: what is done once for all of them counts an
eighth for each.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from radius.exchange.identifiers import IDENTIFIERS_PER_FLOW
from radius.proxy import engine as engine_module
from radius.proxy.engine import Engine
from radius.proxy.loops import LoopGuard
from radius.proxy.streams import Streams
from radius.tls import records
from radius.transport.outbox import Waiting, flush_all
from radius.transport.tls.connection import Events, TlsConnection
from radius.transport.tls.contexts import Trust
from radius.transport.tls.identity import PeerIdentity
from radius.transport.tls.link import DEADLINES, Link
from radius.transport.tls.versions import RadiusVersion
from radius.wire.authenticators import KeyedSecret
from radius.wire.framing import PacketFrames
from tests.radius.proxy import test_call_count
from tests.radius.proxy.counting import count_into
from tests.radius.proxy.streams import (
    CLIENT_NAME,
    HOME_NAME,
    OWN_NAME,
    RADSEC,
    TLS_CLIENT,
    issue,
    peer_trust,
    snapshot_of,
    tls_home_server,
)
from tests.radius.proxy.test_call_count import ATTRIBUTES
from tests.radius.proxy.world import (
    ACCESS_POINT,
    AP,
    HOME,
    World,
    access_request,
    eap,
    home_server,
    mppe_keys,
    parse,
    respond,
)
from tests.radius.transport.tls.members import Authority
from tests.radius.transport.tls.test_connection import join
from tests.radius.wire.kernels import HAS_COMPILER, chosen
from tests.support.cycles import without_collector

AT_ONCE = 8
ROUNDS = 10
# More than over UDP, where each datagram is given to the engine by itself.
MORE_WITHOUT_NATIVE_PARTS = {"in": 29, "out": 31}  # pyOpenSSL takes and makes each record by itself
MORE_WITH_NATIVE_PARTS = {"in": 0, "out": 4}  # a packet that is sent goes through its stream, trunk and link
WITH_NATIVE_PARTS = """
import json, sys
from radius.tls import records
from radius.wire.calls import calls
from tests.radius.wire.kernels import load_kernel, load_records
calls.choose(load_kernel())  # before the filters are made, which happens at import
records.native = load_records()
from tests.radius.proxy import test_call_count, test_call_count_tls
print(json.dumps([test_call_count_tls.count_calls(sys.argv[1]), test_call_count.count_calls()]))
"""
Run = Callable[[Callable[[], None]], None]


def anybody(_identity: PeerIdentity) -> bool:
    return True


class TlsWorld(World):
    """An engine with one connection, whose other end is in our hands."""

    def __init__(self, side: str) -> None:
        super().__init__()
        self.outboxes: list[Waiting] = []
        self.is_in = side == "in"
        self.streams = Streams([], self)
        self.engine = Engine(
            notices=self.notices,
            open_flow=self._open,
            open_stream=self.streams.open_stream,
            random_octets=self._random,
            random_fraction=lambda: 0.5,
            wall_clock=lambda: 1.7e9,
            emit=self.told.append,
            loop_guard=LoopGuard(b"k" * 32),
        )
        self.streams.attach(self.engine)
        authority = Authority()
        trust = peer_trust(authority, issue(authority, OWN_NAME))
        snapshot = snapshot_of(
            trust,
            home_server("home/first") if self.is_in else tls_home_server(2083, "home/first"),
            clients=(TLS_CLIENT if self.is_in else ACCESS_POINT,),
        )
        self.engine.swap(snapshot)
        own = self.streams.prepare(trust)
        assert own is not None
        self.streams.swap(own, trust, snapshot.home_servers)
        other = issue(authority, CLIENT_NAME if self.is_in else HOME_NAME)
        versions = frozenset({RadiusVersion.V1_0})
        peer = Trust(authority.credentials(other), versions)
        self.tls, self.end = self._come_in(own, peer) if self.is_in else self._go_out(own, peer)
        self.wire = join(self.end, self.tls)
        self.frames = PacketFrames()

    # What stands under each call into the engine.

    def catch(self, error: Exception) -> None:
        raise error

    def keep_time(self) -> None:
        flush_all(self.outboxes)

    # The connection.

    def _come_in(self, own: Trust, peer: Trust) -> tuple[SSL.Connection, TlsConnection]:
        listener = self.streams._listener  # pyright: ignore[reportPrivateUsage] - no socket, no loop
        listener.trust = own
        return peer.dial(anybody, OWN_NAME), listener._make()  # pyright: ignore[reportPrivateUsage] - no socket, no loop

    def _go_out(self, own: Trust, peer: Trust) -> tuple[SSL.Connection, TlsConnection]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Link, "start", lambda _link: None)  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]
            self.streams._is_running = True  # pyright: ignore[reportPrivateUsage] - no socket, no loop
            self.engine.forwarding.dial(self.now)
        (trunk,) = self.streams._trunks["home/first"]  # pyright: ignore[reportPrivateUsage] - no socket, no loop
        link = trunk.link

        def take(connection: TlsConnection, packets: list[bytes], now: float) -> Any:
            return trunk.on_packets(link, connection, packets, now)

        def on_ready(connection: TlsConnection) -> None:
            link.trust, link.connection = own, connection
            trunk.on_up(link, self.now)

        events = Events(on_ready, take, lambda _, __: None)
        tls = own.dial(anybody, HOME_NAME)
        return peer.accept(anybody), TlsConnection(tls, events, DEADLINES, self.outboxes)

    def read_wire(self) -> list[bytes]:
        """The packets that the peer was sent, which came in one write."""
        (octets,) = self.wire.written
        self.wire.written.clear()
        self.tls.bio_write(octets)
        packets: list[bytes] = []
        with suppress(SSL.WantReadError):
            while True:
                found = self.frames.receive(self.tls.recv(1 << 16))
                assert isinstance(found, list)
                packets += found
        return packets

    def write_wire(self, packets: list[bytes], run: Run) -> None:
        """The peer sends these, each in a record, and all are there at once."""
        for octets in packets:
            self.tls.sendall(octets)
        octets = self.tls.bio_read(1 << 16)
        run(lambda: self.end.data_received(octets))

    # Logins.

    def log_in(self, number: int, run: Run) -> None:
        """As many as come at once; what the proxy does is run by `run`."""
        keyed = RADSEC if self.is_in else AP
        requests = [
            access_request(ATTRIBUTES, identifier=each, authenticator=(number + each).to_bytes(16), keyed=keyed)
            for each in range(AT_ONCE)
        ]
        if self.is_in:
            self.write_wire(requests, run)
            forwarded = self.take_forwarded()
            assert len(forwarded) == AT_ONCE
            answers = [(flow, answer(octets)) for flow, octets in forwarded]

            def take() -> None:
                for flow, octets in answers:
                    self.answer(flow, octets)
                self.keep_time()

            run(take)
            taken = self.read_wire()
        else:

            def ask() -> None:
                for octets in requests:
                    self.send(octets)
                self.keep_time()

            run(ask)
            self.write_wire([answer(octets, RADSEC) for octets in self.read_wire()], run)
            taken = self.take_answers()
        assert [parse(octets).code for octets in taken] == [2] * AT_ONCE


def answer(octets: bytes, keyed: KeyedSecret = HOME) -> bytes:
    request = parse(octets)
    attributes = eap(b"\x03\x01\x00\x04") + mppe_keys(request.authenticator, keyed)
    return respond(request, attributes=attributes, keyed=keyed)


def count_calls(side: str) -> Counter[str]:
    """The calls of one login of those that come at once, by name; the mean of some rounds."""
    world = TlsWorld(side)
    first = -(-IDENTIFIERS_PER_FLOW // AT_ONCE)
    for number in range(first):
        world.log_in(number * AT_ONCE, lambda work: work())  # as where logins over UDP are counted
    found: Counter[str] = Counter()
    profile = count_into(found)

    def run(work: Callable[[], None]) -> None:
        with without_collector():  # what it would finalise meanwhile is other tests'
            sys.setprofile(profile)
            work()
            sys.setprofile(None)

    for number in range(first, first + ROUNDS):
        world.log_in(number * AT_ONCE, run)
    return found


def more_than(over_udp: Counter[str], calls: Counter[str]) -> float:
    """How many calls more than over UDP a login takes."""
    return calls.total() / (ROUNDS * AT_ONCE) - over_udp.total()


@pytest.mark.skipif(
    str(engine_module.__file__).endswith(".so"), reason="what is compiled makes no calls that could be counted"
)
@pytest.mark.parametrize("side", ["in", "out"])
class TestLogin:
    def test_calls_without_native_parts_are_bounded(self, side: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """One request and its answer with two keys take so many calls where everything is interpreted."""
        monkeypatch.setattr(records, "native", None)
        with chosen(None):
            calls, over_udp = count_calls(side), test_call_count.count_calls()
        assert more_than(over_udp, calls) <= MORE_WITHOUT_NATIVE_PARTS[side], calls.most_common(99)

    @pytest.mark.skipif(not HAS_COMPILER, reason="the native parts are optional; they need gcc and python3-dev")
    def test_calls_with_native_parts_are_bounded(self, side: str) -> None:
        """With the native parts no packet is a call for its record, nor a write, nor a look at the time."""
        counted = subprocess.run(
            [sys.executable, "-c", WITH_NATIVE_PARTS, side],
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            check=True,
        )
        calls, over_udp = map(Counter[str], json.loads(counted.stdout))
        for once in ("Records.receive", "Records.seal", "Wire.write", "TlsWorld.keep_time"):
            assert 0 < calls[once] <= 2 * ROUNDS, once
        assert not calls.keys() & {"Connection.recv", "Connection.sendall", "sign_request", "sign_response"}
        assert more_than(over_udp, calls) <= MORE_WITH_NATIVE_PARTS[side], calls.most_common(99)
