"""What the engine does as time passes: repeats, deadlines, checks, fail-over, swaps."""

from dataclasses import replace

import pytest

from federation.events import Outcome
from federation.reasons import RefusalReason
from federation.snapshot import Realm, SharedSecret
from radius.errors import DropReason
from radius.wire.authenticators import KeyedSecret, Verdict, sign_response, verify_message_authenticator
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import build_attribute
from tests.radius.proxy.world import (
    ACCESS_POINT,
    AP,
    HOME,
    HOME_SECRET,
    PROXY,
    PROXY_ADDRESS,
    World,
    access_request,
    eap,
    home_server,
    is_signed,
    make_snapshot,
    parse,
    respond,
)

AUTHENTICATOR = bytes(range(16))
TWO_SERVERS = (home_server("home/1", "203.0.113.1"), home_server("home/2", "203.0.113.2"))


@pytest.fixture
def world() -> World:
    return World(make_snapshot())


def take_down(world: World, host: str) -> None:
    """Let a home server be silent until it is believed to be down."""
    name = next(key for key, upstream in world.engine.upstreams.items() if upstream.server.host == host)
    world.send(access_request(identifier=250, authenticator=b"d" * 16))
    world.run(15.0)
    assert world.engine.upstreams[name].is_down
    world.take_forwarded()
    world.take_answers()


class TestRepeat:
    def test_unanswered_request_is_sent_again_with_the_same_octets(self, world: World) -> None:
        """RFC 5080 §2.2.1: after 2, then 4, then 8 seconds."""
        world.send(access_request())
        _, first = world.take_forwarded()[0]
        sent_at = [world.now]
        while world.now < 1019.9:
            world.run(0.1)
            for _, octets in world.take_forwarded():
                if octets[0] == Code.ACCESS_REQUEST:
                    assert octets == first
                    sent_at.append(world.now)
        assert [round(at - sent_at[0]) for at in sent_at] == [0, 2, 6, 14]

    def test_answered_request_is_not_sent_again(self, world: World) -> None:
        """Nothing is left of it in the schedule."""
        world.send(access_request())
        flow, request = world.forward_one()
        world.answer(flow, respond(request))
        world.run(60.0)
        assert world.take_requests() == []
        assert len(world.engine.duplicates) == 0

    def test_access_point_gets_a_refusal_at_the_deadline(self, world: World) -> None:
        """20 seconds, below what its own three tries take; signed, and kept for its repeats."""
        world.send(access_request())
        world.run(19.9)
        assert world.take_answers() == []
        world.run(0.2)
        (octets,) = world.take_answers()
        assert octets[0] == Code.ACCESS_REJECT
        assert is_signed(octets, AP, AUTHENTICATOR)
        assert world.notices.refusals == {"home_server_timeout": 1}
        assert world.engine.outstanding == 0
        (event,) = world.events
        assert (event.reason, event.home_server) == (RefusalReason.HOME_SERVER_TIMEOUT, "home/1")
        assert event.seconds == pytest.approx(20.0, abs=0.05)

    def test_proxy_gets_silence_at_the_deadline(self, world: World) -> None:
        """It may know another way, and one slow login is no final no at every hop."""
        world.send(access_request(keyed=PROXY), PROXY_ADDRESS)
        world.run(21.0)
        assert world.take_answers() == []
        assert world.notices.drops[DropReason.HOP_TIMEOUT_SILENT] == 1
        assert [event.outcome for event in world.events] == [Outcome.UNANSWERED]
        world.send(access_request(keyed=PROXY), PROXY_ADDRESS)
        assert any(octets[0] == Code.ACCESS_REQUEST for _, octets in world.take_forwarded())

    def test_client_that_moved_on_ends_the_repeats(self, world: World) -> None:
        """RFC 5080 §2.2.2: what nobody waits for is not sent again."""
        world.send(access_request())
        world.take_forwarded()
        world.send(access_request(authenticator=b"n" * 16))
        ((flow, octets),) = world.take_forwarded()
        world.answer(flow, respond(parse(octets)))
        world.run(5.0)
        assert world.take_forwarded() == []
        assert world.engine.outstanding == 0


