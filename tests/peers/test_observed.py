"""What ``docs/reference/profiles.md`` says about other engines, seen in the engines themselves on a few bars."""

from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

pytestmark = pytest.mark.peers

FIRST = date(2021, 3, 1)  # a Monday; tests use at most its week
FLAT = (100.0, 101.0, 99.0, 100.0)


def frame(**symbols):
    """Return bars by symbol: a tuple of open, high, low, close, or None for no bar; volume 1,000 unless given."""
    rows = [
        (FIRST + timedelta(days=day), name, *bar[:4], bar[4] if len(bar) > 4 else 1000.0)
        for name, bars in symbols.items()
        for day, bar in enumerate(bars)
        if bar is not None
    ]
    columns = ["timestamp", "symbol", "open", "high", "low", "close", "volume"]
    return pl.DataFrame(rows, columns, orient="row").with_columns(pl.col("timestamp").cast(pl.Datetime("us")))


def order(bar, quantity, kind="market", ref="a", symbol="AA", **levels):
    """Return an action."""
    return {"bar": bar, "do": "order", "ref": ref, "symbol": symbol, "quantity": quantity, "kind": kind, **levels}


@pytest.fixture
def fills(run_peer):
    """Run actions in an engine; return (ref, day, quantity, price) of each fill."""

    def fills(peer, bars, *actions, **settings):
        scenario = {"name": "observed", "settings": {"cash": 1e6, **settings}, "actions": actions}
        found = run_peer(peer, scenario, bars).fills
        days = [(day - FIRST).days for day in found["time"].cast(pl.Date)]
        quantities, prices = found["quantity"].to_list(), found["price"].round(9).to_list()
        return list(zip(found["ref"].to_list(), days, quantities, prices, strict=True))

    return fills


# --- backtrader ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bar", "stop", "limit", "expected"),
    [
        ((103.0, 104.0, 101.0, 102.0), 102.0, 103.5, [(1, 103.0)]),  # opened beyond the stop: a limit, better
        ((103.0, 104.0, 101.0, 102.0), 102.0, 101.5, [(1, 101.5)]),  # likewise, and the low came to the limit
        ((100.0, 104.0, 99.0, 103.0), 102.0, 102.5, [(1, 102.0)]),  # the stop within the bar
        ((102.0, 105.0, 99.0, 100.0), 103.0, 101.0, [(1, 101.0)]),  # it fell back to its close, through the limit
        ((100.0, 105.0, 99.0, 101.0), 103.0, 102.0, [(2, 100.0)]),  # so did this one, but its close is above its open
    ],
)
def test_backtrader_stop_limit_within_its_bar(fills, bar, stop, limit, expected):
    """A buying stop-limit; the bar after opens at 100."""
    made = order(0, 1, "stop-limit", stop_price=stop, limit_price=limit)
    found = fills("backtrader", frame(AA=[FLAT, bar, FLAT]), made)
    assert expected == [(day, price) for _, day, _, price in found]


def test_backtrader_first_submitted_fills_first(fills):
    """A bar that opens above the target and falls to the stop fills the stop."""
    bracket = {"bar": 0, "do": "bracket", "ref": "a", "symbol": "AA", "quantity": 1}
    bars = frame(AA=[FLAT, FLAT, (112.0, 113.0, 90.0, 100.0)])
    found = fills("backtrader", bars, bracket | {"stop_price": 95.0, "target_price": 110.0})
    assert [("a.entry", 1, 1.0, 100.0), ("a.stop", 2, -1.0, 95.0)] == found


def test_backtrader_children_act_from_the_bar_after_the_entry(fills):
    """The bar of the entry touches the stop; the next one does not."""
    bracket = {"bar": 0, "do": "bracket", "ref": "a", "symbol": "AA", "quantity": 1}
    bars = frame(AA=[FLAT, (100.0, 101.0, 90.0, 100.0), FLAT])
    assert [("a.entry", 1, 1.0, 100.0)] == fills(
        "backtrader", bars, bracket | {"stop_price": 95.0, "target_price": 110.0}
    )


def test_backtrader_children_wait_for_the_whole_entry(fills):
    """An entry of 1,500 fills over two bars; the stop, touched in the second, acts in the third."""
    bracket = {"bar": 0, "do": "bracket", "ref": "a", "symbol": "AA", "quantity": 1500}
    low = (100.0, 101.0, 90.0, 100.0, 5000.0)
    bars = frame(AA=[FLAT, FLAT, low, low])
    found = fills("backtrader", bars, bracket | {"stop_price": 95.0, "target_price": 110.0}, bar_percent=100.0)
    assert [("a.entry", 1), ("a.entry", 2), ("a.stop", 3)] == [row[:2] for row in found]
    assert [1000.0, 500.0, -1500.0] == [row[2] for row in found]


