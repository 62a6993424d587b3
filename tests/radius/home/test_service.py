import asyncio
import socket
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import pytest
from Crypto.Hash import MD4

from federation.reasons import RefusalReason
from federation.snapshot import (
    Client,
    EapMethod,
    EapServerCredentials,
    Federation,
    HomeSnapshot,
    HostedRealm,
    SharedSecret,
)
from radius.home.checks import Checks
from radius.home.guesses import PATRON_TRIES
from radius.home.service import HomeService
from radius.supplicant.client import LoginRequest, LoginResult, Outcome, log_in
from radius.supplicant.device import METHODS
from radius.supplicant.failure import FailedStep
from radius.transport.garbage import YOUNG_SECONDS
from radius.transport.udp import bind_udp
from radius.wire.attributes import concatenate, find
from radius.wire.authenticators import KeyedSecret, decide_response_authenticity, sign_request
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import Packet, build_attribute, build_fragments, parse_packet
from tests.support.certificates import ServerCertificate, make_server_certificate
from tests.support.cycles import drop_cycle
from tests.support.eapol import log_in_with_eapol
from tests.support.processes import wait_until

SECRET = b"secret of the access point"
KEYED = KeyedSecret(SECRET)
SERVER_NAME = "login.test.example"
REALM = "west.example"
NAME = build_attribute(AttributeType.USER_NAME, b"anonymous@west.example")
IDENTITY = b"\x02\x01\x00\x1b\x01anonymous@west.example"
EAP = build_fragments(AttributeType.EAP_MESSAGE, IDENTITY)


@dataclass
class Store:
    """Patrons in a dictionary; a check can be made to wait."""

    passwords: dict[str, bytes] = field(default_factory=lambda: {"anna": b"Strandlezer-1"})
    checks: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    nt_hashes: dict[str, bytes] = field(default_factory=dict[str, bytes])
    go: threading.Event = field(default_factory=threading.Event)

    def begin_password_check(self, realm: str, user: str, password: bytes) -> Callable[[], RefusalReason | None]:
        return partial(self.check_password, realm, user, password)

    def check_password(self, realm: str, user: str, password: bytes) -> RefusalReason | None:
        self.checks.append((realm, user))
        self.go.wait(5)
        if user not in self.passwords:
            return RefusalReason.UNKNOWN_PATRON
        return None if self.passwords[user] == password else RefusalReason.WRONG_CREDENTIALS

    def begin_nt_hash_search(self, realm: str, user: str) -> bytes | RefusalReason:
        return self.nt_hashes.get(user, RefusalReason.METHOD_NOT_OFFERED)


@dataclass
class Home:
    """A home server on loopback, and an access point that speaks packets."""

    service: HomeService
    store: Store
    port: int
    certificate: ServerCertificate
    socket: socket.socket
    received: asyncio.Queue[bytes]

    def send(self, octets: bytes) -> None:
        self.socket.sendto(octets, ("127.0.0.1", self.port))

    async def answer(self, seconds: float = 3) -> Packet:
        async with asyncio.timeout(seconds):
            packet = parse_packet(await self.received.get())
        assert isinstance(packet, Packet)
        return packet

    async def ask(self, attributes: bytes, code: int = Code.ACCESS_REQUEST, **options: bool) -> Packet:
        self.send(sign_request(code, 1, bytes(16), attributes, KEYED, **options))
        answer = await self.answer()
        verdict = decide_response_authenticity(answer, KEYED, bytes(16), requires_message_authenticator=True)
        assert verdict is None
        return answer

    async def log_in(self, user: str, password: str, **options: object) -> LoginResult:
        return await log_in(
            LoginRequest(
                "127.0.0.1",
                self.port,
                SECRET,
                user,
                password,
                self.certificate.ca.read_bytes(),
                SERVER_NAME,
                **options,  # type: ignore[arg-type] - names and texts of the request
            )
        )

    async def counted(self, kind: str, reason: str) -> None:
        """Return when that has been counted."""

        def is_counted() -> bool:
            counted = self.service.counters()[kind]
            return isinstance(counted, dict) and reason in counted

        await asyncio.to_thread(wait_until, is_counted, f"{reason} to be counted", 6)


