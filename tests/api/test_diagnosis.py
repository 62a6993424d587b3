"""Explanations and probes over HTTP."""

import pytest
from fastapi.testclient import TestClient

from api.ports import Ports, ProbeTarget
from federation.snapshot import SharedSecret
from tests.api.federation import LibraryFederation
from tests.support.processes import free_port

PROBE = {"user": "anna@east.library.example", "password": "Strandlezer-1-van-Oost"}


class TestExplain:
    def test_route_of_a_visitor(self, operator: TestClient) -> None:
        """Name, realm, client and home server, in the order of the packet path."""
        operator.post(
            "/v1/libraries/west/access-points", json={"name": "hal", "address": "192.0.2.7", "guest_vlan": 40}
        )
        answer = operator.post("/v1/explain", json={"name": "anna@east.library.example", "client": "west/hal"})
        assert answer.status_code == 200
        assert (answer.json()["outcome"], answer.json()["library"]) == ("forward", "east")
        assert answer.json()["home_servers"] == ["hosted/0"]
        assert [step["step"] for step in answer.json()["steps"]][:3] == ["name", "realm", "client"]

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("anna@nowhere.library.example", "unroutable"),
            ("anna", "realm_missing"),
            ("anna@gmail.com", "realm_denied"),
            ("@east.library.example", "user_missing"),
        ],
    )
    def test_refusal_has_its_code(self, operator: TestClient, name: str, reason: str) -> None:
        """A request that would be refused is refused with the code of log and metrics."""
        answer = operator.post("/v1/explain", json={"name": name})
        assert (answer.json()["outcome"], answer.json()["reason"]) == ("refuse", reason)

    def test_client_of_another_library_is_not_found(self, federation: LibraryFederation) -> None:
        """A library asks about its own access points."""
        federation.client("operator").post(
            "/v1/libraries/west/access-points", json={"name": "hal", "address": "192.0.2.7"}
        )
        body = {"name": "anna@east.library.example", "client": "west/hal"}
        assert federation.client("east").post("/v1/explain", json=body).status_code == 404
        assert federation.client("west").post("/v1/explain", json=body).status_code == 200


class TestProbe:
    def test_silence_is_an_outcome(self, operator: TestClient) -> None:
        """A server that does not answer is told as such, with the time that it took; the password is not repeated."""
        server = {"host": "127.0.0.1", "port": free_port(), "secret": "testing123"}
        answer = operator.post("/v1/probes", json={**PROBE, "server": server})
        assert answer.status_code == 200
        assert (answer.json()["outcome"], answer.json()["is_accepted"]) == ("timeout", False)
        assert answer.json()["failed_step"] == "reach"
        assert answer.json()["steps"]
        assert PROBE["password"] not in answer.text

    def test_method_is_one_that_the_device_speaks(self, operator: TestClient) -> None:
        """Each method of the home server can be tried; another is refused at its place."""
        server = {"host": "127.0.0.1", "port": free_port(), "secret": "x"}
        trust = {"ca_pem": "no certificate", "server_name": "login.example.org"}
        for method in ("ttls-mschapv2", "peap-mschapv2"):
            body = {**PROBE, "server": server, "trust": trust, "method": method}
            assert operator.post("/v1/probes", json=body).json()["failed_step"] == "trust"
        assert operator.post("/v1/probes", json={**PROBE, "method": "tls"}).status_code == 422

    def test_goes_through_this_nodes_proxy(self, federation: LibraryFederation) -> None:
        """Without a server the node's own proxy is asked; a library's token may do that."""
        port = free_port()
        federation.use(Ports(find_probe_target=lambda: ProbeTarget("127.0.0.1", port, SharedSecret(b"testing123"))))
        answer = federation.client("east").post("/v1/probes", json=PROBE)
        assert answer.json()["reason"] == f"no answer from 127.0.0.1:{port}"

    def test_without_a_proxy_a_server_is_needed(self, operator: TestClient) -> None:
        """When no proxy of this node takes probes, the answer says what to do."""
        answer = operator.post("/v1/probes", json=PROBE)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "#/server"

    def test_library_names_no_server(self, federation: LibraryFederation) -> None:
        """Where this machine sends packets is the operator's to say."""
        server = {"host": "127.0.0.1", "port": 1812, "secret": "x"}
        assert federation.client("east").post("/v1/probes", json={**PROBE, "server": server}).status_code == 403

    def test_unknown_host_is_named(self, operator: TestClient) -> None:
        """A host that can not be reached is refused at its place."""
        server = {"host": "no-such-host.invalid", "port": 1812, "secret": "x"}
        answer = operator.post("/v1/probes", json={**PROBE, "server": server})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == "#/server/host"

    def test_anchors_that_are_none_end_it(self, operator: TestClient) -> None:
        """A device that trusts nothing readable does not log in, and says why."""
        server = {"host": "127.0.0.1", "port": free_port(), "secret": "x"}
        trust = {"ca_pem": "no certificate", "server_name": "login.example.org"}
        answer = operator.post("/v1/probes", json={**PROBE, "server": server, "trust": trust})
        assert answer.json()["outcome"] == "aborted"
