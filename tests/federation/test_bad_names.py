"""Names that devices and attackers send, from the User-Name to the realm that would be asked: each with its verdict.

A name is judged as a proxy does it: its syntax, the deny list, the route. What may travel, travels to its owner only.
"""

import pytest

from federation.names import UserName, parse_user_name
from federation.policy import DEFAULT_DENIED_REALMS, DenyList
from federation.reasons import RefusalReason
from federation.routing import find_realm
from federation.snapshot import Federation, Realm, Snapshot

DENIED = DenyList(DEFAULT_DENIED_REALMS)
LABEL_63 = b"b" * 63
REALMS = {
    name: Realm(name, name.partition(".")[0], ("home/1",), includes_subrealms=name == "lib.test")
    for name in (
        "lib.test",
        "closed.test",
        "xn--bcherei-n2a.test",
        "a.b",
        "b.c",
        f"{LABEL_63.decode()}.test",
        "ik.test",
    )
}
SNAPSHOT = Snapshot(1, Federation("biebroam", "NL", "login.test"), realms=REALMS)


def judge(name: bytes) -> str:
    """The realm that would be asked, or the reason why none is."""
    parsed = parse_user_name(name)
    if not isinstance(parsed, UserName):
        return parsed
    if DENIED.denies(parsed.realm):
        return RefusalReason.REALM_DENIED
    realm = find_realm(SNAPSHOT, parsed.realm)
    return RefusalReason.UNROUTABLE if realm is None else realm.name


