"""Accounting by agreement: where it goes, what it says there, and that its client always gets an answer."""

import pytest

from federation.events import Outcome
from federation.policy import ACCOUNTING_ATTRIBUTES
from federation.reasons import RefusalReason
from federation.snapshot import Client, Realm, Snapshot
from radius.errors import DropReason
from radius.exchange.bulkheads import MAX_OUTSTANDING_PER_CLIENT
from radius.exchange.outstanding import DEFAULT_POLICY
from radius.proxy.accounting import FROM_ACCESS_POINT
from radius.proxy.loops import LoopGuard
from radius.wire.authenticators import (
    KeyedSecret,
    Verdict,
    sign_request,
    verify_message_authenticator,
    verify_request_authenticator,
    verify_response,
)
from radius.wire.codes import AcctStatusType, AttributeType, Code, VendorId
from radius.wire.packet import Packet, build_attribute, build_vendor_attribute
from radius.wire.rewrite import list_removed
from tests.radius.proxy.world import (
    ACCESS_POINT,
    AP,
    AP_SECRET,
    HOME,
    OTHER_PROXY,
    PROXY,
    PROXY_ADDRESS,
    UNAVAILABLE,
    World,
    access_request,
    error_causes,
    home_server,
    make_snapshot,
    parse,
    proxy_states_of,
    respond,
    user_name,
)

STATUS = build_attribute(AttributeType.ACCT_STATUS_TYPE, int(AcctStatusType.INTERIM_UPDATE).to_bytes(4))
DELAY = build_attribute(AttributeType.ACCT_DELAY_TIME, (7).to_bytes(4))
TIMESTAMP = build_attribute(AttributeType.EVENT_TIMESTAMP, (1_700_000_000).to_bytes(4))
SESSION = build_attribute(AttributeType.ACCT_SESSION_ID, b"5C3A0001")
ADDRESS = build_attribute(AttributeType.FRAMED_IP_ADDRESS, bytes((10, 0, 0, 7)))
VLAN = build_attribute(AttributeType.TUNNEL_PRIVATE_GROUP_ID, b"40")
VENDOR = build_vendor_attribute(VendorId.CISCO, 1, b"url=https://book.example/42")
OWN_ACCESS_POINT = Client("home/ap", "home", "home.example", ACCESS_POINT.networks, AP_SECRET)


def agreed(*clients: Client) -> Snapshot:
    """A federation in which the library `home` has asked for the accounting of its patrons."""
    keys = ("home/1/acct", "home/2/acct")
    servers = (home_server(keys[0], host="203.0.113.11"), home_server(keys[1], host="203.0.113.12"))
    realm = Realm("home.example", "home", ("home/1",), accounting_servers=keys)
    return make_snapshot(
        home_server(), *servers, clients=clients or (ACCESS_POINT, OTHER_PROXY), realms={"home.example": realm}
    )


def accounting_request(
    attributes: bytes = STATUS,
    *,
    name: bytes = b"anonymous@home.example",
    identifier: int = 9,
    keyed: KeyedSecret = AP,
    **options: bool,
) -> bytes:
    options.setdefault("with_message_authenticator", False)
    return sign_request(Code.ACCOUNTING_REQUEST, identifier, b"", user_name(name) + attributes, keyed, **options)


def send(
    world: World, attributes: bytes = STATUS, *, name: bytes = b"anonymous@home.example", identifier: int = 9
) -> None:
    world.send(accounting_request(attributes, name=name, identifier=identifier), listener=world.accounting)


def values_of(packet: Packet, kind: int) -> list[bytes]:
    return [packet.octets[at + 2 : at + packet.octets[at + 1]] for at in packet.offsets_of(kind)]


@pytest.fixture
def world() -> World:
    return World(agreed())


def assert_answered_here(world: World, reason: RefusalReason | None) -> None:
    (octets,) = world.take_answers(world.accounting)
    assert octets[0] == Code.ACCOUNTING_RESPONSE
    assert [(event.outcome, event.reason) for event in world.events] == [(Outcome.ACCOUNTED, reason)]
    assert dict(world.notices.accounting) == {reason or "local": 1}


