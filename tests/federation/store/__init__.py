"""Tests of federation.store."""
