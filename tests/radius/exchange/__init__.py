"""Tests of what is remembered between a request and its answer."""