class TestWatch:
    def test_silent_home_server_is_asked_with_status_server(self, world: World) -> None:
        """New authenticator each time, identifier 0, signed, and nothing else in it (RFC 5997 §3, §4.1)."""
        world.send(access_request())
        world.run(10.0)
        checks = [octets for _, octets in world.take_forwarded() if octets[0] == Code.STATUS_SERVER]
        assert len(checks) >= 2
        assert len({octets[4:20] for octets in checks}) == len(checks)
        packet = parse(checks[0])
        assert packet.identifier == 0
        assert bytes(packet.types) == bytes((AttributeType.MESSAGE_AUTHENTICATOR,))
        assert verify_message_authenticator(packet, HOME) is Verdict.VALID

    def test_answered_check_means_that_only_the_realm_is_silent(self, world: World) -> None:
        """The hop is up, and the request goes on waiting."""
        world.send(access_request())
        world.run(2.5)
        ((flow, octets),) = [sent for sent in world.take_forwarded() if sent[1][0] == Code.STATUS_SERVER]
        world.answer(flow, respond(parse(octets)))
        assert not world.engine.upstreams["home/1"].is_down
        assert world.lines[-1] == ("home_server_state", {"peer": "home/1", "state": "up"})
        world.run(1.0)
        assert world.take_forwarded() == []

    def test_forged_answer_to_a_check_is_dropped(self, world: World) -> None:
        """Without the secret nobody can say that a home server lives."""
        world.send(access_request())
        world.run(2.5)
        flow, octets = world.take_forwarded()[-1]
        world.answer(flow, respond(parse(octets), keyed=PROXY))
        assert world.notices.drops == {DropReason.RESPONSE_AUTHENTICATOR_WRONG: 1}
        world.answer(flow, respond(parse(octets), Code.ACCESS_CHALLENGE))
        assert world.notices.drops[DropReason.UNMATCHED_RESPONSE] == 1

    def test_answer_to_a_check_that_nobody_sent_is_dropped(self, world: World) -> None:
        """Identifier 0 is never a request's."""
        world.send(access_request())
        flow, request = world.forward_one()
        world.answer(flow, sign_response(2, 0, request.authenticator, b"", HOME))
        assert world.notices.drops == {DropReason.UNMATCHED_RESPONSE: 1}

    def test_home_server_that_is_back_is_used_again(self) -> None:
        """After three answered checks the first in order is the first again."""
        world = World(make_snapshot(*TWO_SERVERS))
        take_down(world, "203.0.113.1")
        for _ in range(400):
            world.run(0.1)
            for flow, octets in world.take_forwarded():
                if octets[0] == Code.STATUS_SERVER:
                    world.answer(flow, respond(parse(octets)))
        world.send(access_request(authenticator=b"z" * 16))
        flow, _ = world.forward_one()
        assert flow.host == "203.0.113.1"

    def test_checks_end_when_the_home_server_is_removed(self, world: World) -> None:
        """Nobody asks how a removed one is."""
        take_down(world, "203.0.113.1")
        world.engine.swap(make_snapshot(home_server("home/9", "203.0.113.9"), revision=2))
        world.run(40.0)
        world.take_forwarded()
        world.run(100.0)
        assert world.take_forwarded() == []


