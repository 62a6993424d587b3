"""What becomes of a client's packet, up to the home server's door."""

from collections import Counter
from dataclasses import replace

import pytest

from federation.events import Outcome
from federation.reasons import RefusalReason
from federation.snapshot import Client, Realm
from radius.errors import DropReason
from radius.exchange.bulkheads import MAX_OUTSTANDING_PER_REALM
from radius.proxy.engine import MAX_SOURCES, REFUSED_AT_ONCE, REFUSED_SHARE
from radius.proxy.pipeline import MAX_HOPS
from radius.wire.attributes import concatenate
from radius.wire.authenticators import Verdict, sign_request, verify_message_authenticator
from radius.wire.codes import AttributeType, Code, ErrorCause
from radius.wire.hiding import hide_user_password, reveal_user_password
from radius.wire.packet import build_attribute
from tests.radius.proxy.world import (
    ACCESS_POINT,
    AP,
    AP_ADDRESS,
    AP_SECRET,
    EAP_RESPONSE,
    HOME,
    PROXY,
    PROXY_ADDRESS,
    World,
    access_request,
    eap,
    error_causes,
    home_server,
    is_signed,
    make_snapshot,
    parse,
    proxy_states_of,
    respond,
    user_name,
)

AUTHENTICATOR = bytes(range(16))
OLD_ACCESS_POINT = replace(ACCESS_POINT, requires_message_authenticator=False)


@pytest.fixture
def world() -> World:
    return World(make_snapshot())


def only_drop(world: World) -> str:
    """The one reason for which something was dropped; nothing was answered or forwarded."""
    assert world.take_answers() == []
    assert world.take_forwarded() == []
    ((reason, number),) = world.notices.drops.items()
    assert number == 1
    return reason


def only_refusal(world: World) -> str:
    """The one reason for a refusal; the client got a signed Access-Reject at once, and nobody else anything."""
    (octets,) = world.take_answers()
    assert octets[0] == Code.ACCESS_REJECT
    assert is_signed(octets, AP, AUTHENTICATOR) or is_signed(octets, PROXY, AUTHENTICATOR)
    assert world.take_forwarded() == []
    ((reason, number),) = world.notices.refusals.items()
    assert number == 1
    return reason


class TestBelief:
    def test_unknown_client_gets_silence(self, world: World) -> None:
        """Who is no client gets no answer, whatever it sends (RFC 2865 §3)."""
        world.send(access_request(), ("203.0.113.99", 1))
        assert only_drop(world) == DropReason.UNKNOWN_CLIENT

    def test_malformed_packet_gets_silence(self, world: World) -> None:
        """A structure that can not be is dropped (RFC 2865 §3)."""
        world.send(b"\x01\x07\x00\x14")
        assert only_drop(world) == DropReason.TOO_SHORT

    @pytest.mark.parametrize("code", [0, 2, 3, 4, 5, 11, 13, 41, 53, 255])
    def test_code_of_another_port_gets_silence(self, world: World, code: int) -> None:
        """The authentication port takes Access-Request and Status-Server; answers and unknown codes are dropped."""
        world.send(sign_request(code, 1, AUTHENTICATOR, b"", AP))
        assert only_drop(world) == DropReason.CODE_NOT_EXPECTED

    def test_access_request_on_the_accounting_port_gets_silence(self, world: World) -> None:
        """Each port has its own codes."""
        world.send(access_request(), listener=world.accounting)
        assert only_drop(world) == DropReason.CODE_NOT_EXPECTED

    def test_forged_request_leaves_no_trace_in_the_table(self, world: World) -> None:
        """A wrong Message-Authenticator must not replace what is pending (RFC 5080 §2.2.2)."""
        world.send(access_request())
        world.take_forwarded()
        forged = bytearray(access_request(authenticator=b"f" * 16))
        forged[25] ^= 1
        world.send(bytes(forged))
        assert world.notices.drops == {DropReason.MESSAGE_AUTHENTICATOR_WRONG: 1}
        world.send(access_request())
        assert world.notices.drops[DropReason.DUPLICATE_PENDING] == 1
        assert len(world.engine.duplicates) == 1

    def test_eap_without_message_authenticator_gets_silence(self) -> None:
        """RFC 3579 §3.2, also for a client that may do without elsewhere."""
        world = World(make_snapshot(clients=(OLD_ACCESS_POINT,)))
        world.send(access_request(with_message_authenticator=False))
        assert only_drop(world) == DropReason.MESSAGE_AUTHENTICATOR_MISSING

    def test_password_without_message_authenticator_gets_silence_by_default(self, world: World) -> None:
        """A new client is required to send one (CVE-2024-3596)."""
        world.send(access_request(b"", with_message_authenticator=False))
        assert only_drop(world) == DropReason.MESSAGE_AUTHENTICATOR_MISSING

    def test_proxy_state_without_message_authenticator_gets_silence(self) -> None:
        """The shape of BlastRADIUS is dropped even where a Message-Authenticator is not required."""
        world = World(make_snapshot(clients=(OLD_ACCESS_POINT,)))
        world.send(access_request(build_attribute(33, b"x" * 200), with_message_authenticator=False))
        assert only_drop(world) == DropReason.PROXY_STATE_LIMITED

    def test_unsigned_request_without_a_name_gets_silence(self) -> None:
        """A request that nobody proved to have sent, and that says nothing, is worth no answer."""
        world = World(make_snapshot(clients=(OLD_ACCESS_POINT,)))
        world.send(sign_request(1, 1, AUTHENTICATOR, b"", AP, with_message_authenticator=False))
        assert only_drop(world) == DropReason.MESSAGE_AUTHENTICATOR_MISSING
        assert len(world.engine.duplicates) == 0

    def test_before_the_first_snapshot_nobody_is_known(self) -> None:
        """A proxy that does not know its clients yet says nothing."""
        world = World()
        world.send(access_request())
        assert only_drop(world) == DropReason.UNKNOWN_CLIENT
        assert world.engine.revision == 0


