"""Tests of the choice between RADIUS/1.0 and RADIUS/1.1."""

import pytest

from radius.transport.tls.versions import (
    ALPN_RADIUS_1_1,
    DEFAULT_VERSIONS,
    RadiusVersion,
    decide_version,
    list_protocols,
    select_protocol,
)

V1_0, V1_1 = RadiusVersion.V1_0, RadiusVersion.V1_1
NOTHING = frozenset[RadiusVersion]()  # an end that knows no ALPN
OLD, BOTH, NEW = frozenset((V1_0,)), frozenset((V1_0, V1_1)), frozenset((V1_1,))
ALERT, CLOSED = "alert", "closed"


def negotiate(client: frozenset[RadiusVersion], server: frozenset[RadiusVersion], *, is_tls_1_3: bool) -> object:
    """What becomes of a connection: its version, or how it ends."""
    offered = list_protocols(client)
    chosen = select_protocol(offered, server, is_tls_1_3=is_tls_1_3) if offered and server else b""
    if offered and server and not chosen:
        return ALERT
    versions = {decide_version(chosen, end or OLD, is_tls_1_3=is_tls_1_3) for end in (client, server)}
    return CLOSED if None in versions else versions.pop()


class TestNegotiation:
    @pytest.mark.parametrize(
        ("client", "outcomes"),
        [
            (NOTHING, (V1_0, V1_0, V1_0, CLOSED)),
            (OLD, (V1_0, V1_0, V1_0, ALERT)),
            (BOTH, (V1_0, V1_0, V1_1, V1_1)),
            (NEW, (CLOSED, ALERT, V1_1, V1_1)),
        ],
    )
    def test_table_of_the_rfc(self, client: frozenset[RadiusVersion], outcomes: tuple[object, ...]) -> None:
        """Every outcome of RFC 9765 §3.3.2; columns: a server without ALPN, of 1.0, of both, of 1.1."""
        servers = (NOTHING, OLD, BOTH, NEW)
        assert tuple(negotiate(client, server, is_tls_1_3=True) for server in servers) == outcomes

    @pytest.mark.parametrize(
        ("client", "outcomes"),
        [
            (NOTHING, (V1_0, V1_0, V1_0, CLOSED)),
            (OLD, (V1_0, V1_0, V1_0, ALERT)),
            (BOTH, (V1_0, V1_0, V1_0, ALERT)),
            (NEW, (CLOSED, ALERT, ALERT, ALERT)),
        ],
    )
    def test_tls_1_2_never_carries_radius_1_1(
        self, client: frozenset[RadiusVersion], outcomes: tuple[object, ...]
    ) -> None:
        """It needs TLS 1.3 (RFC 9765 §3.4); what both allow besides is taken."""
        servers = (NOTHING, OLD, BOTH, NEW)
        assert tuple(negotiate(client, server, is_tls_1_3=False) for server in servers) == outcomes

    def test_default_allows_both_and_prefers_the_higher(self) -> None:
        """RFC 9765 §3.3: whoever implements both offers both."""
        assert list_protocols(DEFAULT_VERSIONS) == (b"radius/1.1", b"radius/1.0")
        assert (
            select_protocol([b"radius/1.0", b"radius/1.1", b"h2"], DEFAULT_VERSIONS, is_tls_1_3=True) == b"radius/1.1"
        )

    def test_server_that_chooses_what_it_may_not_is_left(self) -> None:
        """RADIUS/1.1 below TLS 1.3, and names that were not offered or that nobody knows."""
        assert decide_version(ALPN_RADIUS_1_1, BOTH, is_tls_1_3=False) is None
        assert decide_version(ALPN_RADIUS_1_1, OLD, is_tls_1_3=True) is None
        assert decide_version(b"radius/1.2", BOTH, is_tls_1_3=True) is None
        assert decide_version(b"radius/1.0", NEW, is_tls_1_3=True) is None
