"""The EAP server without I/O."""
