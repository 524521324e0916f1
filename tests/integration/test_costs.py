"""Costs as a run takes them: named in the settings, found by entry point, paid with each fill."""

import math
from datetime import date, timedelta

import polars as pl
import pytest

from ml4t.backtest import Engine, RunFileError, Strategy

TIERS = [{"maker": 0.001, "taker": 0.002}, {"start": 10_000, "maker": 0.0, "taker": 0.001}]


class BuyAndSell(Strategy):
    """Buys 100 of A and sells 200 of B at the first slice."""

    def __init__(self):
        self._done = False

    def on_slice(self, market, context):
        if not self._done:
            self._done = True
            context.order("A", 100)
            context.order("B", -200)


def bars():
    """Daily bars of two symbols that open at 100 and have a volume of 1,000."""
    days = [date(2024, 3, 4) + timedelta(day) for day in range(3)]
    rows = [(symbol, day, 100.0, 101.0, 99.0, 100.0, 1_000.0) for day in days for symbol in ("A", "B")]
    return pl.DataFrame(rows, ["symbol", "timestamp", "open", "high", "low", "close", "volume"], orient="row")


def fills(**models):
    """Return price, commission and cash lost to slippage and impact of the two fills."""
    rows = Engine(prices=bars(), strategy=BuyAndSell(), broker=models).run().state.fills.rows()
    return [tuple(float(row[name]) for name in ("price", "commission", "slippage")) for row in rows]


@pytest.mark.parametrize(
    ("slippage", "moves"),
    [
        ({"use": "none"}, (0.0, 0.0)),
        ({"use": "bps", "bps": 10.0}, (0.1, -0.1)),
        ({"use": "fixed", "amount": 0.2}, (0.2, -0.2)),
        ({"use": "spread", "spread": 0.002}, (0.1, -0.1)),
        ({"use": "spread", "bps": 10.0}, (0.05, -0.05)),
        ({"use": "spread", "amount": 0.1}, (0.05, -0.05)),
        ({"use": "volume-share", "volume_limit": 0.15}, (0.1 * 0.01 * 100.0, -0.1 * 0.0225 * 100.0)),
    ],
)
def test_slippage_moves_the_price(slippage, moves):
    """A buy at 100 pays more, a sale gets less; what it costs in cash is shown beside."""
    bought, sold = moves

    expected = [(100.0 + bought, 0.0, 100 * bought), (100.0 + sold, 0.0, -200 * sold)]
    assert [pytest.approx(row) for row in expected] == fills(slippage=slippage)


@pytest.mark.parametrize(
    ("impact", "moves"),
    [
        ({"use": "linear", "coefficient": 0.1}, (1.0, -2.0)),
        ({"use": "square-root", "volatility_bps": 100.0}, (math.sqrt(0.1), -math.sqrt(0.2))),
        ({"use": "almgren-chriss", "eta": 0.001, "gamma": 0.5, "epsilon": 0.05}, (0.15, -0.25)),
    ],
)
def test_impact_is_added_to_slippage(impact, moves):
    """10 % and 20 % of the volume, beside 0.2 of slippage."""
    bought, sold = moves[0] + 0.2, moves[1] - 0.2

    expected = [(100.0 + bought, 0.0, 100 * bought), (100.0 + sold, 0.0, -200 * sold)]
    assert [pytest.approx(row) for row in expected] == fills(slippage={"use": "fixed", "amount": 0.2}, impact=impact)


@pytest.mark.parametrize(
    ("commission", "costs"),
    [
        ({"use": "none"}, (0.0, 0.0)),
        ({"use": "per-share", "rate": 0.005, "minimum": 0.75}, (0.75, 1.0)),
        ({"use": "per-share", "rate": 0.5, "maximum": 0.004}, (40.4, 78.4)),
        ({"use": "per-contract", "rate": 0.85, "fee": 1.0}, (86.0, 171.0)),
        ({"use": "percent", "rate": 0.001, "minimum": 15.0}, (15.0, 19.6)),
        ({"use": "per-trade", "amount": 3.0}, (3.0, 3.0)),
        ({"use": "tiered", "by": "value", "tiers": TIERS}, (20.1, 19.6)),
    ],
)
def test_commission_counts_at_the_price_paid(commission, costs):
    """A hundred bought at 101, two hundred sold at 98: impact is part of the value."""
    found = fills(impact={"use": "linear", "coefficient": 0.1}, commission=commission)

    assert [101.0, 98.0] == [price for price, _, _ in found]
    assert [pytest.approx(cost) for cost in costs] == [cost for _, cost, _ in found]


