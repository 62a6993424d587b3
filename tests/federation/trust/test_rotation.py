"""Rotation of the node key: nothing is left under the old one, and everything still works."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from federation.errors import TrustError
from federation.services.access_points import AccessPointValues, add_access_point
from federation.services.authorities import ISSUING, load_authority, load_eap_credentials
from federation.services.home_servers import HomeServerValues, add_home_server
from federation.services.patrons import add_patron
from federation.store.tables.base import Base
from federation.trust.keystore import NodeKey, Sealer, load_sealer, retire_node_keys, rotate_node_key
from federation.trust.profiles import Purpose
from federation.trust.rotation import SEALED_COLUMNS, reseal_rows
from federation.trust.rows import open_authority
from tests.federation.members import CHEAP_HASHES, OPERATOR, Members

# Four authorities, one EAP certificate, an access point's secret, a home server's, and a patron's NT hash.
SEALED_VALUES = 9  # and the key of the proxy


@pytest.fixture
def filled(members: Members) -> Members:
    """A registry with something in every sealed column."""
    members.turn_mschapv2("boekenburg", on=True)
    with members.change() as change:
        add_patron(change, OPERATOR, "boekenburg", name="jansen@oud.test", password="geheim", hashes=CHEAP_HASHES)
        add_access_point(change, OPERATOR, "boekenburg", name="balie", values=AccessPointValues(address="192.0.2.7"))
        add_home_server(change, OPERATOR, "leesstad", name="radius1", values=HomeServerValues(host="192.0.2.9"))
    return members


class TestReseal:
    def test_every_sealed_column_is_known(self) -> None:
        """A column of sealed values that rotation does not know would be lost with the old key."""
        found = {
            (table.name, column.name)
            for table in Base.metadata.sorted_tables
            for column in table.columns
            if column.name.startswith("sealed_")
        }
        assert found == {(table.__tablename__, column) for table, column, _ in SEALED_COLUMNS}

    def test_everything_works_with_the_new_key_alone(self, filled: Members) -> None:
        """After a rotation the old key opens nothing and is not needed."""
        old = filled.sealer
        both = rotate_node_key(filled.key_path)
        with filled.store.write() as session:
            assert reseal_rows(session, both) == SEALED_VALUES
        assert retire_node_keys(filled.key_path) == 1
        new = load_sealer(filled.key_path)
        with filled.registry.read() as session:
            load_eap_credentials(session, new)
            open_authority(load_authority(session, Purpose.PEERS, ISSUING), new)
            assert reseal_rows(session, new) == 0
            with pytest.raises(TrustError):
                load_eap_credentials(session, old)

    def test_second_run_changes_nothing(self, filled: Members) -> None:
        """A rotation that was broken off is begun again."""
        both = rotate_node_key(filled.key_path)
        for expected in (SEALED_VALUES, 0):
            with filled.store.write() as session:
                assert reseal_rows(session, both) == expected

    def test_key_of_another_kind_is_refused(self, filled: Members) -> None:
        """An authority signs with an elliptic-curve key; whatever else is sealed there is not used."""
        key = rsa.generate_private_key(65537, 2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with filled.registry.read() as session:
            row = load_authority(session, Purpose.EAP, ISSUING)
            row.sealed_key = filled.sealer.seal(pem, row.key_context)
            with pytest.raises(TrustError, match="another kind"):
                open_authority(row, filled.sealer)

    def test_value_that_does_not_open_stops_the_rotation(self, filled: Members) -> None:
        """With a key missing nothing is resealed, so nothing is half lost."""
        stranger = Sealer([NodeKey.generate()])
        with pytest.raises(TrustError), filled.store.write() as session:
            reseal_rows(session, stranger)
        with filled.registry.read() as session:
            load_eap_credentials(session, filled.sealer)
