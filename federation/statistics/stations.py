"""A device's address as those who count devices may see it: hashed, with a key that does not last.

Calling-Station-Id is written in many ways (RFC 3580 §3.20 says one, products know more), so the address is brought into
one form before anything is hashed: else one device would count as two.
"""

import hashlib
import hmac
import re
import secrets
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final

PSEUDONYM_CHARACTERS: Final = 32  # 128 bits
UNDISCLOSED: Final = "undisclosed"
LATE: Final = timedelta(hours=1)  # for an event to come
_SEPARATORS: Final = re.compile(rb"[-:. ]")
_ADDRESS: Final = re.compile(rb"[0-9a-f]{12}")
_VENDOR_DIGITS: Final = 6  # the first three octets name the maker


class StationForm(StrEnum):
    """How a device's address is written in an F-Ticks line."""

    STATIC = "static"  # always "undisclosed"
    ORIGINAL = "original"
    VENDOR_HASHED = "vendor-hashed"
    VENDOR_KEY_HASHED = "vendor-key-hashed"
    FULLY_HASHED = "fully-hashed"
    FULLY_KEY_HASHED = "fully-key-hashed"


class DailyKey:
    """A random key for each day (UTC) that is kept in memory only and gone with its day.

    Pseudonyms of two days, of two libraries, or from before and after a restart can not be brought together by anybody.
    """

    def __init__(self) -> None:
        self._day = date.min
        self._key = b""

    def pseudonym(self, station: bytes, library: str, at: datetime) -> str:
        """The device at that library on that day; empty when the request named none that can be read.

        An event from before midnight that comes after it is counted to the new day. One from longer before says that
        the clock was set back: the key of a day that has not come must not last until it does.
        """
        address = normalise_station(station)
        if not address:
            return ""
        at = at.astimezone(UTC)
        if not at.date() <= self._day <= (at + LATE).date():
            self._day, self._key = at.date(), secrets.token_bytes(32)
        return _keyed(self._key, library.encode() + b"\0" + address)[:PSEUDONYM_CHARACTERS]


def normalise_station(station: bytes) -> bytes:
    """Twelve hexadecimal digits in lower case; empty for what is no such address.

    What comes behind the address, such as ":SSID", is left out.
    """
    digits = _SEPARATORS.sub(b"", station.strip().lower())
    match = _ADDRESS.match(digits)
    return match[0] if match else b""


def render_station(station: bytes, form: StationForm, key: bytes) -> str:
    """The address in that form; `undisclosed` when there is none."""
    address = normalise_station(station).decode()
    if not address or form is StationForm.STATIC:
        return UNDISCLOSED
    written = "-".join(address[index : index + 2] for index in range(0, len(address), 2))
    vendor = written[: _VENDOR_DIGITS + 2] + "-"
    match form:
        case StationForm.ORIGINAL:
            return written
        case StationForm.VENDOR_HASHED:
            return vendor + hashlib.sha256(address.encode()).hexdigest()
        case StationForm.VENDOR_KEY_HASHED:
            return vendor + _keyed(key, address.encode())
        case StationForm.FULLY_HASHED:
            return hashlib.sha256(address.encode()).hexdigest()
        case StationForm.FULLY_KEY_HASHED:
            return _keyed(key, address.encode())


def _keyed(key: bytes, text: bytes) -> str:
    return hmac.new(key, text, hashlib.sha256).hexdigest()
