"""Offer the fixtures of the testkit to pytest."""
