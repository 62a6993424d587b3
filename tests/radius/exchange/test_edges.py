"""Tests of the two ends of a RADIUS/1.1 connection."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radius.errors import BREAKS_STREAM, DropReason
from radius.exchange.duplicates import PENDING_SECONDS, Duplicates, Seen
from radius.exchange.edges import NONCE_OCTETS, ClientEdge, ServerEdge
from radius.wire.attributes import find_vendor
from radius.wire.authenticators import (
    KeyedSecret,
    decide_request_authenticity,
    decide_response_authenticity,
    sign_request,
    sign_response,
)
from radius.wire.codes import Code
from radius.wire.hiding import hide_salted, reveal_salted
from radius.wire.packet import Packet, build_attribute, build_vendor_attribute, parse_packet

EDGE = KeyedSecret(b"radsec")
HERE = KeyedSecret(b"the dialling process")
NONCE = bytes(range(NONCE_OCTETS))
USER_NAME = build_attribute(1, b"anonymous@boekenburg.example")
KEY = bytes(range(32))
NOW = 1000.0


def build(token: int, body: bytes = USER_NAME, code: int = Code.ACCESS_REQUEST) -> bytes:
    """Build a packet of RADIUS/1.1."""
    return bytes((code, 0)) + (20 + len(body)).to_bytes(2) + token.to_bytes(4) + bytes(12) + body


def parse(octets: bytes) -> Packet:
    packet = parse_packet(octets)
    assert isinstance(packet, Packet), packet
    return packet


def take(edge: ServerEdge, octets: bytes, now: float = NOW) -> tuple[int, Packet]:
    received = edge.receive(octets, now)
    assert isinstance(received, tuple), received
    return received[0], parse(received[1])


def reply(edge: ServerEdge, source: int, request: Packet, body: bytes = b"", code: int = 2) -> bytes | DropReason:
    """Answer as the parts behind the edge do."""
    return edge.answer(source, sign_response(code, request.identifier, request.authenticator, body, EDGE))


class TestListeningEnd:
    @pytest.mark.parametrize("token", [0, 1, 255, 256, 0x00FF_FFFF, 0xDEAD_BEEF, 0xFFFF_FFFF])
    def test_token_comes_back(self, token: int) -> None:
        """Any value is a Token, and the answer has that of its request (RFC 9765 §4.1)."""
        edge = ServerEdge(EDGE, NONCE)
        source, request = take(edge, build(token))
        assert (source, request.identifier) == (token >> 8, token & 0xFF)
        assert edge.outstanding == 1
        assert reply(edge, source, request, USER_NAME) == build(token, USER_NAME, Code.ACCESS_ACCEPT)
        assert edge.outstanding == 0

    @pytest.mark.parametrize("code", [1, 4, 12, 40, 43])
    def test_request_is_believed_behind_the_edge(self, code: int) -> None:
        """By the secret that both share."""
        _, request = take(ServerEdge(EDGE, NONCE), build(7, code=code))
        assert decide_request_authenticity(request, EDGE, requires_message_authenticator=code in (1, 12)) is None

    def test_keys_of_an_answer_are_opened(self) -> None:
        """With the authenticator that the request got here, accounting's computed one too."""
        edge = ServerEdge(EDGE, NONCE)
        for code, answer in ((Code.ACCESS_REQUEST, Code.ACCESS_ACCEPT), (Code.COA_REQUEST, Code.COA_ACK)):
            source, request = take(edge, build(7, code=code))
            hidden = hide_salted(KEY, 1, EDGE, request.authenticator)
            sent = reply(edge, source, request, build_vendor_attribute(311, 16, hidden), answer)
            assert sent == build(7, build_vendor_attribute(311, 16, KEY), answer)

    def test_authenticator_can_not_be_foreseen(self) -> None:
        """It depends on a nonce of the connection, on the Token, the code and the content."""
        seen = {
            take(ServerEdge(EDGE, nonce), build(token, body, code))[1].authenticator
            for nonce in (NONCE, NONCE[::-1])
            for token in (1, 257)
            for code in (1, 12)
            for body in (USER_NAME, USER_NAME * 2)
        }
        assert len(seen) == 16

    def test_two_tokens_with_the_same_low_octet_do_not_meet(self) -> None:
        """In the table of repeats they have sources of their own."""
        edge, table = ServerEdge(EDGE, NONCE), Duplicates()
        for token in range(0, 256 * 40, 256):
            source, request = take(edge, build(token, build_attribute(31, str(token).encode())))
            key = (source, request.code, request.identifier)
            assert table.receive(key, request.authenticator, "peer", NOW) is Seen.NEW
        assert edge.outstanding == 40

    def test_same_packet_again_is_known_as_a_repeat(self) -> None:
        """It gets the same octets inside, so that the table of repeats knows it, pending or answered."""
        edge = ServerEdge(EDGE, NONCE)
        source, request = take(edge, build(7))
        again = build(7)[:1] + b"\x55" + build(7)[2:8] + b"\xaa" * 12 + build(7)[20:]  # reserved octets mean nothing
        assert take(edge, again)[1].octets == request.octets
        assert edge.outstanding == 1
        first = reply(edge, source, request, USER_NAME)
        assert take(edge, build(7))[1].octets == request.octets
        assert reply(edge, source, request, USER_NAME) == first

    @pytest.mark.parametrize(
        "other", [build(7, USER_NAME * 2), build(7, code=Code.ACCOUNTING_REQUEST), build(7, USER_NAME[:-1] + b"f")]
    )
    def test_token_of_an_outstanding_request_ends_the_connection(self, other: bytes) -> None:
        """The two ends can not understand each other (RFC 9765 §4.2.2)."""
        edge = ServerEdge(EDGE, NONCE)
        take(edge, build(7))
        assert edge.receive(other, NOW) is DropReason.TOKEN_REUSED
        assert DropReason.TOKEN_REUSED in BREAKS_STREAM

    def test_token_may_come_again_after_its_answer(self) -> None:
        """It belongs to another request then (RFC 9765 §4.2.1), with another authenticator."""
        edge, table = ServerEdge(EDGE, NONCE), Duplicates()
        source, first = take(edge, build(7))
        key = (source, first.code, first.identifier)
        assert table.receive(key, first.authenticator, "peer", NOW) is Seen.NEW
        table.answer(key, first.authenticator, b"answer", NOW)
        reply(edge, source, first)
        _, second = take(edge, build(7, USER_NAME * 2))
        assert table.receive(key, second.authenticator, "peer", NOW) is Seen.NEW

    def test_request_without_an_answer_is_forgotten(self) -> None:
        """After 30 seconds nobody waits for it: its answer does not travel, and its Token is free."""
        edge = ServerEdge(EDGE, NONCE)
        source, request = take(edge, build(7))
        take(edge, build(8), NOW + 1)
        take(edge, build(9), NOW + PENDING_SECONDS)
        assert edge.outstanding == 2
        assert reply(edge, source, request) is DropReason.UNMATCHED_RESPONSE
        take(edge, build(7, USER_NAME * 2), NOW + PENDING_SECONDS)

    def test_answer_goes_out_once(self) -> None:
        """A second one answers nothing, and neither does one for a source that asked nothing."""
        edge = ServerEdge(EDGE, NONCE)
        source, request = take(edge, build(7))
        assert isinstance(reply(edge, source, request), bytes)
        assert reply(edge, source, request) is DropReason.UNMATCHED_RESPONSE
        assert reply(edge, source + 1, request) is DropReason.UNMATCHED_RESPONSE

    def test_memory_is_bounded(self) -> None:
        """With too many outstanding the oldest is forgotten."""
        edge = ServerEdge(EDGE, NONCE, max_outstanding=3)
        taken = [take(edge, build(token)) for token in range(5)]
        assert edge.outstanding == 3
        answers = [reply(edge, *each) for each in taken]
        assert [isinstance(each, bytes) for each in answers] == [False, False, True, True, True]

    @pytest.mark.parametrize("code", [0, 2, 3, 5, 11, 13, 52, 255])
    def test_what_is_no_request_costs_one_packet(self, code: int) -> None:
        """The connection stays open for codes that are not taken."""
        edge = ServerEdge(EDGE, NONCE)
        assert edge.receive(build(7, code=code), NOW) is DropReason.CODE_NOT_EXPECTED
        assert DropReason.CODE_NOT_EXPECTED not in BREAKS_STREAM
        assert edge.outstanding == 0

    @pytest.mark.parametrize("size", range(len(build(7))))
    def test_every_truncation_ends_the_connection(self, size: int) -> None:
        """Nothing after it can be trusted to begin where it should (RFC 6613 §2.6.4)."""
        edge = ServerEdge(EDGE, NONCE)
        assert edge.receive(build(7)[:size], NOW) in BREAKS_STREAM
        assert edge.outstanding == 0


