"""Bad input to the EAP server: outside the tunnel, in its pieces, in TLS, and inside where only a patron should speak.

Whatever a device sends, the conversation ends in a Reject or goes on; nobody is let in without a proof, and nothing
that a device could cause is an exception.
"""

import pytest

from radius.eap.avps import MS_CHAP2_RESPONSE, MS_CHAP_CHALLENGE, USER_NAME, USER_PASSWORD, build_avp
from radius.eap.context import EapServerContext
from radius.eap.machine import EapSession
from radius.eap.outcomes import Accept, Challenge, EapReason, Ignore, NtHashLookup, Outcome, PasswordCheck, Reject
from radius.eap.packet import EapCode, EapPacket, EapType, build_eap, parse_eap
from radius.eap.tunnel import MAX_HANDSHAKE_OCTETS, Tunnel
from tests.radius.eap.device import IDENTITY, NT_HASH, PASSWORD, USER, Device
from tests.support.certificates import ServerCertificate, make_server_certificate

PAP = ("ttls-pap",)
TTLS_MSCHAPV2 = ("ttls-mschapv2",)
PEAP = ("peap-mschapv2",)
ALL = (*PAP, *TTLS_MSCHAPV2, *PEAP)
NAMED = build_avp(USER_NAME, USER)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ServerCertificate:
    """One certificate for all tests of the module."""
    return make_server_certificate(tmp_path_factory.mktemp("eap"), "login.test.example")


@pytest.fixture(scope="module")
def context(certificate: ServerCertificate) -> EapServerContext:
    """The server as it is by default."""
    return EapServerContext(certificate.certificate.read_bytes(), certificate.key.read_bytes())


@pytest.fixture(scope="module")
def bound(certificate: ServerCertificate) -> EapServerContext:
    """A server that requires crypto-binding."""
    return EapServerContext(
        certificate.certificate.read_bytes(), certificate.key.read_bytes(), requires_crypto_binding=True
    )


class Conversation:
    """A device and the server, up to the place where the device misbehaves."""

    def __init__(self, context: EapServerContext, methods: tuple[str, ...], device: Device | None = None) -> None:
        self.session = EapSession(context, methods)
        self.device = device or Device()
        self.outcome: Outcome = Ignore()
        self.send(IDENTITY)

    @property
    def request(self) -> EapPacket:
        assert isinstance(self.outcome, Challenge), self.outcome
        packet = parse_eap(self.outcome.eap)
        assert packet is not None
        return packet

    def send(self, eap: bytes) -> Outcome:
        self.outcome = self.session.receive(eap)
        return self.outcome

    def respond(self, data: bytes) -> Outcome:
        return self.send(self.device.respond(self.request, data))

    def open(self) -> "Conversation":
        """The tunnel stands, and it is the device's turn to speak."""
        for _ in range(10):
            piece = self.device.go_on(self.request)
            if self.device.is_open and piece == b"\x00" and (self.request.kind == EapType.TTLS or self.device.heard):
                return self
            self.respond(piece)
        raise AssertionError("the tunnel does not open")

    def say(self, said: bytes) -> Outcome:
        return self.respond(self.device.say(said))

    def say_honestly(self) -> Outcome:
        return self.say(self.device.answer_inside(self.request.kind))

    def hear(self) -> bytes:
        self.device.go_on(self.request)
        return self.device.heard


def check_refused(conversation: Conversation, *reasons: EapReason) -> None:
    """It ended with a Reject of such a reason, by a decision and not by an accident; nothing comes after."""
    outcome = conversation.outcome
    assert isinstance(outcome, Reject)
    assert outcome.reason in (reasons or tuple(EapReason))
    assert conversation.session.error is None, repr(conversation.session.error)
    assert conversation.send(IDENTITY) == Ignore()