def test_backtrader_partial_fill_cancels_the_others(fills):
    """The limit fills 1,000 of 1,500; the stop of the same group is gone."""
    legs = [
        {"ref": "a", "kind": "limit", "quantity": 1500, "limit_price": 99.5},
        {"ref": "b", "kind": "stop", "quantity": 1500, "stop_price": 100.5},
    ]
    group = {"bar": 0, "do": "oco", "ref": "g", "symbol": "AA", "legs": legs}
    found = fills("backtrader", frame(AA=[FLAT, FLAT, FLAT]), group, bar_percent=100.0)
    assert [("a", 1, 1000.0, 99.5), ("a", 2, 500.0, 99.5)] == found


def test_backtrader_partly_filled_stop_has_to_be_reached_again(fills):
    """1,000 fill where the high reaches the stop; the next bar stays below it."""
    below = (95.0, 96.0, 94.0, 95.0)
    bars = frame(AA=[FLAT, (100.0, 103.0, 99.0, 100.0), below, (100.0, 103.0, 99.0, 100.0)])
    found = fills("backtrader", bars, order(0, 1500, "stop", stop_price=102.0), bar_percent=100.0)
    assert [("a", 1, 1000.0, 102.0), ("a", 3, 500.0, 102.0)] == found


def test_backtrader_volume_is_capped_for_each_order(fills):
    """Two orders of one bar take half its volume each, and one of fixed size takes that."""
    two = order(0, 800), order(0, 800, ref="b")
    found = fills("backtrader", frame(AA=[FLAT, FLAT]), *two, bar_percent=50.0)
    assert [("a", 1, 500.0, 100.0), ("b", 1, 500.0, 100.0)] == found
    assert [300.0, 300.0] == [row[2] for row in fills("backtrader", frame(AA=[FLAT, FLAT]), *two, fixed_size=300)]


@pytest.mark.parametrize(
    ("quantity", "limit", "price"), [(1, 130.0, 101.0), (-1, 70.0, 90.0), (1, 100.5, 100.5), (-1, 99.5, 99.5)]
)
def test_backtrader_limit_orders_slip_at_the_open(fills, quantity, limit, price):
    """By 10 %: a buy up to the lower of high and limit, a sell down to the limit, below the bar."""
    made = order(0, quantity, "limit", limit_price=limit)
    found = fills("backtrader", frame(AA=[FLAT, FLAT]), made, slip_perc=0.1, slip_open=True)
    assert [("a", 1, quantity, price)] == found


def test_backtrader_slippage_spares_opens_unless_asked(fills):
    """With ``slip_open=False`` a market order pays the open, a stop within the bar slips, up to the high."""
    made = order(0, 1), order(0, 1, "stop", ref="b", stop_price=100.5), order(0, 1, "close", ref="c")
    found = fills("backtrader", frame(AA=[FLAT, FLAT]), *made, slip_perc=0.1, slip_open=False)
    assert [("a", 1, 1.0, 100.0), ("b", 1, 1.0, 101.0), ("c", 1, 1.0, 100.0)] == found


def test_backtrader_trailing_stop_follows_closes(fills):
    """A high of 120 does not move it, a close of 110 does."""
    bars = frame(AA=[FLAT, (100.0, 120.0, 99.0, 110.0), (110.0, 111.0, 104.0, 108.0)])
    assert [("a", 2, -1.0, 105.0)] == fills("backtrader", bars, order(0, -1, "trailing-stop", trail_amount=5.0))


def test_backtrader_cancel_in_the_call_of_the_order_does_nothing(fills):
    """The order has not been accepted by then."""
    cancel = {"bar": 0, "do": "cancel", "ref": "a"}
    assert [("a", 1, 1.0, 100.0)] == fills("backtrader", frame(AA=[FLAT, FLAT]), order(0, 1), cancel)


def test_backtrader_meets_the_old_bar_where_there_is_no_new_one(fills):
    """BB has no bar on day 1: its limit order is met by the bar in which it was decided."""
    bars = frame(AA=[FLAT, FLAT, FLAT], BB=[FLAT, None, (120.0, 121.0, 119.0, 120.0)])
    made = order(0, 1, "limit", symbol="BB", limit_price=99.5), order(0, 1, ref="b", symbol="BB")
    assert [("a", 0, 1.0, 99.5), ("b", 2, 1.0, 120.0)] == fills("backtrader", bars, *made)


