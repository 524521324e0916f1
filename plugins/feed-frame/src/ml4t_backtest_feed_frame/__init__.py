"""Bars, quotes and trades from frames in memory."""
