import logging

import pytest

from radius.transport.faults import MAX_KINDS, QUIET_SECONDS, Faults


def fail(error: Exception) -> Exception:
    try:
        raise error  # noqa: TRY301 - for its traceback
    except Exception as raised:  # noqa: BLE001 - as a loop catches it
        return raised


class TestFaults:
    def test_first_has_its_traceback(self, caplog: pytest.LogCaptureFixture) -> None:
        """Whoever mends the bug sees where it is, and in which circumstances."""
        Faults(logging.getLogger("role")).tell("internal_error", fail(KeyError("x")), 0.0, realm="west.example")
        (record,) = caplog.records
        assert record.exc_info is not None
        assert (record.message, vars(record)["realm"]) == ("internal_error", "west.example")

    def test_thousand_more_are_a_count_in_a_minute(self, caplog: pytest.LogCaptureFixture) -> None:
        """A packet that somebody repeats can not fill the disk."""
        faults = Faults(logging.getLogger("role"))
        for number in range(1001):
            faults.tell("internal_error", fail(KeyError(number)), number / 1001)
        assert len(caplog.records) == 1
        faults.tell("internal_error", fail(KeyError("later")), QUIET_SECONDS)
        assert len(caplog.records) == 2
        again = caplog.records[1]
        assert again.exc_info is None
        assert (vars(again)["count"], vars(again)["error"]) == (1001, "KeyError")
        assert "test_faults.py:" in vars(again)["place"]
        faults.tell("internal_error", fail(KeyError("still")), QUIET_SECONDS + 1)
        assert len(caplog.records) == 2

    def test_another_kind_has_its_own_traceback(self, caplog: pytest.LogCaptureFixture) -> None:
        """Another exception, or the same from another line, is another bug."""
        faults = Faults(logging.getLogger("role"))
        faults.tell("internal_error", fail(KeyError("x")), 0.0)
        faults.tell("internal_error", fail(ValueError("x")), 0.0)
        faults.tell("internal_error", ValueError("raised nowhere"), 0.0)
        assert [record.exc_info is not None for record in caplog.records] == [True, True, True]

    def test_memory_is_bounded(self, caplog: pytest.LogCaptureFixture) -> None:
        """However many kinds there are, the table starts anew."""
        faults = Faults(logging.getLogger("role"))
        first = fail(KeyError("x"))
        faults.tell("internal_error", first, 0.0)
        for number in range(MAX_KINDS):
            faults.tell("internal_error", type(f"Error{number}", (Exception,), {})(), 0.0)
        faults.tell("internal_error", first, 0.0)
        assert len(caplog.records) == MAX_KINDS + 2
