"""User names as they come, and realms as the registry writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import InvalidRealm
from federation.names import MAX_NAME_OCTETS, UserName, is_realm, is_user, normalise_realm, parse_user_name
from federation.reasons import RefusalReason

LONG_LABEL = "a" * 63


class TestParseUserName:
    @pytest.mark.parametrize(
        ("name", "user", "realm"),
        [
            (b"wieke@boekenburg.example", b"wieke", "boekenburg.example"),
            (b"Wieke@Boekenburg.EXAMPLE", b"Wieke", "boekenburg.example"),
            (b"anonymous@a.b", b"anonymous", "a.b"),
            (b"1234@xn--bcherei-n2a.example", b"1234", "xn--bcherei-n2a.example"),
            (b"a b@c.d", b"a b", "c.d"),
            ("wiëke@a.b".encode(), "wiëke".encode(), "a.b"),
            (b"%{User-Name}@a.b", b"%{User-Name}", "a.b"),
            (b"DOMAIN\\wieke@a.b", b"DOMAIN\\wieke", "a.b"),
            (b"host/pc@a.b", b"host/pc", "a.b"),
            ("wieke@Bücherei.example".encode(), b"wieke", "xn--bcherei-n2a.example"),
            (b"u@" + LONG_LABEL.encode() + b".b", b"u", f"{LONG_LABEL}.b"),
        ],
    )
    def test_name_that_may_travel_is_taken_apart(self, name: bytes, user: bytes, realm: str) -> None:
        """The user part stays as it came; the realm is looked up in lower case (RFC 7542 §2.2)."""
        assert parse_user_name(name) == UserName(user, realm)

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            (b"", RefusalReason.USER_NAME_MISSING),
            (b"wieke", RefusalReason.REALM_MISSING),
            (b"@", RefusalReason.REALM_MISSING),
            (b"wieke@", RefusalReason.REALM_MISSING),
            (b"wieke@@", RefusalReason.MULTIPLE_AT),
            (b"@boekenburg.example", RefusalReason.USER_MISSING),
            (b"a@@b.c", RefusalReason.MULTIPLE_AT),
            (b"a@b@c.d", RefusalReason.MULTIPLE_AT),
            (b"host/pc.boekenburg.example", RefusalReason.HOST_NAME),
            (b"HOST/pc.boekenburg.example", RefusalReason.HOST_NAME),
            (b"wieke@boekenburg", RefusalReason.REALM_SYNTAX),
            (b"wieke@b..c", RefusalReason.REALM_SYNTAX),
            (b"wieke@.b.c", RefusalReason.REALM_SYNTAX),
            (b"wieke@b.c.", RefusalReason.REALM_SYNTAX),
            (b"wieke@-a.b", RefusalReason.REALM_SYNTAX),
            (b"wieke@a-.b", RefusalReason.REALM_SYNTAX),
            (b"wieke@a_b.c", RefusalReason.REALM_SYNTAX),
            (b"wieke@ a.b", RefusalReason.REALM_SYNTAX),
            (b"wieke@a.b#c", RefusalReason.REALM_SYNTAX),
            (b"wieke@a.b/c", RefusalReason.REALM_SYNTAX),
            (b"wieke@%00.b", RefusalReason.REALM_SYNTAX),
            (b"wieke@192.0.2.1:1812", RefusalReason.REALM_SYNTAX),
            (b"wieke@" + b"a" * 64 + b".b", RefusalReason.REALM_SYNTAX),
            ("wieke@straße.example".encode(), RefusalReason.REALM_SYNTAX),  # the older IDNA would look up another realm
            ("wieke@ｂib.example".encode(), RefusalReason.REALM_SYNTAX),  # noqa: RUF001 - a full-width letter is the input
            ("wieke@bücherei".encode(), RefusalReason.REALM_SYNTAX),
            (
                "wieke@biblio\u212a.example".encode(),
                RefusalReason.REALM_SYNTAX,
            ),  # the Kelvin sign, whose lower case is "k"
            ("wieke＠a.b".encode(), RefusalReason.REALM_MISSING),  # noqa: RUF001 - a full-width "@" is the input
            (b" wieke@a.b", RefusalReason.NAME_SYNTAX),
            (b"\twieke@a.b", RefusalReason.NAME_SYNTAX),
            (b"wieke@a.b ", RefusalReason.NAME_SYNTAX),
            (b"wieke@a.b\t", RefusalReason.NAME_SYNTAX),
            (b"wi\0eke@a.b", RefusalReason.NAME_SYNTAX),
            (b"wieke@a.b\r\n", RefusalReason.NAME_SYNTAX),
            (b"wi\x7feke@a.b", RefusalReason.NAME_SYNTAX),
            (b"wi\xc0\xafeke@a.b", RefusalReason.NAME_SYNTAX),  # overlong
            (b"wi\xed\xa0\x80eke@a.b", RefusalReason.NAME_SYNTAX),  # a lone surrogate
            ("wi\u202eeke@a.b".encode(), RefusalReason.NAME_SYNTAX),  # right to left
            ("\u00a0wieke@a.b".encode(), RefusalReason.NAME_SYNTAX),  # a no-break space
            (b"a" * 250 + b"@a.b", RefusalReason.NAME_SYNTAX),
        ],
    )
    def test_name_that_may_not_travel_is_refused(self, name: bytes, reason: RefusalReason) -> None:
        """Each kind of bad name has its reason (RFC 7542 §2.2 and the filters of roaming federations)."""
        assert parse_user_name(name) is reason

    def test_longest_name_may_travel(self) -> None:
        """253 octets are a name, one more is none (RFC 7542 §2.3)."""
        longest = b"a" * (MAX_NAME_OCTETS - 4) + b"@a.b"
        assert isinstance(parse_user_name(longest), UserName)
        assert parse_user_name(b"a" + longest) is RefusalReason.NAME_SYNTAX

    @given(st.binary(max_size=300))
    def test_any_octets_are_judged(self, octets: bytes) -> None:
        """No octets are too odd to be judged, and what may travel is the octets that came."""
        parsed = parse_user_name(octets)
        if isinstance(parsed, UserName):
            assert octets.startswith(parsed.user + b"@")
            assert normalise_realm(octets[len(parsed.user) + 1 :].decode()) == parsed.realm
            assert is_realm(parsed.realm.encode("ascii"))

    @given(st.from_regex(rb"[^\x00-\x20\x7f-\xff@]{1,20}@([a-z0-9]{1,10}\.){1,4}[a-z]{2,10}", fullmatch=True))
    def test_plain_names_may_travel(self, octets: bytes) -> None:
        """Names of the common form are taken apart at the one at-sign."""
        user, realm = octets.split(b"@")
        assert parse_user_name(octets) == UserName(user, realm.decode("ascii"))


class TestIsUser:
    @pytest.mark.parametrize("user", [b"w", b"a b", b"w ", "wiëke".encode(), b"%{User-Name}", b"DOMAIN\\wieke"])
    def test_printable_text_may_stand_before_a_realm(self, user: bytes) -> None:
        """In any script, with spaces inside or at its end."""
        assert is_user(user)

    @pytest.mark.parametrize(
        "user", [b"", b" w", b"\tw", b"w\0", b"w\x7f", b"\xff", "w\u200b".encode(), "w\u00a0".encode()]
    )
    def test_nothing_else_may(self, user: bytes) -> None:
        """No white space at the beginning, no control or format character, no octets that are no text."""
        assert not is_user(user)

    @given(st.binary(max_size=20).filter(lambda user: b"@" not in user))
    def test_agrees_with_the_whole_name(self, user: bytes) -> None:
        """What it lets pass is what makes no name of a good realm bad."""
        assert is_user(user) == isinstance(parse_user_name(user + b"@a.b"), UserName)


class TestIsRealm:
    def test_too_long_realm_is_none(self) -> None:
        """A domain name has at most 253 octets in text (RFC 1035 §2.3.4)."""
        realm = ".".join([LONG_LABEL] * 4).encode()
        assert len(realm) == 255
        assert not is_realm(realm)
        assert is_realm(realm[2:])

    def test_upper_case_is_not_the_form_that_is_looked_up(self) -> None:
        """Realms are lower-cased before they are judged."""
        assert not is_realm(b"A.example")


class TestNormaliseRealm:
    @pytest.mark.parametrize(
        ("text", "realm"),
        [
            ("Boekenburg.Example", "boekenburg.example"),
            ("bücherei.example", "xn--bcherei-n2a.example"),
            ("BÜCHEREI.example", "xn--bcherei-n2a.example"),
            ("xn--bcherei-n2a.example", "xn--bcherei-n2a.example"),
            ("图书馆.例子", "xn--1jq52s681d.xn--fsqu00a"),
        ],
    )
    def test_realm_is_written_in_lower_case_a_labels(self, text: str, realm: str) -> None:
        """However a person writes it, a realm has one form in the registry (RFC 7542 §2.5)."""
        assert normalise_realm(text) == realm
        assert normalise_realm(realm) == realm

    @pytest.mark.parametrize("text", ["*", "*.example", "a.*", "lib*.example"])
    def test_wildcard_is_refused(self, text: str) -> None:
        """Nobody owns a pattern; sub-realms are a setting of a realm."""
        with pytest.raises(InvalidRealm, match="wildcard") as refused:
            normalise_realm(text)
        assert refused.value.field == "realm"

    @pytest.mark.parametrize(
        "text", ["", "example", ".", "a..b", ".a.b", "a.b.", "a b.c", "a_b.c", "a@b.c", "-a.b", "a/b.c"]
    )
    def test_what_is_no_domain_name_is_refused(self, text: str) -> None:
        """Two labels or more of letters, digits and inner hyphens; the message says so."""
        with pytest.raises(InvalidRealm, match="two labels or more"):
            normalise_realm(text)

    @pytest.mark.parametrize(
        "text",
        [
            "straße.example",  # the older IDNA would make it strasse.example, which is somebody else's
            "ｂib.example",  # noqa: RUF001 - a full-width letter is the input
            "biblio\u212a.example",  # the Kelvin sign
            "bücherei\u3002example",  # an ideographic full stop
            "b\u00fccherei.ex\u00adample",  # a soft hyphen, which is dropped
            "u\u0308ber.example",  # not composed
            "\u0661a.\u0627b",  # digits and letters of two directions
            "ü" * 64 + ".example",
            "ü." * 200 + "example",
            "b\ud800.example",
        ],
    )
    def test_ambiguous_text_is_refused(self, text: str) -> None:
        """A name that would be written as another name is refused; its A-labels are not."""
        with pytest.raises(InvalidRealm):
            normalise_realm(text)

    @given(st.text(max_size=80))
    def test_any_text_is_a_realm_or_is_refused(self, text: str) -> None:
        """What comes out is a realm that stays the same when it is written again."""
        try:
            realm = normalise_realm(text)
        except InvalidRealm:
            return
        assert is_realm(realm.encode("ascii"))
        assert normalise_realm(realm) == realm