class TestWhereItGoes:
    def test_goes_to_the_library_that_has_asked(self, world: World) -> None:
        """It is signed for the home server's accounting port, its authenticator computed (RFC 2866 §3)."""
        send(world)
        flow, request = world.forward_one()
        assert flow.host == "203.0.113.11"
        assert request.code == Code.ACCOUNTING_REQUEST
        assert verify_request_authenticator(request, HOME)
        assert world.take_answers(world.accounting) == []

    def test_answer_of_the_library_is_the_answer(self, world: World) -> None:
        """Accounting-Response comes back under the client's own identifier and secret, with its Proxy-States."""
        states = build_attribute(AttributeType.PROXY_STATE, b"one")
        request = accounting_request(STATUS + states)
        world.send(request, listener=world.accounting)
        flow, forwarded = world.forward_one()
        world.answer(flow, respond(forwarded, Code.ACCOUNTING_RESPONSE))
        (octets,) = world.take_answers(world.accounting)
        answer = parse(octets)
        assert octets[:2] == bytes((Code.ACCOUNTING_RESPONSE, 9))
        assert verify_response(answer, AP, request[4:20])
        assert proxy_states_of(answer) == states
        assert [(event.outcome, event.reason, event.home_server) for event in world.events] == [
            (Outcome.ACCOUNTED, None, "home/1/acct")
        ]
        assert dict(world.notices.accounting) == {"forwarded": 1}

    def test_client_with_too_many_pending_is_told_over_radius_1_1(self, world: World) -> None:
        """A request that can not be processed is answered with Protocol-Error, whatever it asks for (RFC 9765 §6.1)."""
        world.engine.duplicates._max_pending = 1  # pyright: ignore[reportPrivateUsage] - a small bound for the test
        world.accounting.requires_errors = True
        send(world)
        send(world, identifier=10)
        (octets,) = world.take_answers(world.accounting)
        assert (octets[:2], error_causes(parse(octets))) == (bytes((Code.PROTOCOL_ERROR, 10)), [505])

    def test_nothing_else_of_the_answer_comes_back(self, world: World) -> None:
        """An Accounting-Response has nothing to say to another library (RFC 2866 §5.13)."""
        send(world)
        flow, forwarded = world.forward_one()
        world.answer(flow, respond(forwarded, Code.ACCOUNTING_RESPONSE, VLAN + VENDOR))
        (octets,) = world.take_answers(world.accounting)
        assert parse(octets).types == b""

    def test_stays_here_where_nobody_has_asked(self) -> None:
        """Without an agreement no library hears of its patrons' sessions (RFC 7593 §5)."""
        world = World(make_snapshot())
        send(world)
        assert world.take_forwarded() == []
        assert_answered_here(world, None)

    @pytest.mark.parametrize("name", [b"anonymous@nowhere.example.org", b"no realm", b"a@b@home.example"])
    def test_name_that_leads_nowhere_stays_here(self, world: World, name: bytes) -> None:
        """Accounting is not refused: who can not be found is not told."""
        send(world, name=name)
        assert world.take_forwarded() == []
        assert_answered_here(world, None)

    @pytest.mark.parametrize("names", [b"", user_name() + user_name(b"b@home.example")])
    def test_what_tells_of_no_patron_stays_here(self, world: World, names: bytes) -> None:
        """An access point that has started has no User-Name (RFC 2866 §5.1); two names are nobody's."""
        world.send(
            sign_request(4, 9, b"", names + STATUS, AP, with_message_authenticator=False), listener=world.accounting
        )
        assert world.take_forwarded() == []
        assert_answered_here(world, None)

    def test_own_patrons_of_a_proxy_are_not_sent_back_to_it(self) -> None:
        """A library's own proxy counts its own patrons itself."""
        own = Client("home/proxy", "home", "home.example", OTHER_PROXY.networks, OTHER_PROXY.secret, is_proxy=True)
        world = World(agreed(own))
        world.send(accounting_request(keyed=PROXY), PROXY_ADDRESS, world.accounting)
        assert world.take_forwarded() == []
        assert_answered_here(world, RefusalReason.OWN_REALM_UPSTREAM)

    def test_ring_is_ended(self, world: World) -> None:
        """What has been here before goes no further, and its sender has its answer."""
        send(world, STATUS + build_attribute(AttributeType.PROXY_STATE, LoopGuard(b"k" * 32).make(b"once")))
        assert world.take_forwarded() == []
        assert_answered_here(world, RefusalReason.LOOP)

    def test_chain_without_end_is_ended(self, world: World) -> None:
        """So many Proxy-States have only those that go round."""
        send(world, STATUS + build_attribute(AttributeType.PROXY_STATE, b"x") * 17)
        assert_answered_here(world, RefusalReason.TOO_MANY_HOPS)

    def test_repeat_is_not_forwarded_again(self, world: World) -> None:
        """RFC 5080 §2.2.2 holds for accounting too: while it waits, and after it was answered."""
        send(world)
        flow, forwarded = world.forward_one()
        send(world)
        assert world.take_forwarded() == []
        assert world.notices.drops[DropReason.DUPLICATE_PENDING] == 1
        world.answer(flow, respond(forwarded, Code.ACCOUNTING_RESPONSE))
        (first,) = world.take_answers(world.accounting)
        send(world)
        assert world.take_answers(world.accounting) == [first]
        assert world.take_forwarded() == []