class TestBeforeTheTunnel:
    @pytest.mark.parametrize(
        "eap",
        [
            b"",
            b"\x02",
            b"\x02\x00\x00",
            b"\x02\x00\x00\x04",
            b"\x02\x00\x00\x00\x01a",
            b"\x02\x00\x00\x03\x01a",
            b"\x02\x00\x00\x07\x01a",
            b"\x02\x00\x00\x05\x01a",
            b"\x02\x00\xff\xff\x01a",
            b"\x00\x00\x00\x06\x01a",
            b"\x01\x00\x00\x06\x01a",
            b"\x03\x00\x00\x04",
            b"\x04\x00\x00\x04",
            b"\x05\x00\x00\x06\x01a",
            b"\xff\x00\x00\x06\x01a",
        ],
        ids=lambda eap: bytes(eap).hex() or "empty",
    )
    def test_no_response_is_as_if_it_had_not_come(self, context: EapServerContext, eap: bytes) -> None:
        """Lengths that lie, codes that are no response: ignored, at the beginning and later (RFC 3748 §4.1)."""
        session = EapSession(context, PAP)
        assert session.receive(eap) == Ignore()
        assert isinstance(session.receive(IDENTITY), Challenge)
        assert session.receive(eap) == Ignore()

    @pytest.mark.parametrize("kind", [0, 2, 4, 5, 6, 13, 17, 18, 23, 43, 50, 52, 55, 254, 255])
    def test_other_methods_are_not_begun(self, context: EapServerContext, kind: int) -> None:
        """MD5, TLS, LEAP, SIM, AKA, FAST, PWD, TEAP: what is not offered is refused, by Nak and by force.

        EAP-PWD let strangers in elsewhere (CVE-2019-11234, CVE-2019-11235) and EAP-SIM stopped servers
        (CVE-2022-41860).
        """
        by_force = Conversation(context, ALL)
        by_force.send(build_eap(EapCode.RESPONSE, by_force.request.identifier, kind, bytes(40)))
        check_refused(by_force, EapReason.EAP_MALFORMED)
        by_nak = Conversation(context, ALL)
        by_nak.send(build_eap(EapCode.RESPONSE, by_nak.request.identifier, EapType.NAK, bytes((kind,))))
        check_refused(by_nak, EapReason.METHOD_NOT_OFFERED)

    def test_nak_of_all_methods_ends(self, context: EapServerContext) -> None:
        """A device that wants each method only until it gets it is refused when there is none left."""
        conversation = Conversation(context, ALL)
        for wanted in (EapType.PEAP, EapType.TTLS, EapType.PEAP):
            if isinstance(conversation.outcome, Challenge):
                conversation.send(
                    build_eap(EapCode.RESPONSE, conversation.request.identifier, EapType.NAK, bytes((wanted,)) * 200)
                )
        check_refused(conversation, EapReason.METHOD_NOT_OFFERED)

    def test_first_packet_that_is_no_identity_is_refused(self, context: EapServerContext) -> None:
        """The conversation begins with a name (RFC 3748 §5.1)."""
        outcome = EapSession(context, ALL).receive(build_eap(EapCode.RESPONSE, 0, EapType.TTLS, b"\x00"))
        assert isinstance(outcome, Reject)

    @pytest.mark.parametrize("name", [b"", b"\0", b"\xff" * 3000, b"a@b@c", b"%{reply:x}"])
    def test_outer_identity_of_any_octets_is_not_looked_at(self, context: EapServerContext, name: bytes) -> None:
        """It routes and proves nothing; who it is stands inside the tunnel (RFC 7542 §2.4)."""
        outcome = EapSession(context, PAP).receive(build_eap(EapCode.RESPONSE, 0, EapType.IDENTITY, name))
        assert isinstance(outcome, Challenge)


class TestPieces:
    @pytest.mark.parametrize(
        "data",
        [b"", b"\x80", b"\x80\0\0\0", b"\x80\xff\xff\xff\xffabc", b"\xc0\x7f\xff\xff\xffabc", b"\x40"],
        ids=lambda data: bytes(data).hex() or "empty",
    )
    def test_piece_that_is_none_is_refused(self, context: EapServerContext, data: bytes) -> None:
        """No flags, half a length, a length beyond all bounds, nothing of several (RFC 5216 §3.1)."""
        conversation = Conversation(context, PAP)
        conversation.respond(data)
        check_refused(conversation, EapReason.EAP_MALFORMED)

    def test_message_without_end_is_refused(self, context: EapServerContext) -> None:
        """More pieces, and more, and more: the rounds end it before the memory does (CVE-2017-10984's class)."""
        conversation = Conversation(context, PAP)
        for _ in range(100):
            if isinstance(conversation.outcome, Challenge):
                conversation.respond(b"\x40" + bytes(1200))
        check_refused(conversation)

    @pytest.mark.parametrize(
        "octets",
        [
            b"\x16\x03\x01\xff\xff",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x80\x2e\x01\x00\x02",
            bytes(300),
            b"\x15\x03\x03\0\2\2\x28",
        ],
        ids=["endless record", "HTTP", "SSL 2", "zeros", "an alert"],
    )
    def test_what_is_no_tls_is_refused(self, context: EapServerContext, octets: bytes) -> None:
        """The device hears an alert where TLS has one, and no."""
        conversation = Conversation(context, PEAP)
        conversation.respond(b"\x00" + octets)
        for _ in range(70):
            if isinstance(conversation.outcome, Challenge):
                conversation.respond(b"\x00")
        check_refused(conversation, EapReason.EAP_FAILED)


