"""The EAP server, without I/O: what a device sends goes in, what to do next comes out."""
