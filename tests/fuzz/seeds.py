"""The inputs that a search begins with, one for each thing a target does: `python -m tests.fuzz.seeds` writes them."""

import struct
from ipaddress import ip_address
from typing import Final

import dns.name
import dns.rdata
import dns.rdatatype
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from radius.eap.avps import USER_NAME, build_avp
from radius.wire.authenticators import KeyedSecret, sign_request, sign_response
from radius.wire.codes import AttributeType, Code, VendorId
from radius.wire.hiding import hide_salted, hide_user_password
from radius.wire.packet import build_attribute, build_fragments, build_vendor_attribute
from tests.fuzz.files import FOLDER
from tests.fuzz.script import build_field
from tests.fuzz.targets import certificates, hiding, rewriting, versions
from tests.fuzz.targets.eap import CUT, HONEST, INNER, NAK, OUTER, PIECE, REPEAT, TWISTED

_EAP: Final = b"\x02\x01\x00\x0d\x01anon@x.y"
_USER: Final = build_attribute(AttributeType.USER_NAME, b"anonymous@home.example")
_STATES: Final = build_attribute(33, b"one") + build_attribute(33, bytes(200))
_FRAGMENTS: Final = build_fragments(AttributeType.EAP_MESSAGE, b"\x02\x01\x02\xbc" + bytes(696))
_EXTENDED: Final = (
    build_attribute(241, b"\x01abc") + build_attribute(245, b"\x1a\x80\x00\x00\x00\x09\x01abc") + b"\xf5\x04\x01\x00"
)
_VENDORS: Final = (
    build_vendor_attribute(VendorId.ASCEND, 214, bytes(16))
    + build_attribute(26, VendorId.WIMAX.to_bytes(4) + b"\x01\x06\x80abc")
    + build_attribute(26, VendorId.USR.to_bytes(4) + b"\x00\x00\x90\x1aabc")
    + build_attribute(26, VendorId.STARENT.to_bytes(4) + b"\x00\x01\x00\x06ab")
    + build_attribute(26, b"\x00\x00\x00\x09\x01\x08cisco=")
)
_TTL: Final = build_vendor_attribute(VendorId.RADSEC_PROXY_TTL, 1, (3).to_bytes(4))
_FILE: Final = """\
[federation]
name = "biebroam"
country = "NL"
denied_realms = ["*.local"]

[[libraries]]
id = "boekenburg"
name = "Boekenburg"
realms = ["boekenburg.test", { name = "oud.test", subrealms = true }]

[[libraries.access_points]]
name = "hal"
address = "192.0.2.0/24"
guest_vlan = 40
secret_env = "A"

[libraries.identity]
kind = "local"

[[libraries]]
id = "nieuw"
name = "Nieuw"

[[libraries.home_servers]]
name = "radius1"
host = "radius.nieuw.test"
secret_file = "b"
"""


def _salted(keyed: KeyedSecret, authenticator: bytes, octets: int = 32) -> bytes:
    return hide_salted(bytes(range(octets)), 5, keyed, authenticator)


def _keys() -> bytes:
    hidden = _salted(rewriting.HOME, rewriting.OWN_AUTHENTICATOR)
    return (
        b"".join(build_vendor_attribute(VendorId.MICROSOFT, kind, hidden) for kind in (16, 17))
        + build_attribute(69, b"\x01" + hidden)
        + build_attribute(26, VendorId.WIMAX.to_bytes(4) + bytes((5, len(hidden) + 3, 0)) + hidden)
    )


