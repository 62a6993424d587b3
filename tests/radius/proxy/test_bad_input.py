"""Bad input to the engine: what clients, home servers and those between them send to confuse its state.

Each class is one kind of sender; whatever it sends, the next honest packet gets its right answer.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from federation.snapshot import Client, HomeServer
from radius.errors import DropReason
from radius.wire.authenticators import sign_request, sign_response
from radius.wire.codes import AttributeType, Code
from radius.wire.packet import Packet, build_attribute
from tests.radius.proxy.world import (
    ACCESS_POINT,
    AP,
    AP_ADDRESS,
    HOME,
    OTHER_PROXY,
    PROXY,
    PROXY_ADDRESS,
    FakeFlow,
    World,
    access_request,
    eap,
    home_server,
    is_signed,
    make_snapshot,
    parse,
    proxy_states_of,
    respond,
    user_name,
)
from tests.support.tampering import tamper

AUTHENTICATOR = bytes(range(16))
WHOLE = access_request(build_attribute(25, b"x"))  # its last three octets are an attribute
OLD_ACCESS_POINT = replace(ACCESS_POINT, requires_message_authenticator=False)
OLD_HOME_SERVER = home_server(requires_message_authenticator=False)


@pytest.fixture
def world() -> World:
    return World(make_snapshot())


def ask(world: World, identifier: int = 7, attributes: bytes | None = None) -> tuple[FakeFlow, Packet]:
    world.send(access_request(attributes, identifier=identifier))
    return world.forward_one()


def only_drop(world: World) -> str:
    """The one reason for which something was dropped; nothing was answered or forwarded."""
    assert world.take_answers() == []
    assert world.take_forwarded() == []
    ((reason, number),) = world.notices.drops.items()
    assert number == 1
    return reason


def check_login(world: World, identifier: int = 99) -> None:
    """An honest login goes through, as if nothing had been."""
    flow, request = ask(world, identifier)
    world.answer(flow, respond(request))
    (octets,) = world.take_answers()
    assert octets[:2] == bytes((Code.ACCESS_ACCEPT, identifier))
    assert is_signed(octets, AP, AUTHENTICATOR)


class TestClientSendsNoPacket:
    @pytest.mark.parametrize(
        ("datagram", "reason"),
        [
            (b"", DropReason.TOO_SHORT),
            (WHOLE[:1], DropReason.TOO_SHORT),
            (WHOLE[:19], DropReason.TOO_SHORT),
            *((WHOLE[:2] + n.to_bytes(2) + WHOLE[4:], DropReason.LENGTH_FIELD) for n in (0, 19, 4097, 65535)),
            (WHOLE[:-1], DropReason.LENGTH_FIELD),
            (WHOLE[:-3] + b"\x00\x03x", DropReason.ATTRIBUTE_TYPE_ZERO),
            (WHOLE[:-3] + b"\x19\x00x", DropReason.ATTRIBUTE_LENGTH),
            (WHOLE[:-3] + b"\x19\x01x", DropReason.ATTRIBUTE_LENGTH),
            (WHOLE[:-3] + b"\x19\x04x", DropReason.ATTRIBUTE_OVERRUN),
            (WHOLE[:-3] + b"\x19\x02x", DropReason.ATTRIBUTE_OVERRUN),
            (b"\x01\x07\x07\xe4" + AUTHENTICATOR + b"\x19\x02" * 1000, DropReason.TOO_MANY_ATTRIBUTES),
            (b"\x01\x07\x00\x25" + AUTHENTICATOR + b"\x50\x11" + bytes(15), DropReason.MESSAGE_AUTHENTICATOR_FORM),
            (b"\x01\x07\x00\x16" + AUTHENTICATOR + b"\x50\x02", DropReason.MESSAGE_AUTHENTICATOR_FORM),
            (WHOLE[:2] + b"\0\x38" + AUTHENTICATOR + WHOLE[20:38] * 2, DropReason.MESSAGE_AUTHENTICATOR_FORM),
            (WHOLE[:22] + bytes(16) + WHOLE[38:], DropReason.MESSAGE_AUTHENTICATOR_WRONG),
        ],
    )
    def test_it_gets_silence(self, world: World, datagram: bytes, reason: DropReason) -> None:
        """Nothing is answered, forwarded or remembered: the identifier is free for an honest request (RFC 2865 §3)."""
        world.send(datagram)
        assert only_drop(world) == reason
        assert world.engine.outstanding == 0
        check_login(world, 7)

    @pytest.mark.parametrize("padding", [1, 3000])
    def test_padding_is_neither_read_nor_sent_on(self, world: World, padding: int) -> None:
        """What follows Length is ignored, even if it looks like attributes (RFC 2865 §3)."""
        world.send(access_request() + (build_attribute(33, b"padding") * 400)[:padding])
        _, request = world.forward_one()
        assert proxy_states_of(request).count(b"padding") == 0

    @pytest.mark.parametrize("is_accounting", [False, True])
    def test_no_other_code_is_taken(self, world: World, *, is_accounting: bool) -> None:
        """Of 256 codes each port takes four; answers and unknown ones get silence, signed or not."""
        listener = world.accounting if is_accounting else world.listener
        taken = {Code.STATUS_SERVER, Code.DISCONNECT_REQUEST, Code.COA_REQUEST}
        taken.add(Code.ACCOUNTING_REQUEST if is_accounting else Code.ACCESS_REQUEST)
        for code in set(range(256)) - taken:
            world.send(sign_request(code, 7, AUTHENTICATOR, user_name() + eap(), AP), listener=listener)
        assert world.take_answers(listener) == []
        assert world.take_forwarded() == []
        assert world.notices.drops == {DropReason.CODE_NOT_EXPECTED: 252}


class TestClientRepeatsItself:
    def test_other_code_with_the_same_identifier_is_another_request(self, world: World) -> None:
        """Status-Server is answered, and what was pending under its identifier gets its answer (RFC 5080 §2.2.2)."""
        flow, request = ask(world)
        world.send(sign_request(Code.STATUS_SERVER, 7, AUTHENTICATOR, b"", AP))
        assert [octets[0] for octets in world.take_answers()] == [Code.ACCESS_ACCEPT]
        world.answer(flow, respond(request, Code.ACCESS_REJECT))
        assert [octets[0] for octets in world.take_answers()] == [Code.ACCESS_REJECT]

    def test_same_identifier_on_the_other_port_is_another_request(self, world: World) -> None:
        """Authentication and accounting have identifiers of their own."""
        flow, request = ask(world)
        accounting = sign_request(
            Code.ACCOUNTING_REQUEST, 7, bytes(16), user_name(), AP, with_message_authenticator=False
        )
        world.send(accounting, listener=world.accounting)
        assert [octets[0] for octets in world.take_answers(world.accounting)] == [Code.ACCOUNTING_RESPONSE]
        world.answer(flow, respond(request))
        assert [octets[0] for octets in world.take_answers()] == [Code.ACCESS_ACCEPT]

    def test_request_of_another_client_with_the_same_octets_is_its_own(self, world: World) -> None:
        """A captured request that is sent from another client's address is not believed, and disturbs nothing."""
        flow, request = ask(world)
        world.send(access_request(), PROXY_ADDRESS)
        assert world.notices.drops == {DropReason.MESSAGE_AUTHENTICATOR_WRONG: 1}
        world.answer(flow, respond(request))
        assert len(world.take_answers()) == 1

    def test_challenges_without_end_leave_nothing_behind(self, world: World) -> None:
        """The home server bounds a conversation; a hundred rounds of it cost the proxy nothing that stays."""
        for number in range(100):
            state = build_attribute(AttributeType.STATE, bytes((number,)))
            flow, request = ask(world, number, state + eap())
            assert request.value_of(AttributeType.STATE) == bytes((number,))
            world.answer(flow, respond(request, Code.ACCESS_CHALLENGE, state + eap()))
            (octets,) = world.take_answers()
            assert parse(octets).value_of(AttributeType.STATE) == bytes((number,))
        assert world.engine.outstanding == 0
        world.run(60)
        assert len(world.engine.duplicates) == 0
        assert len(world.flows) == 1


