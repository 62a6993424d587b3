"""Names in certificates: what matches, and what looks as if it did."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from radius.transport.tls.identity import DiscoveredName, PeerIdentity, ServerName, holds_realm, read_identity
from tests.fuzz.targets.certificates import build
from tests.radius.transport.tls.members import Authority, nai_realm, names_of


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def identity_with(authority: Authority, *names: str, realms: tuple[str, ...] = ()) -> PeerIdentity:
    certificate, _ = authority.issue([*names_of(*names), *map(nai_realm, realms)], common_name="radius.lib.example")
    return read_identity([certificate, authority.certificate])


def test_name_of_a_kind_that_nobody_reads_is_an_error() -> None:
    """It says so as what is broken does: a peer's certificate must not be a fault of ours."""
    x400_address = bytes.fromhex("3014") + b"\x82\x0elib.example.or" + bytes.fromhex("a302 3000".replace(" ", ""))
    with pytest.raises(ValueError, match="x400Address"):
        read_identity([build(x400_address)])


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


def with_policies(authority: Authority, *policies: str) -> x509.Certificate:
    """A certificate of that authority with these policies; with none the extension is left out."""
    template, _ = authority.issue(names_of("radius.lib.example"))
    builder = (
        x509.CertificateBuilder()
        .subject_name(template.subject)
        .issuer_name(template.issuer)
        .public_key(template.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(template.not_valid_before_utc)
        .not_valid_after(template.not_valid_after_utc)
    )
    if policies:
        found = [x509.PolicyInformation(x509.ObjectIdentifier(policy), None) for policy in policies]
        builder = builder.add_extension(x509.CertificatePolicies(found), critical=False)
    return builder.sign(authority.key, hashes.SHA256())


class TestPolicies:
    @pytest.mark.parametrize(
        ("peer", "between", "expected"),
        [
            (("1.2.3", "1.2.4"), None, {"1.2.3", "1.2.4"}),
            (("1.2.3", "1.2.4"), ("1.2.4",), {"1.2.4"}),
            (("1.2.3",), ("2.5.29.32.0",), {"1.2.3"}),
            (("1.2.3",), (), set[str]()),
            (("2.5.29.32.0",), None, set[str]()),
            ((), ("1.2.3",), set[str]()),
        ],
    )
    def test_policy_holds_where_the_whole_chain_asserts_it(
        self, authority: Authority, peer: tuple[str, ...], between: tuple[str, ...] | None, expected: set[str]
    ) -> None:
        """An authority between the peer and the anchor has to assert it, too, or any (RFC 5280 §6.1.3)."""
        middle = [] if between is None else [with_policies(authority, *between)]
        chain = [with_policies(authority, *peer), *middle, authority.certificate]
        assert read_identity(chain).policies == expected


class TestDiscovered:
    def test_realm_has_to_stand_in_the_certificate(self, authority: Authority) -> None:
        """The realm itself, or a wildcard for its first label (RFC 7585 §2.2); a DNS name is none."""
        assert holds_realm(identity_with(authority, realms=("lib.example",)), "lib.example")
        assert holds_realm(identity_with(authority, realms=("*.city.example",)), "lib.city.example")
        assert not holds_realm(identity_with(authority, realms=("other.example",)), "lib.example")
        assert not holds_realm(identity_with(authority, "lib.example"), "lib.example")

    def test_name_from_the_dns_decides_nothing(self, authority: Authority) -> None:
        """Whoever answers gets through the handshake: the chain is judged after it, before anything is sent."""
        assert DiscoveredName("radius.lib.example").matches(identity_with(authority, "somebody.example"))
