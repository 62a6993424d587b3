"""The management commands: clients of the HTTP API, over the network or in process."""
