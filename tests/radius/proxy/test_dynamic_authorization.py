"""CoA and Disconnect: from the library that let the patron in to where the patron is, and from nobody else."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from federation.policy import CHANGEABLE_ATTRIBUTES, SESSION_ATTRIBUTES
from federation.reasons import RefusalReason
from federation.snapshot import Client, HomeServer, Realm, SharedSecret, Snapshot
from radius.errors import DropReason
from radius.exchange.outstanding import DEFAULT_POLICY
from radius.proxy.loops import LoopGuard
from radius.wire.authenticators import (
    KeyedSecret,
    Verdict,
    sign_request,
    sign_response,
    verify_message_authenticator,
    verify_request_authenticator,
    verify_response,
)
from radius.wire.codes import AttributeType, Code, ErrorCause, MicrosoftAttribute, VendorId
from radius.wire.packet import Packet, build_attribute, build_vendor_attribute
from tests.radius.proxy.world import (
    AP,
    AP_SECRET,
    HOME,
    HOME_SECRET,
    PROXY,
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

NOW = 1_700_000_000  # the world's clock
FOREIGN_SECRET = SharedSecret(b"secret of the third library")
FOREIGN = KeyedSecret(FOREIGN_SECRET)
HOME_ADDRESS = ("203.0.113.1", 51000)
FOREIGN_ADDRESS = ("203.0.113.77", 51000)
OPERATOR = build_attribute(AttributeType.OPERATOR_NAME, b"1visited.example")
FRESH = build_attribute(AttributeType.EVENT_TIMESTAMP, NOW.to_bytes(4))
SESSION = build_attribute(AttributeType.ACCT_SESSION_ID, b"5C3A0001")
NAS_NAME = b"\x08named-by-a-proxy"
KINDS = [
    (Code.DISCONNECT_REQUEST, Code.DISCONNECT_ACK, Code.DISCONNECT_NAK),
    (Code.COA_REQUEST, Code.COA_ACK, Code.COA_NAK),
]

ACCESS_POINT = Client(
    "visited/ap",
    "visited",
    "visited.example",
    (ip_network("192.0.2.1/32"),),
    AP_SECRET,
    dynamic_authorization_server="visited/ap/coa",
    operator_nas_identifier=b"0123456789abcdef",
)
SECOND = replace(
    ACCESS_POINT,
    key="visited/second",
    networks=(ip_network("192.0.2.2/32"), ip_network("2001:db8::2/128")),
    dynamic_authorization_server="visited/second/coa",
    operator_nas_identifier=b"fedcba9876543210",
)
CLOSED = Client("closed/ap", "closed", "closed.example", (ip_network("192.0.2.3/32"),), AP_SECRET)
VISITED_PROXY = replace(
    ACCESS_POINT,
    key="branch/proxy",
    library="branch",
    operator_name="branch.example",
    networks=(ip_network("192.0.2.4/32"),),
    is_proxy=True,
    dynamic_authorization_server="branch/proxy/coa",
)
FROM_HOME = Client("home/1/coa", "home", "", (ip_network("203.0.113.1/32"),), HOME_SECRET, is_home_server=True)
FROM_FOREIGN = Client(
    "foreign/1/coa", "foreign", "", (ip_network("203.0.113.77/32"),), FOREIGN_SECRET, is_home_server=True
)


def takes_changes(key: str, host: str) -> HomeServer:
    return HomeServer(
        key, None, host, 3799, secret=AP_SECRET, requires_message_authenticator=False, answers_status=False
    )


def agreed(*clients: Client) -> Snapshot:
    """A federation in which the access points of `visited` and the proxy of `branch` take changes."""
    servers = [
        takes_changes(client.dynamic_authorization_server, str(client.networks[0].network_address))
        for client in clients or (ACCESS_POINT, VISITED_PROXY)
        if client.dynamic_authorization_server
    ]
    return make_snapshot(
        clients=(*(clients or (ACCESS_POINT, VISITED_PROXY)), CLOSED),
        realms={
            "home.example": Realm("home.example", "home", ("home/1",), includes_subrealms=True),
            "foreign.example": Realm("foreign.example", "foreign", ("home/1",)),
            "visited.example": Realm("visited.example", "visited", ("home/1",)),
            "closed.example": Realm("closed.example", "closed", ("home/1",)),
        },
        dynamic_authorization_servers={server.key: server for server in servers},
        dynamic_authorization_clients=(FROM_HOME, FROM_FOREIGN),
    )


def change(
    attributes: bytes = OPERATOR + FRESH + SESSION,
    *,
    code: int = Code.DISCONNECT_REQUEST,
    name: bytes = b"anna@home.example",
    keyed: KeyedSecret = HOME,
    **options: bool,
) -> bytes:
    options.setdefault("with_message_authenticator", False)
    return sign_request(code, 5, b"", user_name(name) + attributes, keyed, **options)


def values_of(packet: Packet, kind: int) -> list[bytes]:
    return [packet.octets[at + 2 : at + packet.octets[at + 1]] for at in packet.offsets_of(kind)]


@pytest.fixture
def world() -> World:
    return World(agreed())


def assert_refused(world: World, reason: RefusalReason, cause: int, nak: int = Code.DISCONNECT_NAK) -> None:
    assert world.take_requests() == []
    (octets,) = world.take_answers()
    assert octets[0] == nak
    assert error_causes(parse(octets)) == [cause]
    assert dict(world.notices.refusals) == {reason: 1}
    assert world.events == []


class TestTheWay:
    @pytest.mark.parametrize(("code", "ack", "nak"), KINDS)
    def test_leads_to_the_access_point_and_back(self, world: World, code: Code, ack: Code, nak: Code) -> None:
        """By Operator-Name to the visited library (RFC 8559 §3.1), signed for each hop (RFC 5176 §2.3)."""
        for answer in (ack, nak):
            states = build_attribute(AttributeType.PROXY_STATE, bytes((answer,)))
            request = change(OPERATOR + FRESH + SESSION + states, code=code)
            world.send(request, HOME_ADDRESS)
            flow, forwarded = world.forward_one()
            assert (flow.host, flow.port) == ("192.0.2.1", 3799)
            assert forwarded.code == code
            assert verify_request_authenticator(forwarded, AP)
            world.answer(flow, respond(forwarded, answer, keyed=AP))
            (octets,) = world.take_answers()
            assert octets[:2] == bytes((answer, 5))
            assert verify_response(parse(octets), HOME, request[4:20])
            assert proxy_states_of(parse(octets)) == states
        assert world.events == []
        assert world.engine.outstanding == 0

    def test_access_point_gets_what_an_access_point_knows(self, world: World) -> None:
        """Neither Operator-Name nor a Proxy-State of ours: it would refuse them (RFC 5176 §3)."""
        world.send(change(), HOME_ADDRESS)
        _, forwarded = world.forward_one()
        assert forwarded.octets[20:] == user_name(b"anna@home.example") + FRESH + SESSION

    def test_forgotten_proxy_states_are_put_back(self, world: World) -> None:
        """Access points that do not return them are many; the sender needs them (RFC 5176 §3.1)."""
        states = build_attribute(AttributeType.PROXY_STATE, b"of another proxy")
        world.send(change(OPERATOR + FRESH + states), HOME_ADDRESS)
        flow, forwarded = world.forward_one()
        assert proxy_states_of(forwarded) == states
        world.answer(flow, sign_response(Code.DISCONNECT_ACK, forwarded.identifier, forwarded.authenticator, b"", AP))
        (octets,) = world.take_answers()
        assert proxy_states_of(parse(octets)) == states

    def test_proxy_of_the_visited_library_gets_all_of_it(self, world: World) -> None:
        """Operator-NAS-Identifier goes unmodified: its meaning is the proxy's (RFC 8559 §3.4)."""
        nas = build_attribute(AttributeType.EXTENDED_1, NAS_NAME)
        operator = build_attribute(AttributeType.OPERATOR_NAME, b"1branch.example")
        world.send(change(operator + FRESH + nas + SESSION), HOME_ADDRESS)
        flow, forwarded = world.forward_one()
        assert flow.host == "192.0.2.4"
        assert operator + FRESH + nas + SESSION in forwarded.octets
        (state,) = values_of(forwarded, AttributeType.PROXY_STATE)
        assert forwarded.octets.endswith(state)
        world.answer(flow, respond(forwarded, Code.DISCONNECT_ACK, keyed=AP))
        (octets,) = world.take_answers()
        assert proxy_states_of(parse(octets)) == b""

    def test_message_authenticator_is_renewed_where_there_was_one(self, world: World) -> None:
        """RFC 5176 §3.4: with zeros in the place of the authenticator."""
        world.send(change(with_message_authenticator=True), HOME_ADDRESS)
        _, forwarded = world.forward_one()
        assert verify_message_authenticator(forwarded, AP) is Verdict.VALID

    def test_repeat_is_not_forwarded_again(self, world: World) -> None:
        """RFC 5176 §2.3: the same octets are one request, and their answer is kept."""
        world.send(change(), HOME_ADDRESS)
        flow, forwarded = world.forward_one()
        world.send(change(), HOME_ADDRESS)
        assert world.take_forwarded() == []
        world.answer(flow, respond(forwarded, Code.DISCONNECT_ACK, keyed=AP))
        (first,) = world.take_answers()
        world.send(change(), HOME_ADDRESS)
        assert world.take_answers() == [first]

    def test_silent_access_point_is_asked_again_and_given_up(self, world: World) -> None:
        """Identical octets, then a NAK at the deadline; never Status-Server, which it does not know."""
        world.send(change(), HOME_ADDRESS)
        ((_, first),) = world.take_forwarded()
        world.run(DEFAULT_POLICY.duration_seconds + 40)
        assert [octets for _, octets in world.take_forwarded()] == [first] * 3
        assert_refused(world, RefusalReason.HOME_SERVER_TIMEOUT, ErrorCause.PROXY_PROCESSING_ERROR)
        assert world.engine.upstreams["visited/ap/coa"].liveness.state.value == "up"

    @pytest.mark.parametrize("answer", [Code.COA_ACK, Code.COA_NAK, Code.ACCESS_ACCEPT, Code.ACCOUNTING_RESPONSE])
    def test_answer_of_another_kind_is_none(self, world: World, answer: Code) -> None:
        """CoA-ACK answers no Disconnect-Request, however well it is signed."""
        world.send(change(), HOME_ADDRESS)
        flow, forwarded = world.forward_one()
        world.answer(flow, respond(forwarded, answer, keyed=AP))
        assert world.take_answers() == []
        assert world.notices.drops[DropReason.CODE_NOT_EXPECTED] == 1

    def test_forged_answer_is_none(self, world: World) -> None:
        """A sender is told that a session has ended by who can end it only."""
        world.send(change(), HOME_ADDRESS)
        flow, forwarded = world.forward_one()
        world.answer(flow, respond(forwarded, Code.DISCONNECT_ACK, keyed=PROXY))
        assert world.take_answers() == []
        assert world.notices.drops[DropReason.RESPONSE_AUTHENTICATOR_WRONG] == 1

    def test_answer_says_why_and_no_more(self, world: World) -> None:
        """Error-Cause comes back to another library; what the access point says of its network does not."""
        world.send(change(), HOME_ADDRESS)
        flow, forwarded = world.forward_one()
        cause = build_attribute(AttributeType.ERROR_CAUSE, int(ErrorCause.SESSION_CONTEXT_NOT_FOUND).to_bytes(4))
        said = cause + build_attribute(AttributeType.TUNNEL_PRIVATE_GROUP_ID, b"40")
        world.answer(flow, respond(forwarded, Code.DISCONNECT_NAK, said, keyed=AP))
        (octets,) = world.take_answers()
        assert error_causes(parse(octets)) == [ErrorCause.SESSION_CONTEXT_NOT_FOUND]
        assert AttributeType.TUNNEL_PRIVATE_GROUP_ID not in parse(octets).types


