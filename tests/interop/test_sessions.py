"""Sessions across libraries with real peers: radclient reports, ends and shortens them; FreeRADIUS hears of it."""

import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.biebroam import DataDirectory
from tests.support.freeradius import start_freeradius_accounting, start_freeradius_changes
from tests.support.processes import Program, free_port, wait_until
from tests.support.radclient import RadclientResult, ask_with_radclient

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("sessions")]

AP_SECRET = "zeewijk-access-point-secret"
CLOSED_SECRET = "leesstad-access-point-secret"
HOME_SECRET = "kasteel-home-server-secret"
FOREIGN_SECRET = "duinrand-home-server-secret"
AP, CLOSED, HOME, FOREIGN = "127.0.0.2", "127.0.0.3", "127.0.0.5", "127.0.0.6"
SESSION = 'User-Name = "cato@kasteel.example", Acct-Session-Id = "5C3A0001"'
AT_ZEEWIJK = 'Operator-Name = "1zeewijk.example"'


@dataclass(frozen=True)
class Sessions:
    """The running service and the two FreeRADIUS beside it."""

    data: DataDirectory
    service: Program
    reports: Path  # what Kasteel's server was told
    changes: Path  # what Zeewijk's access point was told

    def report(self, attributes: str, *, source: str = AP, secret: str = AP_SECRET) -> RadclientResult:
        """An Accounting-Request of an access point."""
        return self._ask("acct", attributes, source, secret, int(self.data.ports["acct"]))

    def change(
        self, kind: str, attributes: str, *, source: str = HOME, secret: str = HOME_SECRET, at: float | None = 0
    ) -> RadclientResult:
        """A CoA-Request or Disconnect-Request, `at` seconds from now; None: it does not say when."""
        moment = "" if at is None else f", Event-Timestamp = {int(time.time() + at)}"
        return self._ask(kind, attributes + moment, source, secret, int(self.data.ports["auth"]))

    @staticmethod
    def _ask(kind: str, attributes: str, source: str, secret: str, port: int) -> RadclientResult:
        attributes += f", Packet-Src-IP-Address = {source}"
        return ask_with_radclient(port=port, secret=secret, kind=kind, attributes=attributes)


def federation_file(accounting_port: int, coa_port: int) -> str:
    """Two libraries that are visited, one of which takes changes; two with home servers of their own."""
    return f"""
[federation]
name = "test"
country = "NL"
eap_server_name = "login.test.example"

[[libraries]]
id = "zeewijk"
name = "Zeewijk"
realms = ["zeewijk.example"]
[[libraries.access_points]]
name = "hal"
address = "{AP}"
secret = "{AP_SECRET}"
coa_port = {coa_port}

[[libraries]]
id = "leesstad"
name = "Leesstad"
realms = ["leesstad.example"]
[[libraries.access_points]]
name = "hal"
address = "{CLOSED}"
secret = "{CLOSED_SECRET}"

[[libraries]]
id = "kasteel"
name = "Kasteel"
realms = ["kasteel.example"]
[[libraries.home_servers]]
name = "radius1"
host = "{HOME}"
accounting_port = {accounting_port}
secret = "{HOME_SECRET}"

[[libraries]]
id = "duinrand"
name = "Duinrand"
realms = ["duinrand.example"]
[[libraries.home_servers]]
name = "radius1"
host = "{FOREIGN}"
secret = "{FOREIGN_SECRET}"
"""


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Generator[Sessions]:
    """`serve` in one process, Kasteel's accounting server, and what takes changes at Zeewijk."""
    folder = tmp_path_factory.mktemp("sessions")
    accounting_port, coa_port = free_port(host=HOME), free_port(host=AP)
    data = DataDirectory(folder / "data")
    data.initialise()
    data.apply(federation_file(accounting_port, coa_port))
    with (
        start_freeradius_accounting(folder / "home", host=HOME, port=accounting_port, secret=HOME_SECRET),
        start_freeradius_changes(folder / "ap", host=AP, port=coa_port, secret=AP_SECRET),
        data.start("serve", "--single") as service,
    ):
        yield Sessions(data, service, folder / "home" / "detail", folder / "ap" / "detail")


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


class TestAccounting:
    def test_report_reaches_the_patrons_library(self, sessions: Sessions) -> None:
        """Radclient's report of a visitor is in FreeRADIUS's detail file, with times and without the address."""
        answer = sessions.report(
            'User-Name = "cato@kasteel.example", Acct-Session-Id = "5C3A0042", Acct-Status-Type = Interim-Update, '
            "Acct-Delay-Time = 7, Acct-Session-Time = 61, Framed-IP-Address = 10.9.8.7, Tunnel-Private-Group-Id = 40, "
            'Calling-Station-Id = "02-00-00-00-00-01", NAS-Identifier = "hal"'
        )
        assert answer.code == "Accounting-Response", answer.output
        told = text_of(sessions.reports)
        for expected in (
            'Acct-Session-Id = "5C3A0042"',
            "Acct-Delay-Time = 7",
            "Acct-Session-Time = 61",
            'Operator-Name = "1zeewijk.example"',
        ):
            assert expected in told
        assert "10.9.8.7" not in told
        assert "Tunnel-Private-Group-Id" not in told

    def test_report_of_a_library_that_did_not_ask_stays_here(self, sessions: Sessions) -> None:
        """It is answered and goes to nobody (RFC 7593 §5)."""
        answer = sessions.report(
            'User-Name = "bram@duinrand.example", Acct-Session-Id = "5C3A0043", Acct-Status-Type = Start'
        )
        assert answer.code == "Accounting-Response", answer.output
        assert "5C3A0043" not in text_of(sessions.reports)

    def test_both_are_counted(self, sessions: Sessions) -> None:
        """The metrics tell what was forwarded and what stayed."""
        sessions.report(SESSION + ", Acct-Status-Type = Stop")
        sessions.report('User-Name = "bram@duinrand.example", Acct-Status-Type = Stop')

        def counted() -> bool:
            metrics = sessions.data.fetch_text("/metrics")
            lines = [line for line in metrics.splitlines() if line.startswith("biebroam_accounting_total{")]
            return all(any(f'result="{name}"' in line for line in lines) for name in ("forwarded", "local"))

        wait_until(counted, "the metrics of accounting", 10)


