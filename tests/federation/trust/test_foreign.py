"""Roots and lists of other authorities: what is taken, and what is refused."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from federation.errors import InvalidInput
from federation.snapshot import ForeignAnchor, PeerTrust
from federation.trust.foreign import MAX_ANCHOR_OCTETS, ListRefused, parse_foreign_root, parse_revocation_list
from tests.federation.members import START
from tests.federation.trust.authorities import OtherAuthority
from tests.federation.trust.certificates import pem

DER = serialization.Encoding.DER


@pytest.fixture(scope="module")
def surf() -> OtherAuthority:
    return OtherAuthority("SURF root")


class TestRoot:
    def test_root_with_authorities_below_it(self, surf: OtherAuthority) -> None:
        """The first is the root, the others are below it, each signed by one before it."""
        below = OtherAuthority("SURF RADIUS", surf)
        deeper = OtherAuthority("SURF RADIUS 2", below)
        found = parse_foreign_root(b"".join(map(pem, (surf.certificate, below.certificate, deeper.certificate))), START)
        assert found.authorities == (surf.certificate, below.certificate, deeper.certificate)

    @pytest.mark.parametrize(
        ("octets", "reason"),
        [
            (b"", "no file of certificates"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no file of certificates"),
            (b"-----BEGIN PRIVATE KEY-----", "private key"),
            (b"x" * (MAX_ANCHOR_OCTETS + 1), "longer"),
        ],
        ids=["empty", "garbage", "key", "long"],
    )
    def test_what_is_no_certificate_is_refused(self, octets: bytes, reason: str) -> None:
        """Other files are refused with what is wrong with them."""
        with pytest.raises(InvalidInput, match=reason):
            parse_foreign_root(octets, START)

    def test_certificate_of_no_authority_is_refused(self, surf: OtherAuthority) -> None:
        """A server's certificate is no anchor (RFC 5280 §4.2.1.9)."""
        with pytest.raises(InvalidInput, match="no authority"):
            parse_foreign_root(pem(OtherAuthority("server", surf, is_authority=False).certificate), START)

    def test_authority_below_a_root_is_no_root(self, surf: OtherAuthority) -> None:
        """A chain is verified to a root, so an authority below one would verify nothing."""
        with pytest.raises(InvalidInput, match="has to be a root"):
            parse_foreign_root(pem(OtherAuthority("below", surf).certificate), START)

    def test_lines_of_a_root_may_end_as_in_dos(self, surf: OtherAuthority) -> None:
        """A file from Windows is read as any other, and so is a list."""
        root = parse_foreign_root(pem(surf.certificate).replace(b"\n", b"\r\n"), START)
        assert root.root == surf.certificate
        octets = pem(surf.build_list(7, 66)).replace(b"\n", b"\r\n")
        assert parse_revocation_list(octets, [surf.certificate], START).number == 7

    def test_stranger_in_the_file_is_refused(self, surf: OtherAuthority) -> None:
        """What follows the root has to be below it: a list of anybody else's would count."""
        with pytest.raises(InvalidInput, match="not signed by an authority before it"):
            parse_foreign_root(pem(surf.certificate) + pem(OtherAuthority("stranger").certificate), START)

    def test_name_that_is_taken_is_refused(self, surf: OtherAuthority) -> None:
        """Lists are told apart by their issuers' names: another with that name could revoke in it."""
        with pytest.raises(InvalidInput, match="already"):
            parse_foreign_root(pem(surf.certificate), START, [surf.name])

    def test_out_of_date_weak_and_too_many_are_refused(self, surf: OtherAuthority) -> None:
        """A root is valid now and has a key of today's strength; the file has few authorities."""
        with pytest.raises(InvalidInput, match="not valid"):
            parse_foreign_root(pem(surf.certificate), START + timedelta(days=4000))
        with pytest.raises(InvalidInput, match="neither RSA"):
            parse_foreign_root(pem(OtherAuthority("weak", curve=ec.SECP224R1()).certificate), START)
        with pytest.raises(InvalidInput, match="more than 5"):
            parse_foreign_root(pem(surf.certificate) * 7, START)