class TestWhoMay:
    def test_another_library_may_not(self, world: World) -> None:
        """A member that did not let the patron in ends nobody's session (RFC 8559 §4.3)."""
        world.send(change(keyed=FOREIGN), FOREIGN_ADDRESS)
        assert_refused(world, RefusalReason.NOT_HOME_OF_SESSION, ErrorCause.ADMINISTRATIVELY_PROHIBITED)

    def test_visited_library_may_not_either(self) -> None:
        """Its proxy asks its own access points itself; of other libraries' patrons it sends nothing round."""
        world = World(agreed(replace(ACCESS_POINT, is_proxy=True)))
        world.send(change(keyed=AP), ("192.0.2.1", 1))
        assert_refused(world, RefusalReason.NOT_HOME_OF_SESSION, ErrorCause.ADMINISTRATIVELY_PROHIBITED)

    def test_access_point_may_not(self, world: World) -> None:
        """An access point lets nobody in, so it puts nobody out elsewhere, its own library's patrons included."""
        operator = build_attribute(AttributeType.OPERATOR_NAME, b"1branch.example")
        world.send(change(operator + FRESH, name=b"vera@visited.example", keyed=AP), ("192.0.2.1", 1))
        assert_refused(world, RefusalReason.NOT_HOME_OF_SESSION, ErrorCause.ADMINISTRATIVELY_PROHIBITED)

    def test_proxy_of_the_home_library_may(self) -> None:
        """A library whose proxy is a client sends through it."""
        proxy = Client("home/p", "home", "home.example", (ip_network("198.51.100.1/32"),), HOME_SECRET, is_proxy=True)
        world = World(agreed(ACCESS_POINT, proxy))
        world.send(change(), ("198.51.100.1", 1))
        assert world.forward_one()[0].host == "192.0.2.1"

    @pytest.mark.parametrize("name", [b"anna@sub.home.example", b"ANNA@Home.Example"])
    def test_realm_is_found_as_for_a_sign_in(self, world: World, name: bytes) -> None:
        """Sub-realms and capitals belong to the same library as when the patron signed in."""
        world.send(change(name=name), HOME_ADDRESS)
        assert world.forward_one()[0].host == "192.0.2.1"

    @pytest.mark.parametrize(
        "names",
        [b"", user_name() + user_name(b"b@foreign.example"), user_name(b"anna"), user_name(b"a@nowhere.example.org")],
    )
    def test_patron_has_to_be_named_once(self, world: World, names: bytes) -> None:
        """Without a name of a realm nobody knows whose session it is; two names are nobody's."""
        world.send(sign_request(40, 5, b"", names + OPERATOR + FRESH, HOME), HOME_ADDRESS)
        assert_refused(world, RefusalReason.NOT_HOME_OF_SESSION, ErrorCause.ADMINISTRATIVELY_PROHIBITED)

    def test_home_server_may_ask_nothing_else(self, world: World) -> None:
        """A home server that changes sessions has become no access point."""
        world.send(access_request(keyed=HOME), HOME_ADDRESS)
        world.send(sign_request(Code.STATUS_SERVER, 3, bytes(16), b"", HOME), HOME_ADDRESS)
        world.send(sign_request(4, 3, b"", user_name(), HOME), HOME_ADDRESS, world.accounting)
        assert (world.take_answers(), world.take_answers(world.accounting)) == ([], [])
        assert world.notices.drops[DropReason.CODE_NOT_EXPECTED] == 3

    def test_forged_request_gets_silence(self, world: World) -> None:
        """Its authenticator is made with the secret that the sender shares with us (RFC 5176 §2.3)."""
        world.send(change(keyed=FOREIGN), HOME_ADDRESS)
        assert (world.take_answers(), world.take_forwarded()) == ([], [])
        assert world.notices.drops[DropReason.REQUEST_AUTHENTICATOR_WRONG] == 1


