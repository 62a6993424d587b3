"""A root is rolled over under three libraries while their patrons sign in: real programs, and no login that fails."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from biebroam_roles import open_registry
from config.settings import Settings
from federation.services.authorities import load_anchors
from federation.services.configurations import BIEBROAM_DATA, Place, build_biebroam_home
from federation.statistics.reports import read_reports
from federation.trust.profiles import Purpose
from tests.interop import generated
from tests.interop.test_radsec import (
    AP_SECRET,
    AP_SOURCE,
    FEDERATION,
    HOME_NAME,
    LIBRARY_SECRET,
    PASSWORD,
    PATRON,
    PEER_NAME,
    SERVER_NAME,
    VISITOR,
    VISITOR_PASSWORD,
    make_request,
)
from tests.support.biebroam import LOOPBACK, DataDirectory
from tests.support.certificates import make_server_certificate
from tests.support.eapol import log_in_with_eapol
from tests.support.freeradius import start_freeradius_home
from tests.support.processes import Program, free_port, wait_until

LEESSTAD_PEER = "radius1.leesstad.example"
READER, READER_PASSWORD = "cato@leesstad.example", "Torenlezer-3"
LEESSTAD = """
[[libraries]]
id = "leesstad"
name = "Bibliotheek Leesstad"
realms = ["leesstad.example"]
[[libraries.home_servers]]
name = "radius1"
transport = "tls"
host = "127.0.0.1"
port = {port}
"""
PEERS = {"boekenburg/radius1", "boekenburg/proxy", "leesstad/radius1"}
ROLLOVER = "/v1/trust/rollovers/peers"


@dataclass
class Member:
    """A library's folder of credentials, and what renews them."""

    data: DataDirectory
    folder: Path
    name: str
    realm: str
    token: str

    def renew(self) -> None:
        """A new key, a certificate of the authority that issues now, and the anchors are in place."""
        made_in = self.folder.parent / f"{self.folder.name}-next"
        made_in.mkdir(exist_ok=True)
        body = {"renewal_token": self.token, "csr": make_request(made_in, self.name, self.realm)}
        status, made = self.data.request("POST", "/v1/enrolments", body)
        assert status == 200, made
        self.token = made["renewal_token"]
        (made_in / "chain.pem").write_text(made["certificate"]["chain_pem"])
        (made_in / "anchors.pem").write_text(made["anchors_pem"])
        for name in ("key.pem", "chain.pem", "anchors.pem"):
            (made_in / name).replace(self.folder / name)


def enrol(data: DataDirectory, folder: Path, library: str, name: str, realm: str) -> Member:
    """The library has its key, its chain and the anchors in that folder."""
    folder.mkdir()
    status, made = data.request("POST", f"/v1/libraries/{library}/invitations", {})
    assert status < 300, made
    body = {"invitation": made["invitation"], "csr": make_request(folder, name, realm)}
    status, made = data.request("POST", "/v1/enrolments", body)
    assert status == 200, made
    (folder / "chain.pem").write_text(made["certificate"]["chain_pem"])
    (folder / "anchors.pem").write_text(made["anchors_pem"])
    return Member(data, folder, name, realm, made["renewal_token"])


@dataclass
class Logins:
    """Patrons who sign in again and again, each on a way of their own, until they are told to stop."""

    ways: dict[str, Callable[[], bool]]
    outcomes: dict[str, list[bool]] = field(default_factory=dict[str, list[bool]])
    _stop: threading.Event = field(default_factory=threading.Event)
    locks: dict[str, threading.Lock] = field(default_factory=dict[str, threading.Lock])
    _threads: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def __enter__(self) -> Self:
        for name in self.ways:
            self.outcomes[name], self.locks[name] = [], threading.Lock()
            self._threads.append(threading.Thread(target=self._go_on, args=(name,), name=name))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self, name: str) -> None:
        while not self._stop.is_set():
            with self.locks[name]:
                self.outcomes[name].append(self.ways[name]())
            self._stop.wait(0.5)

    def wait_for_more(self) -> None:
        """Return when each of them has signed in twice more: the first may have begun before."""
        before = {name: len(found) for name, found in self.outcomes.items()}
        wait_until(lambda: all(len(found) >= before[name] + 2 for name, found in self.outcomes.items()), "logins")