class TestWhatItSays:
    def test_address_and_network_stay_in_the_visited_library(self, world: World) -> None:
        """The home library learns who, where, how long and how much, and not what was lent to the device."""
        send(world, STATUS + DELAY + SESSION + ADDRESS + VLAN + VENDOR + TIMESTAMP)
        _, forwarded = world.forward_one()
        for kind in (AttributeType.FRAMED_IP_ADDRESS, AttributeType.TUNNEL_PRIVATE_GROUP_ID):
            assert kind not in forwarded.types
        assert all(b"book.example" not in value for value in values_of(forwarded, AttributeType.VENDOR_SPECIFIC))
        kept = b"".join((STATUS, DELAY, SESSION))
        assert kept in forwarded.octets
        assert TIMESTAMP in forwarded.octets

    def test_times_are_the_clients(self, world: World) -> None:
        """Acct-Delay-Time and Event-Timestamp go as they came, in repeats too (RFC 2866 §5.2)."""
        send(world, STATUS + DELAY + TIMESTAMP)
        ((_, first),) = world.take_forwarded()
        world.run(2.5)
        ((_, again), *_) = world.take_requests()
        assert again == first
        assert DELAY + TIMESTAMP in again

    def test_at_home_all_of_it_goes_along(self) -> None:
        """Within a library it is the library's own; what may not be in accounting does not go (RFC 2866 §5.13)."""
        world = World(agreed(OWN_ACCESS_POINT))
        send(world, STATUS + ADDRESS + VLAN + build_attribute(AttributeType.USER_PASSWORD, b"x" * 16))
        flow, forwarded = world.forward_one()
        assert STATUS + ADDRESS + VLAN in forwarded.octets
        assert AttributeType.USER_PASSWORD not in forwarded.types
        world.answer(flow, respond(forwarded, Code.ACCOUNTING_RESPONSE, VENDOR))
        (octets,) = world.take_answers(world.accounting)
        assert values_of(parse(octets), AttributeType.VENDOR_SPECIFIC)

    def test_visited_library_is_named_by_us(self, world: World) -> None:
        """An access point's Operator-Name is ours to say (RFC 5580 §4.1), and no CUI is asked for."""
        send(world, STATUS + build_attribute(AttributeType.OPERATOR_NAME, b"1liar.example"))
        _, forwarded = world.forward_one()
        assert values_of(forwarded, AttributeType.OPERATOR_NAME) == [b"1visited.example"]
        assert AttributeType.CHARGEABLE_USER_IDENTITY not in forwarded.types

    def test_name_that_a_proxy_gives_is_kept(self, world: World) -> None:
        """It knows where its visitor is; ours would be its own."""
        named = STATUS + build_attribute(AttributeType.OPERATOR_NAME, b"1branch.example")
        world.send(accounting_request(named, keyed=PROXY), PROXY_ADDRESS, world.accounting)
        _, forwarded = world.forward_one()
        assert values_of(forwarded, AttributeType.OPERATOR_NAME) == [b"1branch.example"]

    def test_message_authenticator_is_renewed_where_there_was_one(self, world: World) -> None:
        """It is made with zeros in the place of the authenticator (RFC 5176 §3.4); none is added."""
        world.send(accounting_request(with_message_authenticator=True), listener=world.accounting)
        _, forwarded = world.forward_one()
        assert verify_message_authenticator(forwarded, HOME) is Verdict.VALID
        send(world, identifier=10)
        _, forwarded = world.forward_one()
        assert forwarded.message_authenticator == 0

    def test_nothing_that_hides_is_among_it(self) -> None:
        """Address, prefix, VLAN, filter, State, passwords and vendors are not in the agreed part."""
        kinds = (2, 3, 6, 8, 9, 11, 24, 26, 56, 58, 60, 64, 65, 69, 81, 92, 96, 97, 123, 127, 128, 168)
        assert not ACCOUNTING_ATTRIBUTES & set(kinds)

    def test_filter_leaves_what_is_agreed(self) -> None:
        """The table of the policy is the one that the packet path uses."""
        packet = parse(accounting_request(ADDRESS + SESSION + VLAN))
        assert list_removed(packet, FROM_ACCESS_POINT) == bytes((8, 81))


