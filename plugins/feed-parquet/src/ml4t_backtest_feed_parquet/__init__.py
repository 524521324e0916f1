"""Read bars, quotes and trades from Parquet files."""
