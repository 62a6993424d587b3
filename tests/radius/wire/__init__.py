"""Tests of the packet as octets."""