def test_backtrader_without_cash_fills_the_closing_part_only(fills):
    """Short 1, buy 1,000 at 100 with cash for 500 at the limit's price and none at the open's."""
    bars = frame(AA=[FLAT, FLAT, FLAT, (200.0, 201.0, 199.0, 200.0)])
    made = order(0, -1), order(2, 400, ref="b")
    found = fills("backtrader", bars, *made, cash=50_000.0)
    assert [("a", 1, -1.0, 100.0), ("b", 3, 1.0, 200.0)] == found


def test_backtrader_cancelling_a_child_ends_its_entry(run_peer):
    """And the other child."""
    bracket = {"bar": 0, "do": "bracket", "ref": "a", "symbol": "AA", "quantity": 1, "entry_limit": 50.0}
    actions = [bracket | {"stop_price": 45.0, "target_price": 60.0}, {"bar": 1, "do": "cancel", "ref": "a.target"}]
    scenario = {"name": "observed", "settings": {"cash": 1e6}, "actions": actions}
    ends = run_peer("backtrader", scenario, frame(AA=[FLAT] * 4)).ends
    assert {"a.entry": "canceled", "a.stop": "canceled", "a.target": "canceled"} == ends


# --- zipline ------------------------------------------------------------------------------------------------


def closes(*values, volume=1000.0):
    """Return bars whose open, high and low are far from their close."""
    return [(value + 20, value + 30, value - 30, value, volume) for value in values]


def test_zipline_orders_meet_closes_only(fills):
    """Limits and stops in the range are not reached; the close and 5 bps are paid, beyond the limit too."""
    made = [
        order(0, 1, "limit", ref="a", limit_price=100.0),
        order(0, 1, "stop", ref="b", stop_price=101.0),
        order(0, 1, "stop-limit", ref="c", stop_price=101.0, limit_price=102.0),
    ]
    found = fills("zipline", frame(AA=closes(100.5, 100.5, 100.0, 101.0, 102.0)), *made)
    assert [("a", 2, 1.0, 100.05), ("b", 3, 1.0, 101.0505), ("c", 3, 1.0, 101.0505)] == found


def test_zipline_a_reached_limit_stays_reached(fills):
    """150 against 100 a bar; the rest fills at a close above the limit."""
    made = order(0, 150, "limit", limit_price=100.0)
    found = fills("zipline", frame(AA=closes(100.0, 100.0, 110.0)), made)
    assert [("a", 1, 100.0, 100.05), ("a", 2, 50.0, 110.055)] == found


def test_zipline_does_not_look_at_orders_behind_a_used_up_volume(fills):
    """Day 1 reaches both stops; its volume is a's. That turns b away, and c behind it is not looked at."""
    stop = {"kind": "stop", "stop_price": 105.0}
    made = order(0, 100, ref="a"), order(0, 1, ref="b", **stop), order(0, 1, ref="c", **stop)
    found = fills("zipline", frame(AA=closes(100.0, 106.0, 100.0, 105.0)), *made)
    assert [("a", 1), ("b", 2), ("c", 3)] == [row[:2] for row in found]


def test_zipline_rounds_levels_to_cents(fills):
    """A buying limit of 99.999 is 99.99 and is not reached by 99.995; one of 99.9996 is 100.00."""
    made = order(0, 1, "limit", ref="a", limit_price=99.999), order(0, 1, "limit", ref="b", limit_price=99.9996)
    found = fills("zipline", frame(AA=closes(100.5, 99.995, 100.5)), *made)
    assert [("b", 1)] == [row[:2] for row in found]


def test_zipline_keeps_three_decimals_of_a_price(fills):
    """The rest is gone before a run sees it."""
    assert [("a", 1, 1.0, round(100.123 * 1.0005, 9))] == fills(
        "zipline", frame(AA=closes(100.0, 100.1234)), order(0, 1)
    )


def flat(*values):
    """Return bars of one price each."""
    return [(value,) * 4 for value in values]


def cash_of(run_peer, bars, actions, *corporate):
    """Return zipline's cash after each session, to the cent; commission off."""
    settings = {"cash": 1e6, "per_share": 0.0, "slippage_bps": 0.0, "volume_limit": 1.0}
    told = {"name": "observed", "settings": settings, "actions": actions, "corporate": corporate}
    return run_peer("zipline", told, bars).equity["cash"].round(6).to_list()


