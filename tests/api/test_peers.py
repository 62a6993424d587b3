"""Access points, home servers and identity stores over HTTP."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.api.federation import LibraryFederation

POINTS = "/v1/libraries/east/access-points"
SERVERS = "/v1/libraries/east/home-servers"
IDENTITY = "/v1/libraries/east/identity"
ANY_VERSION = {"If-Match": "*"}
SECRET = "een-geheim-van-genoeg-tekens"


@pytest.fixture
def east(federation: LibraryFederation) -> TestClient:
    """A client with East's own token."""
    return federation.client("east")


class TestAccessPoints:
    def test_life_of_an_access_point(self, east: TestClient) -> None:
        """A library adds, shows, changes, lists and removes its own, each with its version."""
        made = east.post(POINTS, json={"name": "hal", "address": "192.0.2.0/24", "guest_vlan": 40})
        assert made.status_code == 201
        assert (made.json()["address"], made.json()["guest_vlan"]) == ("192.0.2.0/24", 40)
        path = made.headers["Location"]
        shown = east.get(path)
        assert shown.headers["ETag"] == made.headers["ETag"]
        assert shown.json() == {name: value for name, value in made.json().items() if name != "secret"}
        changed = east.patch(path, json={"guest_vlan": None}, headers={"If-Match": made.headers["ETag"]})
        assert (changed.status_code, changed.json()["guest_vlan"]) == (200, None)
        assert [item["name"] for item in east.get(POINTS).json()["items"]] == ["hal"]
        assert east.delete(path, headers={"If-Match": made.headers["ETag"]}).status_code == 412
        assert east.delete(path, headers={"If-Match": changed.headers["ETag"]}).status_code == 204
        assert east.get(path).status_code == 404

    def test_changes_of_sessions_are_taken_and_given_up(self, east: TestClient) -> None:
        """A port says that visitors' libraries may end and shorten their sessions here; null that they may not."""
        made = east.post(POINTS, json={"name": "hal", "address": "192.0.2.7", "coa_port": 3799})
        path = made.headers["Location"]
        assert (made.json()["coa_port"], made.json()["require_event_timestamp"]) == (3799, True)
        changed = east.patch(path, json={"coa_host": "192.0.2.8"}, headers=ANY_VERSION)
        assert (changed.json()["coa_port"], changed.json()["coa_host"]) == (3799, "192.0.2.8")
        assert east.patch(path, json={"coa_port": None}, headers=ANY_VERSION).json()["coa_port"] is None
        refused = east.post(POINTS, json={"name": "zaal", "address": "192.0.3.0/24", "coa_port": 3799})
        assert [error["pointer"] for error in refused.json()["errors"]] == ["#/coa_host"]

    def test_generated_secret_is_shown_once(self, east: TestClient) -> None:
        """Without a secret one is made; it is in that answer, which nobody may keep, and in no later one."""
        made = east.post(POINTS, json={"name": "hal", "address": "192.0.2.7"})
        assert len(made.json()["secret"]) >= 16
        assert made.headers["Cache-Control"] == "no-store"
        assert "secret" not in east.get(made.headers["Location"]).json()
        changed = east.patch(made.headers["Location"], json={"guest_vlan": 4}, headers=ANY_VERSION)
        assert changed.json()["secret"] is None

    def test_own_secret_is_not_echoed(self, east: TestClient) -> None:
        """A secret that the library chose is not said back."""
        made = east.post(POINTS, json={"name": "hal", "address": "192.0.2.7", "secret": SECRET})
        assert made.json()["secret"] is None
        assert SECRET not in made.text

    def test_null_secret_is_renewed(self, east: TestClient) -> None:
        """`secret: null` has a new one made, shown once; a patch without it leaves the one that is there."""
        first = east.post(POINTS, json={"name": "hal", "address": "192.0.2.7"})
        path = first.headers["Location"]
        second = east.patch(path, json={"secret": None}, headers=ANY_VERSION)
        assert second.json()["secret"] not in {None, first.json()["secret"]}
        assert second.json()["version"] == first.json()["version"] + 1
        same = east.patch(path, json={}, headers=ANY_VERSION)
        assert same.json()["version"] == second.json()["version"]

    def test_radsec_has_a_certificate_and_no_secret(self, east: TestClient) -> None:
        """RADIUS/TLS peers are known by a name; a secret for one is refused."""
        made = east.post(POINTS, json={"name": "hal", "certificate": "ap.east.library.example"})
        assert (made.status_code, made.json()["secret"]) == (201, None)
        path = made.headers["Location"]
        assert east.patch(path, json={"secret": None}, headers=ANY_VERSION).status_code == 422
        moved = east.patch(path, json={"certificate": None, "address": "192.0.2.9"}, headers=ANY_VERSION)
        assert moved.status_code == 200
        assert moved.json()["secret"]

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"name": "hal"}, "#/address"),
            ({"name": "hal", "address": "192.0.2.7", "certificate": "a.example.org"}, "#/address"),
            ({"name": "hal", "address": "192.0.2.7/24"}, "#/address"),
            ({"name": "hal", "address": "0.0.0.0/0"}, "#/address"),
            ({"name": "Hal", "address": "192.0.2.7"}, "#/name"),
            ({"name": "hal", "address": "192.0.2.7", "guest_vlan": 4095}, "#/guest_vlan"),
            ({"name": "hal", "address": "192.0.2.7", "guest_vlan": "40"}, "#/guest_vlan"),
            ({"name": "hal", "address": "192.0.2.7", "secret": "short"}, "#/secret"),
            ({"name": "hal", "address": "192.0.2.7", "secret": "x" * 129}, "#/secret"),
            ({"name": "hal", "address": "192.0.2.7", "kind": "toaster"}, "#/kind"),
            ({"name": "hal", "address": "192.0.2.7", "on_timeout": "wait"}, "#/on_timeout"),
            ({"name": "hal", "address": "192.0.2.7", "on_timeout": "protocol-error"}, "#/on_timeout"),
        ],
    )
    def test_bad_field_is_named(
        self, east: TestClient, federation: LibraryFederation, body: dict[str, Any], pointer: str
    ) -> None:
        """What is wrong is named, what was sent as a secret is not repeated, and nothing is kept."""
        before = federation.rows()
        answer = east.post(POINTS, json=body)
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
        assert body.get("secret", "no secret") not in answer.text
        assert federation.rows() == before

    def test_what_a_client_gets_in_silence_is_kept(self, east: TestClient) -> None:
        """A proxy that knows Protocol-Error says so, and what it wants when nobody answers in time."""
        wanted = {"protocol_errors": True, "on_timeout": "protocol-error"}
        made = east.post(POINTS, json={"name": "hal", "address": "192.0.2.7", "kind": "proxy", **wanted})
        path = made.headers["Location"]
        assert {key: east.get(path).json()[key] for key in wanted} == wanted
        changed = east.patch(path, json={"on_timeout": "drop"}, headers=ANY_VERSION)
        assert (changed.json()["protocol_errors"], changed.json()["on_timeout"]) == (True, "drop")
        assert east.post(POINTS, json={"name": "zaal", "address": "192.0.2.8"}).json()["on_timeout"] == "auto"

    def test_taken_name_and_address_are_conflicts(self, east: TestClient, federation: LibraryFederation) -> None:
        """One name in a library, and one owner of an address in the federation."""
        assert east.post(POINTS, json={"name": "hal", "address": "192.0.2.7"}).status_code == 201
        assert east.post(POINTS, json={"name": "hal", "address": "192.0.2.8"}).status_code == 409
        elsewhere = "/v1/libraries/west/access-points"
        answer = federation.client("west").post(elsewhere, json={"name": "hal", "address": "192.0.2.7/32"})
        assert answer.status_code == 409
        assert "east" not in answer.text  # whose it is, is not West's to know


