"""Read bars, quotes and trades from DuckDB databases."""
