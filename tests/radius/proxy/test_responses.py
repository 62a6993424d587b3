"""What becomes of a home server's answer, and what is not believed."""

from dataclasses import replace

import pytest

from federation.events import Outcome
from federation.snapshot import Realm
from radius.errors import DropReason
from radius.wire.attributes import find_vendor
from radius.wire.authenticators import sign_response
from radius.wire.codes import AttributeType, Code
from radius.wire.hiding import reveal_salted
from radius.wire.packet import Packet, attributes, build_attribute
from tests.radius.proxy.world import (
    ACCESS_POINT,
    AP,
    HOME,
    KEY,
    MICROSOFT,
    PROXY,
    FakeFlow,
    World,
    access_request,
    eap,
    home_server,
    is_signed,
    make_snapshot,
    mppe_keys,
    parse,
    proxy_states_of,
    respond,
)

AUTHENTICATOR = bytes(range(16))
VLAN = build_attribute(64, b"\x00\x00\x00\x0d") + build_attribute(65, b"\x00\x00\x00\x06") + build_attribute(81, b"666")


@pytest.fixture
def world() -> World:
    return World(make_snapshot())


def ask(world: World, body: bytes | None = None) -> tuple[FakeFlow, Packet]:
    world.send(access_request(body))
    return world.forward_one()


def answer_of(world: World) -> Packet:
    """The one answer that the access point got, which it can believe."""
    (octets,) = world.take_answers()
    assert is_signed(octets, AP, AUTHENTICATOR)
    return parse(octets)


