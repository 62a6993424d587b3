"""One TLS connection over memory: octets in, records out; no socket, and no opinion of whom to believe."""