class TestHomeServers:
    def test_life_of_a_home_server(self, east: TestClient, operator: TestClient) -> None:
        """A library brings its own RADIUS server, and is no longer hosted while it has one."""
        made = east.post(SERVERS, json={"name": "radius1", "host": "192.0.2.10"})
        assert (made.status_code, made.json()["port"], made.json()["transport"]) == (201, 1812, "udp")
        assert made.json()["secret"]
        assert operator.get("/v1/libraries/east").json()["is_hosted"] is False
        path = made.headers["Location"]
        changed = east.patch(path, json={"host": "192.0.2.11"}, headers={"If-Match": made.headers["ETag"]})
        assert (changed.json()["host"], changed.json()["secret"]) == ("192.0.2.11", None)
        assert east.get(path).headers["ETag"] == changed.headers["ETag"]
        assert [item["name"] for item in east.get(SERVERS).json()["items"]] == ["radius1"]
        assert east.delete(path, headers={"If-Match": changed.headers["ETag"]}).status_code == 204
        assert operator.get("/v1/libraries/east").json()["is_hosted"] is True

    def test_weight_is_kept(self, east: TestClient) -> None:
        """Its share of the devices; 0 while nobody says otherwise, and again when it is taken back."""
        path = east.post(SERVERS, json={"name": "radius1", "host": "192.0.2.10"}).headers["Location"]
        assert east.get(path).json()["weight"] == 0
        assert east.patch(path, json={"weight": 30}, headers=ANY_VERSION).json()["weight"] == 30
        assert east.patch(path, json={"weight": None}, headers=ANY_VERSION).json()["weight"] == 0

    def test_another_transport_brings_its_port(self, east: TestClient) -> None:
        """Moving to RADIUS/TLS moves to its port (RFC 6614 §2.1), unless the patch names one."""
        path = east.post(SERVERS, json={"name": "radius1", "host": "192.0.2.10"}).headers["Location"]
        moved = east.patch(path, json={"transport": "tls"}, headers=ANY_VERSION)
        assert (moved.json()["transport"], moved.json()["port"]) == ("tls", 2083)
        named = east.patch(path, json={"transport": "udp", "port": 1645}, headers=ANY_VERSION)
        assert named.json()["port"] == 1645

    def test_accounting_is_asked_for_and_given_up(self, east: TestClient) -> None:
        """A port says that the library wants its patrons' accounting; null that it does not, as at the beginning."""
        made = east.post(SERVERS, json={"name": "radius1", "host": "192.0.2.10"})
        path = made.headers["Location"]
        assert made.json()["accounting_port"] is None
        changed = east.patch(path, json={"accounting_port": 1813}, headers=ANY_VERSION)
        assert changed.json()["accounting_port"] == 1813
        assert east.patch(path, json={"host": "192.0.2.11"}, headers=ANY_VERSION).json()["accounting_port"] == 1813
        assert east.patch(path, json={"accounting_port": None}, headers=ANY_VERSION).json()["accounting_port"] is None

    def test_secret_is_changed_by_giving_one(self, east: TestClient, federation: LibraryFederation) -> None:
        """A new secret is kept sealed and not said back; null is refused, since the server would not know it."""
        path = east.post(SERVERS, json={"name": "radius1", "host": "192.0.2.10"}).headers["Location"]
        before = federation.rows()["home_servers"]
        answer = east.patch(path, json={"secret": SECRET}, headers=ANY_VERSION)
        assert (answer.status_code, answer.json()["secret"]) == (200, None)
        assert federation.rows()["home_servers"] != before
        assert SECRET not in repr(federation.rows())
        assert east.patch(path, json={"secret": None}, headers=ANY_VERSION).status_code == 422

    @pytest.mark.parametrize(
        ("body", "pointer"),
        [
            ({"name": "r"}, "#/host"),
            ({"name": "r", "host": "not a host"}, "#/host"),
            ({"name": "r", "host": "192.0.2.10", "port": 0}, "#/port"),
            ({"name": "r", "host": "192.0.2.10", "port": 65536}, "#/port"),
            ({"name": "r", "host": "192.0.2.10", "accounting_port": 0}, "#/accounting_port"),
            ({"name": "r", "host": "192.0.2.10", "transport": "tcp"}, "#/transport"),
            ({"name": "r", "host": "192.0.2.10", "position": -1}, "#/position"),
            ({"name": "r", "host": "192.0.2.10", "weight": 1001}, "#/weight"),
        ],
    )
    def test_bad_field_is_named(self, east: TestClient, body: dict[str, Any], pointer: str) -> None:
        """What is wrong is named by JSON Pointer."""
        answer = east.post(SERVERS, json=body)
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