def on(day):
    """Return a day of the week as text."""
    return (FIRST + timedelta(days=day)).isoformat()


def test_zipline_pays_fractions_of_a_reverse_split_at_what_they_cost(run_peer):
    """Ten shares bought at 2.00, one for eight when they are worth 3.00: one is left, a quarter pays 4.00, not 6.00."""
    bars = frame(AA=[*flat(2.0, 2.0, 3.0), *flat(24.0, 24.0)])
    split = {"symbol": "AA", "kind": "split", "ex_date": on(3), "ratio": 0.125}
    assert [1e6, 999_980.0, 999_980.0, 999_984.0, 999_984.0] == cash_of(run_peer, bars, [order(0, 10)], split)


def test_zipline_pays_fractions_of_a_split_at_what_they_cost(run_peer):
    """101 at 10.00, three for two when they are worth 12.00: 151, and half a share pays 3.33 (of 6.67, in cents)."""
    bars = frame(AA=[*flat(10.0, 10.0, 12.0), *flat(8.0, 8.0)])
    split = {"symbol": "AA", "kind": "split", "ex_date": on(3), "ratio": 1.5}
    found = cash_of(run_peer, bars, [order(0, 101)], split)
    assert [0.0, -1010.0, -1010.0, -1006.67, -1006.67] == [round(cash - 1e6, 2) for cash in found]


def test_zipline_pays_dividends_on_the_pay_date_and_shows_no_claim(run_peer):
    """Ex on day 2, paid on day 4: until then neither cash nor equity has it; a short pays."""
    bars = frame(AA=flat(10.0, 10.0, 9.0, 9.0, 9.0))
    paid = {"symbol": "AA", "kind": "dividend", "ex_date": on(2), "pay_date": on(4), "amount": 1.0}
    cash = cash_of(run_peer, bars, [order(0, -10)], paid)
    assert [1e6, 1_000_100.0, 1_000_100.0, 1_000_100.0, 1_000_090.0] == cash


def test_zipline_closes_a_position_a_session_after_the_last_bar(run_peer):
    """AA has bars on days 0 to 2; at the end of day 3 it is gone at its last close, without a fill."""
    bars = frame(AA=flat(10.0, 10.0, 9.0), BB=flat(1.0, 1.0, 1.0, 1.0, 1.0))
    assert [1e6, 999_900.0, 999_900.0, 999_990.0, 999_990.0] == cash_of(run_peer, bars, [order(0, 10)])


# --- vectorbt -----------------------------------------------------------------------------------------------


def held(run_peer, targets, *bars, cash=1000.0, kind="weights"):
    """Return (day, quantity, price) of each fill of a table of targets for AA."""
    scenario = {"name": "observed", "settings": {"cash": cash, "targets": kind}}
    found = run_peer("vectorbt", scenario, frame(AA=bars), np.array(targets)[:, None]).fills
    days = [(day - FIRST).days for day in found["time"].cast(pl.Date)]
    return list(zip(days, found["quantity"].round(9).to_list(), found["price"].to_list(), strict=True))


def test_vectorbt_sizes_weights_at_the_open_of_the_fill(run_peer):
    """Half of 1,000 decided at a close of 100, filled at an open of 125: 4, not 5."""
    bars = FLAT, (125.0, 126.0, 124.0, 125.0), FLAT
    assert [(1, 4.0, 125.0)] == held(run_peer, [0.5, np.nan, np.nan], *bars)


def test_vectorbt_buys_what_cash_is_there_for(run_peer):
    """20 are wanted at 100 with cash of 1,000."""
    assert [(1, 10.0, 100.0)] == held(run_peer, [20.0, np.nan, np.nan], FLAT, FLAT, FLAT, kind="shares")


# --- backtesting.py -----------------------------------------------------------------------------------------


def bracket(bar, quantity, **levels):
    """Return an action of backtesting.py's: an entry with stop and target."""
    return {"bar": bar, "do": "bracket", "ref": "a", "symbol": "AA", "quantity": quantity, **levels}


def test_backtesting_children_of_a_market_entry_act_in_its_bar(fills):
    """The bar of the entry touches stop and target: the stop."""
    bars = frame(AA=[FLAT, FLAT, (100.0, 111.0, 94.0, 100.0), FLAT])
    found = fills("backtesting", bars, bracket(1, 10, stop_price=95.0, target_price=110.0))
    assert [("a", 2, 10.0, 100.0), ("a", 2, -10.0, 95.0)] == found


