"""Tests of the attribute dictionary."""

from pathlib import Path

import pytest

from radius.codec.dictionary import (
    AttributeValueError,
    DictionaryError,
    UnknownAttributeError,
    Value,
    ValueHiding,
    load,
)
from radius.wire.codes import AcctStatusType, AttributeType, ErrorCause, MicrosoftAttribute, VendorId
from tests.radius.codec.names import DICTIONARY, DICTIONARY_PATH

FREERADIUS_DICTIONARIES = Path("/usr/share/freeradius")  # where Debian's freeradius-common has them
SHARED = (
    *(f"rfc{number}" for number in (2865, 2866, 2868, 2869, 3162, 4372, 4675, 4818, 4849, 5176, 5580, 6911, 7268)),
    "microsoft",
)


class TestLoading:
    def test_own_dictionary_is_read_whole(self) -> None:
        """Every file beside the main one is included by it."""
        text = DICTIONARY_PATH.read_text()
        for path in DICTIONARY_PATH.parent.glob("dictionary.*"):
            assert f"$INCLUDE {path.name}\n" in text

    @pytest.mark.parametrize("name", ["MS-MPPE-Send-Key", "Tunnel-Password", "User-Password", "NAS-Port"])
    def test_hiding_and_tags_are_known(self, name: str) -> None:
        """The flags of the dictionary come through."""
        definition = DICTIONARY.find(name)
        expected = {
            "MS-MPPE-Send-Key": (311, ValueHiding.SALTED, False),
            "Tunnel-Password": (0, ValueHiding.SALTED, True),
            "User-Password": (0, ValueHiding.PASSWORD, False),
            "NAS-Port": (0, ValueHiding.NONE, False),
        }[name]
        assert (definition.vendor, definition.hiding, definition.has_tag) == expected

    def test_numbers_agree_with_the_wires_own(self) -> None:
        """Where the wire has a number by name, the dictionary has the same under it."""
        for member in AttributeType:
            definition = DICTIONARY.find_number(member)
            if definition is not None:
                assert (
                    definition.name.upper().replace("-", "_").replace("EGRESS_VLAN_ID", "EGRESS_VLANID") == member.name
                )
        for microsoft in MicrosoftAttribute:
            definition = DICTIONARY.find_number(microsoft, VendorId.MICROSOFT)
            assert definition is not None
            assert definition.name.upper().replace("-", "_") == f"MS_{microsoft.name}"

    def test_named_values_agree_with_the_wires_own(self) -> None:
        """Error causes and accounting states have the numbers that the wire has."""
        for name, members in (("Error-Cause", ErrorCause), ("Acct-Status-Type", AcctStatusType)):
            numbers = {int.from_bytes(octets) for octets in DICTIONARY.find(name).values.values()}
            assert numbers == {int(member) for member in members}

    def test_names_and_numbers_are_freeradiuss(self, tmp_path: Path) -> None:
        """The same attributes have the same names, numbers and hiding in FreeRADIUS's dictionary."""
        path = tmp_path / "dictionary"
        path.write_text("".join(f"$INCLUDE {FREERADIUS_DICTIONARIES}/dictionary.{name}\n" for name in SHARED))
        peers = load(path)
        for vendor in (0, VendorId.MICROSOFT):
            compared = [
                (ours, theirs)
                for kind in range(256)
                if (ours := DICTIONARY.find_number(kind, vendor)) and (theirs := peers.find_number(kind, vendor))
            ]
            assert len(compared) > 10
            for ours, theirs in compared:
                assert (ours.name, ours.hiding, ours.has_tag) == (theirs.name, theirs.hiding, theirs.has_tag)

    def test_missing_file_is_named(self, tmp_path: Path) -> None:
        """A path without a file is refused with its name."""
        with pytest.raises(DictionaryError, match="missing: No such file") as refusal:
            load(tmp_path / "missing")
        assert refusal.value.path == tmp_path / "missing"

    @pytest.mark.parametrize(
        "line", ["ATTRIBUTE X", "ATTRIBUTE X one string", "ATTRIBUTE X 1 nonsense", "$INCLUDE gone"]
    )
    def test_bad_line_is_refused(self, tmp_path: Path, line: str) -> None:
        """A line that says nothing is refused, with its place."""
        path = tmp_path / "dictionary"
        path.write_text(f"{line}\n")
        with pytest.raises(DictionaryError):
            load(path)


class TestFinding:
    def test_unknown_name_is_refused(self) -> None:
        """A name that no dictionary has is an error that says it."""
        with pytest.raises(UnknownAttributeError, match="'User-Nam'"):
            DICTIONARY.find("User-Nam")

    def test_unknown_number_is_none(self) -> None:
        """A number without a name is no error."""
        assert DICTIONARY.find_number(250) is None


class TestValues:
    @pytest.mark.parametrize(
        ("name", "value", "octets"),
        [
            ("User-Name", "ännë@lib.example", "ännë@lib.example".encode()),
            ("Session-Timeout", 3600, (3600).to_bytes(4)),
            ("Service-Type", "Framed", (2).to_bytes(4)),
            ("NAS-IP-Address", "192.0.2.1", bytes((192, 0, 2, 1))),
            ("NAS-IPv6-Address", "2001:db8::1", bytes.fromhex("20010db8000000000000000000000001")),
            ("Framed-IPv6-Prefix", "2001:db8::/32", bytes.fromhex("002020010db8000000000000000000000000")),
            ("State", b"0x41", b"0x41"),
            ("State", b"65", b"65"),
            ("User-Name", b"\xff\xfe", b"\xff\xfe"),
        ],
    )
    def test_value_becomes_octets(self, name: str, value: Value, octets: bytes) -> None:
        """Each type has its octets; octets stay as they are, also where they look like a number."""
        assert DICTIONARY.find(name).encode(value) == octets

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("State", "65"),
            ("Session-Timeout", -1),
            ("Session-Timeout", 1 << 32),
            ("Session-Timeout", "soon"),
            ("NAS-IP-Address", "192.0.2.256"),
            ("NAS-IP-Address", "2001:db8::1"),
            ("User-Name", 7),
            ("User-Name", "x" * 254),
        ],
    )
    def test_impossible_value_is_refused(self, name: str, value: Value) -> None:
        """A value that the type can not have is refused with the attribute's name."""
        with pytest.raises(AttributeValueError, match=f"^{name}: ") as refusal:
            DICTIONARY.find(name).encode(value)
        assert refusal.value.name == name

    @pytest.mark.parametrize(
        ("name", "octets", "text"),
        [
            ("User-Name", b"anna", "anna"),
            ("User-Name", b"\xff", None),
            ("Service-Type", (2).to_bytes(4), "Framed"),
            ("Session-Timeout", (3600).to_bytes(4), "3600"),
            ("Session-Timeout", b"\x01\x02\x03", None),
            ("NAS-IP-Address", bytes((192, 0, 2, 1)), "192.0.2.1"),
            ("NAS-IP-Address", b"\x01", None),
            ("Framed-IPv6-Prefix", b"\0\x81" + bytes(16), None),
            ("State", b"abc", None),
        ],
    )
    def test_octets_become_text(self, name: str, octets: bytes, text: str | None) -> None:
        """A person reads names and numbers; what is no value of its type has no text."""
        assert DICTIONARY.find(name).decode(octets) == text
