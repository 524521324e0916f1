"""What a strategy is shown, and what becomes of its orders, depends on no row that is not known yet.

The same run is repeated with other prices from some instant on. Whatever was seen before that instant, in every
callback and through every handle, has to be the same to the last bit: also where a bar under way has already
filled, triggered, moved or ended something.
"""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

SYMBOLS = ("A", "B")
DAYS, HOURS = 12, 24
FIRST = datetime(2024, 3, 4)
SHOWN = (
    *("id", "status", "is_open", "is_held", "cancel_requested", "reason", "symbol", "kind", "quantity", "filled"),
    *("remaining", "average_price", "limit_price", "stop_price", "time_in_force", "expires_at", "reduce_only"),
    *("client_id", "parent", "group", "tag"),
)
BROKERS = {
    "by default": {},
    "with latency": {"latency": "90m"},
    "with a trailing volume cap": {"fill": {"volume_limit": 0.25, "volume_basis": "trailing"}},
    "along a path": {"fill": {"path": "open-high-low-close", "volume_limit": 0.5}},
    "of backtrader": {"profile": "backtrader"},
    "of vectorbt": {"profile": "vectorbt"},
}


def walk(rng, stamps):
    """Bars of a walk in eighths."""
    rows = []
    for symbol in SYMBOLS:
        last = 10.0
        for stamp in stamps:
            opened = last + rng.integers(-4, 5) / 8
            close = opened + rng.integers(-6, 7) / 8
            high, low = max(opened, close) + rng.integers(0, 5) / 8, min(opened, close) - rng.integers(0, 5) / 8
            rows.append((stamp, symbol, opened, high, low, close, float(rng.integers(0, 40))))
            last = float(np.clip(close, 8.0, 12.0))
    columns = ["timestamp", "symbol", "open", "high", "low", "close", "volume"]
    return pl.DataFrame(rows, columns, orient="row").sort("timestamp", "symbol")


def market(seed):
    """Daily bars, known at midnight, and hourly bars of the same symbols."""
    rng = np.random.default_rng(seed)
    days = [date(2024, 3, 4) + timedelta(day) for day in range(DAYS)]
    hours = [FIRST + timedelta(hours=hour) for hour in range(DAYS * HOURS)]
    return walk(rng, days), walk(rng, hours)


def spliced(before, after, moment):
    """Rows known by a moment of one market, and those of another from then on."""
    made = []
    for own, other, ends in zip(before, after, (timedelta(days=1), timedelta(hours=1)), strict=True):
        known = pl.col("timestamp").cast(pl.Datetime("us")) + ends <= moment
        made.append(pl.concat([own.filter(known), other.filter(~known)]))
    return tuple(made)


