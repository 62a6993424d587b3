"""Patrons in a CSV file: all of it is read and checked before any of it is kept.

The first line names the columns: `user` and `password`, and if wanted `realm` and `expires` (a date as 2027-12-31, the
last day). A `user` may be `user@realm` instead. Fields are separated by commas, semicolons (what a spreadsheet writes
in half of Europe) or tabs, and quoted with `"` where needed; the text is UTF-8.
"""

import csv
import io
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

from federation.errors import InvalidDocument, InvalidInput
from federation.identity.passwords import validate_new_password
from federation.identity.patron_names import normalise_user
from federation.names import normalise_realm

MAX_FILE_OCTETS = 32 * 1024 * 1024
MAX_PATRONS = 200_000
MAX_REPORTED = 100  # problems; a file with more has one cause
_COLUMNS = ("user", "password", "realm", "expires")
_REQUIRED = frozenset({"user", "password"})


@dataclass(frozen=True, slots=True)
class NewPatron:
    """One patron to be made, checked."""

    realm: str
    user: str  # normalised
    password: bytes = field(repr=False)
    expires_on: date | None = None
    line: int = 0  # where it stands in its file; 0: in none


class InvalidPatronFile(InvalidDocument):
    """A file of which nothing was kept; every problem names its line and never the password in it."""

    def __init__(self, problems: Sequence[InvalidInput]) -> None:
        reported = tuple(problems[:MAX_REPORTED])
        if len(problems) > MAX_REPORTED:
            reported += (InvalidInput(f"{len(problems) - MAX_REPORTED} more problems", field="and then"),)
        super().__init__(reported)


def build_problem(line: int, message: str) -> InvalidInput:
    """What is wrong in one line of a file."""
    return InvalidInput(message, field=f"line {line}")


def parse_patron_file(octets: bytes, realms: Collection[str], default_realm: str | None) -> tuple[NewPatron, ...]:
    """The patrons in *octets*, in the order of the file.

    *realms* are the library's; *default_realm* is that of a line that names none.

    Raises:
        InvalidPatronFile: any line is wrong; each is reported with its number, up to a hundred of them.
    """
    if len(octets) > MAX_FILE_OCTETS:
        raise InvalidPatronFile([build_problem(1, f"the file is longer than {MAX_FILE_OCTETS} octets")])
    try:
        text = octets.decode("utf-8-sig")  # spreadsheets put a byte order mark in front
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise InvalidPatronFile([build_problem(line, "the file is not UTF-8")]) from None
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    problems: list[InvalidInput] = []
    patrons: list[NewPatron] = []
    seen: dict[tuple[str, str], int] = {}
    for line, row in _read_rows(text, delimiter, problems):
        try:
            patron = _parse_row(row, line, realms, default_realm)
        except InvalidInput as error:
            problems.append(build_problem(line, error.message))
            continue
        first = seen.setdefault((patron.realm, patron.user), line)
        if first != line:
            problems.append(build_problem(line, f"the same patron stands in line {first}"))
        patrons.append(patron)
        if len(patrons) > MAX_PATRONS:
            problems.append(build_problem(line, f"the file has more than {MAX_PATRONS} patrons"))
            break
    if not patrons and not problems:
        problems.append(build_problem(1, "the file has no patrons"))
    if problems:
        raise InvalidPatronFile(problems)
    return tuple(patrons)


def _read_rows(text: str, delimiter: str, problems: list[InvalidInput]) -> Iterator[tuple[int, dict[str, str]]]:
    """Each row with the number of its first line; what the form of the file gets wrong goes to *problems*."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    columns: list[str] | None = None
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # where the next row begins is not known then
            problems.append(build_problem(line, f"not readable as CSV: {error}"))
            return
        if columns is None:
            columns = [name.strip().lower() for name in fields]
            wrong = [name for name in columns if name not in _COLUMNS or columns.count(name) > 1]
            missing = sorted(_REQUIRED.difference(columns))
            if wrong or missing:
                what = f"no column can be called {wrong[0][:40]!r}" if wrong else f"there is no column {missing[0]!r}"
                problems.append(build_problem(line, f"{what}: the first line names user, password, realm, expires"))
                return
        elif any(field.strip() for field in fields):
            if len(fields) == len(columns):
                yield line, dict(zip(columns, fields, strict=True))
            else:
                problems.append(build_problem(line, f"{len(fields)} fields, where there are {len(columns)} columns"))
        line = reader.line_num + 1


def _parse_row(row: dict[str, str], line: int, realms: Collection[str], default_realm: str | None) -> NewPatron:
    name, at, after = row["user"].strip().rpartition("@")
    column = row.get("realm", "").strip()
    if at and column and normalise_realm(column) != normalise_realm(after):
        raise InvalidInput("the user names one realm and the column realm another")
    user, text = (name, after) if at else (after, column)
    realm = normalise_realm(text) if text else default_realm
    if realm is None:
        raise InvalidInput("the library has more than one realm: say which")
    if realm not in realms:
        raise InvalidInput(f"{realm} is not a realm of this library")
    expires = row.get("expires", "").strip()
    try:
        expires_on = date.fromisoformat(expires) if expires else None
    except ValueError:
        raise InvalidInput("expires is not a date as 2027-12-31") from None
    return NewPatron(realm, normalise_user(user), validate_new_password(row["password"]), expires_on, line)
