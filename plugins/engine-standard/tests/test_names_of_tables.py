"""Columns of tables in whatever case: what they are about and when they were known is never overlooked."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy

DAYS = [date(2024, 3, 1) + timedelta(days=number) for number in range(4)]
LATE = datetime(2024, 3, 4, 12, tzinfo=UTC)


class Asking(Strategy):
    """Note the rating of each symbol."""

    def __init__(self):
        self.told = []

    def on_slice(self, market, context):
        self.told.append(context.asof("ratings", "rating"))


def told(table):
    """Return the last ratings of A and B over four days."""
    prices = pl.DataFrame(
        [(day, name, 10.0, 10.0) for day in DAYS for name in "AB"],
        schema=["date", "symbol", "open", "close"],
        orient="row",
    )
    strategy = Asking()
    Engine(prices=prices, bar="1d", strategy=strategy, tables={"ratings": table}).run()
    return [values.tolist() for values in strategy.told]


@pytest.mark.parametrize("symbol", ["Symbol", "TICKER", " Asset "])
@pytest.mark.parametrize("stamp", ["Date", "TIMESTAMP"])
def test_a_table_is_about_symbols_however_that_column_is_written(symbol, stamp):
    """Rather than about the whole market, whose newest row everybody would get."""
    table = pl.DataFrame({symbol: ["A", "B"], stamp: DAYS[:2], "rating": [1.0, 2.0]})
    assert [1.0, 2.0] == told(table)[-1]


@pytest.mark.parametrize("known", ["Known_At", "KNOWN AT", "known_at"])
def test_when_a_row_was_known_counts_however_that_column_is_written(known):
    """Rather than the session of another column, which was over long before."""
    table = pl.DataFrame({"symbol": ["A", "B"], "date": DAYS[:2], known: [LATE, LATE], "rating": [1.0, 2.0]})
    assert [[True, True]] * 3 + [[False, False]] == [[value != value for value in values] for values in told(table)]


def test_a_field_keeps_its_name_where_the_stamps_are_there():
    """Only what is missing is looked for."""
    table = pl.DataFrame({"symbol": ["A"], "known_at": [LATE], "Time": [5.0], "rating": [1.0], "Rating": [2.0]})
    prices = pl.DataFrame({"date": DAYS, "symbol": "A", "open": 10.0, "close": 10.0})

    class Fields(Strategy):
        def on_slice(self, market, context):
            self.told = [context.asof("t", name, symbol="A") for name in ("Time", "rating", "Rating")]

    strategy = Fields()
    Engine(prices=prices, bar="1d", strategy=strategy, tables={"t": table}).run()
    assert [5.0, 1.0, 2.0] == strategy.told