@dataclass
class Trio:
    """The federation's service, a library with radsecproxy and FreeRADIUS, and one with Biebroam's own home server."""

    folder: Path
    data: DataDirectory
    boekenburg: Member
    leesstad: Member
    place: Place
    ways: dict[str, Callable[[], bool]]
    proxy: Program

    def reload_radsecproxy(self) -> None:
        """The library's program reads its roots anew, and nothing else; its connections stand."""
        self.proxy.process.send_signal(signal.SIGHUP)

    def restart_radsecproxy(self, logins: Logins) -> None:
        """The library takes its new files over, at a moment without logins through its program, which forgets them."""
        with logins.locks["out"], logins.locks["in"]:
            self.proxy.stop()
            self.proxy = generated.start_library(self.folder / "radsecproxy", self.place)
            began = time.time()
            wait_until(lambda: "boekenburg/radius1" in self.accepted(began), "the connection to the library")
        self.wait_for_peers()

    def wait_for_peers(self) -> None:
        """Every connection stands; radsecproxy makes its own when it has something to ask."""
        wait_until(lambda: self.accepted().keys() >= PEERS, "the connections")

    def rollover(self, method: str = "GET", path: str = "", body: object = None) -> tuple[int, dict[str, Any]]:
        return self.data.request(method, ROLLOVER + path, body)

    def show(self) -> dict[str, Any]:
        return self.rollover()[1]

    def blockers(self) -> set[str]:
        return {blocker["obstacle"] for blocker in self.show()["blockers"]}

    def step(self, name: str, *, force: bool = False) -> None:
        status, made = self.rollover("POST", "/steps", {"step": name, "force": force})
        assert status == 200, made

    def accepted(self, since: float = 0.0) -> dict[str, str]:
        """The root of ours that each peer has accepted that was connected at that time or later."""
        reports = [json.loads(path.read_text()) for path in (self.data.folder / "run").glob("worker-proxy-*.json")]
        peers = [each for report in reports for each in report["counters"]["peers"].items()]
        return {key: str(peer["own_anchor"]) for key, peer in peers if peer["seen_at"] > since}

    def kill_api(self) -> None:
        """SIGKILL; the supervisor starts another."""

        def find() -> int:
            return next((each.pid for each in read_reports(self.data.folder / "run") if each.role == "api"), 0)

        old = find()
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: find() not in (0, old), "another API")


@pytest.fixture
def trio(tmp_path: Path) -> Generator[Trio]:
    ports = {name: free_port(socket.SOCK_STREAM) for name in ("boekenburg", "leesstad")}
    access_port, home_port = free_port(), free_port()
    library_eap = make_server_certificate(tmp_path, HOME_NAME)
    data = DataDirectory(tmp_path / "data")
    data.take_initialised()
    data.apply(
        FEDERATION.format(
            server_name=SERVER_NAME,
            source=AP_SOURCE,
            secret=AP_SECRET,
            peer_name=PEER_NAME,
            port=ports["boekenburg"],
        )
        + LEESSTAD.format(port=ports["leesstad"])
    )
    data.add_patron(VISITOR, VISITOR_PASSWORD)
    with ExitStack() as stack:
        stack.enter_context(data.start("serve", "--workers", "1"))
        users = {PATRON: PASSWORD}
        stack.enter_context(
            start_freeradius_home(
                tmp_path / "home", port=home_port, secret=LIBRARY_SECRET, users=users, server=library_eap
            )
        )
        members: dict[str, Member] = {}
        for library, name in (("boekenburg", PEER_NAME), ("leesstad", LEESSTAD_PEER)):
            folder, realm = tmp_path / library, f"{library}.example"
            members[library] = enrol(data, folder, library, name, realm)
        places = {
            library: Place(
                library=library,
                realms=(f"{library}.example",),
                server_name=SERVER_NAME,
                host=LOOPBACK,
                port=int(data.ports["radsec"]),
                folder=str(tmp_path / library),
                listen=LOOPBACK,
                listen_port=ports[library],
                access_port=access_port if library == "boekenburg" else free_port(),
                home=(LOOPBACK, home_port),
                secret=LIBRARY_SECRET,
            )
            for library in members
        }
        proxy = generated.start_library(tmp_path / "radsecproxy", places["boekenburg"])
        leesstad_eap = stack.enter_context(start_leesstad(tmp_path / "leesstad-home", places["leesstad"]))
        eap = tmp_path / "eap.pem"
        eap.write_text(data.fetch_text("/v1/trust/eap.pem"))
        to: dict[str, Any] = {"port": int(data.ports["auth"]), "secret": AP_SECRET, "source": AP_SOURCE}
        ways = {
            "out": way(
                tmp_path / "out", **to, user=PATRON, password=PASSWORD, ca=library_eap.ca, server_name=HOME_NAME
            ),
            "home": way(
                tmp_path / "ours",
                **to,
                user=READER,
                password=READER_PASSWORD,
                ca=leesstad_eap.ca,
                server_name="leesstad.example",
            ),
            "in": way(
                tmp_path / "in",
                port=access_port,
                secret=LIBRARY_SECRET,
                user=VISITOR,
                password=VISITOR_PASSWORD,
                ca=eap,
                server_name=SERVER_NAME,
            ),
        }
        made = Trio(tmp_path, data, members["boekenburg"], members["leesstad"], places["boekenburg"], ways, proxy)
        try:
            yield made
        finally:
            made.proxy.stop()