class TestChanges:
    def test_session_is_ended_by_the_patrons_library(self, sessions: Sessions) -> None:
        """Radclient's Disconnect-Request reaches the access point, whose ACK comes back."""
        answer = sessions.change("disconnect", f'{SESSION}, {AT_ZEEWIJK}, Calling-Station-Id = "02-00-00-00-00-01"')
        assert answer.code == "Disconnect-ACK", answer.output
        told = text_of(sessions.changes)
        assert 'Calling-Station-Id = "02-00-00-00-00-01"' in told
        assert "Operator-Name" not in told

    def test_session_is_shortened_by_the_patrons_library(self, sessions: Sessions) -> None:
        """Radclient's CoA-Request sets how long the session lasts."""
        answer = sessions.change("coa", f"{SESSION}, {AT_ZEEWIJK}, Session-Timeout = 617")
        assert answer.code == "CoA-ACK", answer.output
        assert "Session-Timeout = 617" in text_of(sessions.changes)

    def test_no_of_the_access_point_comes_back(self, sessions: Sessions) -> None:
        """Its Error-Cause says why (RFC 5176 §3.5)."""
        unknown = f'User-Name = "cato@kasteel.example", Acct-Session-Id = "unknown", {AT_ZEEWIJK}'
        answer = sessions.change("disconnect", unknown)
        assert (answer.code, answer.attributes["Error-Cause"]) == ("Disconnect-NAK", "Session-Context-Not-Found")

    @pytest.mark.parametrize(
        ("kind", "attributes", "cause"),
        [
            ("disconnect", f'{SESSION}, Operator-Name = "1nowhere.example"', "Proxy-Request-Not-Routable"),
            ("coa", SESSION, "Proxy-Request-Not-Routable"),
            ("disconnect", f'{SESSION}, Operator-Name = "1leesstad.example"', "Administratively-Prohibited"),
            ("disconnect", f'User-Name = "bram@duinrand.example", {AT_ZEEWIJK}', "Administratively-Prohibited"),
            ("coa", f"{SESSION}, {AT_ZEEWIJK}, Tunnel-Private-Group-Id = 40", "Unsupported-Attribute"),
            ("coa", f"{SESSION}, {AT_ZEEWIJK}, Session-Timeout = 100000", "Unsupported-Attribute"),
            ("coa", f"{SESSION}, {AT_ZEEWIJK}, Service-Type = Authorize-Only", "Unsupported-Service"),
        ],
    )
    def test_what_may_not_pass_is_refused_here(
        self, sessions: Sessions, kind: str, attributes: str, cause: str
    ) -> None:
        """Each refusal has the cause that its sender understands, and the access point hears nothing."""
        before = text_of(sessions.changes)
        answer = sessions.change(kind, attributes)
        assert answer.code == {"coa": "CoA-NAK", "disconnect": "Disconnect-NAK"}[kind], answer.output
        assert answer.attributes["Error-Cause"] == cause
        assert text_of(sessions.changes) == before

    def test_another_library_ends_nobodys_session(self, sessions: Sessions) -> None:
        """Duinrand's server, known and with its own secret, may not (RFC 8559 §4.3)."""
        before = text_of(sessions.changes)
        answer = sessions.change("disconnect", f"{SESSION}, {AT_ZEEWIJK}", source=FOREIGN, secret=FOREIGN_SECRET)
        assert (answer.code, answer.attributes["Error-Cause"]) == ("Disconnect-NAK", "Administratively-Prohibited")
        assert text_of(sessions.changes) == before
        wait_until(lambda: "not_home_of_session" in sessions.service.output, "the reason in the log", 5)

    def test_old_request_gets_silence(self, sessions: Sessions) -> None:
        """Ten minutes old: it may be a replay (RFC 5176 §6.3)."""
        before = text_of(sessions.changes)
        assert sessions.change("disconnect", f"{SESSION}, {AT_ZEEWIJK}", at=-600).code == ""
        assert text_of(sessions.changes) == before
        wait_until(lambda: "event_timestamp_stale" in sessions.service.output, "the reason in the log", 5)

    def test_request_without_time_is_refused(self, sessions: Sessions) -> None:
        """It could be replayed for ever."""
        answer = sessions.change("disconnect", f"{SESSION}, {AT_ZEEWIJK}", at=None)
        assert (answer.code, answer.attributes["Error-Cause"]) == ("Disconnect-NAK", "Missing-Attribute")

    def test_ends_when_the_access_point_gives_it_up(self, sessions: Sessions) -> None:
        """Without a port for changes anywhere, everything is refused as before, within a moment of the command."""
        shown = sessions.data.run("access-point", "show", "zeewijk", "hal", "--json").stdout
        assert '"coa_port": ' in shown
        sessions.data.run("access-point", "change", "zeewijk", "hal", "--coa-port", "0")
        sessions.data.wait_in_force()
        # Nobody takes changes any more, so the home server is no client either: from an access point it is asked.
        answer = sessions.change("disconnect", f"{SESSION}, {AT_ZEEWIJK}", source=AP, secret=AP_SECRET)
        assert (answer.code, answer.attributes["Error-Cause"]) == ("Disconnect-NAK", "Unsupported-Extension")
