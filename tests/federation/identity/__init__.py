"""Tests of the identity stores."""
