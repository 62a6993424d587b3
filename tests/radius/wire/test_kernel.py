"""The native kernel against the Python beside it: the same octets and the same verdicts, whatever comes."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TypeVar, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radius.errors import DropReason
from radius.proxy import clients
from radius.wire import native
from radius.wire.authenticators import (
    KeyedSecret,
    decide_request_authenticity,
    decide_response_authenticity,
    sign_request,
    sign_response,
)
from radius.wire.calls import calls
from radius.wire.codes import AttributeType, Code
from radius.wire.hiding import hide_salted, hide_user_password
from radius.wire.packet import Packet, build_attribute, parse_packet
from radius.wire.rewrite import AttributeFilter, RewriteRefusal, build_filter, rewrite_request, rewrite_response
from tests.radius.wire.kernels import HAS_COMPILER, chosen, load_kernel
from tests.radius.wire.packets import (
    CLIENT_AUTHENTICATOR,
    OWN_AUTHENTICATOR,
    USER_NAME,
    build_datagram,
    build_eap,
    join,
    near_hidden,
    raw_attributes,
)

pytestmark = pytest.mark.skipif(not HAS_COMPILER, reason="the kernel is optional; it needs gcc and python3-dev")

T = TypeVar("T")
_CLIENT, _HOME = b"secret of the access point", b"secret of the home server"
Result = bytes | DropReason | RewriteRefusal

FILTERS: dict[str, Callable[[], AttributeFilter]] = {
    "everything": build_filter,
    "ours": lambda: build_filter(removed=(126, 1), bounds={27: (0, 86400), 28: (60, 7200)}),
    "some vendors": lambda: build_filter(vendors={311: (16,), 9: None, 14823: None, 24757: (5, 86)}),
    "a member's answer": lambda: build_filter(
        kept=clients.RESPONSE_ATTRIBUTES | {26},
        vendors={311: (16, 17, 26), 9: (1,)},
        bounds={27: (0, 86400), 28: (0, 7200)},
    ),
    "a client's request": lambda: build_filter(
        kept=clients.REQUEST_ATTRIBUTES | {26}, vendors=dict.fromkeys(clients.REQUEST_VENDORS), removed=(126,)
    ),
    "no passwords": lambda: build_filter(removed=(2, 3, 60, 69)),
}


@dataclass(frozen=True)
class Side:
    """What is prepared with the kernel, or without."""

    client: KeyedSecret
    home: KeyedSecret
    filters: dict[str, AttributeFilter]


def prepare() -> Side:
    return Side(KeyedSecret(_CLIENT), KeyedSecret(_HOME), {name: build() for name, build in FILTERS.items()})


@pytest.fixture(scope="module", autouse=True)
def _both_sides() -> None:  # pyright: ignore[reportUnusedFunction] - pytest's
    """Compile once, and not on Hypothesis's time."""
    sides()


_SIDES: list[tuple[Side, Side]] = []


def sides() -> tuple[Side, Side]:
    if not _SIDES:
        with chosen(load_kernel()):
            ours = prepare()
        with chosen(None):
            _SIDES.append((ours, prepare()))
    return _SIDES[0]


def run_both(run: Callable[[Side], T]) -> tuple[T, T]:
    """What it gives with the kernel, and what without."""
    ours, plain = sides()
    with chosen(load_kernel()):
        given_by_kernel = run(ours)
    with chosen(None):
        return given_by_kernel, run(plain)


def assert_same(run: Callable[[Side], object]) -> None:
    by_kernel, by_python = run_both(run)
    assert by_python == by_kernel


def hidden_password(password: bytes) -> tuple[int, bytes]:
    return 2, hide_user_password(password, KeyedSecret(_CLIENT), CLIENT_AUTHENTICATOR)


def hidden_key(vendor: int, kind: int, key: bytes, salt: int) -> tuple[int, bytes]:
    hidden = hide_salted(key, salt, KeyedSecret(_HOME), OWN_AUTHENTICATOR)
    return 26, vendor.to_bytes(4) + bytes((kind, len(hidden) + 2)) + hidden


