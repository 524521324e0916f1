"""Predictions labelled with the session whose close they used never meet a price of that session."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.core.event import SignalEvent
from ml4t.backtest.errors import InputError

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
NEW_YORK = ZoneInfo("America/New_York")
# Autumn 2013: clocks change on 3 November; Thanksgiving and Christmas are closed, half days beside them.
HOLIDAYS = {date(2013, 11, 28), date(2013, 12, 25)}
HALF_DAYS = {date(2013, 11, 29), date(2013, 12, 24)}
DAYS = [date(2013, 10, 28) + timedelta(days=day) for day in range(65)]
SESSIONS = [day for day in DAYS if day.weekday() < 5 and day not in HOLIDAYS]
SYMBOLS = ("AA", "BB")
EPOCH = date(1970, 1, 1)

STAMPS = {
    "dates": pl.col("timestamp"),
    "naive midnights": pl.col("timestamp").cast(pl.Datetime("us")),
    "midnights in UTC": pl.col("timestamp").cast(pl.Datetime("ns", "UTC")),
}


def local(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK).astimezone(UTC)


def close_of(day: date) -> datetime:
    return local(day, 13 if day in HALF_DAYS else 16)


def bars(days=SESSIONS, seed=5, symbols=SYMBOLS) -> pl.DataFrame:
    """Random bars whose overnight and intraday moves are independent of everything before them."""
    rng = np.random.default_rng(seed)
    moves = rng.normal(0.0, 0.01, (2 * len(days), len(symbols)))
    path = 100 * np.exp(np.cumsum(moves, axis=0))
    opened, closed = path[0::2], path[1::2]
    columns = {"open": opened, "high": np.maximum(opened, closed), "low": np.minimum(opened, closed), "close": closed}
    return pl.DataFrame(
        {"symbol": list(symbols) * len(days), "timestamp": [day for day in days for _ in symbols]}
        | {name: values.ravel() for name, values in columns.items()}
    )


def predictions(days=SESSIONS) -> pl.DataFrame:
    """Return predictions whose value is their label, so that an order can say which one it used."""
    rows = [(symbol, day, float((day - EPOCH).days)) for day in days for symbol in SYMBOLS]
    return pl.DataFrame(rows, ["symbol", "timestamp", "label"], orient="row")


class Labelled(Strategy):
    """Order on what is known, in one of the callbacks, and tag the order with the label that it used."""

    def __init__(self) -> None:
        self.seen: list[tuple[datetime, date]] = []
        self.turn = 0

    def decide(self, label: float, context) -> None:
        if np.isnan(label):
            return
        day = EPOCH + timedelta(days=int(label))
        self.seen.append((context.now, day))
        self.turn += 1
        context.order("AA", 1.0 if self.turn % 2 else -1.0, tag=day.isoformat())


class InSlice(Labelled):
    def on_slice(self, market, context):
        self.decide(context.signal("label")[context.index("AA")], context)


class InEvent(Labelled):
    def on_event(self, event, context):
        if isinstance(event, SignalEvent) and event.symbol == "AA":
            self.decide(event.values["label"], context)


class InSignal(Labelled):
    def on_signal(self, batch, context):
        self.decide(batch.values["label"][0], context)


class BeforeTrading(Labelled):
    def before_trading_start(self, context):
        if "AA" in context.symbols:
            self.decide(context.signal("label")[context.index("AA")], context)


class Scheduled(Labelled):
    def on_start(self, context):
        context.schedule(self.trade, "daily", at="close-1m")

    def trade(self, context):
        if "AA" in context.symbols:
            self.decide(context.signal("label")[context.index("AA")], context)


def run(strategy, stamps="dates", labels=SESSIONS, **settings):
    given = {"prices": bars().with_columns(STAMPS[stamps]), "signals": predictions(labels).with_columns(STAMPS[stamps])}
    return Engine(**(given | settings), bar="1d", calendar="XNYS", strategy=strategy, reporter=[]).run()


def orders_and_labels(result):
    """Return (label, submitted_at, formed_at) of each fill."""
    tags = result.orders.filter(pl.col("status") == "filled").select("order_id", "tag")
    filled = result.fills.join(tags, on="order_id", maintain_order="left")
    rows = filled.select("tag", "submitted_at", "timestamp").iter_rows()
    return [(date.fromisoformat(tag), submitted, formed) for tag, submitted, formed in rows]


@pytest.mark.parametrize("stamps", STAMPS)
@pytest.mark.parametrize("strategy", [InSlice, InEvent, InSignal, BeforeTrading, Scheduled])
def test_no_order_of_a_label_takes_a_price_of_its_session(strategy, stamps):
    """Whatever the callback: decided at or after the label's close, filled at the next session's open."""
    rows = orders_and_labels(run(strategy(), stamps))

    assert len(rows) > 35
    for label, submitted, formed in rows:
        assert close_of(label) <= submitted
        after = SESSIONS[SESSIONS.index(label) + 1 :]
        opens = [local(day, 9, 30) for day in after if local(day, 9, 30) >= submitted]
        assert opens[0] == formed


@pytest.mark.parametrize("stamps", STAMPS)
def test_a_prediction_is_known_at_its_sessions_close(stamps):
    """At 16:00 New York before and after the clocks change, at 13:00 on half days."""
    strategy = InSignal()
    run(strategy, stamps)

    assert [(close_of(day), day) for day in SESSIONS] == strategy.seen
    hours = {day: at.hour for at, day in strategy.seen}
    assert (20, 21, 18) == (hours[date(2013, 11, 1)], hours[date(2013, 11, 4)], hours[date(2013, 11, 29)])


@pytest.mark.parametrize("stamps", STAMPS)
def test_a_label_that_is_no_session_waits_for_the_end_of_that_local_day(stamps):
    """Holidays and weekends: the next midnight in New York, which is no instant of a session."""
    strategy, closed = InSignal(), [date(2013, 11, 9), date(2013, 11, 28), date(2013, 12, 25)]
    result = run(strategy, stamps, labels=closed)

    assert [(local(day + timedelta(days=1), 0), day) for day in closed] == strategy.seen
    opens = [formed for _, _, formed in orders_and_labels(result)]
    assert [local(day, 9, 30) for day in (date(2013, 11, 11), date(2013, 11, 29), date(2013, 12, 26))] == opens


def test_latency_comes_after_the_close():
    """A label's rows are known at that close plus ``latency``."""
    strategy = InSignal()
    table = {"use": "frame", "name": "late", "frame": predictions(), "latency": "90m"}
    run(strategy, signals=None, signal=table)

    assert [close_of(day) + timedelta(minutes=90) for day in SESSIONS] == [at for at, _ in strategy.seen]


