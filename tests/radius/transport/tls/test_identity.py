"""Names in certificates: what matches, and what looks as if it did."""

import pytest
from cryptography import x509

from radius.transport.tls.identity import PeerIdentity, ServerName, read_identity
from tests.radius.transport.tls.members import Authority, nai_realm, names_of


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def identity_with(authority: Authority, *names: str, realms: tuple[str, ...] = ()) -> PeerIdentity:
    certificate, _ = authority.issue([*names_of(*names), *map(nai_realm, realms)], common_name="radius.lib.example")
    return read_identity([certificate, authority.certificate])


class TestServerName:
    @pytest.mark.parametrize(
        ("pattern", "matches"),
        [
            ("radius.lib.example", True),
            ("RADIUS.lib.example", True),
            ("*.lib.example", True),
            ("other.lib.example", False),
            ("r*.lib.example", False),
            ("*.*.example", False),
            ("*.example", False),
            ("*", False),
            ("lib.example", False),
        ],
    )
    def test_host_is_matched_by_dns_name(self, authority: Authority, pattern: str, *, matches: bool) -> None:
        """A wildcard is one whole label, the left-most (RFC 9525 §6.3)."""
        assert ServerName("radius.lib.example").matches(identity_with(authority, pattern)) is matches

    def test_common_name_is_never_read(self, authority: Authority) -> None:
        """A certificate with the host as its common name alone is a stranger's (RFC 9525 §2)."""
        assert not ServerName("radius.lib.example").matches(identity_with(authority))

    def test_address_needs_an_address(self, authority: Authority) -> None:
        """An address as host is matched by iPAddress only."""
        assert ServerName("192.0.2.1").matches(identity_with(authority, "192.0.2.1"))
        assert not ServerName("192.0.2.1").matches(identity_with(authority, "192.0.2.2"))

    @pytest.mark.parametrize(
        ("realms", "matches"),
        [
            (("lib.example",), True),
            (("a.example", "lib.example"), True),
            (("*.example",), False),
            (("b.example",), False),
        ],
    )
    def test_realm_is_matched_by_nai_realm(
        self, authority: Authority, realms: tuple[str, ...], *, matches: bool
    ) -> None:
        """One NAIRealm of the realms that the server is asked for is enough (RFC 7585 §2.2)."""
        server = ServerName("192.0.2.1", frozenset({"lib.example"}))
        assert server.matches(identity_with(authority, realms=realms)) is matches

    def test_nai_realm_wildcard_is_one_label(self, authority: Authority) -> None:
        """`*.lib.example` is for sub-realms of one label."""
        identity = identity_with(authority, realms=("*.lib.example",))
        assert ServerName("192.0.2.1", frozenset({"kids.lib.example"})).matches(identity)
        assert not ServerName("192.0.2.1", frozenset({"lib.example"})).matches(identity)
        assert not ServerName("192.0.2.1", frozenset({"a.kids.lib.example"})).matches(identity)


class TestReadIdentity:
    def test_ends_with_the_first_of_the_chain(self, authority: Authority) -> None:
        """The connection may live until the first certificate of its chain ends."""
        certificate, _ = authority.issue(names_of("a.lib.example"))
        identity = read_identity([certificate, authority.certificate])
        assert identity.not_after == certificate.not_valid_after_utc.timestamp()
        assert identity.serials == ((authority.name.public_bytes(), f"{certificate.serial_number:x}"),)
        assert identity.label == "a.lib.example"

    def test_text_of_an_address_is_no_name(self, authority: Authority) -> None:
        """A dNSName or NAIRealm that reads as an address stands for nobody (RFC 9525 §4.1)."""
        texts = [x509.DNSName("192.0.2.1"), x509.DNSName("2001:db8::1"), nai_realm("192.0.2.1")]
        certificate, _ = authority.issue([*texts, *names_of("192.0.2.2")])
        identity = read_identity([certificate])
        assert (identity.names, identity.nai_realms, identity.addresses) == ((), (), ("192.0.2.2",))
