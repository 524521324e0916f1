"""Dates that int64 nanoseconds cannot hold: databases write 9999-12-31 where something has no end."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from ml4t.backtest import Engine, InputError, LookAheadError, Strategy

DAYS = [date(2024, 3, 1) + timedelta(days=number) for number in range(6)]
ENDS = [date(9999, 12, 31), date(2262, 4, 12), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)]


class Asking(Strategy):
    """Note what a function of the context returns."""

    def __init__(self, ask):
        self.ask, self.told = ask, []

    def on_slice(self, market, context):
        self.told.append(self.ask(context))


def ask(question, **settings):
    """Return the answers over six daily bars of A, and the result."""
    prices = pl.DataFrame({"timestamp": DAYS, "symbol": "A", "open": 10.0, "close": 10.0})
    strategy = Asking(question)
    result = Engine(prices=prices, bar="1d", strategy=strategy, **settings).run()
    return strategy.told, result


@pytest.mark.parametrize("end", ENDS)
def test_a_member_without_an_end_may_have_one_beyond_all_time(end):
    """It is a member for good, as where the end is empty; the open of its first day is the close of the day before."""
    members = pl.DataFrame({"symbol": ["A"], "from": [DAYS[2]], "to": [end]})
    told, _ = ask(lambda context: context.universe.tolist(), universe=members)
    assert [[False]] + [[True]] * 5 == told


@pytest.mark.parametrize("begin", [date(1, 1, 1), date(1677, 12, 31), datetime(1, 1, 1, 12, tzinfo=UTC)])
def test_a_member_without_a_beginning_may_have_one_before_all_time(begin):
    """It is a member from the beginning until the close of its last day."""
    members = pl.DataFrame({"symbol": ["A"], "from": [begin], "to": [DAYS[2]]})
    told, _ = ask(lambda context: context.universe.tolist(), universe=members)
    assert [[True]] * 2 + [[False]] * 4 == told


@pytest.mark.parametrize("end", [date(9999, 12, 31), date(2262, 4, 12)])
def test_an_instrument_may_be_listed_until_beyond_all_time(end):
    """It can be ordered on every day of the run."""
    listed = pl.DataFrame({"symbol": ["A"], "listed_from": [date(1, 1, 1)], "listed_to": [end]})
    _, result = ask(lambda context: context.order("A", 1), instruments=listed)
    assert 5 == result.fills.height


@pytest.mark.parametrize("value", [date(9999, 12, 31), datetime(9999, 12, 31, 12), date(1, 1, 1)])
def test_a_field_of_dates_beyond_all_time_is_left_out_with_a_note(value):
    """No other date is made of it; the other fields are there, and asking for it says that there is none."""
    table = pl.DataFrame({"symbol": ["A", "A"], "date": DAYS[:2], "until": [None, value], "rating": [1.0, 2.0]})
    told, result = ask(lambda context: context.asof("ratings", "rating", symbol="A"), tables={"ratings": table})
    assert [1.0, 2.0, 2.0, 2.0, 2.0, 2.0] == told
    kind = "Date" if type(value) is date else "Datetime"
    assert any(
        "until" in note and kind in note and "between 1678 and 2261" in note for note in result.manifest["notes"]
    )
    with pytest.raises(LookAheadError, match="no field 'until'"):
        ask(lambda context: context.asof("ratings", "until"), tables={"ratings": table})


@pytest.mark.parametrize("calendar", ["24/7", "XNYS"])
@pytest.mark.parametrize("settings", [{"start": date(1600, 1, 1)}, {"end": date(9999, 12, 31)}])
def test_a_run_that_begins_or_ends_beyond_all_time_is_refused(settings, calendar):
    """With its own date rather than one that wrapped around."""
    ((key, day),) = settings.items()
    with pytest.raises(InputError, match=f"{key} is {day}: a run lies between 1678-01-01 and 2261-12-31"):
        ask(lambda context: None, calendar=calendar, **settings)


def hold(context):
    """Hold one share; return what is held."""
    context.order_target("A", 1)
    return context.position("A").quantity


@pytest.mark.parametrize("day", [date(9999, 12, 31), datetime(9999, 12, 31, tzinfo=UTC), datetime(9999, 12, 31)])
def test_an_action_beyond_all_time_never_takes_effect(day):
    """Nor is what it pays then ever paid."""
    split = {"symbol": ["A"], "kind": ["split"], "ratio": [2.0]}
    dividend = {"symbol": ["A"], "kind": ["dividend"], "amount": [2.0], "ex_date": [DAYS[3]], "pay_date": [day]}
    for actions in (pl.DataFrame(split | {"ex_date": [day]}), pl.DataFrame(dividend)):
        told, result = ask(hold, actions=actions)
        assert [0.0, 1.0, 1.0, 1.0, 1.0, 1.0] == told
        assert 99_990.0 == result.equity["cash"][-1]


@pytest.mark.parametrize("moment", [date(9999, 12, 31), datetime(9999, 12, 31, 12, tzinfo=UTC), date(1, 1, 1)])
def test_what_is_known_beyond_all_time_is_refused(moment):
    """Rather than known at another time, or at once."""
    split = {"symbol": ["A"], "kind": ["split"], "ratio": [2.0], "ex_date": [DAYS[3]], "known_at": [moment]}
    fees = {"symbol": ["A"], "known_at": [moment], "rate": [0.1]}
    account = {"type": "margin", "borrow": {"frame": pl.DataFrame(fees)}}
    for settings in ({"actions": pl.DataFrame(split)}, {"account": account}):
        with pytest.raises(InputError, match=r"row 0: known_at lies beyond 1678-01-01 to 2261-12-31"):
            ask(lambda context: None, **settings)