class TestForward:
    def test_request_reaches_the_home_server_of_its_realm(self, world: World) -> None:
        """User-Name and EAP-Message arrive octet for octet, under our own identifier, authenticator and signature."""
        world.send(access_request())
        flow, packet = world.forward_one()
        assert (flow.host, flow.port) == ("203.0.113.1", 1812)
        assert packet.value_of(AttributeType.USER_NAME) == b"anonymous@home.example"
        assert concatenate(packet, AttributeType.EAP_MESSAGE) == EAP_RESPONSE
        assert packet.identifier != 0
        assert packet.authenticator != AUTHENTICATOR
        assert packet.message_authenticator == 20
        assert verify_message_authenticator(packet, HOME) is Verdict.VALID

    def test_upper_case_realm_is_found_and_forwarded_unchanged(self, world: World) -> None:
        """Lower case is for the look-up only."""
        world.send(access_request(name=b"Anna@HOME.Example"))
        _, packet = world.forward_one()
        assert packet.value_of(AttributeType.USER_NAME) == b"Anna@HOME.Example"

    def test_operator_name_of_an_access_point_is_replaced(self, world: World) -> None:
        """Where the patron is, the proxy says; what an access point claims does not count (RFC 5580 §4.1)."""
        world.send(access_request(eap() + build_attribute(AttributeType.OPERATOR_NAME, b"1evil.example")))
        _, packet = world.forward_one()
        assert packet.offsets_of(AttributeType.OPERATOR_NAME) != []
        assert packet.types.count(AttributeType.OPERATOR_NAME) == 1
        assert packet.value_of(AttributeType.OPERATOR_NAME) == b"1visited.example"

    def test_operator_name_of_a_proxy_is_kept(self, world: World) -> None:
        """A member's proxy knows its own libraries; it gets one only where it has none."""
        claimed = eap() + build_attribute(AttributeType.OPERATOR_NAME, b"1branch.other.example")
        world.send(access_request(claimed, keyed=PROXY), PROXY_ADDRESS)
        _, packet = world.forward_one()
        assert packet.value_of(AttributeType.OPERATOR_NAME) == b"1branch.other.example"
        world.send(access_request(keyed=PROXY, identifier=8), PROXY_ADDRESS)
        _, packet = world.forward_one()
        assert packet.value_of(AttributeType.OPERATOR_NAME) == b"1other.example"

    def test_cui_is_asked_for_where_the_client_wants_it(self) -> None:
        """One NUL octet asks for the identity that may be charged (RFC 4372 §2.1)."""
        client = Client("visited/ap", "visited", "v.example", ACCESS_POINT.networks, AP_SECRET, requests_cui=True)
        world = World(make_snapshot(clients=(client,)))
        world.send(access_request())
        _, packet = world.forward_one()
        assert packet.value_of(AttributeType.CHARGEABLE_USER_IDENTITY) == b"\x00"

    def test_proxy_states_are_kept_in_order_and_ours_is_last(self, world: World) -> None:
        """RFC 2865 §5.33."""
        world.send(access_request(build_attribute(33, b"one") + eap() + build_attribute(33, b"two")))
        _, packet = world.forward_one()
        values = [packet.octets[at + 2 : at + packet.octets[at + 1]] for at in packet.proxy_states]
        assert values[:2] == [b"one", b"two"]
        assert len(values) == 3
        assert len(values[2]) == 12

    def test_what_does_not_leave_a_library_is_removed(self, world: World) -> None:
        """Only what the roaming agreement lists travels; Filter-Id in a request is nobody's business elsewhere."""
        extra = build_attribute(11, b"filter") + build_attribute(26, (14823).to_bytes(4) + b"\x01\x03x")
        world.send(access_request(eap() + extra))
        _, packet = world.forward_one()
        assert 11 not in packet.types
        assert [packet.octets[at + 2 : at + 6] for at in packet.vendor_specifics] == [(27262).to_bytes(4)]  # ours

    def test_within_a_library_everything_travels(self) -> None:
        """A library's own attributes reach its own server."""
        world = World(make_snapshot(realms={"home.example": Realm("home.example", "visited", ("home/1",))}))
        extra = build_attribute(11, b"filter") + build_attribute(26, (14823).to_bytes(4) + b"\x01\x03x")
        world.send(access_request(eap() + extra))
        _, packet = world.forward_one()
        assert packet.value_of(11) == b"filter"
        assert 26 in packet.types

    def test_default_home_servers_get_what_no_member_owns(self) -> None:
        """A federation below another sends the rest up."""
        world = World(make_snapshot(default_home_servers=("home/1",)))
        world.send(access_request(name=b"anna@elsewhere.org"))
        _, packet = world.forward_one()
        assert packet.value_of(1) == b"anna@elsewhere.org"

    def test_request_over_ipv6_is_a_clients_too(self, world: World) -> None:
        """Clients are found by their longest prefix in both families."""
        world.send(access_request(), ("2001:db8::7", 50000, 0, 0))
        world.forward_one()