def hidden_tunnel_password(tag: int, key: bytes) -> tuple[int, bytes]:
    return 69, bytes((tag,)) + hide_salted(key, 7, KeyedSecret(_HOME), OWN_AUTHENTICATOR)


hidden_in_requests = st.lists(
    st.builds(hidden_password, st.binary(max_size=128))
    | st.tuples(st.just(2), st.binary(max_size=140))
    | st.tuples(st.sampled_from([3, 60]), st.binary(max_size=20))
    | st.tuples(st.just(33), st.binary(max_size=20)),
    max_size=3,
)
hidden_in_answers = st.lists(
    st.builds(
        hidden_key,
        st.sampled_from([311, 14823, 9, 24757]),
        st.sampled_from([16, 17, 44, 5, 1]),
        st.binary(max_size=200),
        st.integers(0, 0xFFFF),
    )
    | st.builds(hidden_tunnel_password, st.integers(0, 255), st.binary(max_size=200))
    | st.tuples(st.sampled_from([27, 28]), st.binary(min_size=3, max_size=5))
    | st.tuples(st.sampled_from([18, 33, 79]), st.binary(max_size=10)),
    max_size=4,
)
proxy_states = st.just(b"") | st.binary(min_size=1, max_size=20)


def parsed(octets: bytes) -> Packet | None:
    packet = parse_packet(octets)
    return None if isinstance(packet, DropReason) else packet


def walk(datagram: bytes) -> object:
    packet = parse_packet(datagram)
    if isinstance(packet, DropReason):
        return packet
    return packet.octets, packet.types, packet.offsets, packet.message_authenticator, packet.firsts, packet.counts


class TestFindAttributes:
    @given(raw_attributes, st.integers(-3, 3), st.binary(max_size=3), st.integers(0, 300))
    @settings(max_examples=400, deadline=None)
    def test_kernel_finds_what_python_finds(
        self, some: list[tuple[int, bytes]], error: int, padding: bytes, cut: int
    ) -> None:
        """Attributes of any kind, a wrong Length, octets behind it or missing: one packet, or one reason."""
        datagram = build_datagram(join(some))
        length = max(0, len(datagram) + error).to_bytes(2)
        for octets in (datagram + padding, datagram[:2] + length + datagram[4:] + padding, datagram[:-cut]):
            assert_same(lambda _, octets=octets: walk(octets))

    @pytest.mark.parametrize("count", [0, 1, 199, 200, 201, 1000])
    def test_number_of_attributes_is_bounded_alike(self, count: int) -> None:
        """The 201st attribute is too many for both."""
        assert_same(lambda _: walk(build_datagram(b"\x01\x03x" * count)))

    @pytest.mark.parametrize("attributes", [[(80, bytes(16))] * 2, [(80, bytes(15))], [(0, b"x")], [(1, b"")]])
    def test_forms_are_judged_alike(self, attributes: list[tuple[int, bytes]]) -> None:
        """Two Message-Authenticators, one of the wrong size, type 0, and an attribute without a value."""
        assert_same(lambda _: walk(build_datagram(join(attributes))))

    def test_sound_packet_is_walked_by_the_kernel(self) -> None:
        """What is sound is not walked a second time, and a datagram that is all packet is not copied."""
        datagram = build_datagram(join([(1, b"name"), (80, bytes(16))]))
        found = load_kernel().find_attributes(datagram)
        assert found is not None
        assert found[:4] == (datagram, b"\x01\x50", [20, 26], 26)
        assert found[0] is datagram

    def test_octets_are_bytes(self) -> None:
        """Nothing else is taken for a datagram."""
        with pytest.raises(TypeError):
            load_kernel().find_attributes(cast("bytes", bytearray(20)))