class FollowSign(Strategy):
    """Hold each symbol in the direction of its newest prediction."""

    def on_signal(self, batch, context):
        weights = np.full(len(context.symbols), np.nan)
        known = batch.symbol_ids < len(weights)
        weights[batch.symbol_ids[known]] = batch.values["direction"][known] / len(weights)
        context.order_target_weights(weights)


def leaking_predictions(prices: pl.DataFrame) -> pl.DataFrame:
    """Return what nobody can know in the morning: whether the day will close above its open."""
    direction = (pl.col("close") / pl.col("open") - 1.0).sign().alias("direction")
    return prices.select("symbol", "timestamp", direction).drop_nulls()


def known_at_the_open(labelled: pl.DataFrame) -> pl.DataFrame:
    """Plant the leak: the same rows, said to be known when the session opens."""
    opens = {day: local(day, 9, 30) for day in labelled["timestamp"].unique()}
    known_at = pl.col("timestamp").replace_strict(opens, return_dtype=pl.Datetime("us", "UTC"))
    return labelled.select("symbol", known_at.alias("known_at"), "direction")


def sharpe_of(prices, signals):
    settings = {"prices": prices, "signals": signals, "bar": "1d", "calendar": "XNYS", "capital": 10_000_000}
    return Engine(**settings, strategy=FollowSign(), reporter=[]).run().metrics["sharpe"]


def check_that_the_leak_does_not_pay(prices):
    """Compare labels, which must not earn, with the planted leak, which must."""
    labelled = leaking_predictions(prices)
    honest, planted = sharpe_of(prices, labelled), sharpe_of(prices, known_at_the_open(labelled))

    assert planted > 10
    assert honest < 2


