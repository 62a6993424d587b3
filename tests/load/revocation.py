"""How long a RADIUS/TLS peer that is not to be believed any more goes on being served, and what others feel of it.

    libraries ──TLS, each its share of the rate──▶ serve ──UDP──▶ a home server that accepts

In the middle one of them is cut off through the API: its certificate is revoked, its access point removed, or the
library suspended. Told are the times from the API's answer to the end of its connection and to the first refused
attempt to come again, and what the others lost. `python -m tests.load.revocation`.
"""

import argparse
import asyncio
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from radius.wire.authenticators import KeyedSecret, sign_request
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import build_attribute, build_fragments
from tests.support.biebroam import LOOPBACK, DataDirectory
from tests.support.traffic import SimulatedHome

SERVER_NAME: Final = "login.test.example"
HOME_SECRET: Final = "home-server-secret-of-east"
RADSEC: Final = KeyedSecret(b"radsec")
OTHERS: Final = 4  # that are never cut off
CASES: Final = ("revoked", "removed", "suspended")
ANSWER_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 0.05  # between two attempts to come again
HEAD: Final = f"""
[federation]
name = "test"
country = "NL"
eap_server_name = "{SERVER_NAME}"
[[libraries]]
id = "east"
name = "Bibliotheek East"
realms = ["east.example"]
[[libraries.home_servers]]
name = "radius1"
host = "127.0.0.1"
port = {{port}}
secret = "{HOME_SECRET}"
"""
LIBRARY: Final = """
[[libraries]]
id = "{name}"
name = "Bibliotheek {name}"
realms = ["{name}.example"]
[[libraries.access_points]]
name = "ap"
certificate = "ap.{name}.example"
"""


@dataclass
class Peer:
    """One library's access point: it asks at a steady rate over one connection, and comes again when it is lost."""

    name: str
    folder: Path
    port: int
    rate: float
    serial: str = ""
    sent: int = 0
    answered: int = 0
    lost: int = 0
    closings: list[float] = field(default_factory=list[float])  # when its connection ended
    refusals: list[float] = field(default_factory=list[float])  # when it was not let in
    returns: int = 0  # how often it was let in
    _waiting: dict[int, float] = field(default_factory=dict[int, float])

    def enrol(self, data: DataDirectory) -> None:
        """It has a key, a certificate and the anchors in its folder."""
        self.folder.mkdir()
        arguments = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-new")
        files = ("-keyout", self.folder / "key.pem", "-out", self.folder / "request.pem")
        names = ("-subj", "/", "-addext", f"subjectAltName=DNS:ap.{self.name}.example")
        subprocess.run([*arguments, *files, *names], check=True, capture_output=True)
        status, made = data.request("POST", f"/v1/libraries/{self.name}/invitations", {})
        assert status < 300, made
        body = {"invitation": made["invitation"], "csr": (self.folder / "request.pem").read_text()}
        status, made = data.request("POST", "/v1/enrolments", body)
        assert status == 200, made
        self.serial = made["certificate"]["serial"]
        (self.folder / "chain.pem").write_text(made["certificate"]["chain_pem"])
        (self.folder / "anchors.pem").write_text(made["anchors_pem"])

    def begin(self) -> None:
        """Nothing has been counted yet."""
        self.sent = self.answered = self.lost = self.returns = 0
        self.closings.clear()
        self.refusals.clear()

    def context(self) -> ssl.SSLContext:
        """Both certificates, TLS 1.3, RADIUS/1.0."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(self.folder / "anchors.pem")
        context.load_cert_chain(self.folder / "chain.pem", self.folder / "key.pem")
        context.set_alpn_protocols(["radius/1.0"])
        return context

    async def run(self, stopping: asyncio.Event) -> None:
        """Ask until it is told to stop; whoever is refused tries again twenty times a second."""
        context = self.context()
        while not stopping.is_set():
            try:
                reader, writer = await asyncio.open_connection(
                    LOOPBACK, self.port, ssl=context, server_hostname=SERVER_NAME
                )
            except OSError:
                self.refusals.append(time.monotonic())
            else:
                await self._talk(reader, writer, stopping)
                writer.close()
                with suppress(OSError, TimeoutError):  # the other end has closed it, or does not say that it has
                    async with asyncio.timeout(1.0):
                        await writer.wait_closed()
            if not stopping.is_set():
                await asyncio.sleep(AGAIN_SECONDS)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stopping: asyncio.Event) -> None:
        listening = asyncio.ensure_future(self._listen(reader))
        before = self.answered
        began, number = time.monotonic(), 0
        while not listening.done() and not stopping.is_set():
            while number < (time.monotonic() - began) * self.rate:
                self._ask(writer, number)
                number += 1
            await asyncio.wait([listening], timeout=0.005)
        if stopping.is_set():  # what is outstanding is answered
            deadline = time.monotonic() + ANSWER_SECONDS
            while self._waiting and time.monotonic() < deadline and not listening.done():
                await asyncio.wait([listening], timeout=0.01)
        listening.cancel()
        await asyncio.wait([listening])
        now = time.monotonic()
        self.lost += len(self._waiting)
        self._waiting.clear()
        if self.answered > before:
            self.returns += 1
            self.closings.append(now)
        else:  # in TLS 1.3 the refusal comes after our end of the handshake
            self.refusals.append(now)

    def _ask(self, writer: asyncio.StreamWriter, number: int) -> None:
        identifier = number % 256
        if identifier in self._waiting:
            return
        name = f"reader{number}@east.example".encode()
        eap = bytes((2, identifier)) + (5 + len(name)).to_bytes(2) + b"\x01" + name
        attributes = (
            build_attribute(AttributeType.USER_NAME, name)
            + build_attribute(AttributeType.CALLING_STATION_ID, b"02-00-5E-10-%02X-%02X" % divmod(number % 65536, 256))
            + build_fragments(AttributeType.EAP_MESSAGE, eap)
        )
        self._waiting[identifier] = time.monotonic()
        self.sent += 1
        writer.write(sign_request(Code.ACCESS_REQUEST, identifier, os.urandom(16), attributes, RADSEC))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                start = await reader.readexactly(4)
                await reader.readexactly(int.from_bytes(start[2:]) - 4)
                if self._waiting.pop(start[1], None) is not None and start[0] == Code.ACCESS_ACCEPT:
                    self.answered += 1
        except (asyncio.IncompleteReadError, OSError):
            return


class Crowd:
    """The peers in a thread with a loop of its own."""

    def __init__(self, peers: list[Peer]) -> None:
        self.peers = peers
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        async def run_all() -> None:
            await asyncio.gather(*(peer.run(self._stopping) for peer in self.peers))

        self._loop.run_until_complete(run_all())
        self._loop.close()

    def start(self) -> None:
        """They ask from now on."""
        self._thread.start()

    def stop(self) -> None:
        """They ask no more, and what was outstanding is answered or lost."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(60)