def own_request(identifier: int, body: bytes = USER_NAME, code: int = 1, seed: int = 0) -> bytes:
    """Build a request as the engine sends it."""
    authenticator = sha256(bytes((identifier, seed))).digest()[:16]
    return sign_request(code, identifier, authenticator, body, HERE)


def send(edge: ClientEdge, flow: int, octets: bytes) -> int:
    """Send a request; its Token returns."""
    sent = edge.send(flow, octets)
    assert isinstance(sent, bytes), sent
    assert sent[1] == 0
    assert sent[8:20] == bytes(12)
    return int.from_bytes(sent[4:8])


class TestDiallingEnd:
    def test_tokens_are_counted(self) -> None:
        """From a number that is handed in, one for each packet (RFC 9765 §4.2.1)."""
        edge = ClientEdge(HERE, 500)
        assert [send(edge, 0, own_request(number)) for number in (1, 2, 0, 255)] == [500, 501, 502, 503]
        assert edge.outstanding == 4

    def test_counter_wraps(self) -> None:
        """After the largest number comes 0, which means nothing special."""
        edge = ClientEdge(HERE, 0xFFFF_FFFF)
        assert [send(edge, 0, own_request(number)) for number in (1, 2)] == [0xFFFF_FFFF, 0]

    def test_token_that_waits_is_passed_over(self) -> None:
        """Should the counter come round, it does not meet what still waits."""
        edge = ClientEdge(HERE, 0xFFFF_FFFF)
        first = [send(edge, 0, own_request(number)) for number in (1, 2)]
        edge.next_token = 0xFFFF_FFFF
        assert send(edge, 0, own_request(3)) == 1
        assert first == [0xFFFF_FFFF, 0]

    def test_answer_finds_its_flow(self) -> None:
        """In any order; one connection carries thousands of requests, and the engine believes each answer."""
        edge = ClientEdge(HERE, 7)
        requests = [(flow, own_request(number, seed=flow)) for flow in range(8) for number in range(256)]
        tokens = [send(edge, *each) for each in requests]
        assert len(set(tokens)) == edge.outstanding == 2048
        for token, (flow, request) in sorted(zip(tokens, requests, strict=True), key=lambda each: hash(each[1][1])):
            received = edge.receive(build(token, USER_NAME, Code.ACCESS_ACCEPT))
            assert isinstance(received, tuple)
            answer = parse(received[1])
            assert (received[0], answer.identifier) == (flow, request[1])
            authenticator = request[4:20]
            assert (
                decide_response_authenticity(answer, HERE, authenticator, requires_message_authenticator=True) is None
            )
        assert edge.outstanding == 0

    def test_keys_of_an_answer_are_hidden_with_the_requests_authenticator(self) -> None:
        """The parts behind the edge reveal them as ever."""
        edge = ClientEdge(HERE, 7)
        request = own_request(5)
        token = send(edge, 3, request)
        received = edge.receive(build(token, build_vendor_attribute(311, 16, KEY), Code.ACCESS_ACCEPT))
        assert isinstance(received, tuple)
        hidden = find_vendor(parse(received[1]), 311, 16)
        assert hidden is not None
        assert reveal_salted(hidden, HERE, request[4:20]) == KEY

    def test_answer_counts_once(self) -> None:
        """A second one, one to nothing and Protocol-Error without a request answer nothing (RFC 9765 §3.3.1)."""
        edge = ClientEdge(HERE, 7)
        token = send(edge, 0, own_request(1))
        answer = build(token, b"", Code.ACCESS_REJECT)
        assert isinstance(edge.receive(answer), tuple)
        assert edge.receive(answer) is DropReason.UNMATCHED_RESPONSE
        assert edge.receive(build(0, b"", Code.PROTOCOL_ERROR)) is DropReason.UNMATCHED_RESPONSE
        assert DropReason.UNMATCHED_RESPONSE not in BREAKS_STREAM

    def test_identifier_that_is_used_again_gets_a_new_token(self) -> None:
        """A late answer to the request that was given up is not taken for the later one's."""
        edge = ClientEdge(HERE, 7)
        old = send(edge, 0, own_request(1))
        new = send(edge, 0, own_request(1, seed=1))
        assert (old, new, edge.outstanding) == (7, 8, 1)
        assert edge.receive(build(old, b"", 2)) is DropReason.UNMATCHED_RESPONSE
        assert isinstance(edge.receive(build(new, b"", 2)), tuple)

    def test_same_request_keeps_its_token(self) -> None:
        """Retransmissions of a packet have its Token (RFC 9765 §4.2.1)."""
        edge = ClientEdge(HERE, 7)
        assert [send(edge, 0, own_request(1)) for _ in range(3)] == [7, 7, 7]
        assert edge.outstanding == 1

    def test_flow_that_is_gone_is_forgotten(self) -> None:
        """And no other."""
        edge = ClientEdge(HERE, 7)
        gone, other = send(edge, 0, own_request(1)), send(edge, 1, own_request(1))
        edge.forget(0)
        edge.forget(2)
        assert edge.outstanding == 1
        assert edge.receive(build(gone, b"", 2)) is DropReason.UNMATCHED_RESPONSE
        assert isinstance(edge.receive(build(other, b"", 2)), tuple)

    def test_what_can_not_be_converted_takes_no_token(self) -> None:
        """In both directions one packet is lost, and nothing else changes."""
        edge = ClientEdge(HERE, 7)
        assert edge.send(0, own_request(1)[:-1]) is DropReason.LENGTH_FIELD
        token = send(edge, 0, own_request(1))
        assert token == 7
        malformed = build(token, build_vendor_attribute(311, 16, bytes(240)), Code.ACCESS_ACCEPT)
        assert edge.receive(malformed) is DropReason.MPPE_KEY_MALFORMED
        assert DropReason.MPPE_KEY_MALFORMED not in BREAKS_STREAM
        assert edge.outstanding == 1

    @pytest.mark.parametrize("size", range(len(build(7))))
    def test_every_truncation_ends_the_connection(self, size: int) -> None:
        """An answer that ends early is none."""
        edge = ClientEdge(HERE, 7)
        send(edge, 0, own_request(1))
        assert edge.receive(build(7, code=2)[:size]) in BREAKS_STREAM


