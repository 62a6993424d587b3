"""Sockets and timers: the only rooms that wait."""