def sign_wrongly(request: Packet, body: bytes) -> bytes:
    """An answer with a right Response Authenticator over whatever the body is (RFC 2865 §3)."""
    header = bytes((Code.ACCESS_ACCEPT, request.identifier)) + (20 + len(body)).to_bytes(2)
    digest = hashlib.md5(header + request.authenticator + body + bytes(HOME.secret)).digest()
    return header + digest + body


BAD_ANSWERS: dict[str, tuple[Callable[[Packet], bytes], DropReason]] = {
    "wrong Message-Authenticator under a right authenticator": (
        lambda request: sign_wrongly(request, b"\x50\x12" + b"\xff" * 16 + proxy_states_of(request)),
        DropReason.MESSAGE_AUTHENTICATOR_WRONG,
    ),
    "zero Message-Authenticator under a right authenticator": (
        lambda request: sign_wrongly(request, b"\x50\x12" + bytes(16) + proxy_states_of(request)),
        DropReason.MESSAGE_AUTHENTICATOR_WRONG,
    ),
    "no Message-Authenticator": (
        lambda request: sign_wrongly(request, proxy_states_of(request)),
        DropReason.MESSAGE_AUTHENTICATOR_MISSING,
    ),
    "two Message-Authenticators": (
        lambda request: sign_wrongly(request, (b"\x50\x12" + bytes(16)) * 2),
        DropReason.MESSAGE_AUTHENTICATOR_FORM,
    ),
    "the client's secret": (lambda request: respond(request, keyed=AP), DropReason.RESPONSE_AUTHENTICATOR_WRONG),
    "the client's authenticator": (
        lambda request: sign_response(2, request.identifier, AUTHENTICATOR, proxy_states_of(request), HOME),
        DropReason.RESPONSE_AUTHENTICATOR_WRONG,
    ),
    "another identifier": (
        lambda request: sign_response(2, request.identifier + 1, request.authenticator, b"", HOME),
        DropReason.UNMATCHED_RESPONSE,
    ),
    "our own request, mirrored": (lambda request: request.octets, DropReason.CODE_NOT_EXPECTED),
    "the answer of accounting": (
        lambda request: respond(request, Code.ACCOUNTING_RESPONSE),
        DropReason.CODE_NOT_EXPECTED,
    ),
    "one octet too few": (lambda request: respond(request)[:-1], DropReason.LENGTH_FIELD),
    "attribute type 0": (lambda request: sign_wrongly(request, b"\0\x02"), DropReason.ATTRIBUTE_TYPE_ZERO),
    "a key of 17 octets": (
        lambda request: respond(request, attributes=build_attribute(26, b"\0\0\1\x37\x10\x13" + bytes(17))),
        DropReason.MPPE_KEY_MALFORMED,
    ),
}

