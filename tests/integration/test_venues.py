"""Sources of several venues in one run: each row known at its own venue's close, or its bar's end."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.errors import InputError

MINUTES = 4 * 1440  # of coins, from Tuesday 2 July 2024 on
TUESDAY = datetime(2024, 7, 2, tzinfo=UTC)
LAST = datetime(2024, 7, 5, 23, 59, tzinfo=UTC)


def released(market, context, feed):
    """Names of the symbols of a feed that have rows in this slice, in order of name."""
    try:
        return sorted(context.symbols[place] for place in market.feed(feed).symbol_ids)
    except KeyError:
        return []


class Watch(Strategy):
    """Note when each daily row is known, and buy one of each symbol at once."""

    def __init__(self):
        self.seen = []
        self.coins = 0

    def on_slice(self, market, context):
        for name in ("tokyo", "york"):
            for symbol in released(market, context, name):
                self.seen.append((symbol, context.now))
                context.order(symbol, 1.0)
        self.coins += len(released(market, context, "coins"))


def daily(symbol, days):
    rows = len(days)
    return pl.DataFrame({"symbol": [symbol] * rows, "timestamp": days, "open": [100.0] * rows, "close": [101.0] * rows})


def coins():
    stamps = [TUESDAY + timedelta(minutes=minute) for minute in range(MINUTES)]
    prices = 60_000.0 + np.arange(MINUTES)
    return pl.DataFrame({"symbol": ["BTC"] * MINUTES, "timestamp": stamps, "open": prices, "close": prices + 0.5})


def settings(**clock):
    days = [date(2024, 7, day) for day in (2, 3, 4, 5)]
    feeds = [
        {"use": "frame", "name": "tokyo", "frame": daily("7203", days), "calendar": "XTKS"},
        {"use": "frame", "name": "york", "frame": daily("SPY", [days[0], days[1], days[3]]), "calendar": "XNYS"},
        {"use": "frame", "name": "coins", "frame": coins(), "bar": "1m", "stamp": "open"},
    ]
    return {"feed": [feed | {"prices": "raw"} for feed in feeds], "capital": 1e7, "end": LAST} | clock


@pytest.mark.parametrize("clock", ["24/7", "XNYS", "XTKS"])
def test_each_venue_is_known_at_its_own_close(clock):
    """Tokyo at 15:00 there, New York at 16:00 and on the half day at 13:00, coins minute by minute; any run's clock."""
    watch = Watch()
    Engine(**settings(clock={"calendar": clock}), strategy=watch).run()
    tokyo = [("7203", datetime(2024, 7, day, 6, tzinfo=UTC)) for day in (2, 3, 4, 5)]
    york = [("SPY", datetime(2024, 7, day, hour, tzinfo=UTC)) for day, hour in ((2, 20), (3, 17), (5, 20))]
    assert sorted(tokyo + york, key=lambda row: row[1]) == watch.seen
    assert MINUTES - 1 <= watch.coins <= MINUTES


def test_orders_take_the_next_open_of_their_own_venue():
    """Bought at Tokyo's close, filled at Tokyo's next open; New York's holiday is one there only."""
    fills = Engine(**settings(), strategy=Watch()).run().fills
    opens = {
        "7203": [datetime(2024, 7, day, tzinfo=UTC) for day in (3, 4, 5)],
        "SPY": [datetime(2024, 7, day, 13, 30, tzinfo=UTC) for day in (3, 5)],
    }
    for symbol, expected in opens.items():
        assert expected == fills.filter(pl.col("symbol") == symbol)["timestamp"].to_list()


def test_predictions_may_name_sessions_of_another_venue():
    """Labelled by Tokyo's day, known at Tokyo's close, hours before New York opens."""

    class Hear(Strategy):
        def __init__(self):
            self.heard = []

        def on_signal(self, batch, context):
            self.heard.append(context.now)

    score = pl.DataFrame({"symbol": ["SPY"], "timestamp": [date(2024, 7, 3)], "score": [1.0]})
    for calendar, known in (("XTKS", 6), ("", 17)):
        given = settings(clock={"calendar": "XNYS"}) | {
            "signal": [{"use": "frame", "frame": score, "calendar": calendar}]
        }
        hear = Hear()
        Engine(**given, strategy=hear).run()
        assert [datetime(2024, 7, 3, known, tzinfo=UTC)] == hear.heard


def test_an_unknown_calendar_of_a_source_is_refused_before_the_run():
    """With the source and what is near."""
    given = settings()
    given["feed"][1]["calendar"] = "XNYSE"
    with pytest.raises(InputError, match=r'<york>: calendar: .*no calendar "XNYSE"; did you mean .*XNYS'):
        Engine(**given, strategy=Watch()).run()


def test_bars_that_arrive_apart_are_one_slice_within_their_grace():
    """Later ones join the next slice and are counted."""

    class Slices(Strategy):
        def __init__(self):
            self.slices = []

        def on_slice(self, market, context):
            self.slices.append((context.now, released(market, context, "frame")))

    begin = [TUESDAY + timedelta(minutes=5 * place) for place in (0, 0, 1, 1)]
    known = [
        TUESDAY + timedelta(minutes=minute, seconds=second) for minute, second in ((5, 0), (5, 2), (10, 1), (10, 0))
    ]
    frame = pl.DataFrame(
        {"symbol": ["A", "B"] * 2, "timestamp": begin, "known_at": known, "open": [1.0] * 4, "close": [2.0] * 4}
    )
    for batch in (0, 1):
        for grace, expected, late in (
            ("2s", [(302, ["A", "B"]), (602, ["A", "B"])], 0),
            ("1s", [(301, ["A"]), (601, ["A", "B", "B"])], 1),
            (None, [(300, ["A"]), (600, ["B", "B"]), (900, ["A"])], 2),
        ):
            feed = {"use": "frame", "frame": frame, "bar": "5m", "stamp": "open", "prices": "raw", "batch_rows": batch}
            watch = Slices()
            result = Engine(
                feed=[feed | ({} if grace is None else {"grace": grace})], capital=1e5, strategy=watch
            ).run()
            assert [(TUESDAY + timedelta(seconds=second), names) for second, names in expected] == watch.slices
            assert late == result.counts["late"]