class TestAnswerInAnyCase:
    def test_silent_home_server_is_answered_for_at_the_deadline(self, world: World) -> None:
        """The other server is tried where it lives; then the client is answered here, with the reason told."""
        send(world)
        world.run(DEFAULT_POLICY.duration_seconds + 1)
        assert_answered_here(world, RefusalReason.HOME_SERVER_TIMEOUT)
        assert world.events[0].home == "home"
        assert world.engine.outstanding == 0

    def test_proxy_is_answered_at_the_deadline_too(self, world: World) -> None:
        """Silence would lead it to no other way: accounting has one end."""
        world.send(accounting_request(keyed=PROXY), PROXY_ADDRESS, world.accounting)
        world.run(DEFAULT_POLICY.duration_seconds + 1)
        assert_answered_here(world, RefusalReason.HOME_SERVER_TIMEOUT)

    def test_port_that_can_not_be_opened_is_answered_for(self, world: World) -> None:
        """No way to the home server is no reason to keep the client waiting."""
        world.is_network_up = False
        send(world)
        assert_answered_here(world, RefusalReason.NO_LIVE_HOME_SERVER)

    def test_protocol_error_of_all_is_answered_for(self, world: World) -> None:
        """One server says that it can not; the other is asked, then the client is answered here (RFC 7930 §4)."""
        send(world)
        for _ in range(2):
            ((flow, octets),) = world.take_requests()
            world.answer(flow, respond(parse(octets), Code.PROTOCOL_ERROR, UNAVAILABLE))
        assert_answered_here(world, RefusalReason.HOP_ERROR)

    @pytest.mark.parametrize("code", [Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.COA_ACK])
    def test_answer_of_another_kind_is_none(self, world: World, code: Code) -> None:
        """Access-Accept answers no Accounting-Request, however well it is signed."""
        send(world)
        flow, forwarded = world.forward_one()
        world.answer(flow, respond(forwarded, code))
        assert world.take_answers(world.accounting) == []
        assert world.notices.drops[DropReason.CODE_NOT_EXPECTED] == 1

    def test_accounting_response_lets_nobody_in(self, world: World) -> None:
        """Nor does Accounting-Response answer an Access-Request."""
        world.send(access_request())
        flow, forwarded = world.forward_one()
        world.answer(flow, respond(forwarded, Code.ACCOUNTING_RESPONSE))
        assert world.take_answers() == []
        assert world.notices.drops[DropReason.CODE_NOT_EXPECTED] == 1

    def test_forged_answer_is_none(self, world: World) -> None:
        """Its Response Authenticator is made with the authenticator that we computed."""
        send(world)
        flow, forwarded = world.forward_one()
        world.answer(flow, respond(forwarded, Code.ACCOUNTING_RESPONSE, keyed=AP))
        assert world.take_answers(world.accounting) == []
        assert world.notices.drops[DropReason.RESPONSE_AUTHENTICATOR_WRONG] == 1

    def test_reports_without_end_keep_nobody_from_signing_in(self, world: World) -> None:
        """Accounting has bounds of its own: beyond them it is answered here, and sign-ins go on."""
        protection = world.engine.protection
        for _ in range(MAX_OUTSTANDING_PER_CLIENT):
            protection.other_clients.enter(ACCESS_POINT.key)
        send(world)
        assert_answered_here(world, RefusalReason.CLIENT_OVERLOAD)
        world.send(access_request())
        assert len(world.take_forwarded()) == 1

    def test_realm_has_a_bound_too(self, world: World) -> None:
        """One library's dead server does not take what belongs to another's accounting."""
        protection = world.engine.protection
        for _ in range(protection.other_realms.limit):
            protection.other_realms.enter("home.example")
        send(world)
        assert_answered_here(world, RefusalReason.REALM_OVERLOAD)

    def test_accounting_that_waits_takes_nothing_of_sign_ins(self, world: World) -> None:
        """It stands in its own books, and leaves them when it is answered."""
        send(world)
        protection = world.engine.protection
        assert (protection.realms.count_of("home.example"), protection.clients.count_of(ACCESS_POINT.key)) == (0, 0)
        assert protection.other_realms.count_of("home.example") == 1
        flow, forwarded = world.forward_one()
        world.answer(flow, respond(forwarded, Code.ACCOUNTING_RESPONSE))
        assert protection.other_realms.count_of("home.example") == 0

    def test_failure_is_told_in_the_log(self, world: World) -> None:
        """Whoever looks after the federation sees which library does not get its accounting, and why."""
        world.is_network_up = False
        send(world)
        ((event, fields),) = [line for line in world.lines if line[0] == "accounting_not_forwarded"]
        assert event
        assert fields == {"peer": "visited/ap", "reason": "no_live_home_server", "realm": "home.example"}