class TestRelay:
    def test_accept_arrives_with_the_keys_of_the_radio_link(self, world: World) -> None:
        """Hidden for us by the home server, revealed by the access point (RFC 2548 §2.4.2-3)."""
        flow, request = ask(world)
        world.answer(flow, respond(request, attributes=eap(b"\x03\x01\x00\x04") + mppe_keys(request.authenticator)))
        answer = answer_of(world)
        assert (answer.code, answer.identifier) == (Code.ACCESS_ACCEPT, 7)
        for kind in (16, 17):
            hidden = find_vendor(answer, MICROSOFT, kind)
            assert hidden is not None
            assert reveal_salted(hidden, AP, AUTHENTICATOR) == KEY

    def test_challenge_arrives_with_its_state(self, world: World) -> None:
        """State is never changed (RFC 2865 §5.24)."""
        flow, request = ask(world)
        world.answer(
            flow, respond(request, Code.ACCESS_CHALLENGE, build_attribute(24, b"state") + eap(b"\x01\x02\x00\x05\x15"))
        )
        assert answer_of(world).value_of(AttributeType.STATE) == b"state"
        assert world.events == []

    def test_what_a_client_needs_of_an_answer_arrives_untouched(self, world: World) -> None:
        """State, Class and the User-Name for accounting are the home server's, octet for octet, from a member too."""
        kept = [
            (AttributeType.USER_NAME, b"alias@HOME.example"),
            (AttributeType.STATE, bytes(range(64))),
            (AttributeType.CLASS, b"\0one"),
            (AttributeType.CLASS, b"two\xff"),
        ]
        flow, request = ask(world)
        body = b"".join(build_attribute(kind, value) for kind, value in kept)
        world.answer(flow, respond(request, attributes=body))
        (octets,) = world.take_answers()
        kinds = {int(kind) for kind, _ in kept}
        assert [(kind, value) for _, kind, value in attributes(parse(octets)) if kind in kinds] == kept

    def test_reject_is_relayed_at_once(self, world: World) -> None:
        """A proxy does not delay a no; the home server has done so."""
        flow, request = ask(world)
        world.answer(flow, respond(request, Code.ACCESS_REJECT))
        assert answer_of(world).code == Code.ACCESS_REJECT
        assert world.notices.refusals == {"refused_by_home": 1}

    def test_our_proxy_state_is_gone_and_the_clients_are_back(self, world: World) -> None:
        """RFC 2865 §5.33."""
        states = build_attribute(33, b"one") + build_attribute(33, b"two")
        flow, request = ask(world, eap() + states)
        world.answer(flow, respond(request))
        assert proxy_states_of(answer_of(world)) == states

    def test_lost_proxy_states_are_put_back(self, world: World) -> None:
        """A home server that returned only ours was careless; the client gets what it sent (RFC 2865 §2.3)."""
        states = build_attribute(33, b"one") + build_attribute(33, b"two")
        flow, request = ask(world, eap() + states)
        ours = proxy_states_of(request)[len(states) :]
        world.answer(flow, sign_response(2, request.identifier, request.authenticator, ours, HOME))
        assert proxy_states_of(answer_of(world)) == states

    def test_network_of_the_visitor_is_not_the_homes_to_choose(self, world: World) -> None:
        """VLAN, filter, role, an endless session and a report a second do not come from another member."""
        role = build_attribute(26, (14823).to_bytes(4) + b"\x01\x06root")
        session = build_attribute(27, (999_999).to_bytes(4)) + build_attribute(85, (1).to_bytes(4))
        flow, request = ask(world)
        world.answer(flow, respond(request, attributes=VLAN + build_attribute(11, b"open") + role + session))
        assert set(answer_of(world).types) == {AttributeType.MESSAGE_AUTHENTICATOR}

    def test_guest_vlan_of_the_visited_library_is_added_to_an_accept(self) -> None:
        """The visited library says where visitors go (RFC 3580 §3.31)."""
        world = World(make_snapshot(clients=(replace(ACCESS_POINT, guest_vlan=40),)))
        flow, request = ask(world)
        world.answer(flow, respond(request, attributes=VLAN))
        answer = answer_of(world)
        assert answer.value_of(81) == b"40"
        assert answer.types.count(81) == 1
        assert answer.value_of(64) == b"\x00\x00\x00\x0d"

    def test_guest_vlan_is_not_added_to_a_challenge(self) -> None:
        """Only an Accept puts anybody into a network."""
        world = World(make_snapshot(clients=(replace(ACCESS_POINT, guest_vlan=40),)))
        flow, request = ask(world)
        world.answer(flow, respond(request, Code.ACCESS_CHALLENGE))
        assert 81 not in answer_of(world).types

    def test_within_a_library_the_home_server_chooses(self) -> None:
        """A patron at home gets what the library's own server says, and no guest VLAN."""
        world = World(
            make_snapshot(
                clients=(replace(ACCESS_POINT, guest_vlan=40),),
                realms={"home.example": Realm("home.example", "visited", ("home/1",))},
            )
        )
        flow, request = ask(world)
        world.answer(flow, respond(request, attributes=VLAN))
        assert answer_of(world).value_of(81) == b"666"

    def test_reply_message_next_to_eap_is_removed(self, world: World) -> None:
        """RFC 3579 §2.6.5."""
        flow, request = ask(world)
        world.answer(flow, respond(request, 3, eap(b"\x04\x01\x00\x04") + build_attribute(18, b"no")))
        assert AttributeType.REPLY_MESSAGE not in answer_of(world).types

    def test_outcome_is_an_event(self, world: World) -> None:
        """Who asked, whose patron it was, which server decided, how long it took; no name of a patron."""
        flow, request = ask(world)
        world.now += 0.25
        world.answer(flow, respond(request))
        (event,) = world.events
        assert event.outcome is Outcome.ACCEPTED
        assert (event.visited, event.home, event.realm, event.home_server) == (
            "visited",
            "home",
            "home.example",
            "home/1",
        )
        assert event.seconds == pytest.approx(0.25)
        assert event.revision == 1

    def test_accept_for_a_client_that_has_moved_on_is_not_told(self, world: World) -> None:
        """Nobody gets the answer to a request whose Identifier asks something else now: there was no sign-in."""
        world.send(access_request(identifier=7, authenticator=b"a" * 16))
        flow, request = world.forward_one()
        world.send(access_request(identifier=7, authenticator=b"b" * 16))
        world.told.clear()
        world.answer(flow, respond(request))
        assert world.take_answers() == []
        assert world.events == []
        assert world.engine.clients.states["visited/ap"].accepts == 0

    def test_counters_tell_clients_and_home_servers_apart(self, world: World) -> None:
        """Operators see who asks and who answers."""
        flow, request = ask(world)
        world.answer(flow, respond(request))
        world.send(access_request(name=b"a@nobody.org", identifier=9))
        client = world.engine.clients.find("192.0.2.1")
        assert client is not None
        assert client.counters() == {
            "requests": 2,
            "accepts": 1,
            "rejects": 0,
            "refusals": 1,
            "message_authenticator_first": 2,
            "message_authenticator_later": 0,
            "message_authenticator_missing": 0,
            "message_authenticator_required": 1,
        }
        upstream = world.engine.upstreams["home/1"].counters()
        assert (upstream["requests"], upstream["answers"], upstream["outstanding"]) == (1, 1, 0)
        places = [upstream[f"message_authenticator_{place}"] for place in ("first", "later", "missing", "required")]
        assert places == [1, 0, 0, 1]
        assert world.engine.outstanding == 0


