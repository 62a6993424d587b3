"""Patrons' user names: which are the same, and which are none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.identity.patron_names import MAX_USER_OCTETS, InvalidPatronName, normalise_user


class TestNormalise:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("jansen", "jansen"),
            ("JanSen", "jansen"),
            ("0020001234", "0020001234"),
            ("de vries", "de vries"),
            ("Cafe\u0301", "caf\u00e9"),
            ("STRASSE", "strasse"),
            ("Straße", "strasse"),
            ("ΣΊΣΥΦΟΣ", "σίσυφοσ"),
        ],
    )
    def test_case_and_composition_do_not_matter(self, text: str, expected: str) -> None:
        """Names that differ by case or by how characters are composed are one name."""
        assert expected == normalise_user(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            " a",
            "a ",
            "a\x00",
            "a\rb",
            "a\nb",
            "a|b",
            "a@b",
            "a\u200b",
            "\u202ea",
            "a\u2028b",
            "a\ud800",
            "\x7f",
        ],
    )
    def test_name_that_could_break_a_line_or_hide_is_refused(self, text: str) -> None:
        """NUL, CR, LF, the pipe, "@", invisible characters and outer white space are refused."""
        with pytest.raises(InvalidPatronName):
            normalise_user(text)

    @pytest.mark.parametrize("text", ["a" * 129, "é" * 65, "ŉ" * 64, "x" * 1_000_000])
    def test_long_name_is_refused(self, text: str) -> None:
        """A name has at most 128 octets in the form that is stored: folding can lengthen it."""
        with pytest.raises(InvalidPatronName):
            normalise_user(text)

    @given(st.text(max_size=140))
    def test_normal_form_is_stable_and_bounded(self, text: str) -> None:
        """The normal form of a normal form is itself, fits its bound, and is the one of every case of the name."""
        try:
            user = normalise_user(text)
        except InvalidPatronName:
            return
        assert user == normalise_user(user)
        assert 0 < len(user.encode()) <= MAX_USER_OCTETS
