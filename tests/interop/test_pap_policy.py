"""radclient with a readable password: refused between libraries, allowed inside one that says so."""

import pytest

from tests.interop.conftest import SECRETS, RunningFederation
from tests.support.processes import wait_until
from tests.support.radclient import ask_with_radclient

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("federation")]


class TestBetweenLibraries:
    def test_password_is_refused_before_it_leaves(self, federation: RunningFederation) -> None:
        """PAP for another library's patron gets an Access-Reject from the proxy, with the reason in the log."""
        answer = ask_with_radclient(
            port=federation.auth_port,
            secret=SECRETS["kasteel"],
            kind="auth",
            attributes='User-Name = "bram@duinrand.example", User-Password = "Duinlezer-2", '
            "Message-Authenticator = 0x00",
        )
        assert answer.code == "Access-Reject", answer.output
        wait_until(lambda: "pap_across_libraries" in federation.service.output, "the reason in the log", 5)
        assert "Duinlezer-2" not in federation.service.output

    def test_explain_gives_the_same_reason(self, federation: RunningFederation) -> None:
        """`explain` says for the same client and name that a readable password would not cross."""
        answer = federation.data.run("explain", "bram@duinrand.example", "--client", "kasteel/proxy", "--json")
        assert "pap_across_libraries" in answer.stdout


class TestStatusServer:
    def test_is_answered_locally(self, federation: RunningFederation) -> None:
        """Status-Server gets an Access-Accept from the proxy itself (RFC 5997 §4.4)."""
        answer = ask_with_radclient(
            port=federation.auth_port,
            secret=SECRETS["kasteel"],
            kind="status",
            attributes="Message-Authenticator = 0x00",
        )
        assert answer.code == "Access-Accept", answer.output


class TestAccounting:
    def test_is_answered_locally(self, federation: RunningFederation) -> None:
        """An Accounting-Request gets its response from the proxy and is not forwarded (RFC 7593 §5)."""
        answer = ask_with_radclient(
            port=int(federation.data.ports["acct"]),
            secret=SECRETS["kasteel"],
            kind="acct",
            attributes='User-Name = "anna@zeewijk.example", Acct-Status-Type = Start, Acct-Session-Id = "1"',
        )
        assert answer.code == "Accounting-Response", answer.output
