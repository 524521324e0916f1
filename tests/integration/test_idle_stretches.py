"""Instants at which only rows are delivered are run through in stretches; nobody can tell."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

BARS, SYMBOLS = 400, ("AA", "BB", "CC")


def market(late_symbol):
    """Minute bars with holes; one symbol appears only half way, though it comes first by name."""
    rng = np.random.default_rng(7)
    rows = []
    for bar in range(BARS):
        for number, symbol in enumerate(SYMBOLS):
            begun = bar >= BARS // 2 or number > 0 or not late_symbol
            if begun and (rng.random() > 0.1 or not late_symbol):
                rows.append((datetime(2024, 3, 4) + timedelta(minutes=bar), symbol, 50.0 + rng.integers(100) / 4))
    frame = pl.DataFrame(rows, schema=["timestamp", "symbol", "close"], orient="row")
    prices = [pl.col("close").alias(name) for name in ("open", "high", "low")]
    return frame.with_columns(*prices, volume=pl.lit(100.0))


class BySlice(Strategy):
    """Trade now and then, and note all that can be seen."""

    def on_start(self, context):
        self.seen = []
        context.subscribe("prices", history=3)

    def on_slice(self, market, context):
        held = context.portfolio.quantities.tolist()
        past = np.nan_to_num(context.history("close", 3)).tolist()
        closes = np.nan_to_num(market.close).tolist()  # NaN is not equal to itself
        self.seen.append((context.now, market.timestamp, closes, past, held, context.symbols))
        if len(self.seen) % 37 == 0:
            context.order("BB", 5.0 if len(self.seen) % 2 else -5.0)


class ByEvent(Strategy):
    """The same for each event."""

    def on_start(self, context):
        self.seen = []

    def on_event(self, event, context):
        marks = np.nan_to_num(context.price()).tolist() if len(self.seen) % 3 == 0 else None
        self.seen.append((context.now, event, marks, context.symbols))
        if len(self.seen) % 37 == 0:
            context.order("BB", 5.0 if len(self.seen) % 2 else -5.0)


def outcome(strategy, late_symbol, step):
    """Return everything seen and both hashes of a run, stretch by stretch or instant by instant."""
    engine = Engine(prices=market(late_symbol), bar="1m", stamp="open", timezone="UTC", strategy=strategy)
    if step:
        instants = list(engine.steps())
        assert len(instants) >= BARS
        result = engine.result
    else:
        result = engine.run()
    assert result.fills.height > 5
    return strategy.seen, result.decision_hash, result.result_hash


@pytest.mark.parametrize("late_symbol", [False, True])
@pytest.mark.parametrize("strategy", [BySlice, ByEvent])
def test_stretches_and_single_instants_are_the_same_run(strategy, late_symbol):
    """What is seen at each call, what is decided and what comes of it do not depend on how instants are run."""
    assert outcome(strategy(), late_symbol, step=True) == outcome(strategy(), late_symbol, step=False)