class TestPasswords:
    WITHIN = Client("visited/ap", "visited", "v.example", ACCESS_POINT.networks, AP_SECRET, allows_pap=True)

    def request(self, password: bytes = b"pass-word".ljust(16, b"\x00")) -> bytes:
        hidden = hide_user_password(password, AP, AUTHENTICATOR)
        return access_request(build_attribute(AttributeType.USER_PASSWORD, hidden))

    def test_password_does_not_cross_libraries(self, world: World) -> None:
        """No library may read another's passwords."""
        world.send(self.request())
        assert only_refusal(world) == "pap_across_libraries"

    def test_password_within_a_library_is_hidden_anew(self) -> None:
        """With the home server's secret and our authenticator (RFC 2865 §5.2)."""
        snapshot = make_snapshot(
            clients=(self.WITHIN,), realms={"home.example": Realm("home.example", "visited", ("home/1",))}
        )
        world = World(snapshot)
        world.send(self.request())
        _, packet = world.forward_one()
        hidden = packet.value_of(AttributeType.USER_PASSWORD)
        assert reveal_user_password(hidden, HOME, packet.authenticator) == b"pass-word"

    def test_password_of_a_wrong_length_is_refused(self) -> None:
        """It can not be hidden anew, and the client is told so by a refusal, with its own reason."""
        snapshot = make_snapshot(
            clients=(self.WITHIN,), realms={"home.example": Realm("home.example", "visited", ("home/1",))}
        )
        world = World(snapshot)
        world.send(access_request(build_attribute(AttributeType.USER_PASSWORD, b"x" * 15)))
        assert only_refusal(world) == "password_malformed"
        assert world.engine.upstreams["home/1"].identifiers.outstanding == 0

    @pytest.mark.parametrize(
        ("attributes", "reason"),
        [
            (b"", "no_credentials"),
            (build_attribute(3, b"c" * 17), "chap_across_libraries"),
            (build_attribute(26, (311).to_bytes(4) + b"\x01\x05abc"), "mschap_over_udp"),
            (build_attribute(26, (9).to_bytes(4) + b"\x01\x05abc"), "no_credentials"),
        ],
    )
    def test_other_credentials_have_their_own_reasons(self, world: World, attributes: bytes, reason: str) -> None:
        """The reason names what was sent."""
        world.send(access_request(attributes))
        assert only_refusal(world) == reason