class TestRewriteRequest:
    @given(
        raw_attributes,
        near_hidden,
        hidden_in_requests,
        st.sampled_from(sorted(FILTERS)),
        st.sampled_from([1, 1, 1, 4, 12, 40]),
        st.binary(min_size=16, max_size=16),
        st.binary(max_size=30),
        proxy_states,
    )
    @settings(max_examples=400, deadline=None)
    def test_kernel_gives_what_python_gives(
        self,
        some: list[tuple[int, bytes]],
        near: list[tuple[int, bytes]],
        hidden: list[tuple[int, bytes]],
        name: str,
        code: int,
        authenticator: bytes,
        appended: bytes,
        state: bytes,
    ) -> None:
        """Any request under any filter gives the same octets, or the same reason."""
        packet = parsed(build_datagram(join([*some, *near, *hidden]), code))
        if packet is None:
            return
        assert_same(lambda side: rewrite(side, packet, name, authenticator, appended, state))

    @given(st.integers(3800, 4076), st.binary(max_size=200), proxy_states)
    @settings(max_examples=100, deadline=None)
    def test_size_is_bounded_alike(self, size: int, appended: bytes, state: bytes) -> None:
        """At the limit of 4096 octets both stop at the same octet (RFC 2865 §3)."""
        body = b"".join(bytes((24, 252)) + bytes(250) for _ in range(size // 252))
        body += b"".join(bytes((24, 2)) for _ in range(size % 252 // 2))
        packet = parsed(build_datagram(body))
        if packet is not None:
            assert_same(lambda side: rewrite(side, packet, "everything", OWN_AUTHENTICATOR, appended, state))

    def test_login_is_done_by_the_kernel(self) -> None:
        """An ordinary EAP request is not declined: the comparison above compares two things."""
        packet = parsed(build_datagram(USER_NAME + build_eap()))
        assert packet is not None
        assert native_request(packet) is not None

    def test_password_is_moved_by_the_kernel(self) -> None:
        """A User-Password neither (RFC 2865 §5.2)."""
        client, home = KeyedSecret(_CLIENT), KeyedSecret(_HOME)
        hidden = hide_user_password(b"welcome to the library", client, CLIENT_AUTHENTICATOR)
        packet = parsed(build_datagram(build_attribute(2, hidden)))
        assert packet is not None
        done = native_request(packet)
        expected = build_attribute(2, hide_user_password(b"welcome to the library", home, OWN_AUTHENTICATOR))
        assert done is not None
        assert expected == done[38:]

    @pytest.mark.parametrize("code", [4, 40, 43, 12])
    def test_other_codes_are_declined(self, code: int) -> None:
        """Computed authenticators are left to Python."""
        packet = parsed(build_datagram(USER_NAME, code))
        assert packet is not None
        assert native_request(packet) is None


class TestRewriteResponse:
    @given(
        raw_attributes,
        near_hidden,
        hidden_in_answers,
        st.sampled_from(sorted(FILTERS)),
        st.sampled_from([2, 2, 2, 3, 11, 5, 52]),
        st.binary(min_size=16, max_size=16),
        st.sampled_from([b"", b"\x21\x04ab", b"\x21\x04ab\x21\x03c"]),
        st.sampled_from([b"", b"ours", b"another one"]),
        st.sampled_from(["kept", "forgotten", "altered", "swapped"]),
    )
    @settings(max_examples=400, deadline=None)
    def test_kernel_gives_what_python_gives(
        self,
        some: list[tuple[int, bytes]],
        near: list[tuple[int, bytes]],
        hidden: list[tuple[int, bytes]],
        name: str,
        code: int,
        authenticator: bytes,
        states: bytes,
        state: bytes,
        fate: str,
    ) -> None:
        """Any answer under any filter gives the same octets, or the same reason."""
        own = build_attribute(33, state) if state else b""
        returned = {"kept": states + own, "forgotten": own, "altered": states[:-1] + b"x", "swapped": own + states}
        body = join([pair for pair in (*some, *near, *hidden) if pair[0] != 33]) + returned[fate]
        packet = parsed(build_datagram(body, code))
        if packet is not None:
            assert_same(lambda side: answer(side, packet, name, authenticator, states, state))

    @given(raw_attributes, hidden_in_answers, proxy_states, proxy_states)
    @settings(max_examples=100, deadline=None)
    def test_strange_proxy_states_are_judged_alike(
        self, some: list[tuple[int, bytes]], hidden: list[tuple[int, bytes]], states: bytes, state: bytes
    ) -> None:
        """Proxy-States that the request never had are refused by both (CVE-2024-3596)."""
        packet = parsed(build_datagram(join([*some, *hidden]), Code.ACCESS_ACCEPT))
        if packet is not None:
            assert_same(lambda side: answer(side, packet, "everything", CLIENT_AUTHENTICATOR, states, state))

    def test_keys_are_moved_by_the_kernel(self) -> None:
        """The two keys of a login are not declined, and each gets a salt of its own (RFC 2548 §2.4.2)."""
        home = KeyedSecret(_HOME)
        keys = [hide_salted(bytes(range(32)), 1, home, OWN_AUTHENTICATOR) for _ in range(2)]
        body = b"".join(
            build_attribute(26, (311).to_bytes(4) + bytes((kind, len(key) + 2)) + key)
            for kind, key in zip((16, 17), keys, strict=True)
        )
        packet = parsed(build_datagram(body, Code.ACCESS_ACCEPT))
        assert packet is not None
        side, _ = sides()
        done = load_kernel().rewrite_response(
            packet.octets,
            7,
            CLIENT_AUTHENTICATOR,
            OWN_AUTHENTICATOR,
            side.client.native,
            side.home.native,
            side.filters["a member's answer"].native,
            b"",
            b"",
            b"",
        )
        assert done is not None
        assert done[46:48] != done[46 + 58 : 48 + 58]

    @pytest.mark.parametrize("cut", range(109))
    def test_every_prefix_is_declined_or_the_same(self, cut: int) -> None:
        """An answer that ends anywhere is never read beyond its end; the kernel trusts nobody to have parsed it."""
        octets = build_datagram(USER_NAME + join([hidden_key(311, 16, bytes(32), 1)]), 2)
        side, _ = sides()
        done = load_kernel().rewrite_response(
            octets[:cut],
            7,
            CLIENT_AUTHENTICATOR,
            OWN_AUTHENTICATOR,
            side.client.native,
            side.home.native,
            side.filters["everything"].native,
            b"",
            b"",
            b"",
        )
        assert (done is None) == (cut not in {20, 20 + len(USER_NAME), len(octets)})


class TestAuthenticators:
    @given(
        raw_attributes,
        st.binary(min_size=1, max_size=150),
        st.sampled_from([1, 4, 12, 40]),
        st.sampled_from(["signed", "unsigned"]),
        st.none() | st.integers(0, 4095),
    )
    @settings(max_examples=200, deadline=None)
    def test_requests_are_judged_alike(
        self, some: list[tuple[int, bytes]], secret: bytes, code: int, form: str, broken: int | None
    ) -> None:
        """A request with any secret, whole or with one octet changed, is believed by both or by none."""

        def judge() -> DropReason | None:
            keyed = KeyedSecret(secret)
            options = {"with_message_authenticator": form == "signed"}
            octets = sign_request(code, 7, CLIENT_AUTHENTICATOR, join(some), keyed, **options)
            packet = parsed(break_octet(octets, broken))
            return packet and decide_request_authenticity(packet, keyed, requires_message_authenticator=False)

        judge_both(judge)

    @given(
        raw_attributes,
        st.binary(min_size=1, max_size=150),
        st.sampled_from([2, 3, 5, 11]),
        st.sampled_from(["signed", "unsigned"]),
        st.none() | st.integers(0, 4095),
    )
    @settings(max_examples=200, deadline=None)
    def test_answers_are_judged_alike(
        self, some: list[tuple[int, bytes]], secret: bytes, code: int, form: str, broken: int | None
    ) -> None:
        """An answer with any secret, whole or with one octet changed, is believed by both or by none."""

        def judge() -> DropReason | None:
            keyed = KeyedSecret(secret)
            options = {"with_message_authenticator": form == "signed"}
            octets = sign_response(code, 7, CLIENT_AUTHENTICATOR, join(some), keyed, **options)
            packet = parsed(break_octet(octets, broken))
            return packet and decide_response_authenticity(
                packet, keyed, CLIENT_AUTHENTICATOR, requires_message_authenticator=False
            )

        judge_both(judge)

    @given(st.binary(max_size=120), st.integers(0, 130))
    @settings(max_examples=200, deadline=None)
    def test_no_octets_are_read_beyond_their_end(self, octets: bytes, offset: int) -> None:
        """Octets that nobody parsed are refused or judged (what is read beyond them, the sanitizer sees)."""
        side, _ = sides()
        fits = len(octets) >= 20 and (not offset or 20 <= offset <= len(octets) - 18)
        if fits:
            assert load_kernel().verify_response(octets, offset, side.client.native, bytes(16)) in {0, 1, 2}
        else:
            with pytest.raises(ValueError, match="no Message-Authenticator there"):
                load_kernel().verify_response(octets, offset, side.client.native, bytes(16))

    def test_both_authenticators_are_looked_at(self) -> None:
        """A right answer is 0; a wrong Response Authenticator 1; a wrong Message-Authenticator under a right one 2."""
        kernel = load_kernel()
        with chosen(kernel):
            keyed, other = KeyedSecret(b"one secret"), KeyedSecret(b"another secret")
        octets = sign_response(2, 7, CLIENT_AUTHENTICATOR, USER_NAME, keyed)
        body = sign_response(2, 7, CLIENT_AUTHENTICATOR, USER_NAME, other)[20:]
        mixed = sign_response(2, 7, CLIENT_AUTHENTICATOR, body, keyed, with_message_authenticator=False)
        assert [
            kernel.verify_response(octets, 20, keyed.native, CLIENT_AUTHENTICATOR),
            kernel.verify_response(octets, 20, keyed.native, OWN_AUTHENTICATOR),
            kernel.verify_response(mixed, 20, keyed.native, CLIENT_AUTHENTICATOR),
        ] == [0, 1, 2]


class TestArguments:
    """A mistake of ours is an exception, never a read beyond the octets."""

    @pytest.mark.parametrize("offset", [1, 19, 21, 30, 100, 2**40])
    def test_offset_outside_the_packet_is_refused(self, offset: int) -> None:
        """A Message-Authenticator that does not fit into the packet is an error."""
        side, _ = sides()
        with pytest.raises((ValueError, OverflowError)):
            load_kernel().verify_request(bytes(38), offset, side.client.native)

    def test_secrets_and_filters_are_not_confused(self) -> None:
        """A filter given as a secret is refused."""
        side, _ = sides()
        with pytest.raises(ValueError, match="PyCapsule"):
            load_kernel().verify_request(bytes(38), 20, side.filters["everything"].native)

    def test_tables_of_wrong_length_are_refused(self) -> None:
        """A table that is not a whole number of entries makes no filter."""
        with pytest.raises(ValueError, match="length"):
            load_kernel().prepare_filter(bytes(256), bytes(255), b"", b"", 0, b"")

    def test_authenticator_of_wrong_length_is_refused(self) -> None:
        """An authenticator has 16 octets."""
        side, _ = sides()
        with pytest.raises(ValueError, match="16 octets"):
            load_kernel().verify_response(bytes(38), 20, side.client.native, bytes(15))

    def test_what_was_prepared_without_the_kernel_is_left_to_python(self) -> None:
        """None in the place of a secret or a filter declines."""
        _, plain = sides()
        packet = parsed(build_datagram(USER_NAME))
        assert packet is not None
        with chosen(load_kernel()):
            assert isinstance(rewrite(plain, packet, "ours", OWN_AUTHENTICATOR, b"", b""), bytes)

    def test_installed_kernel_is_found(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the installation put beside the modules is what they work with; without it they work alone."""
        name = "radius.wire._kernel"
        monkeypatch.setitem(sys.modules, name, cast("ModuleType", load_kernel()))  # it is one
        assert native.load_kernel() is load_kernel()
        monkeypatch.setitem(sys.modules, name, None)  # pyright: ignore[reportArgumentType] - as importlib marks absence
        assert native.load_kernel() is None

    def test_everything_works_without_it(self) -> None:
        """An installation without a compiler has no kernel, and nothing misses it."""
        with chosen(None):
            assert calls.kernel is None
            assert KeyedSecret(b"a secret").native is None
            assert build_filter().native is None


class TestSecrets:
    @pytest.mark.parametrize("size", [1, 19, 29, 30, 36, 37, 38, 46, 47, 55, 56, 63, 64, 65, 127, 128, 200])
    def test_secrets_of_any_size_give_the_same_octets(self, size: int) -> None:
        """Where the key stream, the padding or the HMAC key takes one block of MD5 more, on one hop or on both."""
        secrets = [(bytes(range(1, size + 1)), _HOME), (_CLIENT, bytes(range(1, size + 1)))]
        for client, home in secrets:
            assert_same(lambda _, client=client, home=home: carry(client, home))


def carry(client: bytes, home: bytes) -> list[object]:
    """A request with a password and an answer with two keys, of a length that leaves each rest of a block in turn."""
    downstream, upstream = KeyedSecret(client), KeyedSecret(home)
    given: list[object] = []
    for filling in range(64):
        attributes = join(
            [(1, b"n" * (filling + 1)), (2, hide_user_password(b"p" * 17, downstream, CLIENT_AUTHENTICATOR))]
        )
        request = parsed(sign_request(Code.ACCESS_REQUEST, 7, CLIENT_AUTHENTICATOR, attributes, downstream))
        keys = [(26, b"\0\0\x01\x37\x10\x34" + hide_salted(bytes(32), 1, upstream, OWN_AUTHENTICATOR))]
        octets = sign_response(
            Code.ACCESS_ACCEPT, 9, OWN_AUTHENTICATOR, join([(1, b"n" * (filling + 1)), *keys]), upstream
        )
        response = parsed(octets)
        assert request is not None
        assert response is not None
        requires = {"requires_message_authenticator": True}
        side = Side(downstream, upstream, {"everything": build_filter()})
        given += [
            decide_request_authenticity(request, downstream, **requires),
            rewrite(side, request, "everything", OWN_AUTHENTICATOR, b"", b"state"),
            decide_response_authenticity(response, upstream, OWN_AUTHENTICATOR, **requires),
            answer(side, response, "everything", CLIENT_AUTHENTICATOR, b"", b""),
        ]
    assert given[:4:2] == [None, None]
    return given


def rewrite(side: Side, packet: Packet, name: str, authenticator: bytes, appended: bytes, state: bytes) -> Result:
    return rewrite_request(
        packet,
        identifier=9,
        authenticator=authenticator,
        downstream=side.client,
        upstream=side.home,
        attribute_filter=side.filters[name],
        appended=appended,
        proxy_state=state,
    )


def answer(side: Side, packet: Packet, name: str, authenticator: bytes, states: bytes, state: bytes) -> Result:
    return rewrite_response(
        packet,
        identifier=7,
        request_authenticator=authenticator,
        own_request_authenticator=OWN_AUTHENTICATOR,
        downstream=side.client,
        upstream=side.home,
        attribute_filter=side.filters[name],
        proxy_states=states,
        proxy_state=state,
        appended=build_attribute(AttributeType.TUNNEL_TYPE, bytes(4)),
    )


def native_request(packet: Packet) -> bytes | None:
    side, _ = sides()
    return load_kernel().rewrite_request(
        packet.octets,
        9,
        OWN_AUTHENTICATOR,
        side.client.native,
        side.home.native,
        side.filters["everything"].native,
        b"",
        b"",
    )


def break_octet(octets: bytes, place: int | None) -> bytes:
    if place is None:
        return octets
    place %= len(octets)
    return octets[:place] + bytes((octets[place] ^ 1,)) + octets[place + 1 :]


def judge_both(judge: Callable[[], DropReason | None]) -> None:
    with chosen(load_kernel()):
        by_kernel = judge()
    with chosen(None):
        assert judge() == by_kernel
