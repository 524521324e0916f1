"""Membership as intervals of dates, on a calendar that closes."""

from datetime import UTC, date, datetime

import polars as pl

from ml4t.backtest import Engine, Strategy

DAYS = [date(2024, 3, day) for day in (7, 8, 11, 12, 13, 14)]  # Thursday to Thursday


class Asking(Strategy):
    """Note the days at whose close the first symbol is a member."""

    def __init__(self):
        self.days = []

    def on_slice(self, market, context):
        if context.universe[0]:
            self.days.append(context.session.date.day)


def days_of(*intervals, **columns):
    """Return the days on XNYS at whose close A is a member."""
    prices = pl.DataFrame({"symbol": "A", "timestamp": DAYS, "open": 10.0, "close": 10.0})
    edges = [[date(2024, 3, day) for day in interval] for interval in intervals]
    table = pl.DataFrame(edges, schema=["from", "to"], orient="row").with_columns(symbol=pl.lit("A"))
    strategy = Asking()
    universe = table.with_columns(**{name: pl.Series(values) for name, values in columns.items()})
    Engine(prices=prices, calendar="XNYS", universe=universe, strategy=strategy).run()
    return strategy.days


def test_a_last_day_without_a_session_ends_at_the_close_of_the_session_before():
    """An order sent at Friday's close fills on Monday, when an interval until Sunday is over."""
    assert [7] == days_of((7, 8)) == days_of((7, 9)) == days_of((7, 10))
    assert [8] == days_of((8, 11)) == days_of((8, 9), (10, 11))
    assert [] == days_of((9, 10))


def test_intervals_without_a_session_between_them_are_one():
    """At Friday's close A is a member on Monday, too."""
    assert [7, 8, 11, 12] == days_of((7, 13)) == days_of((7, 8), (11, 13)) == days_of((7, 7), (8, 10), (11, 13))
    assert [7, 12] == days_of((7, 8), (12, 13))


def test_an_interval_whose_beginning_is_known_later_does_not_prolong_the_one_before():
    """On Friday and Monday nobody knew that it would go on."""
    known = [None, datetime(2024, 3, 12, 12, tzinfo=UTC)]
    assert [7, 12] == days_of((7, 8), (11, 13), from_known_at=known)