class TestRefuse:
    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            (b"anna", "realm_missing"),
            (b"anna@", "realm_missing"),
            (b"@home.example", "user_missing"),
            (b"a@b@home.example", "multiple_at"),
            (b"anna@home..example", "realm_syntax"),
            (b"anna@home.example ", "name_syntax"),
            (b"anna@hom\x00e.example", "name_syntax"),
            (b"host/pc.home.example", "host_name"),
            (b"0204@wlan.mnc001.mcc204.3gppnetwork.org", "realm_denied"),
            (b"anna@gmail.com", "realm_denied"),
            (b"anna@nobody.org", "unroutable"),
        ],
    )
    def test_bad_or_unknown_name_is_refused_at_once(self, world: World, name: bytes, reason: str) -> None:
        """Silence would make the access point ask again, and believe that the proxy is dead."""
        world.send(access_request(name=name))
        assert only_refusal(world) == reason

    def test_request_with_two_names_is_refused(self, world: World) -> None:
        """It would be routed by one name and judged by the other (RFC 2865 §5.44: at most one)."""
        world.send(access_request(eap() + user_name(b"anna@other.example")))
        assert world.notices.refusals == {"name_syntax": 1}
        assert not world.take_forwarded()

    def test_request_without_a_name_is_refused(self, world: World) -> None:
        """User-Name is required; an authentic request without one is told so."""
        world.send(sign_request(Code.ACCESS_REQUEST, 7, AUTHENTICATOR, eap(), AP))
        assert only_refusal(world) == "user_name_missing"

    def test_refusal_carries_proxy_states_eap_failure_and_error_cause(self, world: World) -> None:
        """What the client needs to pass the no on (RFC 2865 §5.33, RFC 3579 §2.6.5, RFC 5176 §3.5)."""
        states = build_attribute(33, b"one") + build_attribute(33, b"two")
        world.send(access_request(eap() + states, name=b"anna@nobody.org"))
        (octets,) = world.take_answers()
        packet = parse(octets)
        assert proxy_states_of(packet) == states
        assert packet.value_of(AttributeType.EAP_MESSAGE) == b"\x04\x01\x00\x04"
        assert error_causes(packet) == [ErrorCause.REQUEST_NOT_ROUTABLE]

    @pytest.mark.parametrize(
        "message",
        [
            b"\x02\x01\x00",
            b"\x05\x01\x00\x04",
            b"\x00\x01\x00\x04",
            b"\x02\x01\x00\x05x" + b"more",
            b"\x02\x01\xff\xff\x01",
            b"\x02\x01\x00\x00",
        ],
    )
    def test_unsound_eap_packet_is_refused(self, world: World, message: bytes) -> None:
        """Length and code have to make an EAP packet (RFC 3579 §2.2, Error-Cause 202)."""
        world.send(access_request(eap(message)))
        (octets,) = world.take_answers()
        assert world.notices.refusals == {"eap_malformed": 1}
        assert error_causes(parse(octets)) == [ErrorCause.INVALID_EAP_PACKET]

    @pytest.mark.parametrize("kind", [AttributeType.USER_PASSWORD, AttributeType.CHAP_PASSWORD])
    def test_password_beside_eap_is_refused(self, world: World, kind: AttributeType) -> None:
        """EAP does not carry a readable password past the rules for it (RFC 3579 §3.3: never both)."""
        world.send(access_request(eap() + build_attribute(kind, bytes(16))))
        assert world.notices.refusals == {"eap_malformed": 1}
        assert not world.take_forwarded()

    def test_fragments_of_eap_are_judged_together(self, world: World) -> None:
        """Many EAP-Messages in a row are one EAP packet (RFC 3579 §3.1)."""
        message = b"\x02\x01" + (600).to_bytes(2) + bytes(596)
        world.send(access_request(eap(message)))
        world.forward_one()
        world.send(access_request(eap(message) + b"\x4f\x02", identifier=8))
        assert world.notices.refusals == {"eap_malformed": 1}

    def test_17_proxy_states_are_too_many(self, world: World) -> None:
        """A request that so many proxies saw is going round."""
        states = build_attribute(33, b"x") * (MAX_HOPS + 1)
        world.send(access_request(eap() + states))
        assert only_refusal(world) == "too_many_hops"

    def test_16_proxy_states_still_travel(self, world: World) -> None:
        """The limit is above every real chain."""
        world.send(access_request(eap() + build_attribute(33, b"x") * MAX_HOPS))
        world.forward_one()

    def test_request_that_comes_back_to_us_is_a_loop(self, world: World) -> None:
        """Our own Proxy-State says that it was here before, whoever sends it."""
        world.send(access_request())
        _, packet = world.forward_one()
        again = access_request(eap() + proxy_states_of(packet), keyed=PROXY)
        world.send(again, PROXY_ADDRESS)
        assert only_refusal(world) == "loop"

    def test_proxy_state_of_another_node_is_no_loop(self) -> None:
        """The key is the node's own: nobody else's Proxy-State is taken for ours."""
        other, world = World(make_snapshot(), node_key=b"o" * 32), World(make_snapshot())
        other.send(access_request())
        _, packet = other.forward_one()
        world.send(access_request(eap() + proxy_states_of(packet)))
        world.forward_one()

    def test_own_patrons_of_a_proxy_are_not_carried(self) -> None:
        """A member's proxy answers for its own realms itself; sent up, they would come back to it."""
        world = World(make_snapshot(realms={"home.example": Realm("home.example", "other", ("home/1",))}))
        world.send(access_request(keyed=PROXY), PROXY_ADDRESS)
        assert only_refusal(world) == "own_realm_upstream"

    def test_request_does_not_go_back_to_the_proxy_it_came_from(self) -> None:
        """From and to are never the same member."""
        server = home_server("other/1")
        world = World(make_snapshot(server, default_home_servers=("other/1",)))
        world.send(access_request(name=b"anna@elsewhere.org", keyed=PROXY), PROXY_ADDRESS)
        assert only_refusal(world) == "loop_back"

    def test_realm_without_a_home_server_is_refused(self) -> None:
        """A home server that is gone from the snapshot, or was never there."""
        world = World(make_snapshot(realms={"home.example": Realm("home.example", "home", ("home/9",))}))
        world.send(access_request())
        assert only_refusal(world) == "no_live_home_server"

    def test_home_server_whose_name_has_no_address_yet_is_refused(self) -> None:
        """With DNS down the proxy works for everybody else, and says no at once here."""
        world = World(make_snapshot(home_server(host="radius.home.example")))
        world.send(access_request())
        assert only_refusal(world) == "no_live_home_server"

    def test_transport_that_can_not_be_opened_is_refused(self, world: World) -> None:
        """No route to the home server: the client hears so, and the home server is down."""
        world.is_network_up = False
        world.send(access_request())
        assert only_refusal(world) == "no_live_home_server"
        assert world.engine.upstreams["home/1"].is_down

    def test_request_without_room_for_our_attributes_is_refused(self, world: World) -> None:
        """Beyond 4096 octets nothing can be sent (RFC 2865 §3)."""
        message = b"\x02\x01" + (3900).to_bytes(2) + bytes(3896)
        world.send(access_request(eap(message) + build_attribute(33, b"x" * 80)))
        assert only_refusal(world) == "too_large"

    def test_refusal_without_room_for_proxy_states_is_a_drop(self, world: World) -> None:
        """An answer that can not hold what it must return is none."""
        states = build_attribute(33, b"x" * 253)
        body = eap(b"\x02") + states * 15 + build_attribute(33, b"x" * 228)
        world.send(sign_request(Code.ACCESS_REQUEST, 7, AUTHENTICATOR, body, AP))
        assert only_drop(world) == "too_large"

    def test_ttl_of_radsecproxy_that_ran_out_is_dropped(self, world: World) -> None:
        """Its hop counter is honoured: a request at its end is dropped without an answer."""
        ttl = build_attribute(26, (27262).to_bytes(4) + b"\x01\x06" + (1).to_bytes(4))
        world.send(access_request(eap() + ttl))
        assert only_drop(world) == DropReason.TTL_EXPIRED
        assert world.engine.upstreams["home/1"].identifiers.outstanding == 0

    def test_refusal_is_an_event_with_its_reason(self, world: World) -> None:
        """Statistics and F-Ticks know what was refused, without the patron's name."""
        world.send(access_request(name=b"anna@nobody.org"))
        (event,) = world.events
        assert (event.client, event.visited, event.outcome, event.reason) == (
            "visited/ap",
            "visited",
            Outcome.REJECTED,
            "unroutable",
        )
        assert "anna" not in repr(event)


