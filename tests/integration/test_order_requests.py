"""What the requests of one callback come to when they meet each other."""

from datetime import date, timedelta

import polars as pl
import pytest

from ml4t.backtest import Engine, OrderError, Strategy


class Once(Strategy):
    """Does something at the first slice and nothing later."""

    def __init__(self, act):
        self._act = act

    def on_slice(self, market, context):
        act, self._act = self._act, None
        if act is not None:
            act(context)


def bars(symbols=("A", "B"), days=5):
    """Daily bars at a price of 100."""
    rows = [(symbol, date(2024, 3, 4) + timedelta(day), 100.0, 100.0) for day in range(days) for symbol in symbols]
    return pl.DataFrame(rows, ["symbol", "timestamp", "open", "close"], orient="row")


def held(act, **settings):
    """Return the quantity of A that is held in the end."""
    return float(Engine(prices=bars(), strategy=Once(act), **settings).run().state.positions["quantity"][0])


def cancelled_twice(context):
    order = context.order("A", 100)
    context.cancel(order)
    context.cancel(order)
    context.order_target("A", 100)


def replaced_then_cancelled(context):
    replaced = context.order_target("A", 100)
    context.order_target("A", 50)
    context.order("A", 7)
    context.cancel(replaced)
    context.order_target("A", 100)


def cancelled_stop(context):
    context.cancel(context.order("A", 70, stop_price=90.0))
    context.order_target("A", 100)


def cancelled_without_a_price(context):
    context.cancel(context.order("A", float("nan")))
    context.order_target("A", 100)


def no_number(context):
    context.order("A", float("nan"))
    context.order("A", float("inf"))
    context.order_target("A", 100)


@pytest.mark.parametrize(
    "act", [cancelled_twice, replaced_then_cancelled, cancelled_stop, cancelled_without_a_price, no_number]
)
def test_a_target_is_met_whatever_was_asked_for_before(act):
    """An order counts once, and as long as it can still fill."""
    expected = 100.0
    assert expected == held(act)


def test_a_working_order_that_is_cancelled_twice_counts_once():
    """What the broker already has is taken off once."""

    class Later(Strategy):
        def __init__(self):
            self._order = None

        def before_trading_start(self, context):
            if context.symbols and self._order is None:
                self._order = context.order("A", 100)
                return
            if self._order is not None and self._order.is_open:
                context.cancel(self._order)
                context.cancel_all()
                context.order_target("A", 40)

        def on_slice(self, market, context):
            pass

    gaps = bars(days=8).filter((pl.col("symbol") == "B") | ~pl.col("timestamp").dt.day().is_between(5, 8))
    result = Engine(prices=gaps, strategy=Later()).run()
    assert 40.0 == float(result.state.positions["quantity"][result.state.symbols.id("A")])


@pytest.mark.parametrize("lot", [0.1, 0.01, 0.001, 0.3])
@pytest.mark.parametrize("lots", [1, 3, 6, 7, 19, 29, 57, 99, 1_000_003])
def test_whole_lots_are_not_truncated(lot, lots):
    """0.3 is three lots of 0.1, though 0.3 / 0.1 is a little less than 3."""
    wanted = round(lots * lot, 9)
    rules = {"instruments": {"symbol": "*", "lot": lot}, "account": {"type": "unlimited"}}
    assert wanted == pytest.approx(held(lambda c: c.order_target("A", wanted), **rules), rel=1e-15)
    assert -wanted == pytest.approx(held(lambda c: c.order_target("A", -wanted), **rules), rel=1e-15)


def test_the_rest_of_a_target_is_whole_lots_too():
    """-5 - -4.9 is a little less than a lot of 0.1."""

    def act(context):
        context.order("A", -4.9)
        context.order_target("A", -5.0)

    assert -5.0 == held(act, instruments=[{"symbol": "*", "lot": 0.1}])


def test_less_than_a_lot_is_truncated():
    """Sizes are truncated, never rounded up."""
    rules = [{"symbol": "*", "lot": 0.1}]
    assert 0.2 == held(lambda context: context.order_target("A", 0.2999999), instruments=rules)


def test_an_infinite_amount_is_an_error():
    """As it is in a vector."""
    with pytest.raises(OrderError, match="an infinite amount of A was asked for"):
        held(lambda context: context.order_target_percent("A", float("inf")))


@pytest.mark.parametrize("number", [-1, 5, 2**70])
def test_an_order_that_was_never_made_cannot_be_cancelled(number):
    """Vector forms give -1 where nothing was asked for; the refusal is recorded, with no order to it."""
    result = Engine(prices=bars(), strategy=Once(lambda context: context.cancel(number))).run()
    row = result.orders.row(0, named=True)
    assert ("refused", "unknown-order", None, None) == tuple(
        row[name] for name in ("status", "reason", "symbol", "kind")
    )
    assert 1 == result.orders.height
