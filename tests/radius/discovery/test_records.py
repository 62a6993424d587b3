"""Names out of the DNS."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from radius.discovery.records import check_host, check_owner

NASTY = (
    "",
    ".",
    "..",
    "a..b",
    ".a.b",
    "-a.b",
    "a-.b",
    "a.b..",
    "radius;reboot.lib.example",
    "$(reboot).lib.example",
    "`id`.lib.example",
    "a|b.lib.example",
    "a b.lib.example",
    "a\\032b.lib.example",
    "a'b.lib.example",
    "../../etc/passwd",
    "a\nb.lib.example",
    "a\0b.lib.example",
    "bücher.example",
    "\u212a.example",  # the Kelvin sign, which lowers to a plain k
    "%{User-Name}.lib.example",
    "a" * 64 + ".example",
    ".".join(["a" * 63] * 4),
    "*.lib.example",
    "a__.@example",
)


class TestCheckHost:
    """Which names may be connected to."""

    def test_name_loses_its_dot_and_its_capitals(self) -> None:
        """A host name is used in one form: lower case, without the root's dot."""
        assert check_host("Radius-1.Lib.EXAMPLE.") == "radius-1.lib.example"

    @pytest.mark.parametrize("text", NASTY)
    def test_name_that_is_none_is_refused(self, text: str) -> None:
        """Shell characters, escapes, other scripts and wrong lengths never become a host (CVE-2021-32642)."""
        assert check_host(text) is None

    @pytest.mark.parametrize("text", ["127.0.0.1", "10.1", "a.0", "localhost", "_radsec._tcp.lib.example"])
    def test_address_single_label_and_underscore_are_no_host(self, text: str) -> None:
        """What another function could read as an address or complete by a search list is no host name."""
        assert check_host(text) is None

    def test_longest_name_passes_and_one_more_does_not(self) -> None:
        """A name has at most 253 octets (RFC 1035 §2.3.4)."""
        longest = ".".join(["a" * 63, "a" * 63, "a" * 63, "a" * 61])
        assert check_host(longest) == longest
        assert check_host(longest + "a") is None

    @given(st.text(max_size=300))
    def test_any_text_gives_a_plain_name_or_none(self, text: str) -> None:
        """Whatever a record holds, what comes out has letters, digits, hyphens and dots only."""
        name = check_host(text)
        assert name is None or (name.isascii() and name.replace(".", "").replace("-", "").isalnum())


class TestCheckOwner:
    """Which names may be asked for."""

    def test_underscore_may_begin_a_label(self) -> None:
        """Service names stand under labels such as _radsec (RFC 2782)."""
        assert check_owner("_RadSec._tcp.lib.example.") == "_radsec._tcp.lib.example"

    @pytest.mark.parametrize("text", ["_.lib.example", "a_b.lib.example", "__a.lib.example", *NASTY])
    def test_name_that_is_none_is_refused(self, text: str) -> None:
        """An underscore stands first or not at all, and nothing else is new."""
        assert check_owner(text) is None