class TestWhereItMayGo:
    @pytest.mark.parametrize(("code", "ack", "nak"), KINDS)
    def test_nowhere_in_a_federation_that_does_not_carry_them(self, code: Code, ack: Code, nak: Code) -> None:
        """Off is the default: Unsupported Extension (RFC 5176 §3.5), before anything else is looked at."""
        world = World(replace(agreed(), dynamic_authorization_servers={}))
        world.send(change(b"", code=code), HOME_ADDRESS)
        assert ack != nak
        assert_refused(world, RefusalReason.CHANGES_NOT_CARRIED, ErrorCause.UNSUPPORTED_EXTENSION, nak)

    def test_not_to_a_library_that_did_not_agree(self, world: World) -> None:
        """Its access points have no place for changes."""
        operator = build_attribute(AttributeType.OPERATOR_NAME, b"1closed.example")
        world.send(change(operator + FRESH), HOME_ADDRESS)
        assert_refused(world, RefusalReason.CHANGES_NOT_AGREED, ErrorCause.ADMINISTRATIVELY_PROHIBITED)

    @pytest.mark.parametrize(
        "names",
        [
            [],
            [b"1nowhere.example.org"],
            [b"0visited.example"],
            [b"visited.example"],
            [b"1"],
            [b"1\xff\xfe"],
            [b"1visited.example", b"1branch.example"],
        ],
    )
    def test_operator_that_nobody_is_leads_nowhere(self, world: World, names: list[bytes]) -> None:
        """Request Not Routable: absent, unknown, no realm, or two of them (RFC 8559 §3.1)."""
        operators = b"".join(build_attribute(AttributeType.OPERATOR_NAME, name) for name in names)
        world.send(change(operators + FRESH), HOME_ADDRESS)
        assert_refused(world, RefusalReason.UNROUTABLE, ErrorCause.REQUEST_NOT_ROUTABLE)

    def test_nobody_is_called_nothing(self) -> None:
        """A library without a name is not found by an empty one."""
        world = World(agreed(replace(ACCESS_POINT, library="nameless", operator_name="")))
        world.send(change(build_attribute(AttributeType.OPERATOR_NAME, b"1") + FRESH), HOME_ADDRESS)
        assert_refused(world, RefusalReason.UNROUTABLE, ErrorCause.REQUEST_NOT_ROUTABLE)

    def test_name_of_a_realm_is_its_owners(self) -> None:
        """Nobody draws another library's changes to itself by calling its access points like it."""
        liar = replace(SECOND, key="liar/ap", library="liar", operator_name="visited.example")
        world = World(agreed(liar, ACCESS_POINT))
        world.send(change(), HOME_ADDRESS)
        assert world.forward_one()[0].host == "192.0.2.1"

    @pytest.mark.parametrize(
        ("attributes", "host"),
        [
            (build_attribute(AttributeType.EXTENDED_1, b"\x08fedcba9876543210"), "192.0.2.2"),
            (build_attribute(AttributeType.NAS_IP_ADDRESS, bytes((192, 0, 2, 2))), "192.0.2.2"),
            (
                build_attribute(AttributeType.NAS_IPV6_ADDRESS, ip_network("2001:db8::2").network_address.packed),
                "192.0.2.2",
            ),
            (build_attribute(AttributeType.NAS_IP_ADDRESS, bytes((192, 0, 2, 1))), "192.0.2.1"),
        ],
    )
    def test_goes_to_the_access_point_that_is_meant(self, attributes: bytes, host: str) -> None:
        """By the name that we gave it, or by its own address (RFC 8559 §3.4, RFC 5176 §3)."""
        world = World(agreed(ACCESS_POINT, SECOND))
        world.send(change(OPERATOR + FRESH + attributes), HOME_ADDRESS)
        assert world.forward_one()[0].host == host

    @pytest.mark.parametrize(
        "attributes",
        [
            b"",
            build_attribute(AttributeType.NAS_IP_ADDRESS, bytes((10, 0, 0, 1))),
            build_attribute(AttributeType.NAS_IP_ADDRESS, b"\x01"),
            build_attribute(AttributeType.EXTENDED_1, b"\x08nobody's"),
        ],
    )
    def test_one_of_several_has_to_be_named(self, attributes: bytes) -> None:
        """A session is not ended at every access point in turn: NAS Identification Mismatch (RFC 5176 §3.6)."""
        world = World(agreed(ACCESS_POINT, SECOND))
        world.send(change(OPERATOR + FRESH + attributes), HOME_ADDRESS)
        assert_refused(world, RefusalReason.NAS_NOT_IDENTIFIED, ErrorCause.NAS_IDENTIFICATION_MISMATCH)

    def test_ring_is_ended(self, world: World) -> None:
        """What has been here before goes no further."""
        ours = build_attribute(AttributeType.PROXY_STATE, LoopGuard(b"k" * 32).make(b"once"))
        world.send(change(OPERATOR + FRESH + ours), HOME_ADDRESS)
        assert_refused(world, RefusalReason.LOOP, ErrorCause.REQUEST_NOT_ROUTABLE)

    def test_chain_without_end_is_ended(self, world: World) -> None:
        """So many Proxy-States have only those that go round."""
        world.send(change(OPERATOR + FRESH + build_attribute(AttributeType.PROXY_STATE, b"x") * 17), HOME_ADDRESS)
        assert_refused(world, RefusalReason.TOO_MANY_HOPS, ErrorCause.REQUEST_NOT_ROUTABLE)

    def test_sender_is_not_sent_its_own(self) -> None:
        """A library's proxy that asks for its own network has asked the wrong one."""
        own = replace(VISITED_PROXY, library="home", operator_name="home.example", secret=HOME_SECRET)
        world = World(agreed(ACCESS_POINT, own))
        operator = build_attribute(AttributeType.OPERATOR_NAME, b"1home.example")
        world.send(change(operator + FRESH), ("192.0.2.4", 1))
        assert_refused(world, RefusalReason.LOOP_BACK, ErrorCause.REQUEST_NOT_ROUTABLE)

    def test_port_that_can_not_be_opened_is_said(self, world: World) -> None:
        """The sender hears it at once."""
        world.is_network_up = False
        world.send(change(), HOME_ADDRESS)
        assert_refused(world, RefusalReason.NO_LIVE_HOME_SERVER, ErrorCause.REQUEST_NOT_ROUTABLE)