class TestFailOver:
    def test_waiting_request_moves_when_its_home_server_goes_down(self) -> None:
        """The access point gets its answer from the second server, within its own patience."""
        world = World(make_snapshot(*TWO_SERVERS))
        world.send(access_request())
        world.run(16.0)
        moved = [(flow, octets) for flow, octets in world.take_forwarded() if flow.host == "203.0.113.2"]
        ((flow, octets),) = moved
        world.answer(flow, respond(parse(octets)))
        (answer,) = world.take_answers()
        assert answer[0] == Code.ACCESS_ACCEPT
        assert world.engine.outstanding == 0

    def test_next_requests_go_to_the_second_at_once(self) -> None:
        """Fail-over is on failure only, and then for all."""
        world = World(make_snapshot(*TWO_SERVERS))
        take_down(world, "203.0.113.1")
        world.send(access_request())
        flow, _ = world.forward_one()
        assert flow.host == "203.0.113.2"

    def test_refusal_is_an_answer_and_moves_nothing(self) -> None:
        """A Reject from the first is the answer."""
        world = World(make_snapshot(*TWO_SERVERS))
        for number in range(5):
            world.send(access_request(identifier=number, authenticator=bytes((number,)) * 16))
            flow, request = world.forward_one()
            assert flow.host == "203.0.113.1"
            world.answer(flow, respond(request, Code.ACCESS_REJECT))

    def test_request_that_can_not_move_is_refused(self) -> None:
        """When the second can not be reached either, the client hears so."""
        world = World(make_snapshot(*TWO_SERVERS))
        world.send(access_request())
        world.is_network_up = False
        world.run(16.0)
        assert [octets[0] for octets in world.take_answers()] == [Code.ACCESS_REJECT]
        assert world.notices.refusals == {"no_live_home_server": 1}
        assert world.engine.outstanding == 0

    def test_conversation_stays_with_the_server_that_issued_its_state(self) -> None:
        """A round of EAP must not meet another server, even when the first in order is back."""
        hosted = tuple(
            replace(server, key=f"hosted/{number}", library=None, is_hosted=True)
            for number, server in enumerate(TWO_SERVERS)
        )
        world = World(make_snapshot(*hosted))
        hosts = set[str]()
        for device in range(20):
            station = build_attribute(AttributeType.CALLING_STATION_ID, b"02-00-00-00-00-%02d" % device)
            state = b"state %d" % device
            world.send(access_request(eap() + station, identifier=device, authenticator=bytes((device,)) * 16))
            flow, request = world.forward_one()
            world.answer(flow, respond(request, Code.ACCESS_CHALLENGE, build_attribute(24, state)))
            # The second round comes without Calling-Station-Id: only the State tells where it belongs.
            again = eap() + build_attribute(24, state)
            world.send(access_request(again, identifier=100 + device, authenticator=bytes((100 + device,)) * 16))
            second, _ = world.forward_one()
            assert second is flow
            hosts.add(flow.host)
        assert len(hosts) == 2

    def test_one_device_starts_again_at_the_same_server(self) -> None:
        """The first packets of a device's logins meet one process."""
        hosted = tuple(
            replace(server, key=f"hosted/{number}", library=None, is_hosted=True)
            for number, server in enumerate(TWO_SERVERS)
        )
        world = World(make_snapshot(*hosted))
        station = build_attribute(AttributeType.CALLING_STATION_ID, b"02-00-00-00-00-01")
        hosts = set[str]()
        for number in range(10):
            world.send(access_request(eap() + station, identifier=number, authenticator=bytes((number,)) * 16))
            flow, _ = world.forward_one()
            hosts.add(flow.host)
        assert len(hosts) == 1


