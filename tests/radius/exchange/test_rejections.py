"""Devices that are refused again and again."""

import pytest

from radius.exchange import rejections as module
from radius.exchange.rejections import Rejections

DEVICE = ("lib/ap", b"02-00-00-00-00-01", b"anonymous@home.example")


def refuse_often(rejections: Rejections, now: float) -> None:
    """The home server refuses the device three times."""
    for _ in range(module.REFUSALS_IN_A_ROW):
        assert rejections.may_ask(DEVICE, now)
        rejections.reject(DEVICE, now)


class TestRejections:
    """One question in an interval."""

    def test_lets_a_person_mistype(self) -> None:
        """Two refusals in a row stop nobody."""
        rejections = Rejections()
        for _ in range(module.REFUSALS_IN_A_ROW - 1):
            rejections.reject(DEVICE, 0.0)
            assert rejections.may_ask(DEVICE, 0.0)

    def test_asks_once_in_an_interval(self) -> None:
        """A storm costs the home server one question in thirty seconds."""
        rejections = Rejections()
        refuse_often(rejections, 0.0)
        asked = 0
        for second in range(1, 121):
            if rejections.may_ask(DEVICE, float(second)):
                asked += 1
                rejections.reject(DEVICE, float(second))
        assert asked == 4

    def test_asks_no_second_time_while_the_first_is_under_way(self) -> None:
        """The question that goes puts the next one off, answered or not."""
        rejections = Rejections()
        refuse_often(rejections, 0.0)
        assert rejections.may_ask(DEVICE, 30.0)
        assert not rejections.may_ask(DEVICE, 30.0)

    def test_forgets_with_an_acceptance(self) -> None:
        """The right password ends it."""
        rejections = Rejections()
        refuse_often(rejections, 0.0)
        rejections.accept(DEVICE)
        assert rejections.may_ask(DEVICE, 0.1)
        assert len(rejections) == 0

    def test_forgets_after_a_while(self) -> None:
        """A device that was away for five minutes is not held to what was."""
        rejections = Rejections()
        refuse_often(rejections, 0.0)
        assert rejections.may_ask(DEVICE, module.FORGOTTEN_SECONDS + 1)
        assert len(rejections) == 0
        refuse_often(rejections, 0.0)
        rejections.reject(DEVICE, module.FORGOTTEN_SECONDS + 1)
        assert rejections.may_ask(DEVICE, module.FORGOTTEN_SECONDS + 1)

    def test_is_bounded(self) -> None:
        """Invented devices push out the one longest not refused."""
        rejections = Rejections()
        refuse_often(rejections, 0.0)
        for number in range(module.MAX_DEVICES):
            rejections.reject(("lib/ap", str(number).encode(), b""), 1.0)
        assert len(rejections) == module.MAX_DEVICES
        assert rejections.may_ask(DEVICE, 1.0)

    def test_one_client_pushes_out_its_own(self) -> None:
        """An access point that invents devices without end takes no other's place, however long ago that was."""
        rejections = Rejections()
        refuse_often(rejections, 0.0)
        for number in range(module.MAX_DEVICES + 100):
            rejections.reject(("other/ap", str(number).encode(), b""), 1.0)
        assert len(rejections) == module.MAX_DEVICES
        assert not rejections.may_ask(DEVICE, 1.0)

    def test_newcomer_takes_the_place_of_who_has_the_most(self) -> None:
        """A table that one client has filled is open to the others."""
        rejections = Rejections()
        for number in range(module.MAX_DEVICES):
            rejections.reject(("other/ap", str(number).encode(), b""), 1.0)
        refuse_often(rejections, 1.0)
        assert len(rejections) == module.MAX_DEVICES
        assert not rejections.may_ask(DEVICE, 1.0)

    @pytest.mark.parametrize(
        ("station", "name"),
        [
            (b"02:00:00:00:00:01", b"anonymous@home.example"),
            (b"0200.0000.0001", b"anonymous@home.example"),
            (b"02-00-00-00-00-01", b"anonymous@HOME.Example"),
            (b"020000000001", b"Anonymous@home.EXAMPLE"),
        ],
    )
    def test_other_writing_is_no_other_device(self, station: bytes, name: bytes) -> None:
        """An address with colons or a realm in capitals buys no further question."""
        rejections = Rejections()
        refuse_often(rejections, 0.0)
        assert not rejections.may_ask(("lib/ap", station, name), 1.0)
        rejections.accept(("lib/ap", station, name))
        assert len(rejections) == 0

    def test_address_and_name_do_not_run_together(self) -> None:
        """What is cut elsewhere is another device."""
        rejections = Rejections()
        refuse_often(rejections, 0.0)
        assert rejections.may_ask(("lib/ap", b"02-00-00-00-00-01a", b"nonymous@home.example"), 1.0)

    def test_can_be_turned_off(self) -> None:
        """With an interval of nothing every question goes on."""
        rejections = Rejections(0.0)
        refuse_often(rejections, 0.0)
        assert rejections.may_ask(DEVICE, 0.0)
        assert len(rejections) == 0