class TestFreshness:
    @pytest.mark.parametrize("seconds", [-300, 0, 300])
    def test_five_minutes_are_fresh(self, world: World, seconds: int) -> None:
        """Clocks differ a little (RFC 5176 §6.3)."""
        world.send(change(OPERATOR + build_attribute(55, (NOW + seconds).to_bytes(4))), HOME_ADDRESS)
        world.forward_one()

    @pytest.mark.parametrize(
        "value", [(NOW - 301).to_bytes(4), (NOW + 301).to_bytes(4), bytes(4), b"\xff" * 4, b"\x00", NOW.to_bytes(8)]
    )
    def test_replay_gets_silence(self, world: World, value: bytes) -> None:
        """What is older, or is no time at all, is dropped without a word (RFC 5176 §6.3)."""
        world.send(change(OPERATOR + build_attribute(55, value)), HOME_ADDRESS)
        assert (world.take_answers(), world.take_forwarded()) == ([], [])
        assert dict(world.notices.drops) == {DropReason.EVENT_TIMESTAMP_STALE: 1}

    def test_fresh_time_beside_a_stale_one_helps_nobody(self, world: World) -> None:
        """Which of two the access point would read is not ours to guess."""
        world.send(change(OPERATOR + FRESH + build_attribute(55, bytes(4))), HOME_ADDRESS)
        assert world.notices.drops[DropReason.EVENT_TIMESTAMP_STALE] == 1

    def test_request_without_time_is_refused(self, world: World) -> None:
        """It could be replayed for ever."""
        world.send(change(OPERATOR + SESSION), HOME_ADDRESS)
        assert_refused(world, RefusalReason.EVENT_TIMESTAMP_MISSING, ErrorCause.MISSING_ATTRIBUTE)

    def test_access_point_may_do_without(self) -> None:
        """Where the visited library says so, for senders that can not."""
        world = World(agreed(replace(ACCESS_POINT, requires_event_timestamp=False)))
        world.send(change(OPERATOR + SESSION), HOME_ADDRESS)
        world.forward_one()