def _packets() -> dict[str, bytes]:
    secret, authenticator = KeyedSecret(b"secret of the access point"), bytes(range(16))
    request = _USER + build_fragments(79, _EAP)
    return {
        "request": sign_request(Code.ACCESS_REQUEST, 7, authenticator, request, secret),
        "fragments": sign_request(Code.ACCESS_REQUEST, 7, authenticator, _FRAGMENTS, secret),
        "unsigned": sign_request(
            Code.ACCESS_REQUEST, 7, authenticator, _USER + _STATES, secret, with_message_authenticator=False
        ),
        "status": sign_request(Code.STATUS_SERVER, 0, authenticator, b"", secret),
        "accounting": sign_request(
            Code.ACCOUNTING_REQUEST, 1, bytes(16), _USER, secret, with_message_authenticator=False
        ),
        "answer": sign_response(Code.ACCESS_ACCEPT, 7, bytes(16), _USER + _STATES + _keys(), secret),
        "vendors": sign_request(Code.ACCESS_REQUEST, 7, authenticator, _VENDORS + _TTL, secret),
        "extended": sign_request(Code.ACCESS_REQUEST, 7, authenticator, _EXTENDED, secret),
        "padded": sign_request(Code.ACCESS_REQUEST, 7, authenticator, _USER, secret) + b"\xff" * 9,
    }


def _rewriting() -> dict[str, bytes]:
    password = hide_user_password(b"pass word", rewriting.CLIENT, rewriting.CLIENT_AUTHENTICATOR)
    request = _USER + build_attribute(2, password) + build_attribute(3, bytes(17)) + _STATES + _TTL + _VENDORS
    answer = _keys() + _EXTENDED + build_attribute(18, b"hello") + build_attribute(27, b"\x00\x00\x0e\x10") + _VENDORS
    found = {f"request-{choice:02x}": bytes((choice,)) + request for choice in (0x00, 0x48, 0x10, 0x58, 0x06, 0x60)}
    for choice in (0x01, 0x81, 0xC1, 0xC9, 0xD3, 0xE5, 0xC7):
        found[f"answer-{choice:02x}"] = bytes((choice,)) + build_field(b"state") + answer
    found["answer-eap"] = b"\xc1" + build_field(b"") + build_fragments(79, _EAP) + build_attribute(18, b"hello")
    found["large"] = b"\x40" + build_attribute(25, bytes(253)) * 15 + build_attribute(25, bytes(200))
    return found


def _hiding() -> dict[str, bytes]:
    salted = _salted(hiding.FROM, hiding.FROM_AUTHENTICATOR)
    password = hide_user_password(b"p" * 20, hiding.FROM, hiding.FROM_AUTHENTICATOR)
    nested = bytes((3, len(salted) + 2)) + salted + b"\x01\x03a"
    wimax = VendorId.WIMAX.to_bytes(4)
    return {
        "password": b"\0" + password,
        "salted": b"\1" + salted,
        "salted-empty": b"\1" + hide_salted(b"", 1, hiding.FROM, hiding.FROM_AUTHENTICATOR),
        "tunnel": b"\2\1" + salted,
        "microsoft": b"\3" + VendorId.MICROSOFT.to_bytes(4) + bytes((16, len(salted) + 2)) + salted,
        "mppe-keys": b"\3" + VendorId.MICROSOFT.to_bytes(4) + bytes((12, len(password) + 2)) + password,
        "tagged": b"\3" + VendorId.LANCOM.to_bytes(4) + bytes((19, len(salted) + 3, 1)) + salted,
        "nested": b"\3" + wimax + bytes((86, len(nested) + 3, 0)) + nested,
        "continued": b"\3" + wimax + bytes((5, len(salted) + 3, 0x80)) + salted,
        "ascend": b"\3" + VendorId.ASCEND.to_bytes(4) + bytes((214, 18)) + bytes(16),
    }


