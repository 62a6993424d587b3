"""Tests of RADIUS over TLS."""
