"""Tests of radius.discovery."""