ALTERED_STATES: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda _: b"",
    "one more behind": lambda states: states + build_attribute(33, b"chosen prefix"),
    "one more before": lambda states: build_attribute(33, b"chosen prefix") + states,
    "twice": lambda states: states * 2,
    "in another order": lambda states: states[14:] + states[:14],
    "ours changed": tamper,
    "the client's changed": lambda states: states[:3] + b"X" + states[4:],
    "ours only in part": lambda states: states[:-14] + build_attribute(33, states[-12:-1]),
}


class TestHomeServerOrSomebodyElseAnswers:
    @pytest.mark.parametrize("name", BAD_ANSWERS)
    def test_it_changes_nothing(self, world: World, name: str) -> None:
        """It is dropped with its reason; the request goes on waiting, and the honest answer still arrives.

        A lost `Length` check once read beyond a reply (radsecproxy 1.9.3); a reply that is judged before its
        authenticator is what CVE-2024-3596 lives on.
        """
        build, reason = BAD_ANSWERS[name]
        flow, request = ask(world)
        for _ in range(20):
            world.answer(flow, build(request))
        assert world.take_answers() == []
        assert world.notices.drops == {reason: 20}
        assert world.engine.outstanding == 1
        world.answer(flow, respond(request))
        (octets,) = world.take_answers()
        assert is_signed(octets, AP, AUTHENTICATOR)

    def test_padding_behind_an_answer_is_ignored(self, world: World) -> None:
        """RFC 2865 §3 holds for answers too."""
        flow, request = ask(world)
        world.answer(flow, respond(request) + b"\xff" * 3000)
        assert [octets[0] for octets in world.take_answers()] == [Code.ACCESS_ACCEPT]

    def test_second_answer_of_another_kind_changes_nothing(self, world: World) -> None:
        """The first answer is the answer: a Reject is not turned into an Accept behind it."""
        flow, request = ask(world)
        world.answer(flow, respond(request, Code.ACCESS_REJECT))
        world.answer(flow, respond(request, Code.ACCESS_ACCEPT))
        assert [octets[0] for octets in world.take_answers()] == [Code.ACCESS_REJECT]
        world.send(access_request())  # the access point has not heard us
        assert [octets[0] for octets in world.take_answers()] == [Code.ACCESS_REJECT]
        assert world.notices.drops == {DropReason.UNMATCHED_RESPONSE: 1}

    def test_old_answer_does_not_fit_the_next_request_of_its_identifier(self, world: World) -> None:
        """An Accept that was overheard is of no use when its identifier comes round again (CVE-2013-0342's class)."""
        flow, first = ask(world)
        accept = respond(first)
        world.answer(flow, accept)
        for number in range(254):  # the identifiers go round
            flow, request = ask(world, 8 + number % 200)
            world.answer(flow, respond(request, Code.ACCESS_REJECT))
            world.run(40)
            world.take_forwarded()  # Status-Server: nothing else happens
        world.take_answers()
        world.notices.drops.clear()
        flow, again = ask(world, 7)
        assert again.identifier == first.identifier
        assert again.authenticator != first.authenticator
        world.answer(flow, accept)
        assert only_drop(world) == DropReason.RESPONSE_AUTHENTICATOR_WRONG

    def test_another_home_server_can_not_answer(self) -> None:
        """Even with the same secret and identifier: what comes to a port answers what left by it."""
        snapshot = make_snapshot(home_server("home/1"), home_server("other/1", "203.0.113.2"))
        home = snapshot.realms["home.example"]._replace(home_servers=("home/1",))
        other = home._replace(name="other.example", home_servers=("other/1",))
        world = World(replace(snapshot, realms={"home.example": home, "other.example": other}))
        world.send(access_request(name=b"a@other.example", identifier=1))
        world.send(access_request(identifier=2))
        (_, request), (flow, _) = sorted(world.take_forwarded(), key=lambda sent: sent[0].host)
        assert flow.host == "203.0.113.2"
        world.answer(flow, respond(parse(request)))
        assert only_drop(world) == DropReason.RESPONSE_AUTHENTICATOR_WRONG

    def test_answer_after_the_deadline_does_not_let_anybody_in(self, world: World) -> None:
        """The access point was told no; the late Accept is dropped, and its repeat hears the same no."""
        flow, request = ask(world)
        world.run(25)
        (refusal,) = world.take_answers()
        assert refusal[0] == Code.ACCESS_REJECT
        world.answer(flow, respond(request))
        world.send(access_request())
        assert world.take_answers() == [refusal]