class TestWhatMayChange:
    @pytest.mark.parametrize(
        "attribute",
        [
            build_attribute(AttributeType.SESSION_TIMEOUT, (28_800).to_bytes(4)),
            build_attribute(AttributeType.IDLE_TIMEOUT, (60).to_bytes(4)),
            build_attribute(AttributeType.ACCT_INTERIM_INTERVAL, (600).to_bytes(4)),
        ],
    )
    def test_how_long_may(self, world: World, attribute: bytes) -> None:
        """The home library says how long its patron may stay, within the bounds of a sign-in."""
        world.send(change(OPERATOR + FRESH + attribute, code=Code.COA_REQUEST), HOME_ADDRESS)
        assert attribute in world.forward_one()[1].octets

    @pytest.mark.parametrize(
        "attribute",
        [
            build_attribute(AttributeType.TUNNEL_PRIVATE_GROUP_ID, b"40"),
            build_attribute(AttributeType.TUNNEL_TYPE, bytes(4)),
            build_attribute(AttributeType.FILTER_ID, b"open"),
            build_attribute(AttributeType.CLASS, b"x"),
            build_attribute(AttributeType.FRAMED_IP_ADDRESS, bytes(4)),
            build_vendor_attribute(VendorId.CISCO, 1, b"subscriber:command=bounce-host-port"),
            build_attribute(AttributeType.EXTENDED_1, b"\x01\x00"),
            bytes((AttributeType.EXTENDED_1, 2)),
            build_attribute(AttributeType.SESSION_TIMEOUT, (28_801).to_bytes(4)),
            build_attribute(AttributeType.SESSION_TIMEOUT, b"\x01"),
            build_attribute(AttributeType.ACCT_INTERIM_INTERVAL, (1).to_bytes(4)),
            build_attribute(AttributeType.USER_PASSWORD, bytes(16)),
        ],
    )
    def test_visited_network_is_not_the_home_librarys(self, world: World, attribute: bytes) -> None:
        """VLAN, filter, address, vendors' commands, values out of bounds: all of the change is refused (§2.2)."""
        world.send(change(OPERATOR + FRESH + attribute, code=Code.COA_REQUEST), HOME_ADDRESS)
        assert_refused(world, RefusalReason.CHANGE_NOT_ALLOWED, ErrorCause.UNSUPPORTED_ATTRIBUTE, Code.COA_NAK)

    def test_end_of_a_session_changes_nothing_else(self, world: World) -> None:
        """Disconnect-Request names a session and says no more (RFC 5176 §3.6)."""
        world.send(change(OPERATOR + FRESH + build_attribute(27, bytes(4))), HOME_ADDRESS)
        assert_refused(world, RefusalReason.CHANGE_NOT_ALLOWED, ErrorCause.UNSUPPORTED_ATTRIBUTE)

    def test_authorising_anew_is_not_carried(self, world: World) -> None:
        """Service-Type would have the access point ask again (RFC 5176 §3.2): Unsupported Service."""
        world.send(change(OPERATOR + FRESH + build_attribute(6, bytes(4)), code=Code.COA_REQUEST), HOME_ADDRESS)
        assert_refused(world, RefusalReason.SERVICE_NOT_SUPPORTED, ErrorCause.UNSUPPORTED_SERVICE, Code.COA_NAK)

    def test_within_a_library_it_is_the_librarys_own(self) -> None:
        """A library's own server may move its own patron to another VLAN at its own access point."""
        own = replace(ACCESS_POINT, library="home", operator_name="home.example")
        world = World(agreed(own))
        operator = build_attribute(AttributeType.OPERATOR_NAME, b"1home.example")
        vlan = build_attribute(AttributeType.TUNNEL_PRIVATE_GROUP_ID, b"40")
        world.send(change(operator + FRESH + vlan, code=Code.COA_REQUEST), HOME_ADDRESS)
        assert vlan in world.forward_one()[1].octets

    @pytest.mark.parametrize(
        "hidden",
        [
            build_attribute(AttributeType.TUNNEL_PASSWORD, bytes(19)),
            build_attribute(AttributeType.USER_PASSWORD, bytes(16)),
            build_vendor_attribute(VendorId.MICROSOFT, MicrosoftAttribute.MPPE_SEND_KEY, bytes(34)),
        ],
    )
    def test_nothing_hidden_even_there(self, hidden: bytes) -> None:
        """It is hidden with an authenticator that is computed over it: such attributes are not sent in CoA."""
        own = replace(ACCESS_POINT, library="home", operator_name="home.example")
        world = World(agreed(own))
        operator = build_attribute(AttributeType.OPERATOR_NAME, b"1home.example")
        world.send(change(operator + FRESH + hidden, code=Code.COA_REQUEST), HOME_ADDRESS)
        assert_refused(world, RefusalReason.CHANGE_NOT_ALLOWED, ErrorCause.UNSUPPORTED_ATTRIBUTE, Code.COA_NAK)

    def test_tables_have_nothing_of_the_network(self) -> None:
        """VLAN, filter, role, address, passwords and vendors are in neither table."""
        kinds = {2, 3, 6, 8, 9, 11, 24, 25, 26, 56, 58, 64, 65, 69, 79, 81, 92, 97, 123}
        assert not kinds & (SESSION_ATTRIBUTES | CHANGEABLE_ATTRIBUTES)


