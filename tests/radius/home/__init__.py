"""Tests of radius/home."""