class TestIdentity:
    def test_begins_local(self, east: TestClient) -> None:
        """A library that never said has the local store without MSCHAPv2."""
        answer = east.get(IDENTITY)
        assert (answer.json()["kind"], answer.json()["mschapv2"]) == ("local", False)
        assert answer.json()["methods"] == ["ttls-pap"]

    def test_patch_and_put_with_versions(self, east: TestClient) -> None:
        """Both need the version; after a change the earlier one is refused."""
        first = {"If-Match": east.get(IDENTITY).headers["ETag"]}
        changed = east.patch(IDENTITY, json={"mschapv2": True}, headers=first)
        assert "peap-mschapv2" in changed.json()["methods"]
        assert east.put(IDENTITY, json={"kind": "local"}, headers=first).status_code == 412
        assert east.put(IDENTITY, json={"kind": "local"}).status_code == 428
        put = east.put(IDENTITY, json={"kind": "local"}, headers={"If-Match": changed.headers["ETag"]})
        assert (put.status_code, put.json()["mschapv2"]) == (200, False)

    def test_store_that_is_not_there_yet_is_refused(self, east: TestClient) -> None:
        """A kind of store that this version lacks is named as such."""
        answer = east.patch(IDENTITY, json={"kind": "sip2"}, headers=ANY_VERSION)
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == ["#/kind"]
