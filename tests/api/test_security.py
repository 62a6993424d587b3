"""Who gets in: every path is closed unless it is listed, and what a token may do is its role's."""

import pytest
from fastapi.testclient import TestClient

from api.failures import ALLOWED_FAILURES
from api.openapi import operations_of
from api.security import LOOPBACK_PATHS, PUBLIC_PATHS, SELF_PROVING_PATHS
from tests.api.federation import DOCUMENT, LibraryFederation

OPERATIONS = [(method, path) for path, method, _ in operations_of(DOCUMENT)]
CLOSED = [(method, path) for method, path in OPERATIONS if path not in PUBLIC_PATHS | LOOPBACK_PATHS]


def fill(path: str) -> str:
    """A path of the document with names of things that exist or could."""
    names = {
        "library": "east",
        "realm": "east.library.example",
        "name": "hal",
        "serial": "ab",
        "token_id": "x",
        "invitation": "x",
        "purpose": "peers",
    }
    return path.format(**names)


class TestWithoutToken:
    @pytest.mark.parametrize(("method", "path"), CLOSED)
    @pytest.mark.parametrize("address", ["192.0.2.99", "127.0.0.1"])
    def test_every_path_is_closed(self, federation: LibraryFederation, method: str, path: str, address: str) -> None:
        """Without a token all paths but the listed ones answer 401 with a challenge, on loopback too (RFC 6750 §3)."""
        answer = federation.client(None, address=address).request(method, fill(path))
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.headers["Content-Type"] == "application/problem+json"

    @pytest.mark.parametrize("path", sorted(PUBLIC_PATHS - SELF_PROVING_PATHS))
    def test_public_paths_are_open(self, federation: LibraryFederation, path: str) -> None:
        """Anchors, revocation lists and the reference need no token."""
        assert federation.client(None).get(path).status_code == 200

    def test_unknown_path_is_closed_too(self, federation: LibraryFederation) -> None:
        """What does not exist is not told apart from what is closed."""
        assert federation.client(None).get("/v1/nothing").status_code == 401


class TestLoopbackPaths:
    @pytest.mark.parametrize("path", sorted(LOOPBACK_PATHS))
    @pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
    def test_open_on_loopback(self, federation: LibraryFederation, path: str, address: str) -> None:
        """The machine's own probes need no token."""
        assert federation.client(None, address=address).get(path).status_code == 200

    @pytest.mark.parametrize("path", sorted(LOOPBACK_PATHS))
    @pytest.mark.parametrize("address", ["192.0.2.99", "::ffff:192.0.2.99", "2001:db8::1", "unix", ""])
    def test_closed_from_elsewhere(self, federation: LibraryFederation, path: str, address: str) -> None:
        """From another machine, or from who knows where, they need one."""
        assert federation.client(None, address=address).get(path).status_code == 401

    @pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
    def test_closed_through_a_proxy(self, federation: LibraryFederation, header: str) -> None:
        """A front on this machine makes everybody look local; what it forwards is not."""
        answer = federation.client(None, address="127.0.0.1").get("/metrics", headers={header: "127.0.0.1"})
        assert answer.status_code == 401

    @pytest.mark.parametrize(("token", "status"), [("operator", 200), ("reader", 200), ("east", 404)])
    def test_metrics_are_for_overseers(self, federation: LibraryFederation, token: str, status: int) -> None:
        """Counters tell of every library, so a library's token does not see them."""
        assert federation.client(token).get("/metrics").status_code == status


class TestTokens:
    @pytest.mark.parametrize(
        "authorization",
        [
            "",
            "Bearer",
            "Bearer ",
            "Bearer bbr_",
            "Bearer bbr_AAAAAAAAAAAA_" + "A" * 43,
            "Basic YTpi",
            "bbr_x",
            "Bearer " + "A" * 10_000,
        ],
    )
    def test_bad_token_is_refused(self, federation: LibraryFederation, authorization: str) -> None:
        """A token that is none, or that nobody made, is refused, on open paths as well."""
        client = federation.client(None)
        for path in ("/v1/libraries", "/v1/trust/eap.pem"):
            answer = client.get(path, headers={"Authorization": authorization})
            assert answer.status_code == 401
            assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]

    def test_revoked_token_is_refused_at_once(self, federation: LibraryFederation, operator: TestClient) -> None:
        """After its revocation a token opens nothing."""
        made = operator.post("/v1/tokens", json={"name": "x", "role": "operator"}).json()
        own = {"Authorization": f"Bearer {made['token']}"}
        client = federation.client(None)
        assert client.get("/v1/libraries", headers=own).status_code == 200
        assert operator.post(f"/v1/tokens/{made['id']}/revoke").status_code == 200
        assert client.get("/v1/libraries", headers=own).status_code == 401

    def test_failures_are_limited_per_address(self, federation: LibraryFederation) -> None:
        """Who fails again and again is told to wait; a valid token from the same address is let in all the same."""
        guesser = federation.client(None)
        bad = {"Authorization": "Bearer bbr_AAAAAAAAAAAA_" + "A" * 43}
        statuses = [guesser.get("/v1/libraries", headers=bad).status_code for _ in range(ALLOWED_FAILURES + 1)]
        assert statuses == [401] * ALLOWED_FAILURES + [429]
        assert int(guesser.get("/v1/libraries", headers=bad).headers["Retry-After"]) > 0
        assert federation.client("operator").get("/v1/libraries").status_code == 200
        assert federation.client(None, address="192.0.2.98").get("/v1/libraries", headers=bad).status_code == 401


class TestReader:
    @pytest.mark.parametrize(("method", "path"), [pair for pair in CLOSED if pair[0] != "get"])
    @pytest.mark.parametrize("token", ["reader", "east-reader"])
    def test_reader_changes_nothing(self, federation: LibraryFederation, token: str, method: str, path: str) -> None:
        """A reader's token is refused wherever something would change."""
        before = federation.rows()
        answer = federation.client(token).request(method, fill(path), json={"name": "x@east.library.example"})
        assert answer.status_code == (403 if path != "/v1/explain" else 200)
        assert federation.rows() == before