class TestTls:
    def test_what_was_said_stays_secret_when_the_key_leaks(self, context: EapServerContext) -> None:
        """Every suite has forward secrecy, and a tag of full length (RFC 9325 §4.1)."""
        names = context.connect().get_cipher_list()
        assert all(name.startswith(("TLS_", "ECDHE-")) and "CCM" not in name for name in names)
        assert "ECDHE-RSA-AES128-GCM-SHA256" in names

    @pytest.mark.parametrize("methods", [PAP, TTLS_MSCHAPV2, PEAP])
    def test_session_can_not_be_resumed(self, context: EapServerContext, methods: tuple[str, ...]) -> None:
        """Who had a session once proves the password again, like anybody (CVE-2017-9148)."""
        first = Conversation(context, methods, Device(is_tls13=False)).open()
        session = first.device.connection.get_session()
        again = Conversation(context, methods, Device(is_tls13=False, session=session)).open()
        assert again.device.connection.master_key() != first.device.connection.master_key()
        assert not isinstance(again.say_honestly(), Accept)

    @pytest.mark.parametrize("methods", [PAP, PEAP])
    def test_hello_without_end_is_refused(self, context: EapServerContext, methods: tuple[str, ...]) -> None:
        """A ClientHello that goes on from message to message is not kept for long, though each of them is small."""
        conversation = Conversation(context, methods)
        outcome = conversation.respond(b"\x00\x16\x03\x01\x40\x00\x01\x01\xff\xff" + bytes(16_380))  # 128 KiB long
        rounds = 0
        while isinstance(outcome, Challenge) and rounds < 3:
            outcome = conversation.respond(b"\x00\x16\x03\x01\x40\x00" + bytes(16_384))
            rounds += 1
        assert rounds
        check_refused(conversation, EapReason.EAP_FAILED)

    @pytest.mark.parametrize("methods", [PAP, TTLS_MSCHAPV2])
    def test_device_may_speak_right_behind_its_finished(
        self, context: EapServerContext, methods: tuple[str, ...]
    ) -> None:
        """In TLS 1.3 its credentials may come with its Finished; both sides go on in step (RFC 8446 §4.4.4)."""
        device = Device(says_pap=methods == PAP, is_quick=True)
        conversation = Conversation(context, methods, device)
        while isinstance(conversation.outcome, Challenge):
            conversation.respond(device.go_on(conversation.request))
        if isinstance(conversation.outcome, PasswordCheck):
            assert isinstance(conversation.session.answer_password(True), Accept)
            return
        assert conversation.outcome == NtHashLookup(USER.decode())
        conversation.outcome = conversation.session.answer_nt_hash(NT_HASH)
        assert b"S=" in conversation.hear()
        assert isinstance(conversation.respond(b"\x00"), Accept)

    @pytest.mark.parametrize("methods", [PAP, PEAP])
    def test_closed_tunnel_is_the_end(self, context: EapServerContext, methods: tuple[str, ...]) -> None:
        """A device that says goodbye before it said who it is is refused."""
        conversation = Conversation(context, methods).open()
        conversation.device.connection.shutdown()
        conversation.respond(b"\x00" + conversation.device.connection.bio_read(1000))
        check_refused(conversation, EapReason.EAP_FAILED)

    @pytest.mark.parametrize("methods", [PAP, PEAP])
    def test_changed_record_is_the_end(self, context: EapServerContext, methods: tuple[str, ...]) -> None:
        """One bit of what comes through the tunnel, and nothing of it counts."""
        conversation = Conversation(context, methods).open()
        piece = bytearray(conversation.device.say(NAMED + build_avp(USER_PASSWORD, PASSWORD)))
        piece[-1] ^= 1
        conversation.respond(bytes(piece))
        check_refused(conversation, EapReason.EAP_FAILED)