class Uncountable(Counter[str]):
    """To count in it fails."""

    def __missing__(self, key: str) -> int:
        raise LookupError(key)


class TestTurnedAway:
    """Refusals wait until what goes on is on its way."""

    def take(self, world: World, number: int, name: bytes = b"anna@nobody.org") -> None:
        """A request as the loop takes it, whose turn has not ended."""
        request = access_request(name=name, authenticator=number.to_bytes(16))
        world.engine.receive_request(world.listener, request, ("192.0.2.1", 2000 + number), world.now)

    def test_some_are_answered_at_a_time(self, world: World) -> None:
        """Between two portions the loop turns, and takes what has come meanwhile."""
        for number in range(5):
            self.take(world, number)
        self.take(world, 5, b"anna@home.example")
        assert len(world.take_forwarded()) == 1
        portions: list[int] = []
        while world.engine.refused:
            assert world.take_answers() == []
            world.engine.turn_away(world.now)
            portions.append(len(world.take_answers()))
        assert portions == [REFUSED_AT_ONCE, REFUSED_AT_ONCE, 1]
        assert world.notices.refusals == {"unroutable": 5}

    def test_flood_is_answered_in_larger_portions(self, world: World) -> None:
        """It never gets long: what a turn of the loop takes at most is answered in a few."""
        for number in range(1000):
            self.take(world, number)
        world.engine.turn_away(world.now)
        assert len(world.take_answers()) == 1000 // REFUSED_SHARE

    def test_repeat_meanwhile_is_no_other_request(self, world: World) -> None:
        """It is refused once, and its repeat gets the same octets afterwards."""
        self.take(world, 1)
        self.take(world, 1)
        assert world.engine.refused == 1
        world.engine.turn_away(world.now)
        self.take(world, 1)
        first, second = world.take_answers()
        assert first == second

    def test_bug_costs_one_of_them(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its repeat has another chance, and the others are answered."""
        for number in range(3):
            self.take(world, number)
        with monkeypatch.context() as broken:
            broken.setattr(world.notices, "refusals", Uncountable())
            with pytest.raises(LookupError):
                world.engine.turn_away(world.now)
        assert world.engine.refused == 2
        self.take(world, 0)
        while world.engine.refused:
            world.engine.turn_away(world.now)
        assert [octets[0] for octets in world.take_answers()] == [Code.ACCESS_REJECT] * 3

    def test_connection_waits_for_them(self, world: World) -> None:
        """Somebody waits for an answer through the listener."""
        self.take(world, 1)
        assert world.engine.waiting_listeners() == {world.listener}


class TestDuplicates:
    def test_repeat_while_pending_is_not_forwarded_again(self, world: World) -> None:
        """A thousand repeats make one request to the home server."""
        for _ in range(1000):
            world.send(access_request())
        assert len(world.take_forwarded()) == 1
        assert world.notices.drops[DropReason.DUPLICATE_PENDING] == 999

    def test_client_may_change_its_port_with_every_request(self, world: World) -> None:
        """However many ports it used, each request goes on once, and its repeat not at all."""
        datagram = access_request()
        ports = range(1024, 1024 + MAX_SOURCES + 10)
        for port in (*ports, *ports):
            world.send(datagram, (AP_ADDRESS[0], port))
        assert len(world.take_forwarded()) == MAX_OUTSTANDING_PER_REALM
        assert world.engine.notices.refusals[RefusalReason.REALM_OVERLOAD] == len(ports) - MAX_OUTSTANDING_PER_REALM

    def test_repeat_after_the_answer_gets_the_same_octets(self, world: World) -> None:
        """The home server is not asked twice."""
        world.send(access_request())
        flow, packet = world.forward_one()
        world.answer(flow, respond(packet))
        (first,) = world.take_answers()
        world.run(5.0)
        world.send(access_request())
        assert world.take_answers() == [first]
        assert world.take_forwarded() == []

    def test_refusal_is_kept_for_repeats_too(self, world: World) -> None:
        """Own answers are as final as others'."""
        for _ in range(2):
            world.send(access_request(name=b"anna@nobody.org"))
        first, second = world.take_answers()
        assert first == second
        assert world.notices.refusals["unroutable"] == 1

    def test_same_identifier_with_another_authenticator_is_a_new_request(self, world: World) -> None:
        """The client has moved on: the earlier request's answer is not sent, and it is not repeated."""
        world.send(access_request())
        flow, first = world.forward_one()
        world.send(access_request(authenticator=b"n" * 16))
        _, second = world.forward_one()
        world.answer(flow, respond(first))
        assert world.take_answers() == []
        world.answer(flow, respond(second))
        (octets,) = world.take_answers()
        assert is_signed(octets, AP, b"n" * 16)
        world.run(30.0)
        assert world.take_requests() == []

    def test_other_source_port_is_another_request(self, world: World) -> None:
        """Two processes behind one address do not get each other's answers."""
        world.send(access_request())
        world.send(access_request(), (AP_ADDRESS[0], 50001))
        assert len(world.take_forwarded()) == 2

    def test_client_with_too_many_pending_gets_silence(self, world: World) -> None:
        """One client may not fill the table of all."""
        world.engine.duplicates._max_pending = 1  # pyright: ignore[reportPrivateUsage] - a small bound for the test
        world.send(access_request())
        world.take_forwarded()
        world.send(access_request(identifier=8))
        assert only_drop(world) == DropReason.QUEUE_FULL


class TestAnsweredHere:
    def test_status_server_is_answered_with_accept(self, world: World) -> None:
        """RFC 5997 §4.2, signed, and never forwarded."""
        world.send(sign_request(Code.STATUS_SERVER, 3, AUTHENTICATOR, b"", AP))
        (octets,) = world.take_answers()
        assert octets[:2] == bytes((Code.ACCESS_ACCEPT, 3))
        assert is_signed(octets, AP, AUTHENTICATOR)
        assert world.take_forwarded() == []

    def test_status_server_on_the_accounting_port_is_answered_with_accounting_response(self, world: World) -> None:
        """RFC 5997 §4.2: each port answers in its own kind."""
        world.send(sign_request(Code.STATUS_SERVER, 3, AUTHENTICATOR, b"", AP), listener=world.accounting)
        (octets,) = world.take_answers(world.accounting)
        assert octets[0] == Code.ACCOUNTING_RESPONSE

    def test_status_server_without_message_authenticator_gets_silence(self, world: World) -> None:
        """RFC 5997 §3."""
        world.send(sign_request(Code.STATUS_SERVER, 3, AUTHENTICATOR, b"", AP, with_message_authenticator=False))
        assert only_drop(world) == DropReason.MESSAGE_AUTHENTICATOR_MISSING

    def test_accounting_is_answered_and_stays_here(self, world: World) -> None:
        """Accounting does not leave the library; the answer stops its repeats (RFC 7593 §5, RFC 2866 §4.1)."""
        states = build_attribute(33, b"one")
        world.send(
            sign_request(4, 9, b"", user_name() + states, AP, with_message_authenticator=False),
            listener=world.accounting,
        )
        (octets,) = world.take_answers(world.accounting)
        assert octets[:2] == bytes((Code.ACCOUNTING_RESPONSE, 9))
        assert proxy_states_of(parse(octets)) == states
        assert [event.outcome for event in world.events] == [Outcome.ACCOUNTED]
        assert world.take_forwarded() == []

    def test_forged_accounting_gets_silence(self, world: World) -> None:
        """Its Request Authenticator is always checked (RFC 2866 §3)."""
        world.send(sign_request(4, 9, b"", user_name(), PROXY), listener=world.accounting)
        assert world.take_answers(world.accounting) == []
        assert sum(world.notices.drops.values()) == 1

    @pytest.mark.parametrize(
        ("code", "nak"), [(Code.COA_REQUEST, Code.COA_NAK), (Code.DISCONNECT_REQUEST, Code.DISCONNECT_NAK)]
    )
    def test_change_of_authorization_gets_a_nak(self, world: World, code: int, nak: int) -> None:
        """Changes of running sessions are not carried; the answer says so (RFC 5176 §3.5)."""
        world.send(sign_request(code, 4, b"", user_name(), AP))
        (octets,) = world.take_answers()
        assert octets[0] == nak
        assert error_causes(parse(octets)) == [ErrorCause.UNSUPPORTED_EXTENSION]


class TestOverload:
    def test_more_than_256_requests_can_wait_for_one_home_server(self, world: World) -> None:
        """Another source port is opened when the identifiers of one are in use."""
        for number in range(600):
            world.send(access_request(authenticator=number.to_bytes(16)), ("192.0.2.1", 1024 + number))
        forwarded = world.take_forwarded()
        assert len(forwarded) == 600
        assert len({(id(flow), octets[1]) for flow, octets in forwarded}) == 600
        assert len(world.flows) == 3

    def test_home_server_with_all_identifiers_in_use_is_an_overload(self, world: World) -> None:
        """The number of source ports is bounded; beyond it the answer is a no at once."""
        world.engine.upstreams["home/1"].identifiers.max_flows = 1
        for number in range(255):
            world.send(access_request(authenticator=number.to_bytes(16)), ("192.0.2.1", 1024 + number))
        assert len(world.take_forwarded()) == 255
        world.send(access_request(), ("192.0.2.1", 60000))
        assert only_refusal(world) == "no_identifier"

    def test_source_ports_of_a_burst_are_given_back(self, world: World) -> None:
        """When the burst is over one port is left."""
        for number in range(600):
            world.send(access_request(authenticator=number.to_bytes(16)), ("192.0.2.1", 1024 + number))
        for flow, octets in world.take_forwarded():
            world.answer(flow, respond(parse(octets)))
        world.run(120.0)
        assert [flow.is_closed for flow in world.flows] == [False, True, True]
        world.run(60.0)
        assert len(world.engine.duplicates) == 0

    def test_silent_realm_does_not_delay_another(self) -> None:
        """Ten thousand requests to a hop that says nothing leave the others' way free."""
        snapshot = make_snapshot(
            home_server("silent/1", "203.0.113.9"),
            home_server("home/1"),
            realms={
                "silent.example": Realm("silent.example", "silent", ("silent/1",)),
                "home.example": Realm("home.example", "home", ("home/1",)),
            },
        )
        world = World(snapshot)
        for number in range(10_000):
            name = b"anna@silent.example"
            world.send(access_request(name=name, authenticator=number.to_bytes(16)), ("192.0.2.1", 1024 + number))
        assert len(world.take_forwarded()) == MAX_OUTSTANDING_PER_REALM
        assert len(world.take_answers()) == 10_000 - MAX_OUTSTANDING_PER_REALM  # refused at once
        world.send(access_request(), ("192.0.2.2", 1))
        flow, packet = world.forward_one()
        world.answer(flow, respond(packet))
        assert len(world.take_answers()) == 1