class Shown(Strategy):
    """Order of every kind, in every callback, and write down all that is shown."""

    def __init__(self):
        self.log, self.orders = [], []

    def on_start(self, context):
        context.schedule(self.midday, "daily", at="open+7h")
        context.schedule(self.midday, "daily", at="open+90m")

    def note(self, name, context, *more):
        handles = [*self.orders, *context.open_orders()]
        shown = [[repr(getattr(each, attribute)) for attribute in SHOWN] for each in handles]
        portfolio = context.portfolio
        account = (portfolio.cash, portfolio.equity, portfolio.quantities.tolist(), context.price().tolist())
        self.log.append((context.now_ns, name, repr(more), repr(shown), repr(account)))

    def ask(self, context):
        rng, symbols = context.rng, context.symbols
        if not symbols or rng.random() < 0.4:
            return
        symbol = symbols[int(rng.integers(len(symbols)))]
        mark = float(np.nan_to_num(context.price()[context.index(symbol)], nan=10.0))
        quantity = float(rng.integers(1, 5)) * (1.0 if rng.integers(2) else -1.0)
        side = 0.5 if quantity > 0 else -0.5
        choice = int(rng.integers(9))
        if choice <= 2:
            protective = {"trail_amount": 0.5} if choice else {"stop_price": mark - side}
            entry = mark if choice == 2 else None
            self.orders += context.bracket(symbol, quantity, entry_limit=entry, target_price=mark + side, **protective)
        elif choice == 3:
            legs = ({"limit_price": mark - side}, {"trail_percent": 0.05})
            self.orders += context.oco(*({"symbol": symbol, "quantity": quantity, **leg} for leg in legs))
        elif choice == 4:
            self.orders.append(context.order(symbol, quantity, stop_price=mark + side, limit_price=mark + side))
        elif choice == 5:
            self.orders.append(context.order(symbol, quantity, time_in_force="DAY", limit_price=mark))
        elif choice == 6 and self.orders:
            context.cancel(self.orders[int(rng.integers(len(self.orders)))])
        elif choice == 7 and self.orders:
            context.amend(self.orders[int(rng.integers(len(self.orders)))], quantity=quantity, stop_price=mark - side)
        elif choice == 8:
            context.order_target_weights(np.full(len(symbols), 0.1))
        self.orders = self.orders[-8:]

    def midday(self, context):
        self.note("midday", context)
        self.ask(context)

    def on_slice(self, market, context):
        self.note("on_slice", context, np.nan_to_num(market.close).tolist())
        if context.now_ns // 3_600_000_000_000 % 3 == 0:
            self.ask(context)

    def on_fill(self, fill, context):
        self.note("on_fill", context, fill)
        if context.rng.random() < 0.2:
            self.ask(context)

    def on_order(self, order, context):
        self.note("on_order", context, order, order.change)
        if context.rng.random() < 0.1:
            self.ask(context)


class Peeking(Shown):
    """Order more where the daily bar under way will close higher: what the test has to notice."""

    daily = None

    def midday(self, context):
        label = date(1970, 1, 1) + timedelta(days=context.now_ns // 86_400_000_000_000)
        today = self.daily.filter((pl.col("timestamp") == label) & (pl.col("symbol") == "A"))
        context.order("A", today["close"].item())
        super().midday(context)


def past(log, moment):
    until = int((moment - datetime(1970, 1, 1)).total_seconds()) * 10**9
    return [entry for entry in log if entry[0] <= until]


def shown(frames, broker, strategy=None):
    daily, hourly = frames
    strategy = strategy or Shown()
    strategy.daily = daily
    feeds = [
        {"use": "frame", "name": "daily", "frame": daily, "bar": "1d"},
        {"use": "frame", "name": "hourly", "frame": hourly, "bar": "1h", "stamp": "open", "timezone": "UTC"},
    ]
    Engine(feed=feeds, strategy=strategy, broker=broker, calendar="24/7", seed=3, capital=1e4, reporter=[]).run()
    return strategy.log


@pytest.mark.parametrize("broker", BROKERS.values(), ids=BROKERS)
def test_no_handle_shows_what_a_later_row_decides(broker):
    """Up to each moment the log is the same, whatever comes then; and it is not the same afterwards."""
    own, other = market(1), market(2)
    whole = shown(own, broker)
    assert {"midday", "on_slice", "on_fill", "on_order"} == {entry[1] for entry in whole}
    for hour in (79, 215):
        moment = FIRST + timedelta(hours=hour, minutes=30)
        changed = shown(spliced(own, other, moment), broker)
        assert past(whole, moment) == past(changed, moment)
        assert len(past(whole, moment)) > hour
        assert whole != changed


def test_a_strategy_that_peeks_into_the_bar_under_way_is_noticed():
    """The control of the test above."""
    own, other = market(1), market(2)
    moment = FIRST + timedelta(hours=79, minutes=30)
    logs = [shown(frames, {}, Peeking()) for frames in (own, spliced(own, other, moment))]
    assert past(logs[0], moment) != past(logs[1], moment)