class TestHealth:
    def test_accounting_port_is_watched_by_itself(self, world: World) -> None:
        """A silent accounting port is asked with Status-Server; its Accounting-Response counts (RFC 5997 §4.2)."""
        send(world)
        world.run(3)
        checks = [(flow, octets) for flow, octets in world.take_forwarded() if octets[0] == Code.STATUS_SERVER]
        assert [flow.host for flow, _ in checks] == ["203.0.113.11"]
        upstream = world.engine.upstreams["home/1/acct"]
        assert upstream.liveness.state.value == "suspect"
        for _ in range(6):
            flow, octets = checks[-1]
            world.answer(flow, respond(parse(octets), Code.ACCOUNTING_RESPONSE))
            world.run(3)
            checks += [(flow, octets) for flow, octets in world.take_forwarded() if octets[0] == Code.STATUS_SERVER]
        assert upstream.liveness.state.value == "up"

    def test_dead_accounting_port_leaves_sign_ins_alone(self, world: World) -> None:
        """The port for sign-ins has its own state and its own breaker."""
        for identifier in range(40):
            send(world, identifier=identifier)
            world.run(2)
        assert world.notices.accounting[RefusalReason.REALM_UNAVAILABLE] > 0
        world.take_forwarded()
        world.send(access_request())
        flow, _ = world.forward_one()
        assert flow.host == "203.0.113.1"