def test_a_leak_in_the_labels_does_not_pay():
    """The sign of a day's own return earns nothing as that day's label, and a fortune when known at its open."""
    sessions = [day for day in (date(2013, 1, 1) + timedelta(days=n) for n in range(600)) if day.weekday() < 5]
    names = [f"S{number:02}" for number in range(20)]
    check_that_the_leak_does_not_pay(bars(sessions, seed=8, symbols=names))


@pytest.mark.parametrize("stamps", STAMPS)
def test_a_leak_in_the_labels_does_not_pay_on_real_prices(stamps):
    """The same on shares of the S&P 500, with dates or midnights as labels."""
    path = SHARED / "sp500_daily_2013_2018.parquet"
    if not path.exists():
        pytest.skip(f"needs the real prices of {path.name}, which are not beside this repository")
    rows = pl.read_parquet(path).with_columns(pl.col("timestamp").cast(pl.Date))
    names = rows["symbol"].unique().sort()[:60].to_list()
    prices = rows.filter(pl.col("symbol").is_in(names)).sort("timestamp", "symbol")
    honest = sharpe_of(prices.with_columns(STAMPS[stamps]), leaking_predictions(prices).with_columns(STAMPS[stamps]))

    assert honest < 1
    if stamps == "dates":
        assert sharpe_of(prices, known_at_the_open(leaking_predictions(prices))) > 10


def minutes(zone: str | None) -> pl.DataFrame:
    start = datetime(2013, 11, 4, 14, 30)
    stamps = pl.Series([start + timedelta(minutes=5 * number) for number in range(12)], dtype=pl.Datetime("us", zone))
    closes = [10.0 + number for number in range(12)]
    return pl.DataFrame({"symbol": "AA", "timestamp": stamps, "open": closes, "close": closes})


RUN_FILE = """
schema = 1
clock = { calendar = "XNYS" }
feed = [{ use = "parquet", path = "bars.parquet", bar = "5m" }]
signal = [{ use = "parquet", path = "scores.parquet" }]
strategy = { use = "signal" }
"""


def refusal(tmp_path, way, prices, signals):
    """Return the message with which a run is refused, from Python or from a run file."""
    prices.write_parquet(tmp_path / "bars.parquet")
    signals.write_parquet(tmp_path / "scores.parquet")
    (tmp_path / "run.toml").write_text(RUN_FILE)
    settings = {"prices": prices, "signals": signals, "bar": "5m", "calendar": "XNYS", "strategy": InSlice()}
    with pytest.raises(InputError) as caught:
        Engine(**settings) if way == "python" else Engine.from_file(tmp_path / "run.toml")
    return str(caught.value)


@pytest.mark.parametrize("way", ["python", "run file"])
def test_intraday_stamps_must_say_what_they_mean(tmp_path, way):
    """Bars need ``stamp``, signals ``known_at`` or ``event_time``, naive ones a zone: the lines are printed."""
    aware, naive = minutes("UTC"), minutes(None)
    signals = aware.select("symbol", "timestamp", score="close")

    said = refusal(tmp_path, way, aware, predictions().rename({"label": "score"}))
    assert 'stamp = "open"   # or "close"' in said
    assert "timezone" not in said
    said = refusal(tmp_path, way, naive, predictions().rename({"label": "score"}))
    assert 'stamp = "open"' in said
    assert 'timezone = "America/New_York"' in said
    said = refusal(tmp_path, way, aware, signals)
    assert 'columns = { event_time = "timestamp" }   # or { known_at = "timestamp" }' in said
    assert 'latency = "0s"' in said


def test_naive_intraday_stamps_are_read_in_their_zone():
    """09:30 in New York after the change of clocks is 14:30 in UTC."""
    strategy = BarTimes()
    shifted = minutes(None).with_columns(pl.col("timestamp") - timedelta(hours=5))
    zone = {"timezone": "America/New_York", "calendar": "XNYS"}
    Engine(prices=shifted, bar="5m", stamp="open", **zone, strategy=strategy, reporter=[]).run()

    start = datetime(2013, 11, 4, 14, 35, tzinfo=UTC)
    assert [start + timedelta(minutes=5 * number) for number in range(12)] == strategy.times


class BarTimes(Strategy):
    """Note when bars become known."""

    def __init__(self) -> None:
        self.times: list[datetime] = []

    def on_slice(self, market, context):
        self.times.append(context.now)