REFUSED: dict[str, tuple[bytes, RefusalReason]] = {
    "no name": (b"", RefusalReason.USER_NAME_MISSING),
    "an at-sign alone": (b"@", RefusalReason.REALM_MISSING),
    "no realm": (b"a@", RefusalReason.REALM_MISSING),
    "no user": (b"@a.b", RefusalReason.USER_MISSING),
    "two at-signs in a row": (b"a@@b.c", RefusalReason.MULTIPLE_AT),
    "two at-signs": (b"a@b@b.c", RefusalReason.MULTIPLE_AT),
    "two at-signs, nothing behind": (b"a@b.c@", RefusalReason.MULTIPLE_AT),
    "one label": (b"a@b", RefusalReason.REALM_SYNTAX),
    "one label and the root": (b"a@b.", RefusalReason.REALM_SYNTAX),
    "a space behind": (b"a@a.b ", RefusalReason.NAME_SYNTAX),
    "a space before": (b" a@a.b", RefusalReason.NAME_SYNTAX),
    "a tab behind": (b"a@a.b\t", RefusalReason.NAME_SYNTAX),
    "a no-break space behind": ("a@a.b\u00a0".encode(), RefusalReason.NAME_SYNTAX),
    "a no-break space of Latin-1": (b"a@a.b\xa0", RefusalReason.NAME_SYNTAX),
    "a zero-width space": ("a@a.b\u200b".encode(), RefusalReason.NAME_SYNTAX),
    "a byte-order mark before": ("\ufeffa@a.b".encode(), RefusalReason.NAME_SYNTAX),
    "a space in the realm": (b"a@a .b", RefusalReason.REALM_SYNTAX),
    "a space behind the at-sign": (b"a@ a.b", RefusalReason.REALM_SYNTAX),
    "two dots": (b"a@b..c", RefusalReason.REALM_SYNTAX),
    "a dot first": (b"a@.b.c", RefusalReason.REALM_SYNTAX),
    "a dot last": (b"a@b.c.", RefusalReason.REALM_SYNTAX),
    "dots only": (b"a@...", RefusalReason.REALM_SYNTAX),
    "a hyphen first": (b"x@-a.b", RefusalReason.REALM_SYNTAX),
    "a hyphen last": (b"x@a-.b", RefusalReason.REALM_SYNTAX),
    "a hyphen at the very end": (b"x@a.b-", RefusalReason.REALM_SYNTAX),
    "a label of 64": (b"a@b" + LABEL_63 + b".test", RefusalReason.REALM_SYNTAX),
    "254 octets": (b"a" * 250 + b"@a.b", RefusalReason.NAME_SYNTAX),
    "a NUL in the user": (b"a\0b@a.b", RefusalReason.NAME_SYNTAX),
    "a NUL in the realm": (b"a@a.b\0.evil.test", RefusalReason.NAME_SYNTAX),
    "a line end behind": (b"a@a.b\r\n", RefusalReason.NAME_SYNTAX),
    "a line end inside": (b"a\nAccept@a.b", RefusalReason.NAME_SYNTAX),
    "an escape sequence": (b"\x1b[2Ja@a.b", RefusalReason.NAME_SYNTAX),
    "a next line of Latin-1": ("a\u0085@a.b".encode(), RefusalReason.NAME_SYNTAX),
    "a line separator": ("a\u2028@a.b".encode(), RefusalReason.NAME_SYNTAX),
    "an expansion in the realm": (b"a@%{reply:x}.b", RefusalReason.REALM_SYNTAX),
    "an escaped NUL": (b"a@a%00.b", RefusalReason.REALM_SYNTAX),
    "shell characters": (b"a@$(id).b", RefusalReason.REALM_SYNTAX),
    "a semicolon": (b"a@a.b;id", RefusalReason.REALM_SYNTAX),
    "the separator of F-Ticks": (b"a@a.b#RESULT=OK", RefusalReason.REALM_SYNTAX),
    "a slash": (b"a@a.b/c", RefusalReason.REALM_SYNTAX),
    "a backslash": (b"a@DOMAIN\\a.b", RefusalReason.REALM_SYNTAX),
    "a domain and no realm": (b"DOMAIN\\a", RefusalReason.REALM_MISSING),
    "an underscore": (b"a@a_b.c", RefusalReason.REALM_SYNTAX),
    "an address": (b"a@[192.0.2.1]", RefusalReason.REALM_SYNTAX),
    "a wildcard": (b"a@*.test", RefusalReason.REALM_SYNTAX),
    "an overlong slash": (b"a\xc0\xaf@a.b", RefusalReason.NAME_SYNTAX),
    "an overlong NUL": (b"a\xc0\x80@a.b", RefusalReason.NAME_SYNTAX),
    "an overlong at-sign": (b"a\xc1\x80a.b", RefusalReason.REALM_MISSING),
    "a lone surrogate": (b"a\xed\xa0\x80@a.b", RefusalReason.NAME_SYNTAX),
    "a lone continuation": (b"a\x80@a.b", RefusalReason.NAME_SYNTAX),
    "a cut sequence": (b"a@a.b\xe2\x82", RefusalReason.NAME_SYNTAX),
    "beyond Unicode": (b"a\xf4\x90\x80\x80@a.b", RefusalReason.NAME_SYNTAX),
    "a right-to-left mark": ("a\u200f@a.b".encode(), RefusalReason.NAME_SYNTAX),
    "a right-to-left override": ("a@tset.\u202ebil".encode(), RefusalReason.NAME_SYNTAX),
    "a full-width at-sign": ("a\uff20a.b".encode(), RefusalReason.REALM_MISSING),
    "a small at-sign": ("a\ufe6ba.b".encode(), RefusalReason.REALM_MISSING),
    "full-width letters": ("a@\uff41.b".encode(), RefusalReason.REALM_SYNTAX),
    "an ideographic full stop": ("a@a\u3002b".encode(), RefusalReason.REALM_SYNTAX),
    "a one-dot leader": ("a@a\u2024b".encode(), RefusalReason.REALM_SYNTAX),
    "the Kelvin sign": ("a@i\u212a.test".encode(), RefusalReason.REALM_SYNTAX),
    "a long s": ("a@clo\u017fed.test".encode(), RefusalReason.REALM_SYNTAX),
    "a dotted capital I": ("a@\u0130k.test".encode(), RefusalReason.UNROUTABLE),
    "a soft hyphen": ("a@l\u00adib.test".encode(), RefusalReason.NAME_SYNTAX),
    "a dotless i": ("a@\u0131k.test".encode(), RefusalReason.UNROUTABLE),
    "Cyrillic letters": ("a@\u0430.b".encode(), RefusalReason.UNROUTABLE),
    "an A-label that is none": (b"a@xn--a-ecp.test\xff", RefusalReason.NAME_SYNTAX),
    "a machine": (b"host/pc.lib.test", RefusalReason.HOST_NAME),
    "a mobile operator": (b"0204043210000000@wlan.mnc001.mcc204.3gppnetwork.org", RefusalReason.REALM_DENIED),
    "a mobile operator in capitals": (b"0204@WLAN.MNC001.MCC204.3GPPNETWORK.ORG", RefusalReason.REALM_DENIED),
    "a mail provider": (b"anna@gmail.com", RefusalReason.REALM_DENIED),
    "a local network": (b"anna@pc.local", RefusalReason.REALM_DENIED),
    "a sub-realm of a member that has none": (b"a@x.closed.test", RefusalReason.UNROUTABLE),
    "a member with something behind": (b"a@lib.test.evil.test", RefusalReason.UNROUTABLE),
    "a member with something before": (b"a@evillib.test", RefusalReason.UNROUTABLE),
    "a top-level domain of members": (b"a@x.test", RefusalReason.UNROUTABLE),
}
ROUTED: dict[str, tuple[bytes, str]] = {
    "mixed case": (b"A@LiB.TesT", "lib.test"),
    "a sub-realm": (b"a@x.y.lib.test", "lib.test"),
    "A-labels": (b"a@xn--bcherei-n2a.test", "xn--bcherei-n2a.test"),
    "A-labels in capitals": (b"a@XN--BCHEREI-N2A.TEST", "xn--bcherei-n2a.test"),
    "U-labels": ("a@bücherei.test".encode(), "xn--bcherei-n2a.test"),
    "a machine with a realm": (b"host/pc.x@lib.test", "lib.test"),
    "a domain before the user": (b"DOMAIN\\a@lib.test", "lib.test"),
    "an expansion in the user": (b"%{reply:x}@lib.test", "lib.test"),
    "a hash in the user": (b"a#b@lib.test", "lib.test"),
    "a slash in the user": (b"../../a@lib.test", "lib.test"),
    "253 octets": (b"a" * 249 + b"@a.b", "a.b"),
    "a label of 63": (b"a@" + LABEL_63 + b".test", f"{LABEL_63.decode()}.test"),
    "another script before the at-sign": ("björn@lib.test".encode(), "lib.test"),
}


class TestRefused:
    @pytest.mark.parametrize("case", REFUSED)
    def test_bad_name_reaches_nobody(self, case: str) -> None:
        """Each is refused with the reason that an operator finds in the log (RFC 7542 §2.2 to §2.6)."""
        name, reason = REFUSED[case]
        assert judge(name) == reason


class TestRouted:
    @pytest.mark.parametrize("case", ROUTED)
    def test_odd_name_reaches_its_owner(self, case: str) -> None:
        """Odd is not bad: what may travel travels, and to one owner."""
        name, realm = ROUTED[case]
        assert judge(name) == realm

    def test_no_octet_at_any_place_changes_the_owner(self) -> None:
        """One octet more, anywhere in a good name, is a name of the same owner, of nobody, or none."""
        for at in range(len(b"anna@closed.test") + 1):
            for octet in range(256):
                name = b"anna@closed.test"[:at] + bytes((octet,)) + b"anna@closed.test"[at:]
                verdict = judge(name)
                assert verdict in (*RefusalReason, "closed.test")
                if verdict == "closed.test":
                    assert name.lower().endswith(b"@closed.test")
