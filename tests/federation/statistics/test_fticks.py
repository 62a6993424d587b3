import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from federation.events import Outcome
from federation.reasons import RefusalReason
from federation.statistics.fticks import FileSink, SyslogSink, TickFormat, Ticks, build_sink, render_tick
from federation.statistics.stations import StationForm
from tests.federation.statistics.events import make_event

SHAPE = TickFormat("F-TICKS/biebroam/1.0", "NL", StationForm.ORIGINAL)


class TestRender:
    def test_accept(self) -> None:
        """The line as other federations write it, without any name of a patron."""
        assert render_tick(make_event(), SHAPE, "leesstad.test", b"") == (
            "F-TICKS/biebroam/1.0#REALM=boekenburg.test#VISCOUNTRY=NL#VISINST=1leesstad.test"
            "#CSI=00-11-22-33-44-55#RESULT=OK#"
        )

    def test_reject_fails(self) -> None:
        """An Access-Reject is a FAIL."""
        line = render_tick(make_event(Outcome.REJECTED, RefusalReason.UNROUTABLE), SHAPE, "leesstad.test", b"")
        assert line is not None
        assert line.endswith("#RESULT=FAIL#")

    @pytest.mark.parametrize("outcome", [Outcome.UNANSWERED, Outcome.CHALLENGED, Outcome.ACCOUNTED])
    def test_others_have_none(self, outcome: Outcome) -> None:
        """Only an answer that ends a login is told."""
        assert render_tick(make_event(outcome), SHAPE, "leesstad.test", b"") is None

    def test_value_can_not_forge_another(self) -> None:
        """A # or a line break in a realm becomes harmless."""
        line = render_tick(make_event(realm="a#RESULT=OK#\nb"), SHAPE, "", b"")
        assert line is not None
        assert line.startswith("F-TICKS/biebroam/1.0#REALM=a_RESULT=OK__b#VISCOUNTRY=NL#CSI=")

    def test_device_is_hashed_unless_said_otherwise(self) -> None:
        """By default a line holds the maker of the device and no more of its address."""
        line = render_tick(make_event(), TickFormat("p", "NL"), "", b"key")
        assert line is not None
        assert "CSI=00-11-22-" in line
        assert "33-44-55" not in line


class TestSinks:
    def test_file_has_a_line_each_and_survives_rotation(self, tmp_path: Path) -> None:
        """Lines go to the end of the file of that name, also after it was moved away."""
        path = tmp_path / "fticks.log"
        sink = FileSink(path)
        sink.write("one")
        path.rename(tmp_path / "fticks.log.1")
        sink.write("two")
        sink.write("three")
        sink.close()
        assert (tmp_path / "fticks.log.1").read_text() == "one\n"
        assert path.read_text() == "two\nthree\n"

    def test_syslog_gets_a_message_of_its_format(self) -> None:
        """A datagram of RFC 5424 with the line as its text."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
            collector.bind(("127.0.0.1", 0))
            collector.settimeout(5)
            sink = SyslogSink("127.0.0.1", collector.getsockname()[1], lambda: datetime(2026, 11, 24, 12, tzinfo=UTC))
            sink.write("F-TICKS/x/1.0#")
            assert collector.recv(2000) == b"<109>1 2026-11-24T12:00:00.000+00:00 - biebroam - - - F-TICKS/x/1.0#"
            sink.close()

    @pytest.mark.parametrize("destination", ["file:/tmp/x", "syslog", "syslog:192.0.2.1:514", "syslog:[::1]:514"])
    def test_places_that_can_be(self, destination: str) -> None:
        """Each is taken, and nothing is opened yet."""
        build_sink(destination).close()

    @pytest.mark.parametrize(
        "destination", ["", "file:", "file", "syslog:", "syslog:host", "syslog:host:0", "syslog:h:70000", "x:y:1"]
    )
    def test_places_that_can_not_be(self, destination: str) -> None:
        """The error says what a place looks like."""
        with pytest.raises(ValueError, match="syslog:HOST:PORT"):
            build_sink(destination)


class TestTicks:
    def test_lost_lines_are_counted_and_stop_nothing(self, tmp_path: Path) -> None:
        """A destination that can not be written loses the line; a later one is written again."""
        folder = tmp_path / "later"
        ticks = Ticks(FileSink(folder / "fticks.log"), SHAPE, lambda at: b"")
        ticks.write(make_event(), {"leesstad": "leesstad.test"})
        assert (ticks.written, ticks.lost) == (0, 1)
        folder.mkdir()
        ticks.write(make_event(), {"leesstad": "leesstad.test"})
        ticks.write(make_event(Outcome.UNANSWERED), {})
        ticks.close()
        assert (ticks.written, ticks.lost) == (1, 1)
        assert "VISINST=1leesstad.test" in (folder / "fticks.log").read_text()