class Leesstad:
    """Biebroam's home server alone, with the files that the federation gave."""

    def __init__(self, folder: Path, place: Place) -> None:
        folder.mkdir()
        self.data = DataDirectory(folder / "data")
        self.data.environment = {"BIEBROAM_DATA": str(self.data.folder), "BIEBROAM_LOG_FORMAT": "json"}
        self.data.take_initialised()
        files = build_biebroam_home(place).files
        (self.data.folder / "biebroam.toml").write_text(files[f"{BIEBROAM_DATA}/biebroam.toml"])
        self.data.apply(files["federation.toml"])
        self.data.add_patron(READER, READER_PASSWORD)
        registry = open_registry(Settings(data=self.data.folder))
        with registry.read() as session:
            self.ca = folder / "eap.pem"
            self.ca.write_text(load_anchors(session, Purpose.EAP))
        registry.store.close()


@contextmanager
def start_leesstad(folder: Path, place: Place) -> Generator[Leesstad]:
    """The library's home server, running."""
    library = Leesstad(folder, place)
    with library.data.start("home"):
        yield library


def way(folder: Path, **options: Any) -> Callable[[], bool]:  # Any: options of log_in_with_eapol
    """One login after the other with these; whether it succeeded, with the keys of both ends the same."""
    folder.mkdir()

    def log_in() -> bool:
        result = log_in_with_eapol(folder, seconds=12, **options)
        if not result.is_complete:
            (folder / f"failed-{time.time():.0f}.log").write_text(result.output)
        return result.is_complete

    return log_in


@pytest.mark.interop
@pytest.mark.timeout(600)
class TestLiveRollover:
    def test_root_is_replaced_and_no_login_fails(self, trio: Trio) -> None:
        """Plan, publish, try, switch, retire; the gates name who is late, and a killed API takes nothing with it."""
        servers = PEERS - {"boekenburg/proxy"}
        wait_until(lambda: trio.accepted().keys() >= servers, "the connections to both libraries")
        with Logins(trio.ways) as logins:
            logins.wait_for_more()
            trio.wait_for_peers()
            assert trio.data.request("POST", "/v1/trust/rollovers", {"purpose": "peers"})[0] == 201
            trio.step("publish")
            # Nobody has fetched the new root yet: both servers would break, and the trial says so.
            tried = trio.data.run("cert", "rollover", "try", "--json", check=False)
            verdicts = {each["peer"]: each["verdict"] for each in json.loads(tried.stdout)["items"]}
            assert tried.returncode == 1
            assert verdicts == {"boekenburg/radius1": "refused", "leesstad/radius1": "refused"}
            assert trio.blockers() == {"copies-about", "root-not-delivered", "chain-refused"}
            assert trio.rollover("POST", "/steps", {"step": "switch"})[0] == 409
            # They renew, and have both roots.
            trio.leesstad.renew()
            trio.boekenburg.renew()
            trio.reload_radsecproxy()
            trio.kill_api()
            wait_until(lambda: self.is_tried(trio), "both servers to accept the new chain")
            assert trio.show()["state"] == "overlap"
            assert trio.blockers() == {"copies-about"}  # a file that caches give out for an hour; nobody here has one
            logins.wait_for_more()
            # The switch: every connection comes anew, below the new root.
            new = trio.show()["new"]["fingerprint"]
            trio.step("switch", force=True)
            began = time.monotonic()
            wait_until(lambda: trio.accepted() == dict.fromkeys(PEERS, new), "the new chain everywhere", 60)
            print(f"every peer had accepted the new chain {time.monotonic() - began:.1f} s after the switch")
            logins.wait_for_more()
            assert "certificate-in-force" in trio.blockers() <= {"certificate-in-force", "certificate-in-use"}
            trio.leesstad.renew()
            trio.boekenburg.renew()
            trio.restart_radsecproxy(logins)
            wait_until(lambda: not trio.blockers(), "nobody below the old root")
            trio.step("retire")
            logins.wait_for_more()
        assert trio.data.fetch_text("/v1/trust/peers.pem").count("BEGIN") == 1
        assert trio.show()["state"] == "retired"
        failed = {name: found.count(False) for name, found in logins.outcomes.items()}
        print({name: len(found) for name, found in logins.outcomes.items()}, "logins")
        assert failed == dict.fromkeys(trio.ways, 0)

    def is_tried(self, trio: Trio) -> bool:
        try:
            status, made = trio.rollover("POST", "/trials", {})
        except OSError:  # it is starting
            return False
        return status == 200 and {each["verdict"] for each in made["items"]} == {"accepted"}
