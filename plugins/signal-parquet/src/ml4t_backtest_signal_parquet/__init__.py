"""Read signals and predictions from Parquet files."""
