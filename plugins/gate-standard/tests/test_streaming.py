"""Rows that flow: cut where instants end, and looked at in haste only where there is nothing to find."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml4t_backtest_gate_standard import checks
from ml4t_backtest_gate_standard.checks import RowGate
from ml4t_backtest_gate_standard.streaming import cut_at_instants

START = datetime(2024, 1, 2, tzinfo=UTC)


@settings(deadline=None)
@given(
    stamps=st.lists(st.integers(0, 12), min_size=1, max_size=60).map(sorted),
    edges=st.lists(st.integers(0, 60), max_size=5).map(sorted),
    rows=st.integers(1, 30),
)
def test_batches_end_where_instants_end_wherever_pieces_do(stamps, edges, rows):
    """The same rows in the same order, no more of them at a time than asked for unless one instant has more."""
    frame = pl.DataFrame({"timestamp": pl.Series(stamps).cast(pl.Datetime("us", "UTC")), "row": range(len(stamps))})
    ends = [*(edge for edge in edges if edge < len(frame)), len(frame)]
    pieces = [frame.slice(begin, end - begin) for begin, end in zip([0, *ends[:-1]], ends, strict=True) if end > begin]
    batches = list(cut_at_instants(iter(pieces), "timestamp", rows))
    assert frame.equals(pl.concat(batches))
    assert frame["timestamp"].n_unique() == sum(batch["timestamp"].n_unique() for batch in batches)
    for batch in batches:
        assert 0 < batch.height
        assert batch.height <= rows or batch["timestamp"].n_unique() == 1


def market(kind, seed):
    """Return twelve good rows: three instants of four symbols."""
    random = np.random.default_rng(seed)
    inner = np.round(random.uniform(9, 11, (12, 2)), 2)
    values = {
        "bar": {"open": inner[:, 0], "high": inner.max(axis=1), "low": inner.min(axis=1), "close": inner[:, 1]},
        "quote": {"bid": inner.min(axis=1), "ask": inner.max(axis=1)},
        "signal": {"score": random.normal(size=12), "rank": random.normal(size=12)},
    }[kind]
    sizes = {"bar": ["volume"], "quote": ["bid_size", "ask_size"], "signal": []}[kind]
    stamps = pl.Series(np.repeat(np.arange(3) * 60_000_000, 4)).cast(pl.Datetime("us"))
    keys = {"symbol": [*"ABCD"] * 3, "timestamp": stamps + (START - datetime(1970, 1, 1, tzinfo=UTC))}
    return pl.DataFrame(keys | values | {name: np.floor(random.uniform(0, 9, 12)) for name in sizes})


ODD = [0.0, -1.0, 5.0, 10.0, 50.0, 1.7e308, float("inf"), float("-inf"), float("nan"), None]


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(["bar", "quote", "signal"]),
    spoiled=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 11), st.sampled_from(ODD)), max_size=3),
    moved=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=2),
    nameless=st.booleans(),
    twice=st.lists(st.integers(0, 11), max_size=1),
    dtype=st.sampled_from([pl.String, pl.Categorical, pl.Enum(["", *"DCBA"])]),
    cut=st.integers(0, 12),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_look_in_haste_finds_what_a_close_one_finds(kind, spoiled, moved, nameless, twice, dtype, cut, seed):
    """Whatever a few rows have in their fields, and in whatever order they are."""
    frame = market(kind, seed)
    if nameless:
        frame = frame.with_columns(pl.col("symbol").replace("A", ""))
    frame = frame.cast({"symbol": dtype})
    fields = frame.columns[2:]
    for field, row, value in spoiled:
        name = fields[field % len(fields)]
        frame = frame.with_columns(pl.Series(name, [*frame[name][:row], value, *frame[name][row + 1 :]], pl.Float64))
    order = list(range(12))
    for row, place in moved:
        order.insert(place, order.pop(row))
    for row in twice:
        order.insert(row, order[row])
    frame = frame[order]

    def look():
        gate = RowGate(origin="prices.parquet", kind=kind, time_column="timestamp", fields=fields)
        for part in (frame[:cut], frame[cut:]):
            gate.check(part)
        return gate.errors, gate.notes(), gate.found(), gate.rows, gate.in_time_order, gate.went_back, gate.all_midnight

    hasty = look()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "is_plain", lambda *_, **__: False)
        close = look()
    assert close == hasty
