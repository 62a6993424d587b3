"""Tests of signing and verifying."""

import hashlib
import hmac
import importlib.util
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.errors import DropReason
from radius.wire import digests
from radius.wire.authenticators import (
    KeyedSecret,
    Verdict,
    decide_request_authenticity,
    decide_response_authenticity,
    sign_request,
    sign_response,
    verify_message_authenticator,
    verify_request_authenticator,
    verify_response,
)
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import Packet, build_attribute
from tests.radius.wire.packets import (
    CLIENT,
    CLIENT_AUTHENTICATOR,
    HOME,
    OWN_AUTHENTICATOR,
    USER_NAME,
    build_datagram,
    build_eap,
    build_raw,
    build_request,
    build_response,
    parse,
)
from tests.vectors.rfc import EXCHANGES, RFC_5997_ACCOUNTING, RFC_5997_AUTHENTICATION, SECRET, Exchange

COMPUTED = (Code.ACCOUNTING_REQUEST, Code.DISCONNECT_REQUEST, Code.COA_REQUEST)
ANSWERS = (Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE, Code.COA_ACK, Code.DISCONNECT_NAK)


def flip(packet: Packet, place: int) -> Packet:
    """Change one bit of a packet."""
    octets = bytearray(packet.octets)
    octets[place] ^= 1
    return parse(bytes(octets))


class TestVectors:
    @pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
    def test_response_of_the_rfc_is_right(self, exchange: Exchange) -> None:
        """The Response Authenticators of the RFC's examples verify."""
        request, response = parse(exchange.request), parse(exchange.response)
        assert verify_response(response, KeyedSecret(SECRET), request.authenticator)

    @pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
    def test_response_of_the_rfc_is_what_we_sign(self, exchange: Exchange) -> None:
        """Signing the attributes of the RFC's answers gives the RFC's octets."""
        response = parse(exchange.response)
        assert exchange.response == sign_response(
            response.code,
            response.identifier,
            parse(exchange.request).authenticator,
            response.octets[20:],
            KeyedSecret(SECRET),
            with_message_authenticator=False,
        )

    @pytest.mark.parametrize("exchange", [RFC_5997_AUTHENTICATION, RFC_5997_ACCOUNTING], ids=lambda e: e.name)
    def test_status_server_of_the_rfc_is_what_we_sign(self, exchange: Exchange) -> None:
        """Status-Server with a Message-Authenticator only is the RFC's, octet for octet (RFC 5997 §6)."""
        request = parse(exchange.request)
        keyed = KeyedSecret(SECRET)
        assert verify_message_authenticator(request, keyed) is Verdict.VALID
        assert exchange.request == sign_request(
            Code.STATUS_SERVER, request.identifier, request.authenticator, b"", keyed
        )


