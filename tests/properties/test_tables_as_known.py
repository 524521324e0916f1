"""What a strategy is told of tables is what a plain look at all rows known by then says."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

DAY = 86_400 * 10**9
FIRST = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * 10**9
HOURS = 120
NAMES = [f"S{place}" for place in range(6)]


def bars(rng):
    """Hourly bars with gaps; symbols begin at different hours."""
    begin = {name: int(rng.integers(0, HOURS // 2)) for name in NAMES[:4]}
    rows = [
        (FIRST + hour * 3600 * 10**9, name, 10.0, 10.0)
        for hour in range(HOURS)
        for name in NAMES[:4]
        if hour >= begin[name] and rng.random() < 0.7
    ]
    frame = pl.DataFrame(rows, schema=["timestamp", "symbol", "open", "close"], orient="row")
    return frame.with_columns(pl.col("timestamp").cast(pl.Datetime("ns", "UTC")))


def facts(rng, *, count=300):
    """Rows restated, late, announced in advance and unknown, on a coarse grid so that instants coincide."""
    event = FIRST + rng.integers(-80, HOURS, count) * 3600 * 10**9
    known = event + rng.integers(-5, 60, count) * 1800 * 10**9
    value = np.where(rng.random(count) < 0.1, np.nan, rng.normal(size=count))
    frame = pl.DataFrame(
        {
            "symbol": rng.choice(NAMES, count), "event_time": event, "known_at": known, "value": value,
            "text": [None if place % 7 == 0 else f"t{place}" for place in range(count)],
        }
    ).unique(["symbol", "event_time", "known_at"], maintain_order=True)  # fmt: skip
    return frame.with_columns(pl.col("event_time", "known_at").cast(pl.Datetime("ns", "UTC")))


class Rows:
    """All rows, looked at one by one."""

    def __init__(self, frame):
        stamps = frame.with_columns(pl.col("event_time", "known_at").to_physical())
        self.rows = list(stamps.iter_rows())

    def counts(self, symbol, now, max_age=None):
        rows = [row for row in self.rows if symbol in (None, row[0]) and row[1] <= now and row[2] <= now]
        newest = max(rows, key=lambda row: (row[1], row[2]), default=None)
        return None if newest is None or (max_age is not None and now - newest[1] > max_age) else newest

    def known(self, now, *, every):
        rows = [row for row in self.rows if row[2] <= now]
        if every:
            return sorted(rows, key=lambda row: (row[2], row[0], row[1]))
        newest = {}
        for row in sorted(rows, key=lambda row: row[2]):
            newest[row[0], row[1]] = row
        return sorted(newest.values(), key=lambda row: (row[2], row[0], row[1]))


class Comparing(Strategy):
    """Compare what the context says with a plain look, at each slice."""

    def __init__(self, frame, market):
        self.rows, self.market, self.slices = Rows(frame), Rows(market), 0

    def on_slice(self, market, context):
        now = context.now_ns
        self.slices += 1
        for max_age in (None, 2 * DAY):
            rows = [self.rows.counts(symbol, now, max_age) for symbol in context.symbols]
            expected = [np.nan if row is None else row[3] for row in rows]
            np.testing.assert_array_equal(expected, context.asof("facts", "value", max_age=max_age))
            assert [None if row is None else row[4] for row in rows] == context.asof("facts", "text", max_age)
            row = self.market.counts(None, now, max_age)
            np.testing.assert_equal(np.nan if row is None else row[3], context.asof("market", "value", max_age=max_age))
        if self.slices % 10 == 0:
            for versions in ("newest", "all"):
                frame = context.window("facts", versions=versions)
                got = frame.with_columns(pl.col("event_time", "known_at").to_physical()).rows()
                np.testing.assert_equal(self.rows.known(now, every=versions == "all"), got)


@pytest.mark.parametrize("by_steps", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_as_of_and_windows_are_what_all_rows_known_by_then_say(seed, by_steps):
    """Whatever the order in which rows lie in the table."""
    rng = np.random.default_rng(seed)
    frame = facts(rng)
    market = facts(rng, count=80).with_columns(symbol=pl.lit("M")).unique(["event_time", "known_at"])
    strategy = Comparing(frame, market)
    tables = {"facts": frame.sample(fraction=1.0, shuffle=True, seed=seed), "market": market.drop("symbol")}
    engine = Engine(prices=bars(rng), bar="1h", stamp="open", tables=tables, strategy=strategy)
    for _ in engine.steps() if by_steps else [engine.run()]:
        pass
    assert strategy.slices > HOURS // 2


@pytest.mark.parametrize("seed", range(6))
def test_members_are_those_whose_interval_holds_now(seed):
    """Random intervals that do not overlap, of symbols listed early and late."""
    rng = np.random.default_rng([7, seed])
    intervals = []
    for name in NAMES[:5]:
        cuts = np.sort(rng.choice(np.arange(-3, 8), 4, replace=False)).tolist()
        days = [date(2024, 1, 1) + timedelta(days=cut) for cut in cuts]
        first = None if rng.random() < 0.3 else days[0]
        last = None if rng.random() < 0.3 else days[3]
        intervals += [(name, first, days[1]), (name, days[2], last)]
    table = pl.DataFrame(intervals, schema=["symbol", "from", "to"], orient="row")

    class Members(Strategy):
        slices = 0

        def on_slice(self, market, context):
            self.slices += 1
            day = date(1970, 1, 1) + timedelta(days=context.now_ns // DAY)  # a day begins where the one before closes
            expected = [
                any(name == who and (first or day) <= day <= (last or day) for who, first, last in intervals)
                for name in context.symbols
            ]
            assert context.universe.tolist() == expected

    strategy = Members()
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=seed)
    Engine(prices=bars(rng), bar="1h", stamp="open", universe=shuffled, strategy=strategy).run()
    assert strategy.slices > HOURS // 2