class InParts(Strategy):
    """Buys 120 and, behind it, 180 of A at the first slice."""

    def __init__(self):
        self._done = False

    def on_slice(self, market, context):
        if not self._done:
            self._done = True
            context.order("A", 120)
            context.order("A", 180)


def parts(**models):
    """Return (order, quantity, move of the price, commission) of each fill where a bar gives 200 of its 1,000."""
    fill = {"use": "next-open", "volume_limit": 0.2}
    state = Engine(prices=bars(), strategy=InParts(), broker={"fill": fill, **models}).run().state
    names = ("order_id", "quantity", "price", "commission")
    found = [tuple(float(row[name]) for name in names) for row in state.fills.rows()]
    assert [(0, 120.0), (1, 80.0), (1, 100.0)] == [row[:2] for row in found]
    assert pytest.approx([sum(row[3] for row in found if row[0] == i) for i in (0, 1)]) == (
        state.orders.rows()["commission"].tolist()
    )
    return [(price - 100.0, commission) for _, _, price, commission in found]


@pytest.mark.parametrize(
    ("models", "moves"),
    [
        ({"slippage": {"use": "volume-share", "volume_limit": 0.2, "price_impact": 1.0}}, (1.44, 4.0, 1.0)),
        ({"impact": {"use": "linear", "coefficient": 0.1}}, (1.2, 0.8, 1.0)),
        ({"impact": {"use": "almgren-chriss", "eta": 0.0, "gamma": 0.01}}, (0.0, 0.0, 0.8)),
    ],
)
def test_parts_of_orders_move_the_price(models, moves):
    """The share of the bar counts all orders, permanent impact what the order itself has filled."""
    assert pytest.approx(moves) == [move for move, _ in parts(**models)]


@pytest.mark.parametrize(
    ("commission", "costs"),
    [
        ({"use": "per-share", "rate": 0.01, "minimum": 1.5}, (1.5, 1.5, 0.3)),
        ({"use": "per-share", "rate": 0.01, "minimum": 1.5, "maximum": 0.0001}, (1.2, 0.8, 1.0)),
        ({"use": "per-contract", "rate": 0.1, "fee": 2.0}, (14.0, 10.0, 10.0)),
        ({"use": "percent", "rate": 0.001, "minimum": 16.0}, (16.0, 16.0, 2.0)),
        ({"use": "per-trade", "amount": 3.0}, (3.0, 3.0, 0.0)),
        ({"use": "tiered", "by": "units", "tiers": [TIERS[0], {**TIERS[1], "start": 150}]}, (0.24, 0.11, 0.1)),
    ],
)
def test_parts_of_orders_pay_together(commission, costs):
    """An order pays its minimum once, and what exceeds it as it fills."""
    assert pytest.approx(costs) == [cost for _, cost in parts(commission=commission)]


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"slippage": {"use": "spread"}}, "needs the size of the spread once"),
        ({"slippage": {"use": "volume-share", "volume_limit": 0.0}}, "volume_limit of slippage model .* was 0.0"),
        ({"impact": {"use": "linear"}}, r"broker\.impact\.coefficient is missing"),
        ({"impact": {"use": "linear", "coefficient": -1.0}}, "coefficient of impact model .* was -1.0"),
        ({"impact": {"use": "square"}}, 'no impact is called "square"'),
        ({"commission": {"use": "tiered", "by": "value", "tiers": []}}, "start the first at 0"),
        ({"commission": {"use": "tiered", "by": "size", "tiers": TIERS}}, r"broker\.commission\.by was 'size'"),
        (
            {"commission": {"use": "tiered", "by": "value", "tiers": [{"taker": 0.1, "makr": 0.1}]}},
            r"broker\.commission\.tiers\.0\.makr is not a known key; did you mean \"maker\"",
        ),
    ],
)
def test_wrong_settings_are_named(models, message):
    """Where, what was there, and what to give."""
    with pytest.raises(RunFileError, match=message):
        Engine(prices=bars(), strategy=BuyAndSell(), broker=models)
