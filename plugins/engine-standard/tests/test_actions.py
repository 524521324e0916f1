"""Rows of corporate actions: what they become, and what is wrong with them."""

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from ml4t.backtest.core.queue import FOREVER
from ml4t.backtest.core.sessions import SessionTable, to_ns
from ml4t.backtest.core.stamps import StampRule
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import SourceSpec
from ml4t_backtest_engine_standard.assembly.actions import applied_twice, basis_notes, plan_actions

DAYS = [f"2024-01-{day:02}" for day in (2, 3, 4, 5, 8, 9)]


@pytest.fixture
def sessions(kit):
    """A week and a day of sessions, with a weekend in between."""
    calendar = kit.Calendar(*((day, f"{day}T14:30+00:00", f"{day}T21:00+00:00") for day in DAYS))
    return SessionTable(calendar.rows, timezone="America/New_York", name="HAND")


def row(kind="split", day=4, **columns):
    """Return one row: a split of A on a day, unless it is said otherwise."""
    usual = {"split": {"ratio": 2.0}, "stock-dividend": {"ratio": 0.1}, "dividend": {"amount": 0.5}}
    usual |= {"merger": {"amount": 5.0}, "symbol-change": {"new_symbol": "B"}}
    usual |= {"spin-off": {"ratio": 0.5, "new_symbol": "B"}}
    return {"symbol": "A", "kind": kind, "ex_date": date(2024, 1, day), **usual.get(kind, {}), **columns}


def planned(sessions, *rows):
    """Plan rows."""
    return plan_actions(pl.DataFrame(list(rows), infer_schema_length=None), sessions, "actions.0")


def edge(day, hour, minute=0):
    """Return a moment of a day of January, UTC ns."""
    return to_ns(datetime(2024, 1, day, hour, minute, tzinfo=UTC))


def test_an_action_takes_effect_at_the_open_of_its_session_and_is_known_then(sessions):
    """Unless it is said when it was announced."""
    (action,) = planned(sessions, row())
    assert (edge(4, 14, 30), edge(4, 14, 30), 0) == (action.effective_at, action.known_at, action.pay_at)
    assert ("split", "A", 2.0, "", "") == (action.kind, action.symbol, action.ratio, action.new_symbol, action.currency)
    assert np.isnan([action.amount, action.value]).all()
    assert (date(2024, 1, 4) - date(1970, 1, 1)).days == action.ex_date


@pytest.mark.parametrize(
    ("known_at", "expected"),
    [
        (date(2024, 1, 3), edge(3, 21)),
        (date(2023, 12, 30), to_ns(datetime(2023, 12, 31, 5, tzinfo=UTC))),
        (datetime(2024, 1, 4, 14, 30, tzinfo=UTC), edge(4, 14, 30)),
        (datetime(2024, 1, 3, 12, tzinfo=UTC), edge(3, 12)),
    ],
)
def test_an_announcement_is_a_date_or_a_moment(sessions, known_at, expected):
    """A date is known at its close; at the latest an action is known when it takes effect."""
    (action,) = planned(sessions, row(known_at=known_at))
    assert expected == action.known_at


def test_cash_is_paid_at_the_open_of_the_pay_date(sessions):
    """On the ex date at once; after the calendar's end never."""
    dates = (date(2024, 1, 4), date(2024, 1, 8), date(2024, 7, 1), None)
    actions = planned(sessions, *(row("dividend", pay_date=day, amount=1.0 + n) for n, day in enumerate(dates)))
    assert [0, edge(8, 14, 30), FOREVER, 0] == [action.pay_at for action in actions]


def test_actions_are_in_the_order_of_their_effect_then_of_the_table(sessions):
    """Two of one session keep the order of their rows."""
    actions = planned(sessions, row("dividend", 5), row("split", 4), row("split", 3, symbol="C"), row("dividend", 4))
    assert ["split", "split", "dividend", "dividend"] == [action.kind for action in actions]
    assert [3, 4, 4, 5] == [date.fromordinal(719163 + action.ex_date).day for action in actions]


def test_rows_outside_of_the_calendar_are_left_out(sessions):
    """They cannot be in any run."""
    assert [] == planned(sessions, row(ex_date=date(1962, 1, 4)), row(ex_date=date(2062, 1, 4)))