class TestKeyedSecret:
    @given(st.binary(min_size=1, max_size=100), st.binary(max_size=100))
    def test_states_give_what_the_library_gives(self, secret: bytes, octets: bytes) -> None:
        """The prepared states are MD5 and HMAC-MD5, also for secrets longer than a block (RFC 2104)."""
        keyed = KeyedSecret(secret)
        assert keyed.hmac_md5(octets) == hmac.digest(secret, octets, "md5")
        assert keyed.md5_after(octets) == hashlib.md5(secret + octets, usedforsecurity=False).digest()

    def test_empty_secret_is_refused(self) -> None:
        """A peer without a secret can not be served (RFC 2865 §3)."""
        with pytest.raises(ValueError, match="at least one octet"):
            KeyedSecret(b"")

    def test_repr_hides_the_secret(self) -> None:
        """A secret does not reach a log through its text form."""
        assert repr(KeyedSecret(b"hush")) == "KeyedSecret(…)"

    def test_works_without_the_interpreters_own_md5(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where Python has no MD5 of its own, OpenSSL's serves."""
        monkeypatch.setitem(sys.modules, "_md5", None)
        spec = importlib.util.spec_from_file_location("digests_again", digests.__file__)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert module.md5 is not digests.md5
        running = module.md5(b"oct")
        copied = running.copy()
        copied.update(b"ets")
        assert (running.digest(), copied.digest()) == (digests.md5(b"oct").digest(), digests.md5(b"octets").digest())


class TestRequests:
    def test_message_authenticator_goes_first(self) -> None:
        """What we send begins with Message-Authenticator (RFC 3579 §3.2, BlastRADIUS)."""
        for code in (Code.ACCESS_REQUEST, Code.STATUS_SERVER, *COMPUTED):
            assert build_request(code=code).types == bytes((80, 1))

    @pytest.mark.parametrize("code", [Code.ACCESS_REQUEST, Code.STATUS_SERVER, *COMPUTED])
    def test_what_we_sign_verifies(self, code: Code) -> None:
        """A signed request is believed by who has the secret, and by nobody else."""
        packet = build_request(code=code)
        assert verify_message_authenticator(packet, CLIENT) is Verdict.VALID
        assert verify_message_authenticator(packet, HOME) is Verdict.INVALID
        assert decide_request_authenticity(packet, CLIENT, requires_message_authenticator=True) is None

    def test_message_authenticator_may_stand_anywhere(self) -> None:
        """The place of Message-Authenticator does not matter when it is received."""
        unsigned = build_datagram(USER_NAME + build_raw(80, bytes(16)) + build_raw(24, b"s"))
        signature = hmac.digest(CLIENT.secret, unsigned, "md5")
        packet = parse(unsigned.replace(build_raw(80, bytes(16)), build_raw(80, signature)))
        assert verify_message_authenticator(packet, CLIENT) is Verdict.VALID

    def test_digest_that_occurs_elsewhere_too_is_left_there(self) -> None:
        """Only the Message-Authenticator itself is zeroed, not other octets that happen to be the same."""
        packet = build_request(USER_NAME)
        digest = packet.value_of(80)
        copied = build_request(USER_NAME + build_raw(25, digest))
        assert verify_message_authenticator(copied, CLIENT) is Verdict.VALID

    def test_zero_message_authenticator_is_wrong(self) -> None:
        """Sixteen zeros are no signature."""
        packet = parse(build_datagram(build_raw(80, bytes(16)) + USER_NAME))
        assert (
            decide_request_authenticity(packet, CLIENT, requires_message_authenticator=False)
            is DropReason.MESSAGE_AUTHENTICATOR_WRONG
        )

    @given(st.data())
    def test_any_changed_bit_is_seen(self, data: st.DataObject) -> None:
        """Whatever is changed in a signed request that stays a packet, it is not believed any more."""
        packet = build_request(USER_NAME + build_eap())
        values = [place for offset in packet.offsets for place in range(offset + 2, offset + packet.octets[offset + 1])]
        place = data.draw(st.sampled_from([0, 1, *range(4, 20), *values]))
        changed = flip(packet, place)
        assert decide_request_authenticity(changed, CLIENT, requires_message_authenticator=True) is not None

    @pytest.mark.parametrize("code", COMPUTED)
    @pytest.mark.parametrize("with_message_authenticator", [True, False])
    def test_computed_authenticator_is_checked(self, code: Code, with_message_authenticator: bool) -> None:  # noqa: FBT001 - a parameter of a table
        """Accounting, Disconnect and CoA requests prove themselves by it (RFC 2866 §3, RFC 5176 §2.3)."""
        packet = build_request(code=code, with_message_authenticator=with_message_authenticator)
        assert verify_request_authenticator(packet, CLIENT)
        assert not verify_request_authenticator(packet, HOME)
        assert decide_request_authenticity(packet, CLIENT, requires_message_authenticator=True) is None
        assert (
            decide_request_authenticity(flip(packet, 4), CLIENT, requires_message_authenticator=True)
            is DropReason.REQUEST_AUTHENTICATOR_WRONG
        )

    def test_absence_is_judged_by_policy(self) -> None:
        """An Access-Request without Message-Authenticator passes where the peer's policy allows it, and only there."""
        packet = build_request(with_message_authenticator=False)
        assert verify_message_authenticator(packet, CLIENT) is Verdict.ABSENT
        assert decide_request_authenticity(packet, CLIENT, requires_message_authenticator=False) is None
        assert (
            decide_request_authenticity(packet, CLIENT, requires_message_authenticator=True)
            is DropReason.MESSAGE_AUTHENTICATOR_MISSING
        )

    def test_eap_needs_it_whatever_policy_says(self) -> None:
        """EAP-Message without Message-Authenticator is dropped (RFC 3579 §3.2)."""
        packet = build_request(build_eap(), with_message_authenticator=False)
        assert (
            decide_request_authenticity(packet, CLIENT, requires_message_authenticator=False)
            is DropReason.MESSAGE_AUTHENTICATOR_MISSING
        )

    def test_status_server_needs_it_whatever_policy_says(self) -> None:
        """Status-Server without Message-Authenticator is dropped (RFC 5997 §3)."""
        packet = build_request(b"", Code.STATUS_SERVER, with_message_authenticator=False)
        assert (
            decide_request_authenticity(packet, CLIENT, requires_message_authenticator=False)
            is DropReason.MESSAGE_AUTHENTICATOR_MISSING
        )

    def test_blast_radius_shape_is_refused(self) -> None:
        """Proxy-State without Message-Authenticator is the attack's shape (CVE-2024-3596), unless the peer may."""
        packet = build_request(build_attribute(AttributeType.PROXY_STATE, bytes(200)), with_message_authenticator=False)
        assert (
            decide_request_authenticity(packet, CLIENT, requires_message_authenticator=False)
            is DropReason.PROXY_STATE_LIMITED
        )
        assert (
            decide_request_authenticity(packet, CLIENT, requires_message_authenticator=False, limits_proxy_state=False)
            is None
        )


class TestResponses:
    @pytest.mark.parametrize("code", ANSWERS)
    def test_what_we_sign_verifies(self, code: Code) -> None:
        """A signed answer begins with Message-Authenticator and is believed for its request only."""
        packet = build_response(USER_NAME, code)
        assert packet.types[0] == 80
        assert verify_response(packet, HOME, OWN_AUTHENTICATOR)
        assert not verify_response(packet, HOME, CLIENT_AUTHENTICATOR)
        assert not verify_response(packet, CLIENT, OWN_AUTHENTICATOR)
        assert (
            decide_response_authenticity(packet, HOME, OWN_AUTHENTICATOR, requires_message_authenticator=True) is None
        )

    @given(st.data())
    def test_any_changed_bit_is_seen(self, data: st.DataObject) -> None:
        """A changed answer that stays a packet is not believed."""
        packet = build_response(USER_NAME + build_eap())
        values = [place for offset in packet.offsets for place in range(offset + 2, offset + packet.octets[offset + 1])]
        changed = flip(packet, data.draw(st.sampled_from([0, 1, *range(4, 20), *values])))
        assert not verify_response(changed, HOME, OWN_AUTHENTICATOR)
        assert (
            decide_response_authenticity(changed, HOME, OWN_AUTHENTICATOR, requires_message_authenticator=False)
            is DropReason.RESPONSE_AUTHENTICATOR_WRONG
        )

    def test_right_authenticator_with_a_wrong_message_authenticator_is_refused(self) -> None:
        """Both have to be right: an MD5 collision gives the one, not the other (CVE-2024-3596)."""
        body = build_raw(80, bytes(16)) + USER_NAME
        packet = parse(
            sign_response(Code.ACCESS_ACCEPT, 9, OWN_AUTHENTICATOR, body, HOME, with_message_authenticator=False)
        )
        assert not verify_response(packet, HOME, OWN_AUTHENTICATOR)
        assert (
            decide_response_authenticity(packet, HOME, OWN_AUTHENTICATOR, requires_message_authenticator=False)
            is DropReason.MESSAGE_AUTHENTICATOR_WRONG
        )

    def test_absence_is_judged_by_policy(self) -> None:
        """An answer without Message-Authenticator passes only where the home server's policy allows it."""
        packet = build_response(USER_NAME, with_message_authenticator=False)
        assert verify_response(packet, HOME, OWN_AUTHENTICATOR)
        decide = decide_response_authenticity
        assert decide(packet, HOME, OWN_AUTHENTICATOR, requires_message_authenticator=False) is None
        assert (
            decide(packet, HOME, OWN_AUTHENTICATOR, requires_message_authenticator=True)
            is DropReason.MESSAGE_AUTHENTICATOR_MISSING
        )

    def test_eap_needs_it_whatever_policy_says(self) -> None:
        """An answer with EAP-Message needs Message-Authenticator (RFC 3579 §3.2)."""
        packet = build_response(build_eap(), with_message_authenticator=False)
        assert (
            decide_response_authenticity(packet, HOME, OWN_AUTHENTICATOR, requires_message_authenticator=False)
            is DropReason.MESSAGE_AUTHENTICATOR_MISSING
        )

    def test_accounting_response_is_believed_in_both_readings(self) -> None:
        """FreeRADIUS signs an Accounting-Response over zeros, others over the Request Authenticator."""
        unsigned = bytes((Code.ACCOUNTING_RESPONSE, 9, 0, 38))
        for vector in (bytes(16), OWN_AUTHENTICATOR):
            signature = hmac.digest(HOME.secret, unsigned + vector + build_raw(80, bytes(16)), "md5")
            packet = parse(
                sign_response(
                    Code.ACCOUNTING_RESPONSE,
                    9,
                    OWN_AUTHENTICATOR,
                    build_raw(80, signature),
                    HOME,
                    with_message_authenticator=False,
                )
            )
            assert verify_response(packet, HOME, OWN_AUTHENTICATOR)


class TestSize:
    def test_largest_packet_is_signed(self) -> None:
        """4096 octets are allowed (RFC 2865 §3)."""
        body = build_raw(25, bytes(253)) * 15 + build_raw(25, bytes(249 - 18))
        assert len(sign_request(Code.ACCESS_REQUEST, 1, bytes(16), body, CLIENT)) == 4096
        assert len(sign_response(Code.ACCESS_ACCEPT, 1, bytes(16), body, CLIENT)) == 4096

    def test_larger_packet_is_our_own_fault(self) -> None:
        """One octet more is not signed."""
        body = build_raw(25, bytes(253)) * 15 + build_raw(25, bytes(250 - 18))
        with pytest.raises(ValueError, match="4076 octets of attributes"):
            sign_request(Code.ACCESS_REQUEST, 1, bytes(16), body, CLIENT)
        with pytest.raises(ValueError, match="4076 octets of attributes"):
            sign_response(Code.ACCESS_ACCEPT, 1, bytes(16), body, CLIENT)


class TestAccountingResponses:
    @pytest.mark.parametrize("alters", [False, True])
    def test_message_authenticator_is_checked_where_there_is_one(self, *, alters: bool) -> None:
        """RFC 2866 names none, and what an implementation adds all the same has to be right."""
        keyed = KeyedSecret(SECRET)
        asked = bytes(range(16))
        octets = sign_response(Code.ACCOUNTING_RESPONSE, 1, asked, b"", keyed)
        if alters:
            body = octets[20:-1] + bytes((octets[-1] ^ 1,))
            signed = hashlib.md5(octets[:4] + asked + body + SECRET).digest()
            octets = octets[:4] + signed + body
        packet = parse(octets)
        reason = decide_response_authenticity(packet, keyed, asked, requires_message_authenticator=False)
        assert reason is (DropReason.MESSAGE_AUTHENTICATOR_WRONG if alters else None)
