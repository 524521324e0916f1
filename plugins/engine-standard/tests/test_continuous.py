"""Futures as a series: the present contract, its past as of now, and the roll."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.errors import InputError, OrderError, RunError

DAYS = [date(2024, 1, 1) + timedelta(days=day) for day in range(12)]
FIRST, SECOND, THIRD = "ESH4", "ESM4", "ESU4"
RULES = [
    {"symbol": FIRST, "asset_class": "future", "root": "ES", "expires": DAYS[6]},
    {"symbol": SECOND, "asset_class": "future", "root": "ES", "expires": DAYS[10]},
    {"symbol": THIRD, "asset_class": "future", "root": "ES", "expires": date(2024, 3, 1)},
]
CLOSES = {
    FIRST: [100.0, 101, 102, 103, 104, 105, 106],
    SECOND: [110.0, 111, 113, 115, 117, 119, 121, 123, 125, 127, 129],
    THIRD: [None, None, None, 120.0, 122, 124, 126, 128, 130, 132, 134, 136],
}
VOLUMES = {
    FIRST: [9, 9, 3, 9, 1, 1, 1],
    SECOND: [1, 1, 5, 1, 7, 7, 2, 2, 2, 2, 2],
    THIRD: [0, 0, 0, 1, 1, 1, 8, 8, 8, 8, 8, 8],
}


def bars(closes=None, *, volume=True):
    rows = [
        {"symbol": name, "timestamp": day, "open": close, "close": close}
        | ({"volume": float(VOLUMES[name][place])} if volume else {})
        for name, column in (closes or CLOSES).items()
        for place, (day, close) in enumerate(zip(DAYS, column, strict=False))
        if close is not None
    ]
    return pl.DataFrame(rows).sort("timestamp", maintain_order=True)


class Watching(Strategy):
    """Note the contract, and a window of each field asked for, at every close."""

    def __init__(self, *fields, bars=3, then=None):
        self.fields, self.bars, self.then = fields, bars, then
        self.contracts, self.windows, self.told = [], [], []

    def before_trading_start(self, context):
        if not context.symbols:
            self.told.append(context.contract("ES"))

    def on_slice(self, market, context):
        self.contracts.append(context.contract("ES"))
        self.windows += [context.continuous("ES", field, self.bars) for field in self.fields]
        if self.then is not None:
            self.told.append(self.then(context))


def run(strategy, closes=None, prices=None, **rule):
    prices = bars(closes) if prices is None else prices
    settings = {"instruments": RULES, "continuous": [{"root": "ES", **rule}], "account": {"margin_call": "note"}}
    return Engine(prices=prices, strategy=strategy, **settings).run()


def test_the_calendar_picks_the_first_contract_with_enough_sessions_left():
    """More than two sessions: on day 3 the first has three left, on day 4 two."""
    strategy = Watching()
    run(strategy, days=2)
    assert strategy.contracts == [FIRST] * 4 + [SECOND] * 4 + [THIRD] * 4
    assert strategy.told[0] is None


def test_without_sessions_enough_the_last_to_expire_is_picked():
    strategy = Watching()
    run(strategy, {FIRST: CLOSES[FIRST]}, days=5)
    assert strategy.contracts == [FIRST] * 7


def test_volume_never_goes_back():
    """The second has more on day 2; the first has more on day 3, and is not picked again."""
    strategy = Watching()
    run(strategy, roll="volume")
    assert strategy.contracts == [FIRST] * 2 + [SECOND] * 4 + [THIRD] * 6


def test_a_window_is_shifted_by_the_closes_of_the_last_bar_before_the_roll():
    """Held until day 4: 117 - 104 is 13; rolled again on day 8: 130 - 125 is 5."""
    strategy = Watching("close", bars=4)
    run(strategy, days=2)
    assert strategy.windows[0].tolist()[-1] == 100.0
    assert np.isnan(strategy.windows[0][:3]).all()
    assert strategy.windows[3].tolist() == [100.0, 101.0, 102.0, 103.0]
    assert strategy.windows[4].tolist() == [114.0, 115.0, 116.0, 117.0]
    assert strategy.windows[5].tolist() == [115.0, 116.0, 117.0, 119.0]
    assert strategy.windows[9].tolist() == [126.0, 128.0, 130.0, 132.0]


def test_what_a_series_earns_is_what_a_holder_who_rolls_earns():
    strategy = Watching("close", bars=12)
    run(strategy, days=2)
    earned = np.diff(strategy.windows[-1])
    assert earned.tolist() == [1.0] * 4 + [2.0] * 7


def test_a_window_is_scaled_by_the_ratio():
    strategy = Watching("close", bars=5)
    run(strategy, days=2, adjust="ratio")
    np.testing.assert_allclose(strategy.windows[4], np.array([100.0, 101, 102, 103, 104]) * 117 / 104)


def test_a_window_may_stay_as_it_was():
    strategy = Watching("close", bars=6)
    run(strategy, days=2, adjust="none")
    assert strategy.windows[5].tolist() == [100.0, 101.0, 102.0, 103.0, 104.0, 119.0]


def test_volumes_are_not_adjusted():
    strategy = Watching("volume", bars=5)
    run(strategy, days=2)
    assert strategy.windows[4].tolist() == [9.0, 9.0, 3.0, 9.0, 1.0]


def test_without_a_common_bar_the_last_close_of_each_counts():
    closes = {FIRST: CLOSES[FIRST][:4], SECOND: [None] * 4 + CLOSES[SECOND][4:]}
    strategy = Watching("close", bars=5)
    run(strategy, closes, days=2)
    assert strategy.windows[3][-1] == 103.0
    assert strategy.windows[-1][-1] == 129.0
    assert strategy.windows[4][-1] == 103.0 + 117.0 - 103.0


def test_what_a_window_shows_does_not_depend_on_who_asks():
    asking, silent = Watching("close", bars=12), Watching(then=None)
    run(asking, days=2, roll="volume")
    silent.then = lambda context: context.continuous("ES", "close", 12) if len(silent.contracts) == 12 else None
    run(silent, days=2, roll="volume")
    np.testing.assert_array_equal(asking.windows[-1], silent.told[-1])


def test_a_roll_closes_one_contract_and_opens_the_next():
    def trade(context):
        if len(strategy.contracts) == 1:
            context.order(context.contract("ES"), 3)
            context.order(FIRST, 1, limit_price=1.0)
        return context.roll("ES")

    strategy = Watching(then=trade)
    result = run(strategy, days=2)
    fills = result.fills.select("symbol", "quantity").rows()
    assert fills == [(FIRST, 3.0), (FIRST, -3.0), (SECOND, 3.0), (SECOND, -3.0), (THIRD, 3.0)]
    rolled = [orders for orders in strategy.told if orders]
    assert [[order.symbol for order in orders] for orders in rolled] == [[FIRST, SECOND], [SECOND, THIRD]]
    ended = result.orders.filter(pl.col("reason") == "cancelled-by-strategy")
    assert ended["symbol"].to_list() == [FIRST]
    assert set(result.fills.filter(pl.col("order_id") > 1)["order_id"]) == {2, 3, 4, 5}


def test_a_roll_under_way_is_not_begun_again():
    """Asked twice in one callback, and while the orders wait."""

    def trade(context):
        if len(strategy.contracts) == 1:
            context.order(FIRST, 2)
        return context.roll("ES"), context.roll("ES")

    strategy = Watching(then=trade)
    result = run(strategy, days=2)
    assert all(second is None for _, second in strategy.told[1:])
    assert result.fills["quantity"].to_list() == [2.0, -2.0, 2.0, -2.0, 2.0]


def test_a_position_that_expired_is_not_rolled():
    def trade(context):
        if len(strategy.contracts) == 1:
            context.order(FIRST, 2)
        return context.roll("ES") if len(strategy.contracts) == 9 else None

    strategy = Watching(then=trade)
    result = run(strategy, days=2)
    assert strategy.told[-1] is None
    assert result.ledger.filter(pl.col("kind") == "expiry").height == 1


@pytest.mark.parametrize("ask", ["order", "price", "order_target"])
def test_a_root_is_no_symbol(ask):
    def trade(context):
        with pytest.raises(OrderError, match=r"it is a continuous series, use context.contract\(\"ES\"\)"):
            getattr(context, ask)(*(["ES"] if ask == "price" else ["ES", 1]))

    run(Watching(then=trade))


def test_what_a_series_does_not_have_is_refused():
    def trade(context):
        with pytest.raises(OrderError, match="there is no continuous series 'EX'"):
            context.contract("EX")
        with pytest.raises(OrderError, match="bars have no field 'clse'"):
            context.continuous("ES", "clse", 3)
        with pytest.raises(OrderError, match="ask for at least 1"):
            context.continuous("ES", "close", 0)

    run(Watching(then=trade))


@pytest.mark.parametrize(
    ("rules", "series", "problem"),
    [
        (RULES, [{"root": "NQ"}], "is 'NQ', which no instrument has"),
        (RULES, [{"root": "ES"}, {"root": "ES"}], "gives root 'ES' a second time"),
        (RULES, [{"root": "ES", "roll": "weekly"}], "continuous.0.roll was 'weekly'"),
        (RULES, [{"root": "ES", "days": -1}], "days was -1, expected at least 0"),
        (RULES, [{"root": ""}], "root is empty"),
        ([{"symbol": FIRST, "asset_class": "future", "root": "ES"}], [{"root": "ES"}], "ESH4 has no expires"),
    ],
)
def test_series_that_cannot_be_are_refused(rules, series, problem):
    with pytest.raises(InputError, match=problem):
        Engine(prices=bars(), strategy=Watching(), instruments=rules, continuous=series)


def test_a_roll_by_volume_needs_volumes():
    with pytest.raises(RunError, match="ES rolls by volume, which its bars do not have"):
        run(Watching(), prices=bars(volume=False), roll="volume")


def test_prices_below_zero_cannot_be_scaled():
    closes = {FIRST: CLOSES[FIRST], SECOND: [close - 118 for close in CLOSES[SECOND]]}
    feed = {"use": "frame", "name": "prices", "frame": bars(closes), "allow_negative_prices": True}
    settings = {"instruments": RULES, "continuous": [{"root": "ES", "days": 2, "adjust": "ratio"}]}
    with pytest.raises(RunError, match="cannot be scaled at a roll"):
        Engine(feed=feed, strategy=Watching(), **settings).run()


def test_a_resumed_run_knows_the_series(tmp_path):
    def engine(strategy):
        settings = {"instruments": RULES, "continuous": [{"root": "ES", "days": 2}]}
        return Engine(prices=bars(), strategy=strategy, **settings)

    whole, part = Watching("close", bars=12), Watching("close", bars=12)
    engine(whole).run()
    broken = engine(part)
    steps = broken.steps()
    for _ in range(7):
        next(steps)
    broken.snapshot(tmp_path / "half")
    steps.close()
    resumed = Watching("close", bars=12)
    engine(resumed).run(resume=tmp_path / "half")
    assert resumed.contracts == whole.contracts
    np.testing.assert_array_equal(resumed.windows[-1], whole.windows[-1])