class TestBlastRadius:
    """CVE-2024-3596: a chosen prefix in Proxy-States, and an answer whose MD5 collides with the real one."""

    @pytest.mark.parametrize("states", [[1], [253], [253] * 14], ids=str)
    @pytest.mark.parametrize(
        ("client", "reason"),
        [
            (ACCESS_POINT, DropReason.MESSAGE_AUTHENTICATOR_MISSING),
            (OLD_ACCESS_POINT, DropReason.PROXY_STATE_LIMITED),
        ],
        ids=["strict client", "old client"],
    )
    def test_unsigned_request_with_proxy_states_gets_silence(
        self, states: list[int], client: Client, reason: DropReason
    ) -> None:
        """The place for the attacker's prefix is not offered, whatever the client may leave out otherwise."""
        world = World(make_snapshot(clients=(replace(client, allows_pap=True),)))
        body = b"".join(build_attribute(33, bytes(size)) for size in states)
        world.send(access_request(body, with_message_authenticator=False))
        assert only_drop(world) == reason

    @pytest.mark.parametrize("server", [home_server(), OLD_HOME_SERVER], ids=["strict server", "old server"])
    @pytest.mark.parametrize("name", ALTERED_STATES)
    def test_answer_with_other_proxy_states_is_dropped(self, server: HomeServer, name: str) -> None:
        """Even with a right Response Authenticator, as a collision would have it, and from a server of the old kind."""
        world = World(make_snapshot(server))
        flow, request = ask(world, attributes=eap() + build_attribute(33, b"the client's"))
        states = ALTERED_STATES[name](proxy_states_of(request))
        answer = sign_response(
            2,
            request.identifier,
            request.authenticator,
            states,
            HOME,
            with_message_authenticator=server.requires_message_authenticator,
        )
        world.answer(flow, answer)
        assert only_drop(world) == DropReason.PROXY_STATE_ALTERED
        world.answer(flow, respond(request))
        assert [octets[0] for octets in world.take_answers()] == [Code.ACCESS_ACCEPT]

    def test_unsigned_reject_turned_into_an_accept_is_dropped(self, world: World) -> None:
        """Code and attributes changed, the authenticator of the Reject kept: the answer does not verify."""
        flow, request = ask(world)
        reject = respond(request, Code.ACCESS_REJECT)
        world.answer(flow, b"\x02" + reject[1:])
        assert only_drop(world) == DropReason.RESPONSE_AUTHENTICATOR_WRONG


