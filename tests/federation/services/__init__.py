"""Tests of the use cases of the registry."""
