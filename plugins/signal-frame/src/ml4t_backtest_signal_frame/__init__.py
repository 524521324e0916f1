"""Signals and predictions from frames in memory."""
