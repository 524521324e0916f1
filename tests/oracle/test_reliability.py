"""Bug classes that other engines met in the field, with the figures that their tests demand."""

import math
import os
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, RunError, Strategy
from ml4t.backtest.state import REASONS

FIRST = date(2020, 1, 6)
FIELDS = ("open", "high", "low", "close", "volume")


class Acts(Strategy):
    """Calls a function with (number of the slice, context)."""

    def __init__(self, act):
        self._act, self._count = act, 0

    def on_slice(self, market, context):
        self._act(self._count, context)
        self._count += 1


def walk(bars, symbols=("A",), seed=5, step=0.25):
    """Random daily bars on a grid, long form."""
    rng, rows = np.random.default_rng(seed), []
    for symbol in symbols:
        price = 100.0
        for day in range(bars):
            opened, closed = price + rng.integers(-3, 4) * step, price + rng.integers(-6, 7) * step
            high, low = max(opened, closed) + rng.integers(0, 4) * step, min(opened, closed) - rng.integers(0, 4) * step
            rows.append((symbol, FIRST + timedelta(day), opened, high, low, closed, float(rng.integers(1, 50)) * 100.0))
            price = closed
    return pl.DataFrame(rows, ["symbol", "timestamp", *FIELDS], orient="row").sort("timestamp", "symbol")


def run(prices, act, **settings):
    return Engine(prices=prices, strategy=Acts(act), reporter=[], **settings).run()


