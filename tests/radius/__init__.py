"""Tests of radius."""
