"""Real proxies on both sides of ours over UDP: FreeRADIUS before it, radsecproxy behind it, and the other way round.

    access point ─▶ FreeRADIUS ─tap─▶ Biebroam ─tap─▶ radsecproxy ─tap─▶ FreeRADIUS, or `biebroam home`
    access point ─▶ radsecproxy ─tap─▶ Biebroam ─▶ FreeRADIUS, or the hosted home server

Molen and Haven have their home servers behind one radsecproxy, which is also the proxy of Molen's access points. Rondje
has one that sends everything back. The taps between the hops show what each of them was given.
"""

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from federation.services.authorities import load_anchors
from federation.store.session import Store
from federation.trust.profiles import Purpose
from radius.wire.codes import AttributeType
from radius.wire.packet import Packet
from tests.interop.conftest import (
    KASTEEL_NAS_SECRET,
    KASTEEL_SERVER_NAME,
    PASSWORDS,
    SECRETS,
    SERVER_NAME,
    RunningFederation,
    federation_file,
)
from tests.support.biebroam import DataDirectory
from tests.support.eapol import EapolResult, log_in_with_eapol
from tests.support.freeradius import NextHop, start_freeradius_home, start_freeradius_proxy
from tests.support.processes import free_port, wait_until
from tests.support.radsecproxy import start_radsecproxy
from tests.support.tap import Tap, states_of, values_of

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("federation")]

SECRET = "molen-radsecproxy-and-all-around-it"
MOLEN_ADDRESS = "127.0.0.4"
DORA, DORAS_PASSWORD = "dora@molen.example", "Molenlezer-4"
EEFJE, EEFJES_PASSWORD = "eefje@haven.example", "Havenlezer-5"
NAS_STATE = b"of-the-access-point"
WITH_STATE = (f"33:x:{NAS_STATE.hex()}",)


@dataclass(frozen=True)
class Chain:
    """What stands around the federation's proxy."""

    federation: RunningFederation
    folder: Path
    freeradius: int  # where Kasteel's access points ask
    radsecproxy: int  # where Molen's access points ask
    before: Tap  # between Kasteel's FreeRADIUS and us
    beside: Tap  # between Molen's radsecproxy, as a proxy of visitors, and us
    behind: Tap  # between us and radsecproxy
    at_home: Tap  # between radsecproxy and Molen's home server
    haven_ca: Path

    def log_in(
        self, user: str, password: str, *, port: int, method: str = "ttls-pap", **options: object
    ) -> EapolResult:
        """The patron signs in at the access point of that proxy; what the taps saw before is forgotten."""
        for tap in (self.before, self.beside, self.behind, self.at_home):
            tap.forget()
        realm = user.rpartition("@")[2]
        ca, name = {
            "haven.example": (self.haven_ca, SERVER_NAME),
            "molen.example": (self.federation.kasteel.ca, KASTEEL_SERVER_NAME),
            "kasteel.example": (self.federation.kasteel.ca, KASTEEL_SERVER_NAME),
        }.get(realm, (self.federation.eap_ca, SERVER_NAME))
        return log_in_with_eapol(
            self.folder,
            port=port,
            secret=KASTEEL_NAS_SECRET if port == self.freeradius else SECRET,
            user=user,
            password=password,
            ca=ca,
            server_name=name,
            method=method,
            **options,  # type: ignore[arg-type] - handed on as given
        )


def library_behind(name: str, port: int, *, client: str = "") -> str:
    """A library of the federation file whose home server is at that port."""
    return f"""
[[libraries]]
id = "{name}"
name = "Bibliotheek {name.title()}"
realms = ["{name}.example"]
{client}
[[libraries.home_servers]]
name = "radius1"
host = "127.0.0.1"
port = {port}
secret = "{SECRET}"
"""


MOLEN_CLIENT = f"""
[[libraries.access_points]]
name = "radsecproxy"
address = "{MOLEN_ADDRESS}/32"
secret = "{SECRET}"
kind = "proxy"
"""