Start = Callable[..., Awaitable[Home]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncGenerator[Start]:
    """Starts home servers; ended with the test."""
    homes: list[Home] = []

    async def started(
        *,
        methods: tuple[EapMethod, ...] = (EapMethod.TTLS_PAP,),
        checks: Checks | None = None,
        waits: bool = False,
        requires_crypto_binding: bool = False,
    ) -> Home:
        certificate = make_server_certificate(tmp_path, SERVER_NAME)
        udp = bind_udp("127.0.0.1", 0)
        store = Store()
        if not waits:
            store.go.set()
        service = HomeService(
            [udp],
            {"local": store},
            alias_key=b"k" * 32,
            serves_access_points=True,
            requires_crypto_binding=requires_crypto_binding,
            checks=checks,
            jitter=lambda: 0.5,
        )
        service.swap(snapshot(certificate, methods))
        service.start()
        client = bind_udp("127.0.0.1", 0)
        received: asyncio.Queue[bytes] = asyncio.Queue()
        asyncio.get_running_loop().add_reader(client, lambda: received.put_nowait(client.recv(4096)))
        homes.append(Home(service, store, udp.getsockname()[1], certificate, client, received))
        return homes[-1]

    yield started
    for home in homes:
        home.store.go.set()
        asyncio.get_running_loop().remove_reader(home.socket)
        home.socket.close()
        await home.service.stop(1)


def fail(*_arguments: object) -> None:
    raise RuntimeError("a bug")


def snapshot(certificate: ServerCertificate, methods: tuple[EapMethod, ...]) -> HomeSnapshot:
    return HomeSnapshot(
        revision=3,
        federation=Federation("test", "NL", SERVER_NAME),
        realms={
            REALM: HostedRealm(REALM, "west", "local", methods),
            "branch.west.example": HostedRealm("branch.west.example", "west", "local", methods),
            "east.example": HostedRealm("east.example", "east", "local", methods),
        },
        credentials=EapServerCredentials(certificate.certificate.read_bytes(), certificate.key.read_bytes()),
        clients=(Client("west/hal", "west", REALM, (ip_network("127.0.0.1/32"),), SharedSecret(SECRET)),),
    )


class TestLogin:
    async def test_right_password_is_let_in(self, start: Start) -> None:
        """The patron is in, with keys that match; the store was asked once, for the user without the realm."""
        home = await start()
        result = await home.log_in("anna@west.example", "Strandlezer-1")
        assert result.is_accepted, result.summary
        assert home.store.checks == [(REALM, "anna")]

    @pytest.mark.parametrize("method", sorted(METHODS))
    async def test_device_gets_the_method_that_it_was_set_to(self, start: Start, method: str) -> None:
        """Our own device signs in with each, and is refused with a wrong password; in PEAP it binds its tunnel."""
        home = await start(methods=tuple(EapMethod(each) for each in METHODS), requires_crypto_binding=True)
        home.store.nt_hashes["anna"] = MD4.new("Strandlezer-1".encode("utf-16-le")).digest()
        result = await home.log_in("anna@west.example", "Strandlezer-1", method=method)
        assert result.is_accepted, result.summary
        refused = await home.log_in("anna@west.example", "strandlezer-1", method=method)
        assert refused.failed_step is FailedStep.CREDENTIALS, refused.summary

    async def test_library_answers_for_its_other_realm(self, start: Start) -> None:
        """A patron of another realm of the same library is asked about in that realm, under whatever name outside."""
        home = await start()
        result = await home.log_in("anna@branch.west.example", "Strandlezer-1", outer_identity="anonymous@west.example")
        assert result.is_accepted, result.summary
        assert home.store.checks == [("branch.west.example", "anna")]

    async def test_eapol_test_is_let_in(self, start: Start, tmp_path: Path) -> None:
        """Debian's supplicant, in fragments of 100 octets, agrees on the keys."""
        home = await start()
        result = await asyncio.to_thread(
            log_in_with_eapol,
            tmp_path,
            port=home.port,
            secret=SECRET.decode(),
            user="anna@west.example",
            password="Strandlezer-1",
            ca=home.certificate.ca,
            server_name=SERVER_NAME,
            fragment_octets=100,
        )
        assert result.is_complete, result.output[-2000:]
        assert "anna" not in "".join(line for line in result.output.splitlines() if "Attribute 1 (User-Name)" in line)

    @pytest.mark.parametrize("tls", ["1.2", "1.3"])
    async def test_eapol_test_is_let_in_where_crypto_binding_is_required(
        self, start: Start, tmp_path: Path, tls: str
    ) -> None:
        """wpa_supplicant's code, as on Linux and Android, answers crypto-binding as it comes (MS-PEAP §3.1.5.5)."""
        home = await start(methods=(EapMethod.PEAP_MSCHAPV2,), requires_crypto_binding=True)
        home.store.nt_hashes["anna"] = MD4.new("Strandlezer-1".encode("utf-16-le")).digest()
        result = await asyncio.to_thread(
            log_in_with_eapol,
            tmp_path,
            port=home.port,
            secret=SECRET.decode(),
            user="anna@west.example",
            password="Strandlezer-1",
            ca=home.certificate.ca,
            server_name=SERVER_NAME,
            method="peap-mschapv2",
            tls=tls,
        )
        assert result.is_complete, result.output[-2000:]

    @pytest.mark.parametrize(
        ("user", "password", "reason"),
        [
            ("anna@west.example", "wrong", RefusalReason.WRONG_CREDENTIALS),
            ("nobody@west.example", "Strandlezer-1", RefusalReason.UNKNOWN_PATRON),
            ("anna@east.example", "Strandlezer-1", RefusalReason.INNER_REALM),
            ("anna@other.west.example", "Strandlezer-1", RefusalReason.INNER_REALM),
        ],
    )
    async def test_refusal_is_counted_by_its_reason(
        self, start: Start, user: str, password: str, reason: RefusalReason
    ) -> None:
        """Whatever the reason, the visited library sees the same no; the counter tells the operator which."""
        home = await start()
        result = await home.log_in(user, password, outer_identity="anonymous@west.example")
        assert result.outcome is Outcome.REJECTED
        assert home.service.counters()["refusals"] == {str(reason): 1}
        assert result.seconds > 0.9  # refusals wait about a second

    @pytest.mark.parametrize("method", sorted(METHODS))
    async def test_passwords_are_not_tried_without_end(self, start: Start, method: str) -> None:
        """After some wrong ones no further one is looked at, though it were right; the patron's own device may."""
        home = await start(methods=tuple(EapMethod(each) for each in METHODS))
        home.store.nt_hashes["anna"] = MD4.new("Strandlezer-1".encode("utf-16-le")).digest()
        own = await home.log_in("anna@west.example", "Strandlezer-1", method=method, calling_station_id="02-AA")
        assert own.is_accepted
        tries = (
            home.log_in("anna@west.example", f"guess {number}", method=method, calling_station_id=f"02-{number:02}")
            for number in range(int(PATRON_TRIES))
        )
        await asyncio.gather(*tries)
        late = await home.log_in("anna@west.example", "Strandlezer-1", method=method, calling_station_id="02-BB")
        assert late.failed_step is FailedStep.CREDENTIALS
        refusals = home.service.counters()["refusals"]
        assert isinstance(refusals, dict)
        assert refusals["too_many_attempts"] == 1
        again = await home.log_in("anna@west.example", "Strandlezer-1", method=method, calling_station_id="02:aa")
        assert again.is_accepted, again.summary

    async def test_slow_store_is_given_up(self, start: Start) -> None:
        """A store that does not answer in time is a no, before the access point gives up."""
        home = await start(checks=Checks(timeout_seconds=0.1), waits=True)
        result = await home.log_in("anna@west.example", "Strandlezer-1")
        assert result.outcome is Outcome.REJECTED
        assert home.service.counters()["refusals"] == {"store_timeout": 1}

    async def test_repeated_request_starts_no_second_check(self, start: Start) -> None:
        """While a check runs, a repeat of its request is dropped; the answer comes once: no patron is locked out."""
        home = await start(waits=True)
        login = asyncio.ensure_future(home.log_in("anna@west.example", "Strandlezer-1"))
        await home.counted("drops", "duplicate_pending")  # the device has asked again after its 3 s
        home.store.go.set()
        assert (await login).is_accepted
        assert len(home.store.checks) == 1

    async def test_new_certificate_is_for_new_conversations(self, start: Start, tmp_path: Path) -> None:
        """After a swap the new certificate is shown, without a restart."""
        home = await start()
        (tmp_path / "new").mkdir()
        home.certificate = make_server_certificate(tmp_path / "new", SERVER_NAME)
        home.service.swap(replace(snapshot(home.certificate, (EapMethod.TTLS_PAP,)), revision=4))
        assert (await home.log_in("anna@west.example", "Strandlezer-1")).is_accepted
        assert home.service.revision == 4

    async def test_certificate_that_can_not_be_leaves_the_snapshot(self, start: Start) -> None:
        """A certificate without its key is refused whole; logins go on."""
        home = await start()
        broken = replace(
            snapshot(home.certificate, (EapMethod.TTLS_PAP,)),
            revision=9,
            credentials=EapServerCredentials(b"no certificate", b"no key"),
        )
        with pytest.raises(ValueError, match="PEM"):
            home.service.swap(broken)
        assert home.service.revision == 3
        assert (await home.log_in("anna@west.example", "Strandlezer-1")).is_accepted


class TestPackets:
    async def test_first_answer_is_a_challenge_with_state(self, start: Start) -> None:
        """An identity opens a conversation; Message-Authenticator is first, Proxy-States come back in order."""
        home = await start()
        states = build_attribute(33, b"one") + build_attribute(33, b"two")
        answer = await home.ask(NAME + EAP + states)
        assert answer.code == Code.ACCESS_CHALLENGE
        assert answer.types[0] == AttributeType.MESSAGE_AUTHENTICATOR
        assert len(find(answer, AttributeType.STATE) or b"") == 16
        assert answer.octets.endswith(states)

    async def test_repeat_gets_the_same_octets(self, start: Start) -> None:
        """A repeat of an answered request gets its answer again, octet for octet, and opens nothing (RFC 5080)."""
        home = await start()
        first = await home.ask(NAME + EAP)
        assert (await home.ask(NAME + EAP)).octets == first.octets
        assert home.service.counters()["sessions"] == 1

    async def test_garbage_is_looked_for_with_the_packets(self, start: Start) -> None:
        """The collector does not wait until ten seconds of packets have come together."""
        home = await start()
        dropped = drop_cycle()
        await asyncio.sleep(YOUNG_SECONDS)
        await home.ask(NAME + EAP)
        assert dropped() is None

    async def test_status_server_is_answered(self, start: Start) -> None:
        """Status-Server gets an Access-Accept at once (RFC 5997 §4.2)."""
        home = await start()
        assert (await home.ask(b"", Code.STATUS_SERVER)).code == Code.ACCESS_ACCEPT

    @pytest.mark.parametrize(
        ("attributes", "reason"),
        [
            (NAME, RefusalReason.NO_CREDENTIALS),
            (NAME + build_attribute(AttributeType.USER_PASSWORD, bytes(16)), RefusalReason.NO_CREDENTIALS),
            (NAME + build_attribute(AttributeType.EAP_MESSAGE, b"\x02\x01\x00\xff\x01"), RefusalReason.EAP_MALFORMED),
            (NAME + EAP + build_attribute(AttributeType.STATE, bytes(16)), RefusalReason.SESSION_UNKNOWN),
            (EAP, RefusalReason.USER_NAME_MISSING),
            (build_attribute(AttributeType.USER_NAME, b"a@other.example") + EAP, RefusalReason.UNROUTABLE),
            (build_attribute(AttributeType.USER_NAME, b"a@b@west.example") + EAP, RefusalReason.MULTIPLE_AT),
        ],
    )
    async def test_refused_request_has_a_reason(self, start: Start, attributes: bytes, reason: RefusalReason) -> None:
        """What can not begin a login is an Access-Reject, with EAP-Failure where there was EAP (RFC 3579 §2.6.3)."""
        home = await start()
        answer = await home.ask(attributes)
        assert answer.code == Code.ACCESS_REJECT
        assert home.service.counters()["refusals"] == {str(reason): 1}
        has_eap = build_fragments(AttributeType.EAP_MESSAGE, b"\x02")[:1] in attributes
        assert concatenate(answer, AttributeType.EAP_MESSAGE) == (b"\x04\x01\x00\x04" if has_eap else b"")

    async def test_conversation_goes_on_under_its_name(self, start: Start) -> None:
        """Another User-Name, of another realm perhaps, does not go on with a conversation (RFC 3579 §2.1)."""
        home = await start()
        state = find(await home.ask(NAME + EAP), AttributeType.STATE) or b""
        other = build_attribute(AttributeType.USER_NAME, b"somebody@west.example")
        home.send(sign_request(1, 2, bytes(16), other + EAP + build_attribute(AttributeType.STATE, state), KEYED))
        assert (await home.answer()).code == Code.ACCESS_REJECT
        assert home.service.counters()["refusals"] == {"session_unknown": 1}
        assert home.service.counters()["sessions"] == 1  # whoever began it can go on

    @pytest.mark.parametrize(
        "broken", ["radius.home.service.EapSession.receive", "radius.eap.methods.ttls.Ttls.receive"]
    )
    async def test_bug_in_a_conversation_costs_that_one(
        self, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str
    ) -> None:
        """It is refused and told, at whatever height it breaks; the next one goes on."""
        home = await start()
        with monkeypatch.context() as patch:
            patch.setattr(broken, fail)
            result = await home.log_in("anna@west.example", "Strandlezer-1")
        assert result.outcome is Outcome.REJECTED
        assert home.service.counters()["refusals"] == {"eap_failed": 1}
        assert [record.message for record in caplog.records if record.exc_info] == ["conversation_failed"]
        assert (await home.log_in("anna@west.example", "Strandlezer-1")).is_accepted

    @pytest.mark.parametrize(
        "place", ["radius.home.patrons.find_patron", "radius.home.conversations.Conversations.open"]
    )
    async def test_bug_elsewhere_costs_one_packet(
        self, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, place: str
    ) -> None:
        """Where the store is asked, and before there is any conversation."""
        home = await start()
        with monkeypatch.context() as patch:
            patch.setattr(place, fail)
            result = await home.log_in("anna@west.example", "Strandlezer-1", retransmit_seconds=1.5, tries=1)
        assert not result.is_accepted
        assert len([record for record in caplog.records if record.exc_info]) == 1
        assert home.service.counters()["sessions"] == 0
        assert (await home.log_in("anna@west.example", "Strandlezer-1")).is_accepted

    async def test_method_that_the_realm_has_not_is_told_as_such(self, start: Start) -> None:
        """A device that wants another method than is offered ends before its tunnel begins."""
        home = await start()
        result = await home.log_in("anna@west.example", "Strandlezer-1", method="peap-mschapv2")
        assert (result.failed_step, result.server) == (FailedStep.METHOD, None)
        assert home.service.counters()["refusals"] == {"method_not_offered": 1}
        assert "at method" in result.summary

    async def test_method_that_nobody_has_is_refused(self, start: Start) -> None:
        """A realm whose methods this version does not speak is refused, with its reason."""
        home = await start(methods=(EapMethod.TLS,))
        assert (await home.ask(NAME + EAP)).code == Code.ACCESS_REJECT
        assert home.service.counters()["refusals"] == {"method_not_offered": 1}

    @pytest.mark.parametrize(
        ("octets", "reason"),
        [
            (b"", "too_short"),
            (bytes(19), "too_short"),
            (sign_request(Code.ACCESS_REQUEST, 1, bytes(16), NAME + EAP, KEYED)[:-1], "length_field"),
            (
                sign_request(Code.ACCESS_REQUEST, 1, bytes(16), NAME, KeyedSecret(b"other")),
                "message_authenticator_wrong",
            ),
            (
                sign_request(Code.ACCESS_REQUEST, 1, bytes(16), NAME, KEYED, with_message_authenticator=False),
                "message_authenticator_missing",
            ),
            (sign_request(Code.ACCOUNTING_REQUEST, 1, bytes(16), NAME, KEYED), "code_not_expected"),
        ],
    )
    async def test_bad_packet_gets_no_answer(self, start: Start, octets: bytes, reason: str) -> None:
        """What is no authentic request is dropped and counted, and opens nothing."""
        home = await start()
        home.send(octets)
        await home.counted("drops", reason)
        assert home.received.empty()
        assert home.service.counters()["sessions"] == 0

    async def test_flood_is_one_line_in_the_log(self, start: Start, caplog: pytest.LogCaptureFixture) -> None:
        """Dropped packets of one peer and reason make one line a minute, however many they are."""
        home = await start()
        for _ in range(50):
            home.send(bytes(19))
        await home.counted("drops", "too_short")
        assert len([record for record in caplog.records if record.message == "packet_dropped"]) == 1

    async def test_forged_repeat_does_not_spoil_the_answer(self, start: Start) -> None:
        """A forged packet with the identifier of a real one changes nothing for it."""
        home = await start()
        home.send(sign_request(Code.ACCESS_REQUEST, 1, bytes(16), NAME + EAP, KeyedSecret(b"forger")))
        assert (await home.ask(NAME + EAP)).code == Code.ACCESS_CHALLENGE


class TestStop:
    async def test_refusals_that_wait_go_out(self, start: Start) -> None:
        """A stop sends what was still waiting for its second, and closes the door."""
        home = await start()
        home.send(sign_request(Code.ACCESS_REQUEST, 1, bytes(16), NAME, KEYED))
        await home.counted("refusals", "no_credentials")
        began = time.monotonic()
        await home.service.stop(1)
        assert (await home.answer()).code == Code.ACCESS_REJECT
        assert time.monotonic() - began < 0.5

    async def test_running_check_is_waited_for(self, start: Start) -> None:
        """A login whose password is being checked gets its answer before the end."""
        home = await start(waits=True)
        login = asyncio.ensure_future(home.log_in("anna@west.example", "Strandlezer-1"))
        await asyncio.to_thread(wait_until, lambda: bool(home.store.checks), "the check to begin")
        stop = asyncio.ensure_future(home.service.stop(3))
        await asyncio.sleep(0)
        home.store.go.set()
        await stop
        assert (await login).is_accepted
