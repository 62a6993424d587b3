"""The management commands, on a data directory and over HTTP."""