class TestSwap:
    def test_new_realm_is_routed_at_once(self, world: World) -> None:
        """One reference is swapped, and the next request meets it."""
        world.send(access_request(name=b"a@new.example"))
        assert world.notices.refusals == {"unroutable": 1}
        realms = {"new.example": Realm("new.example", "home", ("home/1",))}
        world.engine.swap(make_snapshot(revision=2, realms=realms))
        world.send(access_request(name=b"a@new.example", authenticator=b"n" * 16))
        world.forward_one()
        assert world.engine.revision == 2

    def test_request_on_its_way_keeps_what_it_began_with(self, world: World) -> None:
        """Its home server is removed, and still answers it; then the port is closed."""
        world.send(access_request())
        flow, request = world.forward_one()
        world.engine.swap(make_snapshot(home_server("home/2", "203.0.113.2"), revision=2))
        assert not flow.is_closed
        world.answer(flow, respond(request))
        assert [octets[0] for octets in world.take_answers()] == [Code.ACCESS_ACCEPT]
        world.run(15.0)
        assert flow.is_closed
        assert world.events[0].revision == 1

    def test_idle_removed_home_server_is_closed_at_once(self, world: World) -> None:
        """Nothing waits there."""
        world.send(access_request())
        flow, request = world.forward_one()
        world.answer(flow, respond(request))
        world.engine.swap(make_snapshot(home_server("home/2", "203.0.113.2"), revision=2))
        assert flow.is_closed

    def test_unchanged_home_server_keeps_its_port_and_state(self, world: World) -> None:
        """A change elsewhere costs it nothing."""
        world.send(access_request())
        flow, request = world.forward_one()
        before = world.engine.upstreams["home/1"]
        client = world.engine.clients.find("192.0.2.1")
        world.engine.swap(make_snapshot(revision=2))
        assert world.engine.upstreams["home/1"] is before
        assert world.engine.clients.find("192.0.2.1") is client
        world.answer(flow, respond(request))
        assert len(world.take_answers()) == 1

    def test_new_secret_of_a_client_holds_for_new_requests(self, world: World) -> None:
        """The old secret is of no use from then on; a request on its way is answered with it."""
        world.send(access_request())
        flow, request = world.forward_one()
        secret = SharedSecret(b"the new secret of this one")
        world.engine.swap(make_snapshot(clients=(replace(ACCESS_POINT, secret=secret),), revision=2))
        world.answer(flow, respond(request))
        (octets,) = world.take_answers()
        assert is_signed(octets, AP, AUTHENTICATOR)
        world.send(access_request(authenticator=b"o" * 16, identifier=8))
        assert world.notices.drops == {DropReason.MESSAGE_AUTHENTICATOR_WRONG: 1}
        world.send(access_request(authenticator=b"o" * 16, identifier=8, keyed=KeyedSecret(secret)))
        world.forward_one()

    def test_new_secret_of_a_home_server_holds_for_new_requests(self, world: World) -> None:
        """New requests are signed with it, on another port."""
        secret = SharedSecret(b"the new secret of the home")
        world.engine.swap(make_snapshot(replace(home_server(), secret=secret), revision=2))
        world.send(access_request())
        _, packet = world.forward_one()
        assert verify_message_authenticator(packet, KeyedSecret(secret)) is Verdict.VALID
        assert secret != HOME_SECRET

    def test_removed_client_gets_silence(self, world: World) -> None:
        """From the next request on."""
        world.engine.swap(make_snapshot(clients=(), revision=2))
        world.send(access_request())
        assert world.notices.drops == {DropReason.UNKNOWN_CLIENT: 1}

    def test_client_of_radsec_does_not_stand_in_the_way(self, world: World) -> None:
        """It has no secret and no address; over UDP nobody is it."""
        radsec = replace(ACCESS_POINT, key="visited/tls", networks=(), secret=None, certificate_name="ap.v.example")
        world.engine.swap(make_snapshot(clients=(ACCESS_POINT, radsec), revision=2))
        assert set(world.engine.clients.states) == {"visited/ap", "visited/tls"}
        world.send(access_request(), source=("198.51.100.9", 1))
        assert world.notices.drops == {DropReason.UNKNOWN_CLIENT: 1}

    def test_snapshot_that_can_not_be_used_changes_nothing(self, world: World) -> None:
        """The old one stays in force."""
        bad = make_snapshot(replace(home_server(), secret=SharedSecret(b"")), revision=2)
        with pytest.raises(ValueError, match="secret"):
            world.engine.swap(bad)
        assert world.engine.revision == 1
        world.send(access_request())
        world.forward_one()

    def test_name_with_another_address_moves_new_requests(self) -> None:
        """What is outstanding at the old address may still be answered."""
        world = World(make_snapshot(home_server(host="radius.home.example")))
        world.engine.move(world.engine.upstreams["home/1"], "203.0.113.1")
        world.send(access_request())
        flow, request = world.forward_one()
        world.engine.move(world.engine.upstreams["home/1"], "203.0.113.7")
        world.answer(flow, respond(request))
        assert len(world.take_answers()) == 1
        world.send(access_request(authenticator=b"n" * 16))
        flow, _ = world.forward_one()
        assert flow.host == "203.0.113.7"

    def test_address_for_a_home_server_that_is_gone_is_ignored(self, world: World) -> None:
        """The look-up took longer than the snapshot lived."""
        old = world.engine.upstreams["home/1"]
        world.engine.swap(make_snapshot(home_server("home/2"), revision=2))
        world.engine.move(old, "203.0.113.7")
        assert set(world.engine.upstreams) == {"home/2"}

    def test_close_leaves_no_port_open(self, world: World) -> None:
        """Also those that were draining."""
        world.send(access_request())
        world.engine.swap(make_snapshot(home_server("home/2", "203.0.113.2"), revision=2))
        world.send(access_request(authenticator=b"n" * 16))
        world.engine.close()
        assert [flow.is_closed for flow in world.flows] == [True, True]
