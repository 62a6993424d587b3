"""Biebroam beside the programs it has to work with, each a real one, started by the tests."""