class TestBothEnds:
    @settings(deadline=None)  # up to 20 requests an example
    @given(
        st.lists(
            st.tuples(st.integers(0, 3), st.integers(0, 255), st.sampled_from((1, 4, 12)), st.booleans()), max_size=20
        )
    )
    def test_every_answer_comes_to_its_request(self, asked: list[tuple[int, int, int, bool]]) -> None:
        """Requests of any flows over one connection, of which some are answered, with keys, and late."""
        here, there = ClientEdge(HERE, 0xFFFF_FFF0), ServerEdge(EDGE, NONCE)
        waiting: dict[tuple[int, int], tuple[bytes, bytes | DropReason]] = {}
        for number, (flow, identifier, code, is_answered) in enumerate(asked):
            request = own_request(identifier, USER_NAME + build_attribute(31, b"%d" % number), code, number)
            sent = here.send(flow, request)
            assert isinstance(sent, bytes)
            source, inside = take(there, sent)
            waiting.pop((flow, identifier), None)
            if is_answered:
                hidden = hide_salted(KEY, number, EDGE, inside.authenticator)
                answer = reply(there, source, inside, build_vendor_attribute(311, 16, hidden))
                waiting[flow, identifier] = (request, answer)
        for (flow, identifier), (request, answer) in reversed(waiting.items()):
            assert isinstance(answer, bytes)
            received = here.receive(answer)
            assert isinstance(received, tuple)
            packet = parse(received[1])
            assert (received[0], packet.identifier) == (flow, identifier)
            assert (
                decide_response_authenticity(packet, HERE, request[4:20], requires_message_authenticator=True) is None
            )
            hidden = find_vendor(packet, 311, 16)
            assert hidden is not None
            assert reveal_salted(hidden, HERE, request[4:20]) == KEY

    @given(st.binary(max_size=80))
    def test_no_octets_raise(self, octets: bytes) -> None:
        """Whatever comes is a packet or has a reason."""
        here, there = ClientEdge(HERE, 7), ServerEdge(EDGE, NONCE)
        send(here, 0, own_request(1))
        for packet in (octets, build(7, octets), build(7, octets, 2)):
            for received in (there.receive(packet, NOW), here.receive(packet)):
                assert isinstance(received, DropReason) or isinstance(parse_packet(received[1]), Packet)
