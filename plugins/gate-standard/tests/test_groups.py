"""Rows by groups of symbols: all of a symbol together, in order, however many are held at a time."""

import tempfile

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml4t_backtest_gate_standard.findings.groups import rows_by_symbols


def frame_of(symbols, dtype=pl.String):
    """Return a row per symbol, with its number."""
    return pl.DataFrame({"symbol": pl.Series(symbols, dtype=pl.String).cast(dtype), "#": range(len(symbols))})


@settings(max_examples=50, deadline=None)
@given(
    symbols=st.lists(st.sampled_from("ABCDEF"), min_size=1, max_size=60),
    most=st.integers(1, 70),
    dtype=st.sampled_from([pl.String, pl.Categorical]),
)
def test_each_symbol_is_whole_and_in_order_in_one_part(symbols, most, dtype):
    """Symbols come in the order of their names; no part goes on with another symbol once it has enough rows."""
    parts = list(rows_by_symbols(frame_of(symbols, dtype).lazy(), most))
    seen = [part.select(pl.col("symbol").cast(pl.String), "#").sort("symbol", maintain_order=True) for part in parts]
    assert frame_of(symbols).sort("symbol", maintain_order=True).equals(pl.concat(seen))
    assert len(set(symbols)) == sum(part["symbol"].n_unique() for part in parts)
    assert all(part.height < most + symbols.count(part["symbol"][-1]) for part in seen)


@pytest.mark.parametrize("taken", [1, 3])
def test_nothing_is_left_on_disk(monkeypatch, tmp_path, taken):
    """Whether all parts are taken or the first one only."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    parts = rows_by_symbols(frame_of([*"ABC"] * 3).lazy(), 3)
    for _ in range(taken):
        next(parts)
        assert [*tmp_path.iterdir()]
    parts.close()
    assert [] == [*tmp_path.iterdir()]
