"""Tests of packets built and described by name."""