def avps_of_mschapv2(conversation: Conversation) -> list[bytes]:
    """Challenge and response that a right device sends in TTLS (RFC 5281 §11.2.4), without their name."""
    device = Device(says_pap=False)
    device.connection = conversation.device.connection
    said = device.answer_inside(EapType.TTLS)
    at = len(NAMED)
    return [said[at : at + 28], said[at + 28 :]]


class TestInsideTtls:
    @pytest.mark.parametrize(
        "said",
        [
            b"\0",
            NAMED[:-1],
            NAMED,
            build_avp(USER_PASSWORD, PASSWORD),
            build_avp(USER_NAME, b"") + build_avp(USER_PASSWORD, PASSWORD),
            build_avp(USER_NAME, b"a" * 254) + build_avp(USER_PASSWORD, PASSWORD),
            build_avp(USER_NAME, b"\xff\xfe") + build_avp(USER_PASSWORD, PASSWORD),
            build_avp(USER_NAME, b"\xed\xa0\x80") + build_avp(USER_PASSWORD, PASSWORD),
            NAMED + NAMED + build_avp(USER_PASSWORD, PASSWORD),
            NAMED + build_avp(USER_PASSWORD, b"one") + build_avp(USER_PASSWORD, b"two"),
            NAMED + build_avp((0, 79), IDENTITY),
            NAMED + build_avp((0, 3), bytes(17)),
            NAMED + build_avp((311, 1), bytes(50)),
            NAMED + b"\0\0\0\2\x40\0\0\7" + bytes(8),
            NAMED + b"\0\0\0\2\x40\xff\xff\xff" + bytes(8),
            NAMED + b"\0\0\0\2\xc0\0\0\x09" + bytes(8),
            b"".join(build_avp((0, 1000 + number), b"x") for number in range(65)) + NAMED,
        ],
        ids=lambda said: f"{len(said)}-{bytes(said[:20]).hex()}",
    )
    def test_what_names_nobody_or_proves_nothing_is_refused(self, context: EapServerContext, said: bytes) -> None:
        """No name, two names, no text, lengths that lie, other proofs than those offered (RFC 5281 §10 and §11)."""
        conversation = Conversation(context, PAP).open()
        conversation.say(said)
        check_refused(conversation)

    @pytest.mark.parametrize(
        ("said", "password"),
        [
            (b"", b""),
            (b"\0" * 16, b""),
            (b"a\0b\0\0", b"a\0b"),
            (b"\xff\xfe", b"\xff\xfe"),
            (b"p" * 900, b"p" * 900),
        ],
        ids=["empty", "padding", "NUL inside", "no text", "long"],
    )
    def test_password_of_any_octets_is_asked_about(
        self, context: EapServerContext, said: bytes, password: bytes
    ) -> None:
        """Padding goes (RFC 5281 §11.2.5); whether the rest is right is the store's to say."""
        conversation = Conversation(context, PAP).open()
        outcome = conversation.say(NAMED + build_avp(USER_PASSWORD, said))
        assert outcome == PasswordCheck(USER.decode(), password)
        conversation.outcome = conversation.session.answer_password(False)
        check_refused(conversation, EapReason.WRONG_CREDENTIALS)

    def test_password_where_only_mschapv2_is_offered_is_refused(self, context: EapServerContext) -> None:
        """The server does not take what the library did not turn on."""
        conversation = Conversation(context, TTLS_MSCHAPV2).open()
        conversation.say(NAMED + build_avp(USER_PASSWORD, PASSWORD))
        check_refused(conversation, EapReason.METHOD_NOT_OFFERED)

    @pytest.mark.parametrize("place", ["challenge", "identifier", "short", "long", "empty"])
    def test_response_that_is_not_bound_to_the_tunnel_is_refused(self, context: EapServerContext, place: str) -> None:
        """A challenge of the device's own choice would let it replay what it overheard (RFC 5281 §11.2.4)."""
        conversation = Conversation(context, TTLS_MSCHAPV2).open()
        challenge, response = (avp[12:] for avp in avps_of_mschapv2(conversation))
        response = response[:50]
        changed = {
            "challenge": (bytes(16), response),
            "identifier": (challenge, bytes((response[0] ^ 1,)) + response[1:]),
            "short": (challenge, response[:-1]),
            "long": (challenge, response + b"\0"),
            "empty": (b"", b""),
        }[place]
        conversation.say(NAMED + build_avp(MS_CHAP_CHALLENGE, changed[0]) + build_avp(MS_CHAP2_RESPONSE, changed[1]))
        check_refused(conversation, EapReason.WRONG_CREDENTIALS)

    @pytest.mark.parametrize("nt_hash", [None, bytes(16)], ids=["unknown patron", "wrong password"])
    def test_wrong_password_and_unknown_patron_look_the_same(
        self, context: EapServerContext, nt_hash: bytes | None
    ) -> None:
        """What a device hears does not tell whether there is such a patron."""
        conversation = Conversation(context, TTLS_MSCHAPV2, Device(says_pap=False)).open()
        assert conversation.say_honestly() == NtHashLookup(USER.decode())
        conversation.outcome = conversation.session.answer_nt_hash(nt_hash)
        check_refused(conversation, EapReason.WRONG_CREDENTIALS)

    def test_proof_is_not_skipped(self, context: EapServerContext) -> None:
        """After the server's own proof a device acknowledges, and says nothing else (RFC 5281 §11.2.4)."""
        conversation = Conversation(context, TTLS_MSCHAPV2, Device(says_pap=False)).open()
        conversation.say_honestly()
        conversation.outcome = conversation.session.answer_nt_hash(NT_HASH)
        conversation.hear()
        conversation.say(NAMED)
        check_refused(conversation, EapReason.EAP_FAILED)