def start_haven(folder: Path, stack: ExitStack, *, port: int) -> Path:
    """Haven's own `biebroam home`, in its own data directory; where the anchor of its devices is."""
    haven = DataDirectory(folder / "haven")
    haven.take_initialised()
    haven.apply(f"""
[federation]
name = "haven"
country = "NL"
eap_server_name = "{SERVER_NAME}"
[[libraries]]
id = "haven"
name = "Bibliotheek Haven"
realms = ["haven.example"]
{MOLEN_CLIENT}
[libraries.identity]
kind = "local"
mschapv2 = true
""")
    haven.add_patron(EEFJE, EEFJES_PASSWORD)
    ca = folder / "haven.pem"
    with Store(f"sqlite:///{haven.folder}/biebroam.db").read() as session:
        ca.write_text(load_anchors(session, Purpose.EAP))
    stack.enter_context(haven.start("home", port=port))
    return ca


@pytest.fixture(scope="module")
def chain(federation: RunningFederation, tmp_path_factory: pytest.TempPathFactory) -> Generator[Chain]:
    """The hops around the running federation, which learns of its new libraries while it runs."""
    folder = tmp_path_factory.mktemp("chain")
    home_port, haven_port, radsecproxy_port, freeradius_port = (free_port() for _ in range(4))
    with ExitStack() as stack:
        before = stack.enter_context(Tap(federation.auth_port))
        beside = stack.enter_context(Tap(federation.auth_port, source=MOLEN_ADDRESS))
        behind = stack.enter_context(Tap(radsecproxy_port))
        at_home = stack.enter_context(Tap(home_port, source=MOLEN_ADDRESS))
        stack.enter_context(
            start_freeradius_home(
                folder / "molen-home",
                port=home_port,
                secret=SECRET,
                users={DORA: DORAS_PASSWORD},
                server=federation.kasteel,
            )
        )
        haven_ca = start_haven(folder, stack, port=haven_port)
        stack.enter_context(
            start_radsecproxy(
                folder / "radsecproxy",
                port=radsecproxy_port,
                secret=SECRET,
                source=MOLEN_ADDRESS,
                realms={
                    "molen.example": NextHop("127.0.0.1", at_home.port, SECRET),
                    "haven.example": NextHop("127.0.0.1", haven_port, SECRET),
                    "*": NextHop("127.0.0.1", beside.port, SECRET),
                },
            )
        )
        stack.enter_context(
            start_freeradius_proxy(
                folder / "kasteel-proxy",
                port=freeradius_port,
                secret=KASTEEL_NAS_SECRET,
                next_hop=NextHop("127.0.0.1", before.port, SECRETS["kasteel"]),
            )
        )
        federation.data.apply_live(
            federation_file(federation.kasteel_port)
            + library_behind("molen", behind.port, client=MOLEN_CLIENT)
            + library_behind("haven", behind.port)
            + library_behind("rondje", behind.port)
        )
        yield Chain(federation, folder, freeradius_port, radsecproxy_port, before, beside, behind, at_home, haven_ca)


def operator_names(packets: Sequence[Packet]) -> set[bytes]:
    """All that the packets say of who runs the visited network."""
    return {name for packet in packets for name in values_of(packet, AttributeType.OPERATOR_NAME)}