def _eap() -> dict[str, bytes]:
    honest = bytes((HONEST,))
    twist = bytes((TWISTED, 0)) + build_field(b"")
    found = {f"slow-{choice:02x}": bytes((choice,)) + honest * 24 + twist * 8 for choice in (0x10, 0x02)}
    for choice in (0x14, 0x15, 0x05, 0x06, 0x07, 0x1C, 0x0D, 0x0E, 0x0F):
        found[f"inside-{choice:02x}"] = bytes((choice,)) + honest * 3 + twist * 7
        twisted = bytes((TWISTED, 9)) + build_field(b"\1")
        found[f"twisted-{choice:02x}"] = bytes((choice,)) + honest * 3 + twist + twisted * 3
    avps = build_avp(USER_NAME, b"\xff\xfe") + build_avp((311, 25), bytes(50))
    return found | {
        "inner-avps": b"\x04" + honest * 2 + bytes((INNER,)) + build_field(avps),
        "inner-eap": b"\x06" + honest * 3 + bytes((INNER,)) + build_field(b"\x1a\x02\x01\x00\x3b\x31" + bytes(60)),
        "inner-late": b"\x0e" + honest * 3 + twist * 2 + bytes((INNER,)) + build_field(b"\x1a\x02\x01\x00\x05"),
        "inner-short": b"\x0e" + honest * 3 + twist + bytes((INNER,)) + build_field(b"\x1a\x02\x01\x00\x05"),
        "outer": b"\x05" + bytes((OUTER,)) + build_field(b"\x02\x01\x00\x06\x03\x19") + bytes((REPEAT,)),
        "nak": b"\x05" + bytes((NAK,)) + build_field(b"\x19") + honest * 3 + twist * 7,
        "nak-nothing": b"\x05" + bytes((NAK,)) + build_field(b""),
        "pieces": b"\x04" + (bytes((PIECE,)) + build_field(b"\x40" + bytes(90))) * 4 + bytes((PIECE,)) + b"\0\1\0",
        "cut": b"\x04" + bytes((CUT, 60)) * 3,
    }


def _frames() -> dict[str, bytes]:
    packets = _packets()
    stream = packets["request"] + packets["status"] + packets["accounting"]
    return {
        "octets": build_field(b"\0") + packets["status"] * 2,
        "pieces": build_field(b"\3\0\x10") + stream,
        "whole": build_field(b"\xff") + stream,
        "bad-length": build_field(b"\x10") + stream + b"\x01\x01\x00\x13" + bytes(30),
        "unfinished": build_field(b"\2") + stream[:-3],
    }


def _versions() -> dict[str, bytes]:
    keys = b"".join(build_vendor_attribute(VendorId.MICROSOFT, kind, bytes(range(32))) for kind in (16, 17, 12))
    others = build_vendor_attribute(VendorId.LANCOM, 19, b"\x05secret") + build_vendor_attribute(
        VendorId.WIMAX, 86, b"\0\x01\x06abcd\x03\x08secret"
    )
    request = _USER + build_attribute(2, b"pass word") + build_attribute(3, bytes(17)) + _STATES + _VENDORS
    return {
        "request": b"\0" + request + build_attribute(80, bytes(3)) + build_attribute(241, b"\4\0\0\0\1"),
        "request-keys": b"\0" + keys + others + build_attribute(69, b"\1secret"),
        "accounting": b"\1" + request + keys + build_attribute(69, b"\1secret"),
        "accept": b"\5" + keys + others + build_attribute(69, b"secret") + _EXTENDED,
        "challenge": b"\x08" + _FRAGMENTS + build_attribute(24, b"state"),
        "whole": b"\xff" + versions.build(2, 7, keys),
    }


def _names() -> dict[str, bytes]:
    return {
        "plain": b"wieke@Boekenburg.example",
        "unicode": "wiëke@bücherei.example".encode(),
        "a-label": b"1@xn--bcherei-n2a.example",
        "machine": b"host/pc.boekenburg.example",
        "mobile": b"0204@wlan.mnc001.mcc204.3gppnetwork.org",
        "two": b"a@b@c.d",
        "long": b"a" * 249 + b"@a.b",
        "overlong": b"wi\xc0\xafeke@a.b",
        "mark": "wi\u202eeke@a.b".encode(),
    }


def _documents() -> dict[str, bytes]:
    file = _FILE.encode()
    return {
        "federation": file,
        "misspelt": file.replace(b"country", b"contry").replace(b"40", b'"forty"'),
        "secrets": file.replace(b'"A"', b'"x"').replace(b'secret_file = "b"', b'secret_file = "y"\nsecret = "s"'),
        "twice": file.replace(b'"nieuw"', b'"boekenburg"'),
        "no-toml": file[:-3],
        "deep": b"a = " + b"[" * 1500,
        "inline": b'libraries = [{ id = "a", name = "A", home_servers = [7], access_points = [{}] }]\n',
    }


