"""Biebroam's own processes, as its users run them."""
