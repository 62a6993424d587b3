"""Finding a realm's home servers in the DNS (RFC 7585), decided without I/O: questions out, answers in."""