def _certificates() -> dict[str, bytes]:
    names = [
        x509.DNSName("radius1.lib.example"),
        x509.DNSName("*.lib.example"),
        x509.IPAddress(ip_address("192.0.2.1")),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.8"), b"\x0c\x0blib.example"),
        x509.RFC822Name("anna@lib.example"),
        x509.UniformResourceIdentifier("https://lib.example"),
    ]
    alternative = x509.SubjectAlternativeName(names).public_bytes()
    found = {
        f"name-{number}": b"\1" + x509.SubjectAlternativeName([each]).public_bytes()
        for number, each in enumerate(names)
    }
    return found | {
        "names": b"\1" + alternative,
        "whole": b"\0" + certificates.build(alternative).public_bytes(Encoding.DER),
    }


def _answer_field(count: int, *records: tuple[str, str, str]) -> bytes:
    """An answer without an error; each record by its name, its type and its data."""
    section = b""
    for name, kind, text in records:
        data = dns.rdata.from_text("IN", kind, text).to_wire()
        owner = dns.name.from_text(name).to_wire()
        assert data is not None
        assert owner is not None
        section += owner + struct.pack("!HHIH", dns.rdatatype.from_text(kind), 1, 300, len(data)) + data
    return build_field(bytes((0, 0, count)) + section)


def _lookups() -> dict[str, bytes]:
    service = '100 10 "s" "x-biebroam:radius.tls" "" _radsec._tcp.lib.example.'
    naptr = _answer_field(1, ("lib.example", "NAPTR", service))
    direct = service.replace('"s"', '"a"').replace("_radsec._tcp.", "radius.")
    srv = _answer_field(1, ("_radsec._tcp.lib.example", "SRV", "0 0 2083 radius.lib.example."))
    four = _answer_field(1, ("radius.lib.example", "A", "9.9.9.9"))
    six = _answer_field(1, ("radius.lib.example", "AAAA", "2620:fe::9"))
    alias = _answer_field(2, ("lib.example", "CNAME", "b.example."), ("b.example", "NAPTR", service))
    return {
        "found": b"\0" + naptr + srv + six + four,
        "direct": b"\0" + _answer_field(1, ("lib.example", "NAPTR", direct)) + six + four,
        "further": b"\0" + _answer_field(1, ("lib.example", "NAPTR", service.replace('"s"', '""'))) + naptr,
        "alias": b"\x80" + alias + srv + six + four,
        "round": b"\0"
        + _answer_field(2, ("lib.example", "CNAME", "b.example."), ("b.example", "CNAME", "lib.example.")),
        "private": b"\0" + naptr + srv + _answer_field(0) + _answer_field(1, ("radius.lib.example", "A", "10.1.2.3")),
        "no-name": b"\0" + build_field(b"\0\3\0"),
        "self": b"\0" + naptr + _answer_field(1, ("_radsec._tcp.lib.example", "SRV", "0 0 2083 login.test.example.")),
        "decided": b"\0" + naptr + _answer_field(1, ("_radsec._tcp.lib.example", "SRV", "0 0 0 .")),
    }


def _kernel() -> dict[str, bytes]:
    rewriting_seeds = _rewriting()
    found = {
        f"filter-{choice:02x}": bytes((choice, 1)) + rewriting_seeds["request-00"][1:]
        for choice in (0x30, 0x02, 0x04, 0x08)
    }
    for choice in (0x01, 0x31, 0x03, 0x07, 0x09):
        found[f"answer-{choice:02x}"] = (
            bytes((choice, 3)) + _keys() + _EXTENDED + build_attribute(33, b"theirs") + _VENDORS
        )
    return found | {f"whole-{name}": b"\x40\1" + octets for name, octets in _packets().items()}


SEEDS: Final = {
    "packets": _packets,
    "rewriting": _rewriting,
    "hiding": _hiding,
    "eap": _eap,
    "frames": _frames,
    "versions": _versions,
    "names": _names,
    "documents": _documents,
    "certificates": _certificates,
    "lookups": _lookups,
    "kernel": _kernel,
}


def main() -> None:
    """Write what is not there."""
    for target, build in SEEDS.items():
        folder = FOLDER / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, octets in build().items():
            (folder / name).write_bytes(octets)


if __name__ == "__main__":
    main()