def test_dates_may_be_midnights(sessions):
    """As pandas writes them, with a zone or without."""
    assert planned(sessions, row()) != []
    for stamp in (datetime(2024, 1, 4), datetime(2024, 1, 4, tzinfo=UTC)):
        (action,) = planned(sessions, row(ex_date=stamp))
        assert edge(4, 14, 30) == action.effective_at


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (row("divorce"), "has no known kind ('divorce'); known are split, stock-dividend, dividend, merger, spin-off"),
        (row(kind=None), "has no known kind"),
        (row(symbol=None), "has no symbol"),
        (row(ex_date=None), "has no ex_date"),
        (row(day=6), "ex_date is no session of calendar HAND"),
        (row(ex_date=datetime(2024, 1, 4, 9)), "ex_date is Datetime"),
        (row("dividend", pay_date=date(2024, 1, 6)), "pay_date is no session of calendar HAND"),
        (row("dividend", pay_date=date(2024, 1, 3)), "pay_date is before ex_date"),
        (row(known_at=date(2024, 1, 4)), "is known after it takes effect"),
        (row(known_at=datetime(2024, 1, 3, 9)), "has no zone in known_at"),
        (row(ratio=None), "a split without ratio"),
        (row(ratio=float("nan")), "a split without ratio"),
        (row("dividend", amount=None), "a dividend without amount"),
        (row("spin-off", new_symbol=None), "a spin-off without new_symbol"),
        (row("symbol-change", new_symbol=None), "a symbol-change without new_symbol"),
        (row("symbol-change", new_symbol="A"), "new_symbol is the symbol itself"),
        (row("merger", amount=None), "a merger without ratio and amount"),
        (row("merger", ratio=1.0), "a merger with only one of ratio and new_symbol"),
        (row("merger", new_symbol="B"), "a merger with only one of ratio and new_symbol"),
        (row("merger", new_symbol="B", ratio=-1.0), "ratio is not above 0"),
        (row(ratio=0.0), "ratio is not above 0"),
        (row("stock-dividend", ratio=-0.1), "ratio is not above 0"),
        (row("dividend", amount=-0.1), "amount is below 0"),
        (row("merger", amount=-0.1), "amount is below 0"),
        (row(ratio=float("inf")), "ratio is infinite"),
        (row("delisting", value=float("inf")), "value is infinite"),
        (row("spin-off", value=float("-inf")), "value is infinite"),
        (row(ratio="two"), "ratio is no number"),
    ],
)
def test_what_no_action_can_be_is_refused_with_its_row(sessions, wrong, problem):
    """Of a row among good ones only itself is named."""
    rows = [row("delisting", symbol="Z", value=0.0), wrong]
    columns = list(dict.fromkeys(key for each in rows for key in each))
    frame = pl.DataFrame({key: [each.get(key) for each in rows] for key in columns}, strict=False)
    if isinstance(wrong.get("ex_date"), datetime):
        frame = pl.DataFrame([wrong])
    with pytest.raises(DataError) as caught:
        plan_actions(frame, sessions, "actions.0")
    assert any(each.startswith(f"actions.0 row {frame.height - 1}: {problem}") for each in caught.value.problems)


def test_dates_that_are_text_are_one_fault(sessions):
    """The column shows what is in it, and no row lacks what it has."""
    with pytest.raises(DataError) as caught:
        planned(sessions, row(ex_date="2024-01-04"))
    assert ["actions.0 row 0: ex_date is String, such as '2024-01-04'; give dates"] == list(caught.value.problems)


def test_all_faults_come_in_one_error(sessions):
    """With every row that has them, the first five by number."""
    rows = [row(ratio=0.0, symbol=str(place)) for place in range(7)] + [row("dividend", 6, amount=None)]
    with pytest.raises(DataError) as caught:
        planned(sessions, *rows)
    assert [
        "actions.0 row 7: a dividend without amount; give one",
        "actions.0 rows 0, 1, 2, 3, 4 and 2 more: ratio is not above 0; correct it",
        "actions.0 row 7: ex_date is no session of calendar HAND; correct it",
    ] == list(caught.value.problems)


def test_a_row_given_twice_is_refused(sessions):
    """It would be applied twice; two dividends of one day that differ are two."""
    with pytest.raises(DataError, match=r"actions.0 row 1: was given before; keep one of the rows"):
        planned(sessions, row(), row())
    assert 2 == len(planned(sessions, row("dividend"), row("dividend", amount=0.1)))


def test_columns_that_are_missing_are_named(sessions):
    """With those that there are, and how to name them."""
    with pytest.raises(DataError, match=r"actions.0: no column kind, ex_date; it has symbol, date; .* kind = "):
        plan_actions(pl.DataFrame({"symbol": ["A"], "date": [date(2024, 1, 4)]}), sessions, "actions.0")


def test_figures_that_a_kind_does_not_use_are_not_looked_at(sessions):
    """A dividend with a ratio, as vendors fill their tables."""
    (action,) = planned(sessions, row("dividend", ratio=float("inf"), value=-1.0))
    assert 0.5 == action.amount


@pytest.mark.parametrize(
    ("prices", "kinds", "said"),
    [
        ("raw", ["split", "dividend"], ""),
        (None, ["split"], ""),
        ("split", ["dividend", "delisting"], ""),
        ("split", ["dividend", "split"], "splits a second time"),
        ("split", ["stock-dividend"], "stock-dividends a second time"),
        ("total", ["dividend", "split"], "dividends and splits a second time"),
        ("total", ["spin-off"], "spin-offs a second time"),
        ("total", ["symbol-change"], ""),
    ],
)
def test_prices_that_are_adjusted_already_are_refused(sessions, prices, kinds, said):
    """What both would do is named."""
    actions = [planned(sessions, row(kind))[0] for kind in kinds]
    rule = StampRule(convention="label", period_ns=1)
    spec = SourceSpec(name="prices", kind="bar", fields=("close",), rule=rule, prices=prices)
    problems = applied_twice(actions, [spec])
    assert bool(said) == bool(problems)
    assert said in "".join(problems)


def test_amounts_on_split_adjusted_prices_are_noted(sessions):
    """They are paid for each share as the prices count them."""
    rule = StampRule(convention="label", period_ns=1)
    specs = [SourceSpec(name="p", kind="bar", fields=("close",), rule=rule, prices=basis) for basis in ("split", "raw")]
    assert 1 == len(basis_notes(planned(sessions, row("dividend")), specs))
    assert [] == basis_notes(planned(sessions, row("delisting")), specs)
