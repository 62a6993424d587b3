"""The EAP methods, one module each."""
