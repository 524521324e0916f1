"""Read bars, quotes and trades from Delta Lake tables."""
