"""What may travel between libraries."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import InvalidPolicy
from federation.policy import (
    DEFAULT_DENIED_REALMS,
    REQUEST_ATTRIBUTES,
    RESPONSE_ATTRIBUTES,
    RESPONSE_VENDOR_ATTRIBUTES,
    Credentials,
    Crossing,
    DenyList,
    decide_credentials,
    decide_direction,
)
from federation.reasons import RefusalReason
from federation.snapshot import Client, Realm, SharedSecret

HOME = Realm("boekenburg.example", "boekenburg", ("hosted/0",))


def client_of(library: str, *, allows_pap: bool = False, is_proxy: bool = False) -> Client:
    return Client(
        key=f"{library}/hal",
        library=library,
        operator_name=f"{library}.example",
        networks=(ip_network("192.0.2.0/24"),),
        secret=SharedSecret(b"0123456789abcdef"),
        allows_pap=allows_pap,
        is_proxy=is_proxy,
    )


class TestDenyList:
    @pytest.mark.parametrize(
        "realm",
        [
            "wlan.mnc001.mcc204.3gppnetwork.org",
            "3gppnetworks.org.3gppnetworks.org",
            "gmail.com",
            "hotmail.com",
            "hotmail.co.uk",
            "printer.local",
            "a.b.localdomain",
            "example.com",
        ],
    )
    def test_default_list_denies_false_friends(self, realm: str) -> None:
        """Names that devices try by mistake do not enter the federation."""
        assert DenyList(DEFAULT_DENIED_REALMS).denies(realm)

    @pytest.mark.parametrize(
        "realm",
        [
            "3gppnetwork.org",  # "*.name" denies what is under the name
            "boekenburg.example",  # "example.*" denies what begins with it
            "mygmail.com",
            "gmail.com.boekenburg.example",
            "hotmailer.com",
            "local.boekenburg.example",
            "notlocal.nl",
        ],
    )
    def test_default_list_lets_others_pass(self, realm: str) -> None:
        """Patterns match whole labels."""
        assert not DenyList(DEFAULT_DENIED_REALMS).denies(realm)

    @pytest.mark.parametrize(
        ("pattern", "realm", "is_denied"),
        [
            ("*.b.c.d", "a.b.c.d", True),
            ("*.b.c.d", "x.y.z.a.b.c.d", True),
            ("*.b.c.d", "b.c.d", False),
            ("a.b.c.*", "a.b.c.d", True),
            ("a.b.c.*", "a.b.c.d.x.y.z", True),
            ("a.b.c.*", "a.b.c", False),
            ("a.b.c.*", "a", False),
        ],
    )
    def test_patterns_of_several_labels_deny_at_any_depth(self, pattern: str, realm: str, *, is_denied: bool) -> None:
        """As many labels are looked at as a pattern has, from its end of the realm."""
        assert DenyList([pattern]).denies(realm) is is_denied

    def test_pattern_in_upper_case_denies_too(self) -> None:
        """Realms are compared in lower case."""
        assert DenyList(["GMAIL.com", "*.LOCAL", "Hotmail.*"]).denies("gmail.com")
        assert DenyList(["*.LOCAL"]).denies("x.local")
        assert DenyList(["Hotmail.*"]).denies("hotmail.nl")

    @pytest.mark.parametrize("pattern", ["", "*", "*.", ".*", "*.*", "a.*.b", "*a.b", "a.b*", "*.a.*", "**.a"])
    def test_pattern_that_can_not_be_is_refused(self, pattern: str) -> None:
        """A star stands for whole labels at one end; anything else would deny too much or nothing."""
        with pytest.raises(InvalidPolicy, match="star") as refused:
            DenyList([pattern])
        assert refused.value.field == "denied_realms"

    def test_empty_list_denies_nothing(self) -> None:
        """An operator may have no list."""
        assert not DenyList([]).denies("gmail.com")

    @given(
        st.lists(st.sampled_from(["a", "b", "c"]), min_size=2, max_size=5).map(".".join),
        st.lists(st.sampled_from(["a.b", "c.a", "*.b", "*.a.b", "a.*", "b.c.*"]), max_size=4),
    )
    def test_look_up_agrees_with_the_rule(self, realm: str, patterns: list[str]) -> None:
        """The sets deny what trying each pattern denies."""
        expected = any(
            realm.endswith(pattern[1:])
            if pattern[0] == "*"
            else realm.startswith(pattern[:-1])
            if pattern[-1] == "*"
            else realm == pattern
            for pattern in patterns
        )
        assert DenyList(patterns).denies(realm) == expected


class TestCredentials:
    @pytest.mark.parametrize("library", ["boekenburg", "leesstad"])
    @pytest.mark.parametrize("next_hop_is_udp", [True, False])
    def test_eap_always_may(self, library: str, *, next_hop_is_udp: bool) -> None:
        """The tunnel of EAP ends at home."""
        crossing = Crossing(client_of(library), HOME, Credentials.EAP, next_hop_is_udp)
        assert decide_credentials(crossing) is None

    def test_request_without_credentials_is_refused(self) -> None:
        """There is nothing that a home server could check."""
        crossing = Crossing(client_of("boekenburg", allows_pap=True), HOME, Credentials.NONE, next_hop_is_udp=False)
        assert decide_credentials(crossing) is RefusalReason.NO_CREDENTIALS

    @pytest.mark.parametrize(
        ("credentials", "reason"),
        [
            (Credentials.PAP, RefusalReason.PAP_ACROSS_LIBRARIES),
            (Credentials.CHAP, RefusalReason.CHAP_ACROSS_LIBRARIES),
            (Credentials.MSCHAP, RefusalReason.MSCHAP_OVER_UDP),
        ],
    )
    @pytest.mark.parametrize("next_hop_is_udp", [True, False])
    @pytest.mark.parametrize(
        ("library", "allows_pap"), [("leesstad", True), ("leesstad", False), ("boekenburg", False)]
    )
    def test_readable_password_does_not_cross(
        self, library: str, credentials: Credentials, reason: RefusalReason, *, allows_pap: bool, next_hop_is_udp: bool
    ) -> None:
        """Outside a tunnel nothing leaves the library, and inside it only where the client may."""
        crossing = Crossing(client_of(library, allows_pap=allows_pap), HOME, credentials, next_hop_is_udp)
        assert decide_credentials(crossing) is reason

    @pytest.mark.parametrize("credentials", [Credentials.PAP, Credentials.CHAP])
    @pytest.mark.parametrize("next_hop_is_udp", [True, False])
    def test_library_may_use_passwords_inside(self, credentials: Credentials, *, next_hop_is_udp: bool) -> None:
        """A client that may use PAP may use it for its own library's patrons."""
        crossing = Crossing(client_of("boekenburg", allows_pap=True), HOME, credentials, next_hop_is_udp)
        assert decide_credentials(crossing) is None

    def test_mschap_needs_tls_even_inside(self) -> None:
        """MS-CHAP outside a tunnel does not go over UDP (draft-ietf-radext-deprecating-radius)."""
        client = client_of("boekenburg", allows_pap=True)
        over_udp = Crossing(client, HOME, Credentials.MSCHAP, next_hop_is_udp=True)
        over_tls = Crossing(client, HOME, Credentials.MSCHAP, next_hop_is_udp=False)
        assert decide_credentials(over_udp) is RefusalReason.MSCHAP_OVER_UDP
        assert decide_credentials(over_tls) is None


