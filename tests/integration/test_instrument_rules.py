"""What the settings of an instrument allow: lots, ticks, prices below zero."""

from datetime import date, timedelta

import polars as pl
import pytest

from ml4t.backtest import Engine, RunFileError, Strategy


def bars(low=90.0, price=100.0, high=110.0):
    made = [(date(2024, 3, 4) + timedelta(day), "A", price, high, low, price) for day in range(4)]
    return pl.DataFrame(made, ["timestamp", "symbol", "open", "high", "low", "close"], orient="row")


class Once(Strategy):
    def __init__(self, quantity, terms):
        self._ask, self.order = (quantity, terms), None

    def on_slice(self, market, context):
        if self.order is None:
            self.order = context.order("A", self._ask[0], **self._ask[1])


def order(quantity, terms, frame=None, broker=None, **rules):
    strategy = Once(quantity, terms)
    feed = {"use": "frame", "frame": bars() if frame is None else frame, "allow_negative_prices": frame is not None}
    settings = {"broker": broker} if broker else {}
    Engine(feed=feed, strategy=strategy, instruments=[{"symbol": "A", **rules}], **settings).run()
    return strategy.order


@pytest.mark.parametrize(
    ("quantity", "rules", "status"),
    [
        (2.5, {}, "filled"),
        (2.5, {"lot": 1.0}, "refused"),
        (2.5, {"lot": 0.5}, "filled"),
        (0.3, {"lot": 0.1}, "filled"),
        (250.0, {"lot": 100.0}, "refused"),
    ],
)
def test_a_stated_lot_refuses_what_is_off_it(quantity, rules, status):
    """Where nothing is said, an explicit quantity is taken as it is."""
    made = order(quantity, {}, **rules)
    assert (status, "quantity-off-lot" if status == "refused" else "next-open") == (made.status, made.reason)


@pytest.mark.parametrize(
    ("quantity", "terms", "name", "price"),
    [
        (1, {"limit_price": 95.07}, "limit_price", 95.0),
        (-1, {"limit_price": 104.93}, "limit_price", 105.0),
        (1, {"stop_price": 104.93}, "stop_price", 105.0),
        (-1, {"stop_price": 95.07}, "stop_price", 95.0),
        (1, {"limit_price": 95.25}, "limit_price", 95.25),
    ],
)
def test_prices_off_the_tick_go_to_the_side_that_is_worse(quantity, terms, name, price):
    """With strict_ticks they are refused instead."""
    assert price == getattr(order(quantity, terms, tick=0.25), name)
    strict = order(quantity, terms, tick=0.25, broker={"strict_ticks": True})
    assert ("refused" if terms[name] != price else "filled") == strict.status


def test_prices_below_zero_are_legal_where_the_instrument_says_so():
    """A spread may cost less than nothing."""
    frame = bars(low=-12.0, price=-5.0, high=2.0)
    assert "price-not-positive" == order(1, {"limit_price": -10.0}).reason
    made = order(1, {"limit_price": -10.0}, frame, allow_negative_prices=True)
    assert ("filled", -10.0) == (made.status, made.average_price)


@pytest.mark.parametrize("rules", [{"lot": 0.0}, {"tick": -0.1}, {"tick": float("nan")}, {"multiplier": 0.0}])
def test_rules_that_no_order_could_keep_are_refused(rules):
    """Before the run begins."""
    with pytest.raises(RunFileError, match=r"finite|expected float"):
        order(1, {}, **rules)