class TestDisbelief:
    def test_answer_with_a_wrong_authenticator_changes_nothing(self, world: World) -> None:
        """Anybody can send it: the request goes on waiting, and is repeated (RFC 2865 §3)."""
        flow, request = ask(world)
        world.answer(flow, respond(request, keyed=PROXY))
        assert world.take_answers() == []
        assert world.notices.drops == {DropReason.RESPONSE_AUTHENTICATOR_WRONG: 1}
        world.answer(flow, respond(request))
        assert answer_of(world).code == Code.ACCESS_ACCEPT

    def test_answer_without_message_authenticator_is_dropped(self, world: World) -> None:
        """A home server is required to send one (CVE-2024-3596)."""
        flow, request = ask(world)
        octets = sign_response(
            2,
            request.identifier,
            request.authenticator,
            proxy_states_of(request),
            HOME,
            with_message_authenticator=False,
        )
        world.answer(flow, octets)
        assert world.take_answers() == []
        assert world.notices.drops == {DropReason.MESSAGE_AUTHENTICATOR_MISSING: 1}

    @pytest.mark.parametrize("code", [1, 4, 5, 12, 41, 255])
    def test_answer_of_another_kind_is_dropped(self, world: World, code: int) -> None:
        """An Access-Request is answered with Accept, Reject or Challenge."""
        flow, request = ask(world)
        world.answer(flow, respond(request, code))
        assert world.take_answers() == []
        assert world.notices.drops == {DropReason.CODE_NOT_EXPECTED: 1}

    def test_answer_nobody_waits_for_is_dropped(self, world: World) -> None:
        """Wrong identifier, or a second answer to one request."""
        flow, request = ask(world)
        world.answer(flow, respond(request))
        world.take_answers()
        world.answer(flow, respond(request))
        world.answer(flow, sign_response(2, 99, request.authenticator, b"", HOME))
        assert world.take_answers() == []
        assert world.notices.drops == {DropReason.UNMATCHED_RESPONSE: 2}

    def test_malformed_answer_is_dropped(self, world: World) -> None:
        """It stops nothing."""
        flow, request = ask(world)
        world.answer(flow, respond(request)[:-1])
        assert world.notices.drops == {DropReason.LENGTH_FIELD: 1}
        assert world.engine.outstanding == 1

    @pytest.mark.parametrize("states", [b"", build_attribute(33, b"another one!"), build_attribute(33, b"x")])
    def test_answer_without_our_proxy_state_is_dropped(self, world: World, states: bytes) -> None:
        """Whoever changes them may be building a collision (CVE-2024-3596)."""
        flow, request = ask(world)
        world.answer(flow, sign_response(2, request.identifier, request.authenticator, states, HOME))
        assert world.take_answers() == []
        assert world.notices.drops == {DropReason.PROXY_STATE_ALTERED: 1}

    def test_answer_with_a_key_of_a_wrong_length_is_dropped(self, world: World) -> None:
        """A key that can not be moved is no key (RFC 2548 §2.4.2)."""
        flow, request = ask(world)
        key = build_attribute(26, MICROSOFT.to_bytes(4) + b"\x10\x05abc")
        world.answer(flow, respond(request, attributes=key))
        assert world.take_answers() == []
        assert world.notices.drops == {DropReason.MPPE_KEY_MALFORMED: 1}

    def test_answer_that_does_not_fit_becomes_a_refusal(self, world: World) -> None:
        """With what we add it would exceed 4096 octets: the client hears no, at once."""
        world.engine.swap(make_snapshot(clients=(replace(ACCESS_POINT, guest_vlan=4000),)))
        flow, request = ask(world)
        filler = build_attribute(25, b"c" * 253) * 15 + build_attribute(25, b"c" * 215)
        world.answer(flow, respond(request, attributes=filler))
        assert answer_of(world).code == Code.ACCESS_REJECT
        assert world.notices.refusals == {"too_large": 1}

    def test_answer_on_another_source_port_is_dropped(self, world: World) -> None:
        """Identifier and source port belong together."""
        snapshot = make_snapshot(
            home_server("home/1"),
            home_server("other/1", "203.0.113.2"),
            realms={
                "home.example": Realm("home.example", "home", ("home/1",)),
                "other.example": Realm("other.example", "other", ("other/1",)),
            },
        )
        world.engine.swap(snapshot)
        _, request = ask(world)
        world.send(access_request(name=b"a@other.example", identifier=8))
        other, _ = world.forward_one()
        world.answer(other, respond(request))
        assert world.take_answers() == []

    def test_late_answer_is_counted_and_marks_the_hop_alive(self, world: World) -> None:
        """The client has its refusal already, but the home server is seen to live."""
        flow, request = ask(world)
        world.run(21.0)
        assert world.engine.upstreams["home/1"].is_down
        assert [octets[0] for octets in world.take_answers()] == [Code.ACCESS_REJECT]
        world.answer(flow, respond(request))
        assert world.take_answers() == []
        assert world.notices.drops[DropReason.LATE_RESPONSE] == 1
        assert not world.engine.upstreams["home/1"].is_down

    def test_forged_late_answer_marks_nothing(self, world: World) -> None:
        """Without the secret nobody can say that a home server lives."""
        flow, request = ask(world)
        world.run(21.0)
        world.answer(flow, respond(request, keyed=PROXY))
        assert world.engine.upstreams["home/1"].is_down
