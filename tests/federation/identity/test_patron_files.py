"""Patrons in CSV files: what is read, and how each mistake is told."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.identity import patron_files
from federation.identity.patron_files import InvalidPatronFile, NewPatron, parse_patron_file

REALMS = ("boekenburg.example", "oud.example")


def parse(text: str, default: str | None = "boekenburg.example") -> tuple[NewPatron, ...]:
    return parse_patron_file(text.encode(), REALMS, default)


def problems_of(octets: bytes, default: str | None = "boekenburg.example") -> list[str]:
    with pytest.raises(InvalidPatronFile) as caught:
        parse_patron_file(octets, REALMS, default)
    return str(caught.value).splitlines()


class TestRead:
    def test_columns_may_stand_in_any_order(self) -> None:
        """The first line says which column is which; names are normalised, dates read, lines counted."""
        patrons = parse("expires,Password,User\n2027-12-31,geheim,JANSEN\n,pin 1,0020\n")
        assert patrons == (
            NewPatron("boekenburg.example", "jansen", b"geheim", date(2027, 12, 31), 2),
            NewPatron("boekenburg.example", "0020", b"pin 1", None, 3),
        )

    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    def test_delimiter_is_that_of_the_first_line(self, delimiter: str) -> None:
        """Commas, semicolons and tabs are read; a delimiter inside quotes belongs to the field."""
        patrons = parse(f'user{delimiter}password\njansen{delimiter}"a,b;c"\n')
        assert [patron.password for patron in patrons] == [b"a,b;c"]

    @pytest.mark.parametrize("newline", ["\n", "\r\n"])
    def test_spreadsheets_octets_are_read(self, newline: str) -> None:
        """A byte order mark, either line end, blank lines and a missing last line end are read."""
        text = newline.join(["\ufeffuser;password", "jansen;geheim", "", "de vries;pin"])
        assert [(patron.user, patron.line) for patron in parse(text)] == [("jansen", 2), ("de vries", 4)]

    def test_realm_may_stand_in_the_name_or_in_its_column(self) -> None:
        """A realm comes from the name, from the column realm, or is the library's only one."""
        patrons = parse("user,password,realm\na@OUD.example,x,\nb,x,oud.example\nc,x,\n")
        assert [patron.realm for patron in patrons] == ["oud.example", "oud.example", "boekenburg.example"]

    def test_same_card_in_two_realms_is_two_patrons(self) -> None:
        """A user is one within a realm."""
        assert len(parse("user,password\na@oud.example,x\na@boekenburg.example,x\n")) == 2

    def test_line_ends_of_unicode_are_no_line_ends(self) -> None:
        """Line numbers are those that an editor shows."""
        assert problems_of(b"user,password\nb,x\x0by\n|,x\n") == [
            "line 2: a password can not have control characters",
            "line 3: a user name can not have the character U+007C",
        ]

    def test_password_is_not_in_the_text_form(self) -> None:
        """A patron that reaches a log does not take the password along."""
        assert "geheim" not in repr(parse("user,password\njansen,geheim\n"))


class TestProblems:
    def test_every_wrong_line_is_reported_with_its_number(self) -> None:
        """All problems of a file come at once, and never with a password."""
        found = problems_of(
            b"user,password,expires\na,,\n,x,\na|b,x,\ngood,x,\nb,x,31-12-2027\nb,x\nc@elders.example,x,\nGOOD,y,\n"
        )
        assert found == [
            "line 2: a password can not be empty",
            "line 3: a user name can not be empty",
            "line 4: a user name can not have the character U+007C",
            "line 6: expires is not a date as 2027-12-31",
            "line 7: 2 fields, where there are 3 columns",
            "line 8: elders.example is not a realm of this library",
            "line 9: the same patron stands in line 5",
        ]

    @pytest.mark.parametrize(
        ("octets", "expected"),
        [
            (b"", "line 1: the file has no patrons"),
            (b"user,password\n", "line 1: the file has no patrons"),
            (b"jansen,geheim\n", "line 1: no column can be called 'jansen'"),
            (b"user\n", "line 1: there is no column 'password'"),
            (b"user,user,password\n", "line 1: no column can be called 'user'"),
            (b"user,password\na,b\n\xff,x\n", "line 3: the file is not UTF-8"),
            (b'user,password\na,"b\nc,d\n', "line 2: not readable as CSV"),
            (b'user,password\na,"b"c\n', "line 2: not readable as CSV"),
            (b"user,password\na," + b"x" * 200_000, "line 2: not readable as CSV"),
            (b"user,password,realm\na@oud.example,x,boekenburg.example", "line 2: the user names one realm"),
        ],
    )
    def test_file_of_another_form_is_refused(self, octets: bytes, expected: str) -> None:
        """What is no such file is refused with the line where it goes wrong."""
        assert problems_of(octets)[0].startswith(expected)

    def test_realm_is_asked_for_where_there_are_two(self) -> None:
        """A library with two realms has to say which one a patron belongs to."""
        assert problems_of(b"user,password\na,x\n", None) == ["line 2: the library has more than one realm: say which"]

    def test_only_the_first_hundred_are_reported(self) -> None:
        """A file that is wrong everywhere is told so in a hundred lines."""
        found = problems_of(b"user,password\n" + b",x\n" * 150)
        assert len(found) == 101
        assert found[-1] == "and then: 50 more problems"

    def test_file_and_number_of_patrons_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that is too long is refused before it is read, and one with too many patrons at the first too many."""
        monkeypatch.setattr(patron_files, "MAX_PATRONS", 2)
        assert problems_of(b"user,password\na,x\nb,x\nc,x\nd,x\n") == ["line 4: the file has more than 2 patrons"]
        monkeypatch.setattr(patron_files, "MAX_FILE_OCTETS", 10)
        assert problems_of(b"user,password\na,x\n") == ["line 1: the file is longer than 10 octets"]

    @given(st.binary(max_size=200))
    def test_no_octets_do_more_than_be_refused(self, octets: bytes) -> None:
        """Any octets after a right first line are patrons or problems."""
        try:
            assert parse_patron_file(b"user,password\n" + octets, REALMS, REALMS[0])
        except InvalidPatronFile as error:
            assert error.problems  # noqa: PT017 - either outcome is right, and each has its own truth
