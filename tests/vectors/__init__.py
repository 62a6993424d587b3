"""Packets from RFCs and other implementations, with what is known about them."""
