"""eapol_test as access point and device, against a running `serve`."""

import pytest

from tests.interop.conftest import RunningFederation
from tests.support.eapol import PHASE2

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("federation")]

ANNA = "anna@zeewijk.example"


@pytest.mark.parametrize("at", ["zeewijk", "duinrand"], ids=["own library", "other library"])
@pytest.mark.parametrize("fragment_octets", [100, 1024])
@pytest.mark.parametrize("tls", ["1.2", "1.3"])
@pytest.mark.parametrize("method", sorted(PHASE2))
class TestHostedLibrary:
    def test_right_password_gives_the_keys(
        self, federation: RunningFederation, method: str, tls: str, fragment_octets: int, at: str
    ) -> None:
        """A patron gets on the Wi-Fi of both libraries, and device and access point hold the same keys."""
        result = federation.log_in(ANNA, at=at, method=method, tls=tls, fragment_octets=fragment_octets)
        assert result.is_complete, result.output[-2000:]
        assert result.tls_version == tls

    def test_wrong_password_is_refused(
        self, federation: RunningFederation, method: str, tls: str, fragment_octets: int, at: str
    ) -> None:
        """A wrong password ends in an Access-Reject with EAP-Failure, not in silence."""
        result = federation.log_in(
            f"wim-{method}@zeewijk.example",
            at=at,
            password="not-his",
            method=method,
            tls=tls,
            fragment_octets=fragment_octets,
        )
        assert not result.succeeded
        assert "EAP: Status notification: completion (param=failure)" in result.output
        assert "code=3 (Access-Reject)" in result.output


class TestDevice:
    def test_unknown_patron_is_refused(self, federation: RunningFederation) -> None:
        """A name that the home library does not know ends as a wrong password does."""
        result = federation.log_in("nobody@zeewijk.example", at="duinrand", password="whatever-9")
        assert not result.succeeded
        assert "code=3 (Access-Reject)" in result.output

    def test_unknown_realm_is_refused_at_once(self, federation: RunningFederation) -> None:
        """A realm that nobody owns gets an answer from the proxy, within the first round."""
        result = federation.log_in("dirk@elders.example", at="duinrand", password="whatever-9", seconds=5)
        assert not result.succeeded
        assert "code=3 (Access-Reject)" in result.output

    def test_device_that_trusts_another_authority_turns_away(self, federation: RunningFederation) -> None:
        """The device refuses a server whose chain it does not trust; the password never leaves it."""
        result = federation.log_in(ANNA, at="duinrand")
        assert result.is_complete
        from tests.support.eapol import log_in_with_eapol  # noqa: PLC0415 - the one test that trusts wrongly

        refused = log_in_with_eapol(
            federation.folder,
            port=federation.auth_port,
            secret="duinrand-access-point-secret",
            source="127.0.0.3",
            user=ANNA,
            password="Strandlezer-1",
            ca=federation.kasteel.ca,
            server_name="login.test.example",
        )
        assert not refused.succeeded

    def test_many_logins_in_one_process_all_match(self, federation: RunningFederation) -> None:
        """Ten logins after each other have ten pairs of keys that match."""
        result = federation.log_in(ANNA, at="duinrand", rounds=10, seconds=30)
        assert result.succeeded
        assert (result.keys_matched, result.keys_mismatched) == (10, 0)