class TestWhatTheHomeServerLearns:
    def test_access_point_that_takes_changes_has_a_name(self, world: World) -> None:
        """Operator-NAS-Identifier goes along with a sign-in, opaque, for the way back (RFC 8559 §3.4)."""
        world.send(access_request(build_attribute(AttributeType.EXTENDED_1, b"\x08forged") + build_eap()))
        _, forwarded = world.forward_one()
        assert values_of(forwarded, AttributeType.EXTENDED_1) == [b"\x08" + ACCESS_POINT.operator_nas_identifier]

    def test_others_have_none(self, world: World) -> None:
        """Nothing is told of an access point that takes no changes."""
        world.send(access_request(), ("192.0.2.3", 1))
        _, forwarded = world.forward_one()
        assert AttributeType.EXTENDED_1 not in forwarded.types

    @pytest.mark.parametrize(
        ("said", "told"), [(NAS_NAME, NAS_NAME), (b"\x01other", b"\x08" + ACCESS_POINT.operator_nas_identifier)]
    )
    def test_what_a_proxy_says_is_kept(self, world: World, said: bytes, told: bytes) -> None:
        """A proxy's own name for its access point goes unmodified; any other extended attribute stays behind."""
        attributes = build_eap() + build_attribute(AttributeType.EXTENDED_1, said)
        world.send(access_request(attributes), ("192.0.2.4", 1))
        _, forwarded = world.forward_one()
        assert values_of(forwarded, AttributeType.EXTENDED_1) == [told]


def build_eap() -> bytes:
    return build_attribute(AttributeType.EAP_MESSAGE, b"\x02\x01\x00\x0d\x01anon@x.y")


class TestOthersAreNotHurt:
    def test_changes_take_nothing_of_sign_ins(self, world: World) -> None:
        """They wait in the books of what is no sign-in."""
        world.send(change(), HOME_ADDRESS)
        protection = world.engine.protection
        assert (protection.clients.count_of("home/1/coa"), protection.other_clients.count_of("home/1/coa")) == (0, 1)

    def test_home_server_still_answers_sign_ins(self, world: World) -> None:
        """One address, two roles: it asks on one port and answers on another."""
        world.send(access_request())
        flow, forwarded = world.forward_one()
        world.answer(flow, respond(forwarded))
        assert [octets[0] for octets in world.take_answers()] == [Code.ACCESS_ACCEPT]
        assert home_server().host == HOME_ADDRESS[0]
