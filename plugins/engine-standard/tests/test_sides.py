"""Mids of quotes that tell one side at a time."""

from types import SimpleNamespace

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from ml4t.backtest import Engine, Strategy
from ml4t_backtest_engine_standard.loop.sides import Sides

NAMES = "ABC"
side = st.one_of(st.none(), st.sampled_from([9.0, 10.0, 10.5, 11.0, 12.5]))
told = st.tuples(st.integers(0, 2), side, side)
changed = st.tuples(st.integers(0, 2), st.sampled_from([5.0, 20.0]))


def plain(happenings):
    """Return what each quote makes of its symbol, row by row: the newest sides since something else gave a mark."""
    newest, marks, mids = {}, {}, []
    for symbol, *values in happenings:
        if len(values) == 1:
            if marks.get(symbol) != values[0]:
                marks[symbol] = values[0]
                newest.pop(symbol, None)
            continue
        kept = newest.setdefault(symbol, [None, None])
        for place, value in enumerate(values):
            kept[place] = kept[place] if value is None else value
        mids.append(None if None in kept else sum(kept) / 2)
        if mids[-1] is not None:
            marks[symbol] = mids[-1]
    return mids


@given(happenings=st.lists(st.one_of(told, told, told, changed), max_size=40), data=st.data())
def test_mids_are_those_of_a_plain_loop_however_rows_come_together(happenings, data):
    """A change by something else ends a batch, as it has the marks brought up to date before."""
    state = SimpleNamespace(symbols=NAMES, instruments={"mark": np.full(3, np.nan)})
    sides, waiting, mids = Sides(state), [], []

    def fold():
        if waiting:
            ids = np.array([row[0] for row in waiting], np.int32)
            bid, ask = np.array([row[1:] for row in waiting], np.float64).T
            found = sides.mids(ids, bid, ask)
            mids.extend(None if np.isnan(mid) else mid for mid in found)
            known = np.isfinite(found)
            state.instruments["mark"][ids[known]] = found[known]
            waiting.clear()

    for happening in happenings:
        if len(happening) == 3:
            waiting.append(happening)
        if len(happening) == 2 or data.draw(st.booleans()):
            fold()
        if len(happening) == 2:
            state.instruments["mark"][happening[0]] = happening[1]
    fold()
    assert plain(happenings) == mids


class Turn(Strategy):
    """Buy at the third quote, and note the mark at each."""

    def __init__(self):
        self.marks, self.calls = [], 0

    def on_event(self, event, context):
        self.calls += 1
        self.marks.append(context.price(event.symbol))
        if self.calls == 3:
            context.order("A", 1.0)


def test_quotes_of_one_side_can_be_traded_without_another_feed():
    """The newest bid and the newest ask make the mark; the order fills at the next ask."""
    stamps = [f"2024-01-02T15:00:0{second}" for second in range(7)]
    quotes = pl.DataFrame(
        {
            "symbol": ["A"] * 7,
            "event_time": pl.Series(stamps).str.to_datetime(time_unit="us", time_zone="UTC"),
            "bid": [9.0, None, 9.5, None, None, 9.0, None],
            "ask": [None, 10.0, None, None, 11.0, None, 12.0],
        }
    )
    strategy = Turn()
    feed = {"use": "frame", "name": "quotes", "frame": quotes, "latency": "0s"}
    result = Engine(feed=feed, strategy=strategy, capital=1_000.0).run()
    assert ["nan", "9.5", "9.75", "9.75", "10.25", "10.0", "10.5"] == [str(mark) for mark in strategy.marks]
    assert [11.0] == result.fills["price"].to_list()