class TestThreeProxies:
    @pytest.mark.parametrize("method", ["ttls-pap", "peap-mschapv2"])
    @pytest.mark.parametrize(
        ("user", "password"), [(DORA, DORAS_PASSWORD), (EEFJE, EEFJES_PASSWORD)], ids=["freeradius", "biebroam-home"]
    )
    def test_keys_cross_every_hop(self, chain: Chain, user: str, password: str, method: str) -> None:
        """Through FreeRADIUS, Biebroam and radsecproxy, device and access point end with the same keys."""
        result = chain.log_in(user, password, port=chain.freeradius, method=method)
        assert result.is_complete, result.output[-2000:]
        assert len(chain.behind.requests) == len(chain.before.requests) > 3

    @pytest.mark.parametrize(
        ("user", "method"), [(DORA, "ttls-pap"), (EEFJE, "peap-mschapv2")], ids=["freeradius", "biebroam-home"]
    )
    def test_refusal_crosses_every_hop(self, chain: Chain, user: str, method: str) -> None:
        """A wrong password ends in an Access-Reject for the device, not in silence."""
        result = chain.log_in(user, "not-hers", port=chain.freeradius, method=method)
        assert not result.succeeded
        assert "code=3 (Access-Reject)" in result.output

    def test_proxy_states_of_every_hop_come_back(self, chain: Chain) -> None:
        """Each hop gets back what it sent, in order, and nothing of the hops behind it (RFC 2865 §5.33)."""
        result = chain.log_in(DORA, DORAS_PASSWORD, port=chain.freeradius, attributes=WITH_STATE)
        assert result.is_complete, result.output[-2000:]
        asked, forwarded, arrived = map(
            states_of, (chain.before.requests, chain.behind.requests, chain.at_home.requests)
        )
        assert len(asked) == len(forwarded) == len(arrived) > 3
        for theirs, ours in zip(asked, forwarded, strict=True):
            assert theirs[0] == NAS_STATE
            assert len(theirs) == 2  # FreeRADIUS added its own
            assert ours[:-1] == theirs
            assert ours[-1] not in theirs
        assert arrived == forwarded  # radsecproxy keeps them and adds none
        assert states_of(chain.at_home.answers) == arrived
        assert states_of(chain.behind.answers) == forwarded
        assert states_of(chain.before.answers) == asked
        assert f"Attribute 33 (Proxy-State) length={len(NAS_STATE) + 2}" in result.output

    def test_visited_library_is_named_to_the_home(self, chain: Chain) -> None:
        """The home server hears whose access point it was, though neither access point nor FreeRADIUS said so."""
        assert chain.log_in(DORA, DORAS_PASSWORD, port=chain.freeradius).is_complete
        assert operator_names(chain.before.requests) == set()
        assert operator_names(chain.at_home.requests) == {b"1kasteel.example"}

    def test_operator_that_the_proxy_names_is_kept(self, chain: Chain) -> None:
        """A library's own proxy knows better than we which of its houses it was (RFC 5580 §4.1)."""
        branch = "1toren.kasteel.example"
        result = chain.log_in(DORA, DORAS_PASSWORD, port=chain.freeradius, attributes=(f"126:s:{branch}",))
        assert result.is_complete, result.output[-2000:]
        assert operator_names(chain.at_home.requests) == {branch.encode()}


class TestRadsecproxyBefore:
    @pytest.mark.parametrize("method", ["ttls-pap", "peap-mschapv2"])
    @pytest.mark.parametrize("user", ["cato@kasteel.example", "anna@zeewijk.example"], ids=["freeradius", "hosted"])
    def test_its_visitors_sign_in(self, chain: Chain, user: str, method: str) -> None:
        """A visitor at Molen is checked at home: keys cross radsecproxy, Biebroam and the home server."""
        result = chain.log_in(user, PASSWORDS[user], port=chain.radsecproxy, method=method, attributes=WITH_STATE)
        assert result.is_complete, result.output[-2000:]
        assert all(states == [NAS_STATE] for states in states_of(chain.beside.requests))
        assert states_of(chain.beside.answers) == states_of(chain.beside.requests)

    def test_refusal_comes_back(self, chain: Chain) -> None:
        """FreeRADIUS's no reaches the access point behind radsecproxy."""
        result = chain.log_in("cato@kasteel.example", "not-hers", port=chain.radsecproxy)
        assert not result.succeeded
        assert "code=3 (Access-Reject)" in result.output


class TestLoops:
    def test_request_that_comes_round_is_refused(self, chain: Chain) -> None:
        """A radsecproxy that sends us the realm back is told no at the second meeting, and so is the device."""
        result = chain.log_in("piet@rondje.example", "whatever-9", port=chain.freeradius, seconds=5)
        assert "code=3 (Access-Reject)" in result.output
        assert len(chain.behind.requests) == len(chain.beside.requests) == 1
        wait_until(lambda: '"loop"' in chain.federation.service.output, "the reason in the log", 5)
