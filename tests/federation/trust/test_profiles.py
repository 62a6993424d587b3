"""Certificate requests: what is read, what is refused, and who owns which name."""

from base64 import encodebytes
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from federation.trust.profiles import (
    MAX_REQUEST_OCTETS,
    NAI_REALM,
    Profile,
    RequestRefused,
    build_alternative_names,
    choose_profile,
    parse_peer_request,
    verify_ownership,
)
from tests.federation.trust.certificates import build_request, openssl_request, pem

KEY = ec.generate_private_key(ec.SECP256R1())
NAME = x509.DNSName("radius1.boekenburg.example")


def utf8(text: str) -> bytes:
    return b"\x0c" + bytes([len(text)]) + text.encode()


class TestRequest:
    def test_request_of_openssl_is_read(self, tmp_path: Path) -> None:
        """DNS names and NAIRealms come out lower-case, each once, in the order of the request (RFC 7585 §2.2)."""
        request = parse_peer_request(
            openssl_request(
                tmp_path,
                "DNS:Radius1.Boekenburg.example,DNS:radius1.boekenburg.example,DNS:radius2.boekenburg.example,"
                "otherName:1.3.6.1.5.5.7.8.8;UTF8:*.boekenburg.example",
            )
        )
        assert request.names == ("radius1.boekenburg.example", "radius2.boekenburg.example")
        assert request.nai_realms == ("*.boekenburg.example",)

    def test_lines_of_a_request_may_end_as_in_dos(self, tmp_path: Path) -> None:
        """A request that was made or mailed on Windows is the same request."""
        octets = openssl_request(tmp_path, "DNS:radius1.boekenburg.example").replace(b"\n", b"\r\n")
        assert parse_peer_request(octets).names == ("radius1.boekenburg.example",)

    @pytest.mark.parametrize(
        "key",
        [
            ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"),
            ("-newkey", "rsa:2048"),
        ],
        ids=["p384", "rsa2048"],
    )
    def test_other_strong_keys_are_accepted(self, tmp_path: Path, key: tuple[str, ...]) -> None:
        """P-384 and RSA from 2048 bits are accepted: devices in the field make them."""
        assert parse_peer_request(openssl_request(tmp_path, "DNS:a.boekenburg.example", key=key)).names

    @pytest.mark.parametrize(
        "key",
        [
            rsa.generate_private_key(65537, 1024),
            ec.generate_private_key(ec.SECP521R1()),
            ec.generate_private_key(ec.SECP256K1()),
        ],
        ids=["rsa1024", "p521", "secp256k1"],
    )
    def test_other_keys_are_refused(self, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
        """Weak keys, and curves that TLS stacks of peers do not all know, are refused."""
        with pytest.raises(RequestRefused, match="P-256"):
            parse_peer_request(pem(build_request(NAME, key=key)))

    def test_ed25519_is_refused(self) -> None:
        """Not every RADIUS/TLS peer verifies Ed25519."""
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        request = builder.sign(ed25519.Ed25519PrivateKey.generate(), None)
        with pytest.raises(RequestRefused, match="P-256"):
            parse_peer_request(pem(request))

    def test_request_signed_with_sha1_is_refused(self, tmp_path: Path) -> None:
        """A signature with SHA-1 proves nothing."""
        with pytest.raises(RequestRefused, match="SHA-256"):
            parse_peer_request(openssl_request(tmp_path, "DNS:a.boekenburg.example", "-sha1"))

    def test_request_with_another_key_is_refused(self) -> None:
        """Whoever sends a public key has to prove that the private key is theirs (PKCS #10 signature)."""
        der = build_request(NAME, key=KEY).public_bytes(serialization.Encoding.DER)
        other = ec.generate_private_key(ec.SECP256R1())
        encoding = (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        forged = der.replace(KEY.public_key().public_bytes(*encoding), other.public_key().public_bytes(*encoding))
        assert forged != der
        with pytest.raises(RequestRefused, match="does not prove"):
            parse_peer_request(pem(x509.load_der_x509_csr(forged)))

    def test_extension_that_can_not_be_read_is_refused(self, tmp_path: Path) -> None:
        """A subjectAltName that is none is refused, whoever signed it."""
        with pytest.raises(RequestRefused, match="extensions"):
            parse_peer_request(openssl_request(tmp_path, None, "-addext", "2.5.29.17=DER:0500"))

    def test_common_name_is_not_a_name(self, tmp_path: Path) -> None:
        """A request with only a common name is refused, and says that it is not read (RFC 9525 §2)."""
        with pytest.raises(RequestRefused, match="common name is not read"):
            parse_peer_request(openssl_request(tmp_path, None))

    def test_authority_is_refused(self) -> None:
        """Nobody becomes an authority by asking."""
        extension = x509.BasicConstraints(ca=True, path_length=None)
        with pytest.raises(RequestRefused, match="authority"):
            parse_peer_request(pem(build_request(NAME, extensions=(extension,))))

    def test_basic_constraints_of_an_end_entity_are_left_unread(self) -> None:
        """What openssl's default configuration adds to a request does no harm."""
        extension = x509.BasicConstraints(ca=False, path_length=None)
        assert parse_peer_request(pem(build_request(NAME, extensions=(extension,)))).names == (NAME.value,)

    @pytest.mark.parametrize(
        "alternative_names",
        [
            "IP:192.0.2.1",
            "email:a@boekenburg.example",
            "URI:https://boekenburg.example",
            "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:a@boekenburg.example",
            "otherName:1.3.6.1.5.5.7.8.8;IA5STRING:boekenburg.example",
            "dirName:dn",
        ],
    )
    def test_other_kinds_of_name_are_refused(self, tmp_path: Path, alternative_names: str) -> None:
        """Only DNS names and NAIRealms are certified, and a NAIRealm is a UTF8String."""
        configuration = tmp_path / "openssl.cnf"
        configuration.write_text(
            f"[req]\ndistinguished_name=dn\nreq_extensions=v3\n[dn]\nCN=x\n[v3]\nsubjectAltName={alternative_names}\n"
        )
        request = openssl_request(tmp_path, None, "-config", str(configuration))
        with pytest.raises(RequestRefused):
            parse_peer_request(request)

    @pytest.mark.parametrize(
        "name",
        [
            "*.boekenburg.example",
            "boekenburg",
            "a..example",
            ".example.org",
            "example.org.",
            "-a.example",
            "a-.example",
            "a_b.example",
            "a b.example",
            "a\x00.example",
            "a\n.example",
            "192.0.2.1 ",
            "",
            "l" * 64 + ".example",
            "a." * 130 + "example",
        ],
    )
    def test_name_that_is_no_host_name_is_refused(self, name: str) -> None:
        """Wildcards, single labels and anything but ASCII labels are refused (RFC 9525 §6.3)."""
        with pytest.raises(RequestRefused):
            parse_peer_request(pem(build_request(x509.DNSName(name))))

    @pytest.mark.parametrize("value", ["*", "*.", "**.boekenburg.example", "*.*.example", "a*.example", "boekenburg"])
    def test_nai_realm_of_another_form_is_refused(self, value: str) -> None:
        """A NAIRealm is a realm, or "*." and a realm (RFC 7585 §2.2)."""
        with pytest.raises(RequestRefused):
            parse_peer_request(pem(build_request(x509.OtherName(NAI_REALM, utf8(value)))))

    @pytest.mark.parametrize(
        "octets",
        [b"\x16\x03a.b", b"\x04\x03a.b", b"\x0c\x03\xff\xfe\xfd", b"\x0c\x00", b"\x30\x05\x0c\x03a.b"],
    )
    def test_nai_realm_that_is_no_utf8_string_is_refused(self, octets: bytes) -> None:
        """Another type, octets that are not UTF-8, and nothing at all are refused (RFC 7585 §2.2)."""
        with pytest.raises(RequestRefused):
            parse_peer_request(pem(build_request(x509.OtherName(NAI_REALM, octets))))

    def test_too_many_names_are_refused(self) -> None:
        """A request has at most twenty names."""
        names = [x509.DNSName(f"r{number}.boekenburg.example") for number in range(21)]
        assert len(parse_peer_request(pem(build_request(*names[:20]))).names) == 20
        with pytest.raises(RequestRefused, match="20"):
            parse_peer_request(pem(build_request(*names)))

    def test_long_nai_realm_survives_its_encoding(self) -> None:
        """A realm of more than 127 octets has a length of two octets in DER."""
        realm = ".".join(["l" * 60] * 4)
        written = build_alternative_names((), (realm,))
        assert parse_peer_request(pem(build_request(*written))).nai_realms == (realm,)


class TestEnvelope:
    def test_private_key_is_refused_with_a_word_of_warning(self, tmp_path: Path) -> None:
        """A private key that was sent along is burnt, and the answer says so."""
        request = openssl_request(tmp_path, "DNS:a.boekenburg.example")
        with pytest.raises(RequestRefused, match="make a new one"):
            parse_peer_request((tmp_path / "key.pem").read_bytes() + request)

    @pytest.mark.parametrize(
        "octets",
        [
            b"",
            b"hello",
            b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
            pem(build_request(NAME, key=KEY)) * 2,
            b"Certificate Request:\n" + pem(build_request(NAME, key=KEY)),
            pem(build_request(NAME, key=KEY)).replace(b"CERTIFICATE REQUEST", b"CERTIFICATE"),
            pem(build_request(NAME, key=KEY))[:-40],
            b"\xff" * 100,
            b" " * (MAX_REQUEST_OCTETS + 1),
        ],
        ids=["empty", "text", "no der", "two", "with text", "label", "cut", "binary", "long"],
    )
    def test_anything_but_one_request_is_refused(self, octets: bytes) -> None:
        """The request is one PEM block of PKCS #10 and nothing beside it."""
        with pytest.raises(RequestRefused):
            parse_peer_request(octets)

    def test_request_of_old_tools_is_read(self) -> None:
        """Some tools write "NEW CERTIFICATE REQUEST" (RFC 7468 §7)."""
        request = pem(build_request(NAME, key=KEY)).replace(b"CERTIFICATE REQUEST", b"NEW CERTIFICATE REQUEST")
        assert parse_peer_request(request).names == (NAME.value,)

    @given(st.integers(0, 10_000), st.integers(0, 255))
    def test_no_altered_request_does_more_than_be_refused(self, offset: int, octet: int) -> None:
        """Whatever octet of a request is changed, it is refused or reads the same."""
        der = bytearray(DER)
        der[offset % len(der)] = octet
        try:
            request = parse_peer_request(as_pem(bytes(der)))
        except RequestRefused:
            return
        assert request.names == (NAME.value,)
        assert bytes(der) == DER

    def test_request_of_another_version_is_refused(self) -> None:
        """PKCS #10 has one version, which is written as 0 (RFC 2986 §4)."""
        assert b"\x02\x01\x00" in DER
        with pytest.raises(RequestRefused, match="can not be read"):
            parse_peer_request(as_pem(DER.replace(b"\x02\x01\x00", b"\x02\x01\x05", 1)))

    @given(st.binary(max_size=400))
    def test_no_octets_do_more_than_be_refused(self, octets: bytes) -> None:
        """Any octets in the envelope of a request are refused."""
        with pytest.raises(RequestRefused):
            parse_peer_request(as_pem(octets))

    @given(st.binary(max_size=60), st.sampled_from(["2.5.29.17", "2.5.29.19", "2.5.29.15", "2.5.29.37", "1.2.3"]))
    def test_signed_nonsense_does_no_more_than_be_refused(self, octets: bytes, kind: str) -> None:
        """Any octets in any extension of a request that is signed are refused, or read as the name that is there."""
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(kind), octets)
        names = () if kind == "2.5.29.17" else (NAME,)
        try:
            request = parse_peer_request(pem(build_request(*names, key=KEY, extensions=(extension,))))
        except RequestRefused:
            return
        assert request.names == (NAME.value,)


def as_pem(der: bytes) -> bytes:
    """Octets in the envelope of a request, whatever they are."""
    return b"-----BEGIN CERTIFICATE REQUEST-----\n" + encodebytes(der) + b"-----END CERTIFICATE REQUEST-----\n"


DER = build_request(NAME, key=KEY, algorithm=hashes.SHA256()).public_bytes(serialization.Encoding.DER)
REALMS = {
    "boekenburg.example": "boekenburg",
    "oud.example": "boekenburg",
    "leesstad.example": "leesstad",
    "filiaal.boekenburg.example": "filiaal",
}


class TestOwnership:
    @pytest.mark.parametrize(
        "name", ["boekenburg.example", "radius1.boekenburg.example", "a.b.boekenburg.example", "r.oud.example"]
    )
    def test_name_under_an_own_realm_is_owned(self, name: str) -> None:
        """A library has its realms and everything below them."""
        verify_ownership((name,), (), "boekenburg", REALMS)

    @pytest.mark.parametrize(
        "name",
        [
            "leesstad.example",
            "r.leesstad.example",
            "xboekenburg.example",
            "example",
            "boekenburg.example.evil.org",
            "filiaal.boekenburg.example",
            "r.filiaal.boekenburg.example",
        ],
    )
    def test_name_of_another_or_of_nobody_is_refused(self, name: str) -> None:
        """A neighbour's names, names of nobody, and what a closer realm gives to another library are refused."""
        with pytest.raises(RequestRefused, match="not under a realm of library boekenburg"):
            verify_ownership((name,), (), "boekenburg", REALMS)

    def test_one_foreign_name_among_own_ones_is_refused(self) -> None:
        """Every name has to be owned."""
        with pytest.raises(RequestRefused, match=r"^leesstad"):
            verify_ownership(("boekenburg.example", "leesstad.example"), (), "boekenburg", REALMS)

    @pytest.mark.parametrize("value", ["boekenburg.example", "*.boekenburg.example", "oud.example"])
    def test_nai_realm_of_the_library_is_owned(self, value: str) -> None:
        """A NAIRealm says which realms a server answers for: exactly a realm of the library, or what is below it."""
        verify_ownership((), (value,), "boekenburg", REALMS)

    @pytest.mark.parametrize("value", ["leesstad.example", "*.example", "sub.boekenburg.example"])
    def test_other_nai_realm_is_refused(self, value: str) -> None:
        """A NAIRealm that is not registered for the library is refused."""
        with pytest.raises(RequestRefused, match="not a realm of library"):
            verify_ownership((), (value,), "boekenburg", REALMS)


class TestChooseProfile:
    @pytest.mark.parametrize(
        ("roles", "wanted", "expected"),
        [
            (("home", "visited"), None, Profile.PEER),
            (("home",), None, Profile.HOME_SERVER),
            (("visited",), None, Profile.ACCESS_POINT),
            (("home", "visited"), Profile.ACCESS_POINT, Profile.ACCESS_POINT),
        ],
    )
    def test_roles_decide(self, roles: tuple[str, ...], wanted: Profile | None, expected: Profile) -> None:
        """Without a wish it is the widest that the roles allow; a narrower one can be asked for."""
        assert choose_profile(roles, wanted) is expected

    @pytest.mark.parametrize(
        ("roles", "wanted"),
        [
            (("visited",), Profile.PEER),
            (("visited",), Profile.HOME_SERVER),
            (("home", "visited"), Profile.OPERATOR),
            (("home", "visited"), Profile.EAP_SERVER),
            ((), None),
        ],
    )
    def test_more_than_the_roles_is_refused(self, roles: tuple[str, ...], wanted: Profile | None) -> None:
        """No library becomes what it is not, and none the operator or a server for patrons' devices."""
        with pytest.raises(RequestRefused) as caught:
            choose_profile(roles, wanted)
        assert caught.value.field == "profile"