class TestOurOwnProxyState:
    @pytest.fixture
    def state(self, world: World) -> bytes:
        """The attribute as a home server saw it."""
        flow, request = ask(world)
        world.answer(flow, respond(request))
        world.take_answers()
        return proxy_states_of(request)

    @pytest.mark.parametrize("place", ["alone", "first", "last", "twice"])
    @pytest.mark.parametrize("sender", ["access point", "other proxy"])
    def test_replayed_in_a_new_request_it_is_a_loop(self, world: World, state: bytes, place: str, sender: str) -> None:
        """Wherever it stands, and whoever sends it."""
        other = build_attribute(33, b"another proxy's")
        states = {"alone": state, "first": state + other, "last": other + state, "twice": state * 2}[place]
        keyed, source = (AP, AP_ADDRESS) if sender == "access point" else (PROXY, PROXY_ADDRESS)
        world.send(access_request(eap() + states, identifier=8, keyed=keyed), source)
        (octets,) = world.take_answers()
        assert octets[0] == Code.ACCESS_REJECT
        assert proxy_states_of(parse(octets)) == states
        assert world.take_forwarded() == []
        assert world.notices.refusals == {"loop": 1}

    def test_altered_it_is_somebody_elses(self, world: World, state: bytes) -> None:
        """A changed, shortened or longer one is passed on as it came; nobody is refused because of a guess."""
        changed = [state[:at] + bytes((state[at] ^ 1,)) + state[at + 1 :] for at in range(2, len(state))]
        resized = [build_attribute(33, state[2:-1]), build_attribute(33, state[2:] + b"x"), b"\x21\x02"]
        for number, other in enumerate(changed + resized):
            _, request = ask(world, 20 + number, eap() + other)
            assert proxy_states_of(request).startswith(other)
            assert len(request.proxy_states) == 2


class TestClientsOfOneSnapshot:
    def test_prefix_that_two_clients_have_is_one_of_theirs(self) -> None:
        """The registry refuses it; should it come to the engine, one secret holds, and nothing breaks."""
        twin = replace(OTHER_PROXY, networks=ACCESS_POINT.networks)
        world = World(make_snapshot(clients=(ACCESS_POINT, twin)))
        for number, keyed in enumerate((AP, PROXY)):
            world.send(access_request(identifier=number, keyed=keyed))
        assert len(world.take_forwarded()) == 1
        assert world.notices.drops == {DropReason.MESSAGE_AUTHENTICATOR_WRONG: 1}
