"""Which realm a User-Name is of: what was found before for other names changes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.names import MAX_NAME_OCTETS, UserName, parse_user_name
from federation.policy import DenyList
from federation.reasons import RefusalReason
from federation.routing import find_realm
from federation.shards import Shards
from federation.snapshot import Federation, Realm, Snapshot
from radius.proxy.pipeline import Routes

DENIED = ("*.local", "denied.lib.example", "mail.*", "exact.example")
REALMS = {
    name: Realm(name, "home", ("home/radius1",), includes_subrealms=has_parts)
    for name, has_parts in (
        ("lib.example", False),
        ("all.lib.example", True),
        ("denied.lib.example", False),
        ("desk.local", False),
        ("mail.example", True),
        ("xn--bcherei-n2a.example", False),
    )
}
USERS = (b"", b"w", b"wieke", b" w", b"w ", b"\tw", b"a b", "wiëke".encode(), b"\xff", b"w\0", b"w@", b"x" * 245)
DOMAINS = (
    *(name.encode() for name in REALMS),
    *(b"LIB.example", b"desk.all.lib.example", b"a.desk.ALL.lib.example", b"sub.lib.example", b"sub.mail.example"),
    *(b"", b"example", b"lib.example.", b".lib.example", b"lib..example", b"lib.example ", b"lib.example\t"),
    *(b"exact.example", b"nobody.example", b"-a.example", b"a_b.example", b"lib.ex\xffmple", b"\xfclib.example"),
    *("Bücherei.example".encode(), "ｌｉｂ.example".encode(), b"a." * 125 + b"b"),  # noqa: RUF001 - full width
)
NAMES = st.tuples(st.sampled_from(USERS), st.sampled_from(DOMAINS)).map(b"@".join)
ODD_NAMES = st.binary(max_size=300) | st.lists(st.sampled_from((*USERS, b"@", *DOMAINS)), max_size=4).map(b"".join)


def snapshot_of(*, servers: tuple[str, ...] = (), is_sharded: bool = True) -> Snapshot:
    federation = Federation("test", "NL", "login.test.example")
    realms = Shards(REALMS) if is_sharded else REALMS
    return Snapshot(1, federation, realms=realms, denied_realms=DENIED, default_home_servers=servers)


def judge(snapshot: Snapshot, name: bytes) -> Realm | RefusalReason:
    """The same, step by step, with nothing kept."""
    parsed = parse_user_name(name)
    if not isinstance(parsed, UserName):
        return parsed
    if DenyList(DENIED).denies(parsed.realm):
        return RefusalReason.REALM_DENIED
    found = find_realm(snapshot, parsed.realm)
    if found is not None:
        return found
    if snapshot.default_home_servers:
        return Realm(parsed.realm, "", snapshot.default_home_servers)
    return RefusalReason.UNROUTABLE


class TestFind:
    @pytest.mark.parametrize("is_sharded", [True, False])
    @pytest.mark.parametrize("servers", [(), ("hub/radius1",)])
    def test_each_name_is_judged_as_if_it_was_the_first(self, servers: tuple[str, ...], *, is_sharded: bool) -> None:
        """All users with all realms, thrice: no verdict on one name is another's."""
        snapshot = snapshot_of(servers=servers, is_sharded=is_sharded)
        routes = Routes(snapshot)
        for _ in range(3):
            for user in USERS:
                for domain in DOMAINS:
                    name = user + b"@" + domain
                    assert routes.find(name) == judge(snapshot, name), name

    @given(st.lists(NAMES | ODD_NAMES, max_size=12))
    def test_what_was_asked_before_changes_nothing(self, names: list[bytes]) -> None:
        """Whatever came before, in whatever order."""
        snapshot = snapshot_of()
        routes = Routes(snapshot)
        for name in names:
            assert routes.find(name) == judge(snapshot, name)

    def test_registered_realm_on_the_deny_list_is_refused_each_time(self) -> None:
        """The list stands above the registry."""
        routes = Routes(snapshot_of())
        assert [routes.find(b"w@desk.local") for _ in range(3)] == [RefusalReason.REALM_DENIED] * 3

    def test_longest_name_that_may_travel_does(self) -> None:
        """One octet more does not, though its realm was found."""
        routes = Routes(snapshot_of())
        longest = b"w" * (MAX_NAME_OCTETS - len(b"@lib.example")) + b"@lib.example"
        assert routes.find(longest) is REALMS["lib.example"]
        assert routes.find(b"w" + longest) is RefusalReason.NAME_SYNTAX