@dataclass(frozen=True)
class Finding:
    """What a cut did; times in seconds from the API's answer, infinite where nothing of the kind was seen."""

    case: str
    answer_seconds: float  # of the API
    closed_seconds: float  # below 0: the connection ended before the API had answered
    refused_seconds: float
    asked_after: int  # times that it was let in again
    others_sent: int
    others_lost: int
    others_closed: int


class Service:
    """`serve` with libraries over TLS and a home server over UDP."""

    def __init__(self, folder: Path, stack: ExitStack, rate: float, libraries: int) -> None:
        home = stack.enter_context(SimulatedHome(secret=HOME_SECRET))
        self.data = DataDirectory(folder / "data")
        self.data.take_initialised()
        self.names = [f"lib{number}" for number in range(libraries)]
        self.data.apply(HEAD.format(port=home.port) + "".join(LIBRARY.format(name=name) for name in self.names))
        stack.enter_context(self.data.start("serve", "--workers", "1"))
        port = int(self.data.ports["radsec"])
        self.peers = [Peer(name, folder / name, port, rate / libraries) for name in self.names]
        for peer in self.peers:
            peer.enrol(self.data)

    def cut(self, case: str, seconds: float) -> Finding:
        """A peer is cut off in the middle of so many seconds of load, and is none of them any more."""
        victim, *others = self.peers
        self.peers = others
        for peer in others:
            peer.begin()
        crowd = Crowd([victim, *others])
        crowd.start()
        time.sleep(seconds / 2)
        returns = victim.returns
        asked = time.monotonic()
        status, made = self._cut(case, victim)
        answered = time.monotonic()
        assert status < 300, made
        time.sleep(seconds / 2)
        crowd.stop()
        return Finding(
            case,
            answered - asked,
            _first_after(victim.closings, asked) - answered,
            _first_after(victim.refusals, asked) - answered,
            victim.returns - returns - 1,
            sum(each.sent for each in others),
            sum(each.lost for each in others),
            sum(len(each.closings) - 1 for each in others),
        )

    def _cut(self, case: str, victim: Peer) -> tuple[int, Any]:
        library = f"/v1/libraries/{victim.name}"
        if case == "revoked":
            return self.data.request("POST", f"/v1/certificates/{victim.serial}/revoke", {"reason": "keyCompromise"})
        if case == "removed":
            return self.data.request("DELETE", f"{library}/access-points/ap", If_Match="*")
        kind = "application/merge-patch+json"
        return self.data.request("PATCH", library, {"is_active": False}, If_Match="*", Content_Type=kind)


def _first_after(moments: list[float], since: float) -> float:
    return min((each for each in moments if each >= since), default=float("inf"))


def main() -> int:
    """Measure and print; 1 when somebody else lost a request, or the one who was cut off was not."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.revocation", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=500.0, help="requests a second, of all at the start")
    parser.add_argument("--seconds", type=float, default=8.0)
    options = parser.parse_args()
    is_bad = False
    print("| case | API ms | closed after ms | refused after ms | others sent | lost | closed |")
    print("|---|---|---|---|---|---|---|")
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory(prefix="revocation-") as folder, ExitStack() as stack:
            service = Service(Path(folder), stack, options.rate, OTHERS + len(CASES))
            for case in CASES:
                found = service.cut(case, options.seconds)
                is_bad |= bool(found.others_lost or found.others_closed) or found.refused_seconds > options.seconds
                print(
                    f"| {case} | {found.answer_seconds * 1000:.0f} | {found.closed_seconds * 1000:.0f} "
                    f"| {found.refused_seconds * 1000:.0f} | {found.others_sent} | {found.others_lost} "
                    f"| {found.others_closed} |",
                    flush=True,
                )
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())
