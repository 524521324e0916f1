"""Conformance tests and fixtures for plugins."""
