"""Large files are streamed: memory does not grow with them, and only what is needed is read."""

import sys
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import streaming

MEGABYTES = 500
ROW = 52  # bytes of a row in memory


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of 1.5 and 4.5 million bars."""
    folder = tmp_path_factory.mktemp("s1")
    for minutes in (1500, 4500):
        streaming.write(folder / f"{minutes}.parquet", minutes)
    return folder


def test_memory_is_flat_in_the_length_of_the_data(files):
    """Three times the rows, and far less more than these take; how far polars reads ahead differs by time."""
    short = streaming.measure("run", files / "1500.parquet", stream=True)
    long = streaming.measure("run", files / "4500.parquet")
    assert (1500, 4500) == (short["calls"], long["calls"])
    assert MEGABYTES > long["memory"]
    assert (4500 - 1500) * streaming.SYMBOLS * ROW / 1e6 > long["memory"] - short["memory"]


def test_sorting_is_done_in_bounded_memory(files):
    """One symbol after the other in the file comes to the same decisions."""
    bars = pl.read_parquet(files / "4500.parquet").sort("symbol", "timestamp")
    bars.write_parquet(files / "by-symbol.parquet", row_group_size=100_000)
    in_order = streaming.measure("run", files / "4500.parquet")
    sorted_ = streaming.measure("run", files / "by-symbol.parquet")
    assert in_order["decision"] == sorted_["decision"]
    assert 4500 == sorted_["calls"]
    assert 1.5 * MEGABYTES > sorted_["memory"]


def test_a_part_of_the_file_reads_a_part_of_the_bytes(files):
    """1 % of the symbols and 5 % of the days, decoded once and hashed once."""
    streaming.write(files / "long.parquet", 1500, every=60, group=15)
    found = streaming.measure("part", files / "long.parquet", symbols=[f"S{number:04d}" for number in range(10)])
    assert 0.1 * found["bytes_total"] > found["bytes_read"]
    assert 0.2 * found["bytes_total"] > found["asked_for"]
    assert found["delivered"] > 0
