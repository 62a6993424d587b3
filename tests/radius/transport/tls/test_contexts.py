"""Handshakes over memory: who is let in, and who is not."""

import gc
import weakref
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import SSL

from radius.transport.tls.contexts import Credentials, Trust, read_chain
from radius.transport.tls.identity import PeerIdentity, read_identity
from tests.radius.transport.tls.members import Authority, names_of, shake_hands
from tests.support.cycles import without_collector

Member = tuple[x509.Certificate, bytes]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def server(authority: Authority) -> Member:
    return authority.issue(names_of("fed.example.org"))


@pytest.fixture(scope="module")
def client(authority: Authority) -> Member:
    return authority.issue(names_of("ap.lib.example"))


def anybody(_identity: PeerIdentity) -> bool:
    return True


def connects(server: Trust, client: Trust) -> bool:
    return shake_hands(client.dial(anybody, "fed.example.org"), server.accept(anybody))


def test_members_meet(authority: Authority, server: Member, client: Member) -> None:
    """Two members of one federation speak TLS 1.3 and agree on radius/1.1."""
    here, there = Trust(authority.credentials(server)), Trust(authority.credentials(client))
    one, other = there.dial(anybody), here.accept(anybody)
    assert shake_hands(one, other)
    assert other.get_protocol_version_name() == "TLSv1.3"
    assert one.get_alpn_proto_negotiated() == other.get_alpn_proto_negotiated() == b"radius/1.1"
    assert read_identity(read_chain(other)).names == ("ap.lib.example",)
    assert here.believes(read_chain(other))


def test_trust_goes_with_its_last_connection(authority: Authority, server: Member, client: Member) -> None:
    """One that another replaced is not there until the collector looks, which knows nothing of OpenSSL's memory."""
    here, there = Trust(authority.credentials(server)), Trust(authority.credentials(client))
    one, other = there.dial(anybody), here.accept(anybody)
    assert shake_hands(one, other)
    known = [weakref.ref(here), weakref.ref(there), weakref.ref(one.get_context()), weakref.ref(other.get_context())]
    gc.collect()
    with without_collector():
        del here, there
        assert None not in [reference() for reference in known]
        del one, other
        assert [reference() for reference in known] == [None] * 4


def test_judge_refuses_inside_the_handshake(authority: Authority, server: Member, client: Member) -> None:
    """A peer that nobody knows never gets a connection."""
    here, there = Trust(authority.credentials(server)), Trust(authority.credentials(client))
    assert not shake_hands(there.dial(anybody), here.accept(lambda identity: "other.example" in identity.names))
    assert not shake_hands(there.dial(lambda _: False), here.accept(anybody))


def test_revoked_is_refused(authority: Authority, server: Member, client: Member) -> None:
    """A serial of our own authority's, or one in another authority's list, ends the handshake."""
    serial = client[0].serial_number
    there = Trust(authority.credentials(client))
    ours = Trust(authority.credentials(server, revoked=frozenset({f"{serial:x}"})))
    listed = Trust(authority.credentials(server, revocation_lists_pem=authority.revoke(serial)))
    assert not connects(ours, there)
    assert not connects(listed, there)
    identity = read_identity([client[0], authority.certificate])
    assert ours.is_revoked(identity)
    assert listed.is_revoked(identity)
    assert connects(Trust(authority.credentials(server, revocation_lists_pem=authority.revoke(serial + 1))), there)


def test_revoked_intermediate_takes_those_below_it_along(authority: Authority, server: Member) -> None:
    """Every certificate of the chain is looked for in the lists, not the peer's alone (CVE-2015-4680)."""
    below = Authority("intermediate", issuer=authority)
    certificate, key = below.issue(names_of("ap.lib.example"))
    chain = certificate.public_bytes(Encoding.PEM) + below.pem
    there = Trust(Credentials(chain, key, authority.pem))
    revoked = below.certificate.serial_number
    assert connects(Trust(authority.credentials(server)), there)
    listed = Trust(authority.credentials(server, revocation_lists_pem=authority.revoke(revoked)))
    assert not connects(listed, there)
    assert listed.is_revoked(read_identity([certificate, below.certificate, authority.certificate]))


def test_strangers_are_refused(authority: Authority, server: Member) -> None:
    """Another authority's, an expired one, one that may not ask, and our own mirrored back."""
    here = Trust(authority.credentials(server))
    other = Authority("other")
    foreign = other.issue(names_of("ap.lib.example"))
    expired = authority.issue(names_of("ap.lib.example"), ends_in=timedelta(seconds=-5))
    server_only = authority.issue(names_of("ap.lib.example"), usages=(ExtendedKeyUsageOID.SERVER_AUTH,))
    assert not connects(here, Trust(other.credentials(foreign, (authority,))))
    assert not connects(here, Trust(authority.credentials(expired)))
    assert not connects(here, Trust(authority.credentials(server_only)))
    assert not connects(here, Trust(authority.credentials(server)))


def test_certificate_is_asked_for(authority: Authority, server: Member) -> None:
    """Who shows no certificate is refused (RFC 6614 §2.3)."""
    bare = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    bare.set_connect_state()
    assert not shake_hands(bare, Trust(authority.credentials(server)).accept(anybody))


def test_both_anchors_of_a_roll_over_are_believed(authority: Authority, server: Member) -> None:
    """With two anchors peers of either are let in; with the old one gone its chain is believed no more."""
    newer = Authority("newer")
    there = Trust(newer.credentials(newer.issue(names_of("ap.lib.example")), (authority,)))
    here = Trust(authority.credentials(server, (authority, newer)))
    end = here.accept(anybody)
    assert shake_hands(there.dial(anybody), end)
    assert not Trust(authority.credentials(server)).believes(read_chain(end))


def test_key_of_another_is_refused(authority: Authority, server: Member, client: Member) -> None:
    """Credentials that do not belong together are told when they come, not at the first handshake."""
    with pytest.raises(ValueError, match="does not belong"):
        Trust(authority.credentials((server[0], client[1])))
