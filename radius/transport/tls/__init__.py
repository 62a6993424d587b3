"""RADIUS over TLS (RFC 6614): who the peers are, connections with limits, the listening and the dialling end."""
