"""A real FreeRADIUS on both sides: as a library's own home server, and as its proxy in front of ours."""

import pytest

from tests.interop.conftest import KASTEEL_NAS_SECRET, SERVER_NAME, RunningFederation
from tests.support.eapol import PHASE2, log_in_with_eapol

pytestmark = [pytest.mark.interop, pytest.mark.xdist_group("federation")]

CATO = "cato@kasteel.example"


class TestFreeradiusAsHomeServer:
    @pytest.mark.parametrize("tls", ["1.2", "1.3"])
    @pytest.mark.parametrize("method", sorted(PHASE2))
    def test_its_patron_roams(self, federation: RunningFederation, method: str, tls: str) -> None:
        """A patron of a library with a FreeRADIUS of its own signs in at a hosted library; keys cross both hops."""
        result = federation.log_in(CATO, at="zeewijk", method=method, tls=tls)
        assert result.is_complete, result.output[-2000:]

    def test_its_refusal_comes_back(self, federation: RunningFederation) -> None:
        """FreeRADIUS's Access-Reject reaches the access point."""
        result = federation.log_in(CATO, at="zeewijk", password="not-hers")
        assert not result.succeeded
        assert "code=3 (Access-Reject)" in result.output


class TestFreeradiusAsProxy:
    @pytest.mark.parametrize("tls", ["1.2", "1.3"])
    @pytest.mark.parametrize("method", sorted(PHASE2))
    def test_visitor_signs_in_behind_it(self, federation: RunningFederation, method: str, tls: str) -> None:
        """A visitor at Kasteel signs in through FreeRADIUS, Biebroam's proxy and the hosted home server."""
        result = log_in_with_eapol(
            federation.folder,
            port=federation.kasteel_proxy_port,
            secret=KASTEEL_NAS_SECRET,
            user="anna@zeewijk.example",
            password="Strandlezer-1",
            ca=federation.eap_ca,
            server_name=SERVER_NAME,
            method=method,
            tls=tls,
        )
        assert result.is_complete, result.output[-2000:]

    def test_own_patrons_may_not_be_sent_up(self, federation: RunningFederation) -> None:
        """A library's proxy that sends its own realm into the federation is refused: the loop ends here."""
        result = log_in_with_eapol(
            federation.folder,
            port=federation.kasteel_proxy_port,
            secret=KASTEEL_NAS_SECRET,
            user=CATO,
            password="Torenlezer-3",
            ca=federation.kasteel.ca,
            server_name="radius.kasteel.example",
            seconds=5,
        )
        assert not result.succeeded