class TestDirection:
    def test_proxy_does_not_send_its_own_patrons_up(self) -> None:
        """A member's proxy answers for the member's realms itself."""
        assert decide_direction(client_of("boekenburg", is_proxy=True), HOME) is RefusalReason.OWN_REALM_UPSTREAM

    def test_proxy_asks_for_others(self) -> None:
        """Other members' patrons are what a proxy sends up."""
        assert decide_direction(client_of("leesstad", is_proxy=True), HOME) is None

    def test_access_point_asks_for_its_own_library(self) -> None:
        """An access point has nowhere else to ask."""
        assert decide_direction(client_of("boekenburg"), HOME) is None


class TestAttributeTables:
    @pytest.mark.parametrize("attribute", [1, 2, 3, 24, 31, 33, 79, 80, 126])
    def test_what_a_login_needs_may_leave(self, attribute: int) -> None:
        """Name, credentials, State, Proxy-State, EAP and where the patron is."""
        assert attribute in REQUEST_ATTRIBUTES

    @pytest.mark.parametrize("attribute", [6, 11, 26, 64, 65, 81])
    def test_what_would_ask_for_more_stays(self, attribute: int) -> None:
        """Service-Type, filters, tunnels and unlisted vendors do not leave a library."""
        assert attribute not in REQUEST_ATTRIBUTES

    @pytest.mark.parametrize("attribute", [6, 8, 11, 22, 26, 56, 58, 64, 65, 81, 92, 97, 123, 168])
    def test_home_does_not_choose_the_visited_network(self, attribute: int) -> None:
        """No VLAN, address, filter, route or service type comes from another member."""
        assert attribute not in RESPONSE_ATTRIBUTES

    def test_only_the_keys_of_the_radio_link_come_from_vendors(self) -> None:
        """MS-MPPE-Send-Key and MS-MPPE-Recv-Key (RFC 2548 §2.4)."""
        assert frozenset({(311, 16), (311, 17)}) == RESPONSE_VENDOR_ATTRIBUTES