class TestList:
    @pytest.mark.parametrize("encoding", [serialization.Encoding.PEM, serialization.Encoding.DER])
    def test_list_is_read_in_both_forms(self, surf: OtherAuthority, encoding: serialization.Encoding) -> None:
        """DER as RFC 5280 §4.2.1.13 wants it, and PEM as some serve it."""
        octets = surf.build_list(7, 66).public_bytes(encoding)
        found = parse_revocation_list(octets, [surf.certificate], START)
        assert (found.number, found.next_update) == (7, START + timedelta(days=7))
        assert found.issuer == surf.name.public_bytes()

    def test_list_of_another_is_refused(self, surf: OtherAuthority) -> None:
        """Neither a stranger's list nor one that only has the authority's name is believed (RFC 5280 §6.3.3)."""
        for impostor in (OtherAuthority("stranger"), OtherAuthority("SURF root")):
            with pytest.raises(ListRefused, match="no authority of the anchor"):
                parse_revocation_list(impostor.build_list().public_bytes(DER), [surf.certificate], START)

    def test_altered_list_is_refused(self, surf: OtherAuthority) -> None:
        """Every octet is signed."""
        octets = bytearray(surf.build_list(1, 66).public_bytes(DER))
        octets[octets.index(b"\x02\x01\x42") + 2] = 67  # another serial number
        with pytest.raises(ListRefused):
            parse_revocation_list(bytes(octets), [surf.certificate], START)

    def test_every_truncation_is_refused(self, surf: OtherAuthority) -> None:
        """A list that was cut off anywhere is no list."""
        octets = surf.build_list().public_bytes(DER)
        for length in range(len(octets)):
            with pytest.raises(ListRefused):
                parse_revocation_list(octets[:length], [surf.certificate], START)

    @pytest.mark.parametrize(
        ("number", "days", "is_taken"), [(9, 0, True), (10, 1, True), (8, 1, False), (10, -1, False), (None, 1, False)]
    )
    def test_older_list_is_refused(
        self, surf: OtherAuthority, number: int | None, days: int, *, is_taken: bool
    ) -> None:
        """Neither number nor date go back, so that a revocation can not be undone by an old list (RFC 5280 §5.2.3)."""
        held = pem(surf.build_list(9, at=START)).decode()
        octets = surf.build_list(number, at=START + timedelta(days=days)).public_bytes(DER)
        now = START + timedelta(days=2)
        if is_taken:
            assert parse_revocation_list(octets, [surf.certificate], now, held).number == number
        else:
            with pytest.raises(ListRefused, match="older"):
                parse_revocation_list(octets, [surf.certificate], now, held)

    def test_list_from_the_future_is_refused(self, surf: OtherAuthority) -> None:
        """Else it would keep every true one out."""
        octets = surf.build_list(at=START + timedelta(days=1)).public_bytes(DER)
        with pytest.raises(ListRefused, match="still to come"):
            parse_revocation_list(octets, [surf.certificate], START)

    @pytest.mark.parametrize(
        "extension",
        [
            x509.DeltaCRLIndicator(1),
            x509.IssuingDistributionPoint(
                full_name=None,
                relative_name=None,
                only_contains_user_certs=True,
                only_contains_ca_certs=False,
                only_some_reasons=None,
                indirect_crl=False,
                only_contains_attribute_certs=False,
            ),
        ],
        ids=["delta", "partial"],
    )
    def test_list_of_a_part_is_refused(self, surf: OtherAuthority, extension: x509.ExtensionType) -> None:
        """A list that tells of a part only must not pass for the whole (RFC 5280 §5.2.4, §5.2.5)."""
        octets = surf.build_list(extension=extension).public_bytes(DER)
        with pytest.raises(ListRefused, match="critical extension"):
            parse_revocation_list(octets, [surf.certificate], START)


class TestScope:
    def test_anchor_speaks_for_its_libraries_alone(self) -> None:
        """A chain below another authority's root never stands for a peer of a library that it was not taken for."""
        trust = PeerTrust(b"", b"", b"", foreign_anchors={"aa": ForeignAnchor(b"", frozenset({"boekenburg"}))})
        assert trust.admits("aa", "boekenburg", [b"x"], 0.0)
        assert not trust.admits("aa", "leesstad", [b"x"], 0.0)
        assert trust.admits("bb", "leesstad", [b"x"], 0.0)  # our own root

    @pytest.mark.parametrize(
        ("issuers", "now", "is_admitted"),
        [([b"root"], 99.0, True), ([b"root"], 100.0, False), ([b"root", b"below"], 99.0, False), ([], 99.0, True)],
    )
    def test_hard_policy_needs_a_list_of_every_issuer(
        self, issuers: list[bytes], now: float, *, is_admitted: bool
    ) -> None:
        """Once a list is out of date, or an issuer of the chain has none, nothing below the root is believed."""
        anchor = ForeignAnchor(
            b"", frozenset({"boekenburg"}), requires_list=True, listed_issuers=frozenset({b"root"}), listed_until=100.0
        )
        assert anchor.admits("boekenburg", issuers, now) is is_admitted