@pytest.fixture(scope="module")
def data():
    """The folder with the real files, beside the repository."""
    shared = Path(os.environ.get("ML4T_BACKTEST_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"needs real market data in {shared / 'data'}; set ML4T_BACKTEST_SHARED")
    return shared / "data"


def test_the_account_ends_with_what_was_traded():
    """Class 2: 10 bought at 46,377 and sold at 46,448 with 5 bps of commission leave 1,000,245.875."""
    prices = [46_377.0, 46_377.0, 46_448.0]
    times = [datetime(2022, 1, 1, 0, minute) for minute in range(3)]
    trades = pl.DataFrame({"symbol": "BTC", "event_time": times, "price": prices, "size": 100.0})
    feed = {"use": "frame", "kind": "trade", "frame": trades, "timezone": "UTC", "latency": "0s"}
    act = Acts(lambda count, context: context.order("BTC", (10.0, -10.0)[count]) if count < 2 else None)
    broker = {"commission": {"use": "percent", "rate": 0.0005}}
    result = Engine(feed=feed, strategy=act, capital=1_000_000, broker=broker, reporter=[]).run()
    assert [46_377.0, 46_448.0] == result.fills["price"].to_list()
    assert 1_000_245.875 == float(result.state.accounts["cash"][0])
    assert 1_000_245.875 == result.equity["equity"][-1]


def every_kind(count, context):
    """Ask for something of every kind all the time, near the market."""
    price = context.price("A")
    if math.isnan(price):
        return
    side = 1.0 if count % 2 else -1.0
    match count % 6:
        case 0:
            context.order("A", side * 10)
        case 1:
            context.order("A", side * 10, limit_price=price - side, time_in_force="DAY")
        case 2:
            context.order("A", side * 10, stop_price=price + side, time_in_force="DAY")
        case 3:
            context.bracket("A", side * 10, stop_price=price - 2 * side, target_price=price + 2 * side)
        case 4:
            context.order("A", side * 10, trail_amount=1.0, time_in_force="DAY")
        case 5:
            context.order("A", side * 10, stop_price=price + side, limit_price=price + 2 * side, time_in_force="DAY")


@pytest.mark.parametrize("field", FIELDS)
def test_a_null_fills_nothing_and_spreads_nowhere(field):
    """Class 7: a null in each field of each of 1,000 bars, a fifth of them at a time."""
    bars = walk(1_000)
    for offset in range(5):
        nulled = bars.with_columns(
            pl.when(pl.int_range(pl.len()) % 5 == offset).then(None).otherwise(pl.col(field)).alias(field)
        )
        limit = {"fill": {"use": "next-open", "volume_limit": 0.5}} if field == "volume" else {}
        result = run(nulled, every_kind, broker=limit)
        fills, equity = result.fills, result.equity
        assert 100 < len(fills)
        assert fills.select(pl.col("price", "reference_price", "quantity").is_finite().all()).row(0) == (True,) * 3
        assert equity.select(pl.col("cash", "equity").is_finite().all()).row(0) == (True, True)
        if field == "open":
            at_open = fills.filter(pl.col("reason").cast(pl.String) == "next-open")["timestamp"].dt.date()
            empty = nulled.filter(pl.col("open").is_null())["timestamp"]
            assert not set(at_open) & set(empty)


@pytest.mark.parametrize("gap", [1, 2, 5, 20, 100, 250])
def test_one_symbol_of_ten_may_pause(gap):
    """Class 7: a gap of 1 to 250 bars; what waits fills at the first price after it, the others do not mind."""
    names = tuple("ABCDEFGHIJ")
    bars = walk(300, names)
    first, last = FIRST + timedelta(20), FIRST + timedelta(19 + gap)
    halted = bars.filter((pl.col("symbol") != "D") | ~pl.col("timestamp").is_between(first, last))

    def act(count, context):
        if count == 19:
            for name in names:
                context.order(name, 10.0)

    fills = run(halted, act).fills.sort("symbol")
    days = dict(zip(fills["symbol"].cast(pl.String), fills["timestamp"].dt.date(), strict=True))
    assert {**dict.fromkeys(names, first), "D": last + timedelta(1)} == days


def test_no_fill_on_zero_volume_and_never_above_the_cap():
    """Class 8: partial fills sum to the order, each at most 10 % of its bar."""
    bars = walk(200).with_columns(
        pl.when(pl.int_range(pl.len()) % 3 == 0).then(0.0).otherwise(pl.col("volume")).alias("volume")
    )
    result = run(
        bars,
        lambda count, context: context.order("A", 5_000.0) if count == 0 else None,
        broker={"fill": {"use": "next-open", "volume_limit": 0.1}},
        capital=1e9,
    )
    fills = result.fills.with_columns(pl.col("timestamp").dt.date()).join(bars, on="timestamp")
    assert 5_000.0 == fills["quantity"].sum()
    assert 10 < len(fills)
    assert (fills["quantity"] <= 0.1 * fills["volume"]).all()
    assert 0.0 < fills["volume"].min()


def brackets(path, symbols=500, rounds=20):
    """Return the profit of one bracket per symbol and round: entered at a bar's open, closed a bar later."""
    rng, rows, names = np.random.default_rng(7), [], [f"S{number:03}" for number in range(symbols)]
    for cycle in range(rounds):
        day = FIRST + timedelta(2 * cycle + 1)
        for name in names:
            opened = 100.0 + rng.integers(-8, 9) * 0.25
            closed = opened + rng.integers(-8, 9) * 0.25
            top, bottom = rng.integers(0, 16, 2) * 0.25
            high, low = max(opened, closed) + top, min(opened, closed) - bottom
            rows.append((name, day, opened, high, low, closed))
            rows.append((name, day + timedelta(1), closed, closed, closed, closed))
    quiet = [(name, FIRST, 100.0, 100.0, 100.0, 100.0) for name in names]
    bars = pl.DataFrame(quiet + rows, ["symbol", "timestamp", *FIELDS[:4]], orient="row").sort("timestamp", "symbol")
    sides = [1.0 if number % 2 else -1.0 for number in range(symbols)]

    def act(count, context):
        if count % 2 == 0:
            for name, side in zip(names, sides, strict=True):
                context.bracket(name, side, stop_price=100.0 - 3.0 * side, target_price=100.0 + 3.0 * side)
        else:
            context.cancel_all()
            for name in names:
                if held := context.position(name).quantity:
                    context.order(name, -held)

    fills = run(bars, act, broker={"fill": {"use": "next-open", "path": path}}, capital=1e9).fills
    cash = fills.select(
        "symbol",
        cycle=((pl.col("timestamp").dt.date() - FIRST).dt.total_days() - 1) // 2,
        cash=-pl.col("quantity") * pl.col("price"),
        quantity="quantity",
    )
    profits = cash.group_by("symbol", "cycle").agg(pl.col("cash", "quantity").sum()).sort("symbol", "cycle")
    return profits.filter(pl.col("cycle") < rounds)


def test_pessimistic_is_never_better_than_the_path_and_optimistic_never_worse():
    """Class 10: 10,000 random bars, a bracket on each, long and short."""
    worst, path, best = (brackets(name) for name in ("pessimistic", "open-high-low-close", "optimistic"))
    assert worst.height >= 9_000
    assert worst.select("symbol", "cycle").equals(path.select("symbol", "cycle"))
    assert worst.select("symbol", "cycle").equals(best.select("symbol", "cycle"))
    for one in (worst, path, best):
        assert (one["quantity"] == 0.0).all()  # flat after each round
    low, middle, high = (one["cash"].to_numpy() for one in (worst, path, best))
    assert (low <= middle).all()
    assert (middle <= high).all()
    assert (low < high).sum() > 300  # bars that touch both


def stop_over(bars, symbol, before, stop):
    """Return (price, day) at which a protective stop, placed at the close before, closes 100 long."""
    days = bars["timestamp"].to_list()

    def act(count, context):
        if count == 0:
            context.order(symbol, 100.0)
        if days[count] == before:
            context.order(symbol, -100.0, stop_price=stop)

    fills = run(bars, act).fills
    return fills["price"][-1], fills["timestamp"][-1].date()


def test_washington_mutual_gaps_through_its_stop(data):
    """Class 11: closed at 1.77, opened at 0.18: a stop at 1.50 fills at 0.18."""
    bars = pl.read_parquet(data / "us_equity_daily_lean.parquet").filter(pl.col("symbol") == "WM")
    bars = bars.with_columns(pl.col("timestamp").dt.date())
    bars = bars.filter(pl.col("timestamp").is_between(date(2008, 9, 15), date(2008, 9, 27)))
    assert (0.18, date(2008, 9, 26)) == stop_over(bars, "WM", date(2008, 9, 25), 1.5)


def test_aig_gaps_through_its_stop(data):
    """Class 11: AIG on 2008-09-15, where the data has it."""
    found = [
        path
        for path in sorted(data.glob("us_equity_daily*.parquet"))
        if pl.scan_parquet(path).filter(pl.col("symbol") == "AIG").collect().height
    ]
    if not found:
        pytest.skip("no file of raw US prices has AIG in 2008")
    bars = pl.read_parquet(found[0]).filter(pl.col("symbol") == "AIG").with_columns(pl.col("timestamp").dt.date())
    bars = bars.filter(pl.col("timestamp").is_between(date(2008, 9, 2), date(2008, 9, 16)))
    opened = bars.filter(pl.col("timestamp") == date(2008, 9, 15))["open"][0]
    assert (opened, date(2008, 9, 15)) == stop_over(bars, "AIG", date(2008, 9, 12), opened + 1.0)


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize(("kind", "price"), [("stop_price", 105.0), ("limit_price", 95.0)])
def test_a_gap_fills_at_the_open(side, kind, price):
    """Class 11: through a stop it is worse than the stop, through a limit better than the limit."""
    opens = [100.0, 110.0 if kind == "stop_price" else 90.0, 100.0]
    opens = opens if side > 0 else [200.0 - each for each in opens]
    days = [FIRST + timedelta(day) for day in range(3)]
    bars = pl.DataFrame({"symbol": "A", "timestamp": days, **dict.fromkeys(FIELDS[:4], opens)})
    level = price if side > 0 else 200.0 - price

    def act(count, context):
        if count == 0:
            context.order("A", 10.0 * side, **{kind: level})

    fills = run(bars, act).fills
    assert [(opens[1], days[1])] == [(row["price"], row["timestamp"].date()) for row in fills.iter_rows(named=True)]


class Chain(Strategy):
    """Answers each fill and each cancel with the next order, amendment or cancel."""

    def __init__(self, depth):
        self.depth, self.told, self.waiting = depth, [], None

    def on_slice(self, market, context):
        if not self.told:
            self.step(context)

    def on_fill(self, fill, context):
        self.told.append(("fill", fill.order_id))
        assert context.position("A").quantity == sum(1.0 for what, _ in self.told if what == "fill")
        self.step(context)

    def on_order(self, order, context):
        self.told.append((order.change, order.id))
        if order.change == "cancelled-by-strategy":
            self.step(context)

    def step(self, context):
        if self.depth > 0:
            self.depth -= 1
            if self.depth % 2:
                context.order("A", 1.0)
            else:
                resting = context.order("A", 1.0, limit_price=1.0)
                context.amend(resting, quantity=2.0)
                context.cancel(resting)


def test_orders_in_callbacks_are_told_once_and_in_order():
    """Class 16: submit, amend and cancel in on_fill and on_order to depth 45, at one close."""
    chain = Chain(45)
    result = Engine(prices=walk(3), strategy=chain, broker={"fill": "same-close"}, reporter=[]).run()
    ends = [each for each in chain.told if each[0] in ("fill", "cancelled-by-strategy")]
    assert sorted({number for _, number in ends}) == [number for _, number in ends]
    assert 45 == len(ends)
    assert len(result.fills) == sum(1 for what, _ in ends if what == "fill")
    assert 1 == result.fills["known_at"].n_unique()


def test_endless_recursion_ends_with_an_error():
    """Class 16: beyond 50 rounds."""
    with pytest.raises(RunError, match="50 times"):
        Engine(prices=walk(3), strategy=Chain(200), broker={"fill": "same-close"}, reporter=[]).run()


def many_ids(rounds, symbols=500):
    names = tuple(f"S{number:03}" for number in range(symbols))
    days = [FIRST + timedelta(day) for day in range(rounds + 1)]
    bars = pl.DataFrame({"timestamp": days}).join(pl.DataFrame({"symbol": names}), how="cross")
    bars = bars.with_columns(open=100.0, close=100.0)
    seen = []

    def act(count, context):
        seen.append(context.order_quantities(np.full(len(context.symbols), 1.0 - 2.0 * (count % 2))))

    result = run(bars, act)
    return np.concatenate(seen), result


def check_ids(rounds):
    ids, result = many_ids(rounds)
    assert np.array_equal(np.arange(len(ids)), ids)
    again, repeated = many_ids(rounds)
    assert np.array_equal(ids, again)
    assert result.decision_hash == repeated.decision_hash
    assert result.fills["order_id"].n_unique() == len(result.fills)


def test_ids_are_unique_and_the_same_in_every_run():
    """Class 17, with 50,000 ids twice; a million with -m exhaustive (ten million rows need 4 GB)."""
    check_ids(100)


@pytest.mark.exhaustive
def test_a_million_ids_are_unique():
    """Class 17 at length."""
    check_ids(2_000)


def test_a_client_id_is_used_once():
    """Class 17: the second order is refused, and the first is not touched."""
    orders = []

    def act(count, context):
        if count < 2:
            orders.append(context.order("A", 1.0, client_id="mine"))

    run(walk(5), act)
    assert [("filled", 1.0), ("refused", 0.0)] == [(order.status, order.filled) for order in orders]
    assert "client-id-used" == orders[1].reason


def test_a_cancel_after_a_fill_erases_nothing():
    """Class 17: with daily bars, a cancel in session comes after the fill at the open, and a later one too."""

    class Late(Acts):
        def before_trading_start(self, context):
            if self._count == 1:
                context.cancel(self.order)

        def on_slice(self, market, context):
            if self._count == 0:
                self.order = context.order("A", 7.0)
            if self._count == 2:
                context.cancel(self.order)
            self._count += 1

    for late in (Late(None),):
        bars = walk(5)
        result = Engine(prices=bars, strategy=late, reporter=[], broker={"fill": "next-open"}).run()
        statuses = result.orders.select("status", "reason").cast(pl.String).rows()
        assert ("refused", "already-done") in statuses or ("cancelled", "cancelled-by-strategy") in statuses
        filled = float(result.fills["quantity"].sum()) if len(result.fills) else 0.0
        assert filled == float(result.state.positions["quantity"][0]) == late.order.filled


def check_sizes(count, lot):
    """Size random targets: whole lots, never beyond what was asked for, nor beyond the money."""
    symbols, rng = 500, np.random.default_rng(11)
    names = tuple(f"S{number:03}" for number in range(symbols))
    prices = np.round(np.exp(rng.normal(3.0, 1.0, symbols)), 4) + 0.0001
    rounds = count // symbols
    days = [FIRST + timedelta(day) for day in range(rounds + 1)]
    quotes = pl.DataFrame({"symbol": names, "open": prices, "close": prices})
    bars = pl.DataFrame({"timestamp": days}).join(quotes, how="cross")
    asked, kinds = [], ("quantities", "weights")

    def act(number, context):
        if number < rounds:
            kind = kinds[number % 2]
            raw = rng.random(symbols) - 0.3
            wanted = raw * 10_000.0 if kind == "quantities" else raw / np.abs(raw).sum()
            asked.append((kind, wanted, context.portfolio.equity))
            getattr(context, f"order_target_{kind}")(wanted)

    result = run(bars, act, instruments=[{"symbol": "*", "lot": lot}], capital=1e9)
    orders = result.state.orders.rows()
    lots = orders["quantity"] / lot
    assert np.abs(lots - np.round(lots)).max() <= 1e-6
    held, days_of = np.zeros(symbols), result.fills["timestamp"].dt.date()
    fills = result.fills.with_columns(day=days_of)
    slots = {name: place for place, name in enumerate(result.state.symbols.names)}
    parts = fills.partition_by("day", as_dict=True, maintain_order=True)
    for number, (kind, wanted, equity) in enumerate(asked):
        part = parts.get((days[number + 1],))
        if part is not None:
            places = [slots[name] for name in part["symbol"].cast(pl.String)]
            held[places] += part["quantity"].to_numpy()
        most = wanted if kind == "quantities" else wanted * equity / prices
        moved = np.abs(held) <= np.abs(most) + 1e-6
        # what is held already may be more than the new target by less than the lot that is not sold
        assert (moved | (np.abs(held - most) < lot + 1e-6)).all()
        if kind == "weights":
            assert np.abs(held * prices).sum() <= equity * (1.0 + 1e-9) + lot * prices.sum()
    return len(asked) * symbols


@pytest.mark.parametrize("lot", [1.0, 0.001, 100.0])
def test_sizes_are_truncated_to_lots(lot):
    """Class 24: 20,000 random sizings per lot; a million in all with -m exhaustive."""
    assert 20_000 == check_sizes(20_000, lot)


@pytest.mark.exhaustive
@pytest.mark.parametrize("lot", [1.0, 0.001, 100.0])
def test_a_million_sizes_are_truncated_to_lots(lot):
    """Class 24 at length."""
    assert 334_000 == check_sizes(334_000, lot)


def test_the_default_is_the_next_price_and_the_same_close_is_flagged():
    """Class 28: what could not be known is never paid, or every result says so."""

    def act(count, context):
        if count == 2:
            context.order("A", 1.0)

    usual, same = run(walk(6), act), run(walk(6), act, broker={"fill": "same-close"})
    assert not usual.flags
    assert (usual.fills["timestamp"] >= usual.fills["submitted_at"]).all()
    assert ["next-open"] == [REASONS[row["reason"]] for row in usual.state.fills.rows()]
    assert any("same close" in flag for flag in same.flags)
    assert ["same-close"] == [REASONS[row["reason"]] for row in same.state.fills.rows()]