class TestInsidePeap:
    @pytest.mark.parametrize(
        "said",
        [
            b"\0",
            b"\x03\x06",
            b"\x1a\x02\x01\x00\x3b\x31" + bytes(60),
            b"\x04\x10" + bytes(16),
            b"\x02\x00\x00\x0b\x21\x80\x03\x00\x02\x00\x01",
            b"\x03\x00\x00\x04",
        ],
        ids=["zero", "Nak", "response at once", "MD5", "result at once", "Success at once"],
    )
    def test_what_is_no_identity_is_refused(self, context: EapServerContext, said: bytes) -> None:
        """The inner method has its order; a result that nobody earned is none (MS-PEAP §3.1.5)."""
        conversation = Conversation(context, PEAP).open()
        conversation.say(said)
        check_refused(conversation)

    @pytest.mark.parametrize(
        ("at", "octets"),
        [
            (1, b"\x03"),
            (1, b"\xff"),
            (2, b"\xff"),
            (5, b"\x00"),
            (5, b"\xff"),
        ],
        ids=["success", "no op code", "identifier", "no value", "long value"],
    )
    def test_broken_response_is_refused(self, context: EapServerContext, at: int, octets: bytes) -> None:
        """An op code, an identifier, a size that can not be (draft-kamath-pppext-eap-mschapv2 §2.2)."""
        conversation = self._asked(context)
        said = bytearray(conversation.device.answer_inside(EapType.PEAP))
        said[at : at + 1] = octets
        conversation.say(bytes(said))
        check_refused(conversation, EapReason.EAP_MALFORMED)

    @pytest.mark.parametrize("size", [1, 2, 5, 6, 54])
    def test_cut_response_is_refused(self, context: EapServerContext, size: int) -> None:
        """At any place before the name."""
        conversation = self._asked(context)
        conversation.say(conversation.device.answer_inside(EapType.PEAP)[:size])
        check_refused(conversation, EapReason.EAP_MALFORMED)

    @pytest.mark.parametrize("name", [b"", b"a" * 254, b"\xff\xfe"], ids=["none", "too long", "no text"])
    def test_response_of_nobody_is_refused(self, context: EapServerContext, name: bytes) -> None:
        """A name has 1 to 253 octets of text (RFC 7542 §2.3)."""
        conversation = self._asked(context)
        conversation.say(conversation.device.answer_inside(EapType.PEAP)[: -len(USER)] + name)
        check_refused(conversation)

    @pytest.mark.parametrize(
        "said",
        [
            b"\x02{}\x00\x0b\x21\x80\x03\x00\x02\x00\x02",
            b"\x02{}\x00\x05\x21",
            b"\x02{}\x00\x0c\x21\x80\x03\x00\x02\x00\x01",
            b"\x02{}\x00\x47\x21\x80\x03\x00\x02\x00\x01\x00\x0c\x00\x38\0\0\0\1" + bytes(52),
        ],
        ids=["failure", "nothing", "a lying length", "a binding that proves nothing"],
    )
    def test_result_that_does_not_fit_is_refused(self, context: EapServerContext, said: bytes) -> None:
        """Who proved the password has to sit in the tunnel: a wrong binding is a stranger's (MS-PEAP §3.1.5.5)."""
        conversation = self._asked(context)
        assert conversation.say_honestly() == NtHashLookup(USER.decode())
        conversation.outcome = conversation.session.answer_nt_hash(NT_HASH)
        conversation.hear()
        conversation.say_honestly()
        identifier = conversation.hear()[1:2]
        conversation.say(said.replace(b"{}", identifier))
        check_refused(conversation)

    def test_success_after_a_failure_is_refused(self, context: EapServerContext) -> None:
        """A device that says Success to our Failure has not proved anything by it."""
        conversation = self._asked(context)
        conversation.say_honestly()
        conversation.outcome = conversation.session.answer_nt_hash(None)
        conversation.hear()
        conversation.say(b"\x1a\x03")
        identifier = conversation.hear()[1:2]
        conversation.say(b"\x02" + identifier + b"\x00\x0b\x21\x80\x03\x00\x02\x00\x01")
        check_refused(conversation, EapReason.WRONG_CREDENTIALS)

    def test_device_that_does_not_take_the_proof_is_refused(self, context: EapServerContext) -> None:
        """Only who has seen our proof and says so is let in."""
        conversation = self._asked(context)
        conversation.say_honestly()
        conversation.outcome = conversation.session.answer_nt_hash(NT_HASH)
        conversation.hear()
        conversation.say(b"\x1a\x04")
        check_refused(conversation, EapReason.EAP_FAILED)

    @pytest.mark.parametrize("chosen", ["context", "bound"])
    def test_device_without_crypto_binding_is_judged_by_policy(
        self, request: pytest.FixtureRequest, chosen: str
    ) -> None:
        """It is let in by default, since many devices do not know it, and refused where binding is required."""
        context: EapServerContext = request.getfixturevalue(chosen)
        conversation = self._asked(context)
        conversation.say_honestly()
        conversation.outcome = conversation.session.answer_nt_hash(NT_HASH)
        conversation.hear()
        conversation.say_honestly()
        conversation.hear()
        conversation.say_honestly()
        if context.requires_crypto_binding:
            check_refused(conversation, EapReason.EAP_FAILED)
        else:
            assert isinstance(conversation.outcome, Accept)

    def _asked(self, context: EapServerContext) -> Conversation:
        """The server has sent its challenge."""
        conversation = Conversation(context, PEAP).open()
        conversation.say_honestly()
        conversation.hear()
        return conversation


class TestTunnel:
    def test_handshake_without_end_fails_for_good(self, context: EapServerContext) -> None:
        """A ClientHello that says it goes on is taken so far; what is said or read afterwards changes nothing."""
        tunnel = Tunnel(context)
        record = b"\x16\x03\x01\x40\x00"
        assert tunnel.shake_hands(record + b"\x01\x00\xff\xff" + bytes(16_380)) == b""
        assert not tunnel.has_failed
        assert tunnel.shake_hands(bytes(MAX_HANDSHAKE_OCTETS)) == b""
        assert (tunnel.read(), tunnel.has_failed, tunnel.is_open) == (b"", True, False)
        assert tunnel.shake_hands(b"") == b""
        assert (tunnel.has_failed, tunnel.is_open) == (True, False)

    def test_what_is_no_handshake_fails_for_good(self, context: EapServerContext) -> None:
        """Likewise."""
        tunnel = Tunnel(context)
        tunnel.shake_hands(bytes(99))
        assert (tunnel.read(), tunnel.has_failed, tunnel.is_open) == (b"", True, False)