def test_backtesting_children_of_other_entries_wait(fills):
    """The bar of a limit entry touches the stop; the next one opens below it."""
    bars = frame(AA=[FLAT, FLAT, (100.0, 111.0, 94.0, 100.0), (93.0, 94.0, 92.0, 93.0)])
    found = fills("backtesting", bars, bracket(1, 10, entry_limit=99.0, stop_price=95.0, target_price=110.0))
    assert [("a", 2, 10.0, 99.0), ("a", 3, -10.0, 93.0)] == found


def test_backtesting_target_of_a_stop_entry_acts_where_the_stop_is_not_reached(fills):
    """The bar rises through entry and target."""
    bars = frame(AA=[FLAT, FLAT, (100.0, 111.0, 99.0, 105.0), FLAT])
    found = fills("backtesting", bars, bracket(1, 10, entry_stop=102.0, stop_price=95.0, target_price=110.0))
    assert [("a", 2, 10.0, 102.0), ("a", 2, -10.0, 110.0)] == found


def test_backtesting_children_of_a_stop_entry_wait_where_its_bar_reaches_the_stop(fills):
    """It reaches the target, too; the next bar opens at 108."""
    bars = frame(AA=[FLAT, FLAT, (100.0, 111.0, 94.0, 105.0), (108.0, 112.0, 107.0, 111.0)])
    found = fills("backtesting", bars, bracket(1, 10, entry_stop=102.0, stop_price=95.0, target_price=110.0))
    assert [("a", 2, 10.0, 102.0), ("a", 3, -10.0, 110.0)] == found


def test_backtesting_other_side_closes_trades_and_their_children(fills):
    """A sale of 10 closes the bracket's trade; its stop at 95 is gone."""
    made = bracket(1, 10, stop_price=95.0, target_price=110.0), order(2, -10, ref="b")
    bars = frame(AA=[FLAT, FLAT, FLAT, FLAT, (100.0, 101.0, 90.0, 100.0)])
    assert [("a", 2, 10.0, 100.0), ("a", 3, -10.0, 100.0)] == fills("backtesting", bars, *made)


def test_backtesting_trading_on_close_a_stop_pays_no_open(fills):
    """It opens at 105, above the stop of 102, and pays the stop; of a stop below the close before, that close."""
    bars = frame(AA=[FLAT, FLAT, (105.0, 106.0, 104.0, 105.0), FLAT])
    above, below = order(1, 10, "stop", stop_price=102.0), order(1, 10, "stop", stop_price=99.5)
    assert [("a", 2, 10.0, 102.0)] == fills("backtesting", bars, above, trade_on_close=True)
    assert [("a", 2, 10.0, 100.0)] == fills("backtesting", bars, below, trade_on_close=True)


def test_backtesting_spread_is_paid_by_entries(fills):
    """A buy that opens pays it, the sale that closes does not."""
    made = order(1, 10), order(2, -10, ref="b")
    found = fills("backtesting", frame(AA=[FLAT] * 5), *made, spread=0.01)
    assert [("a", 2, 10.0, 101.0), ("a", 3, -10.0, 100.0)] == found


def test_backtesting_stop_limit_may_pay_a_price_outside_the_bar(fills):
    """Opened above the stop, below the limit: it pays the stop, which the bar never saw."""
    bars = frame(AA=[FLAT, FLAT, (105.0, 106.0, 104.0, 105.0), FLAT])
    found = fills("backtesting", bars, order(1, 10, "stop-limit", stop_price=102.0, limit_price=107.0))
    assert [("a", 2, 10.0, 102.0)] == found


def test_backtesting_trades_on_close(fills):
    """A market order fills at the close, and with the time, of the bar that decided it."""
    bars = frame(AA=[FLAT, (100.0, 101.0, 99.0, 100.5), FLAT, FLAT])
    assert [("a", 1, 10.0, 100.5)] == fills("backtesting", bars, order(1, 10), trade_on_close=True)


def test_backtesting_charges_each_trade(fills, run_peer):
    """An order that turns a position pays for the closing and for the opening."""
    made = order(1, 10), order(2, -30, ref="b")
    scenario = {"name": "charges", "settings": {"cash": 1e6, "commission": [2.0, 0.001]}, "actions": made}
    found = run_peer("backtesting", scenario, frame(AA=[FLAT] * 5)).fills
    assert [(10.0, 3.0), (-10.0, 3.0), (-20.0, 4.0)] == list(found.select("quantity", "commission").iter_rows())
