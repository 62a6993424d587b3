"""If-Match and If-None-Match, as RFC 9110 §13.1 and RFC 6585 §3 have them."""

import pytest

from api.conditions import PreconditionFailed, PreconditionRequired, build_etag, is_unchanged, parse_if_match


class TestIfMatch:
    @pytest.mark.parametrize(("header", "version"), [('"7"', 7), (' "7" ', 7), ("*", None), (" * ", None)])
    def test_one_strong_tag_or_any(self, header: str, version: int | None) -> None:
        """One strong tag gives its version, an asterisk any."""
        assert parse_if_match(header) == version

    def test_round_trip(self) -> None:
        """What a read gives is what a change takes."""
        assert parse_if_match(build_etag(123)) == 123

    def test_missing_is_required(self) -> None:
        """A change without If-Match is refused (RFC 6585 §3)."""
        with pytest.raises(PreconditionRequired):
            parse_if_match(None)

    @pytest.mark.parametrize(
        "header", ["", "7", '"', '"7', 'W/"7"', '"7", "8"', '"x"', '""', '"-1"', '"' + "9" * 19 + '"', '"7"\x00', '"²"']
    )
    def test_anything_else_fails(self, header: str) -> None:
        """A weak, foreign or malformed tag never matches (RFC 9110 §13.1.1: strong comparison)."""
        with pytest.raises(PreconditionFailed):
            parse_if_match(header)


class TestIfNoneMatch:
    @pytest.mark.parametrize("header", ['"7"', 'W/"7"', '"6", "7"', "*"])
    def test_known_version_is_unchanged(self, header: str) -> None:
        """A reader that has the version, weakly compared, need not get it again (RFC 9110 §13.1.2)."""
        assert is_unchanged(header, build_etag(7))

    @pytest.mark.parametrize("header", [None, '"6"', "7", '"77"', ""])
    def test_other_version_is_sent(self, header: str | None) -> None:
        """Any other header gets the body."""
        assert not is_unchanged(header, build_etag(7))