def test_bars_may_say_when_they_began_and_ended():
    """Volume bars made elsewhere: orders take the open of a bar that begins after them."""
    minutes = [(0, 7), (7, 8), (8, 30), (30, 31)]
    frame = pl.DataFrame(
        {
            "symbol": ["A"] * 4,
            "bar_start": [TUESDAY + timedelta(minutes=begin) for begin, _ in minutes],
            "event_time": [TUESDAY + timedelta(minutes=end) for _, end in minutes],
            "open": [1.0, 2.0, 3.0, 4.0],
            "close": [1.5, 2.5, 3.5, 4.5],
        }
    )

    class First(Strategy):
        def on_slice(self, market, context):
            if not context.open_orders() and not context.position("A").quantity:
                context.order("A", 1.0)

    result = Engine(feed=[{"use": "frame", "frame": frame, "prices": "raw"}], capital=1e5, strategy=First()).run()
    assert [(TUESDAY + timedelta(minutes=7), 2.0)] == result.fills.select("timestamp", "price").rows()
    wrong = frame.with_columns(bar_start=pl.col("event_time"))
    with pytest.raises(InputError, match=r"row 0 \(A, .*bar_start is .*not before event_time"):
        Engine(feed=[{"use": "frame", "frame": wrong, "prices": "raw"}], capital=1e5, strategy=First()).run()


def test_rows_outside_of_sessions_are_kept_or_left_out_with_their_count():
    """Minutes before the open and after an early close; days that are holidays."""

    class Count(Strategy):
        def __init__(self):
            self.seen = []

        def on_slice(self, market, context):
            self.seen.append(context.now)

    stamps = [datetime(2024, 7, 3, 13, 29, tzinfo=UTC) + timedelta(minutes=minute) for minute in range(213)]
    minutes = pl.DataFrame({"symbol": ["A"] * 213, "timestamp": stamps, "open": [1.0] * 213, "close": [1.0] * 213})
    days = daily("A", [date(2024, 7, day) for day in (3, 4, 5, 6)])
    for frame, length, kept, left in ((minutes, {"bar": "1m", "stamp": "open"}, 210, 3), (days, {}, 2, 2)):
        feed = {"use": "frame", "frame": frame, "calendar": "XNYS", "prices": "raw"} | length
        for policy, rows in (("keep", kept + left), ("drop", kept)):
            count = Count()
            result = Engine(feed=[feed | {"outside_sessions": policy}], capital=1e5, strategy=count).run()
            assert rows == len(count.seen)
            assert (policy == "drop") == (f"<frame>: {left} rows outside of sessions were left out" in result.notes)
    with pytest.raises(InputError, match=r'feed.0.outside_sessions is \'some\': write "keep" or "drop"'):
        Engine(feed=[feed | {"outside_sessions": "some"}], capital=1e5, strategy=Count()).run()


@pytest.mark.parametrize("fill", ["next-open", "next-close"])
@pytest.mark.parametrize("at", ["close", "close+1m", "close+2h"])
def test_orders_after_an_early_close_do_not_fill_that_day(fill, at):
    """New York closed at 13:00 on 3 July; the next prices are those of the fifth, of daily bars and of minutes."""

    class Late(Strategy):
        def on_start(self, context):
            context.schedule(self.buy, at=at)

        def buy(self, context):
            if context.now.day == 3:
                context.order("SPY", 1.0)

    days = daily("SPY", [date(2024, 7, day) for day in (2, 3, 5)])
    begins = [
        datetime(2024, 7, day, 13, 30, tzinfo=UTC) + timedelta(minutes=minute)
        for day, count in ((2, 390), (3, 210), (5, 390))
        for minute in range(count)
    ]
    minutes = pl.DataFrame({"symbol": "SPY", "timestamp": begins, "open": 100.0, "close": 101.0})
    for frame, length in ((days, {}), (minutes, {"bar": "1m", "stamp": "open"})):
        feed = {"use": "frame", "frame": frame, "prices": "raw"} | length
        result = Engine(
            feed=[feed], capital=1e5, strategy=Late(), clock={"calendar": "XNYS"}, broker={"fill": {"use": fill}}
        ).run()
        (filled,) = result.fills["timestamp"].to_list()
        first = timedelta(minutes=1) if length else timedelta(hours=6.5)
        begin = datetime(2024, 7, 5, 13, 30, tzinfo=UTC)
        assert begin + (first if fill == "next-close" else timedelta(0)) == filled


def test_daily_bars_of_days_without_a_session_are_counted():
    """Days of coins under the calendar of an exchange would be known at its close, hours before they end."""
    days = [date(2024, 7, day) for day in range(1, 8)]  # without sessions: the 4th, 6th and 7th
    feed = {"use": "frame", "name": "coins", "frame": daily("BTC", days), "prices": "raw"}

    def notes(**settings):
        return Engine(feed=[feed | settings], clock={"calendar": "XNYS"}, strategy=Watch()).run().notes

    (note,) = notes()
    assert note.startswith("<coins>: 3 rows are of days without a session of XNYS; ")
    assert 'name their calendar, as in calendar = "24/7"' in note
    assert [] == list(notes(calendar="24/7"))
    assert ["<coins>: 3 rows outside of sessions were left out"] == list(notes(outside_sessions="drop"))
