"""Read bars, quotes and trades from CSV files."""
