"""Load measurements: a generator, a home server and the proxies between them, on loopback."""
