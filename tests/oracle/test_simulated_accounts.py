"""The simulator does what the pages on accounts, instruments and corporate actions say, by hand."""

from decimal import Decimal

import pytest
from oracle.rates import MissingRateError
from oracle.scenario import DAY, Amend, Bar, Bracket, Cancel, Costs, Feed, Instrument, Place, Scenario, Step
from oracle.simulator import simulate
from oracle.terms import Account, Action, Listing, Rate

OPENS, CLOSES = 9 * 3_600 + 1_800, 16 * 3_600
SESSIONS = tuple((day * DAY + OPENS, day * DAY + CLOSES) for day in range(6))


def bars(symbol, *prices):
    """One flat daily bar of each price from the first day on; None leaves a day out."""
    return [
        Bar(symbol, day * DAY + OPENS, day * DAY + CLOSES, price, price, price, price, 100.0)
        for day, price in enumerate(prices)
        if price is not None
    ]


def run(rows, steps, **settings):
    """Simulate daily bars."""
    feed = Feed("bar", tuple(sorted(rows, key=lambda row: (row.end, row.symbol))), "1d")
    sessions = SESSIONS[: max(row.end for row in rows) // DAY + 1]
    return simulate(Scenario((feed,), tuple(steps), sessions, **settings))


def buy(quantity, symbol="A", day=0, name="o", **terms):
    """Ask for something at a close; it fills at the next open."""
    return Step(day * DAY + CLOSES, Place(name, symbol, quantity, **terms))


def rows_of(outcome, *kinds):
    """Return (day, kind, amount, quantity) of the ledger."""
    found = [each for each in outcome.ledger if each.kind in kinds]
    return [(each.at // DAY, each.kind, float(each.amount), float(each.quantity)) for each in found]


def last(outcome, order=0):
    return [(each.status, each.reason) for each in outcome.transitions if each.order == order][-1]


def equities(outcome):
    return [float(sample.equity) for sample in outcome.samples]


def cash(amount, currency="USD", **terms):
    """One account with that much money."""
    return (Account(capital=((currency, float(amount)),), **terms),)


def test_a_split_changes_the_number_and_not_the_worth():
    """10 at 10 become 15 at 6.67; 25 at 3:2 become 37, and half a share is paid at the new mark."""
    actions = (Action("split", "A", 2, ratio=1.5),)
    outcome = run(bars("A", 10.0, 10.0, 6.0, 6.0), [buy(25.0)], actions=actions, accounts=cash(1000))
    assert Decimal(37) == outcome.positions["A"]
    [(day, _, paid, cut)] = rows_of(outcome, "cash-in-lieu")
    assert (2, -0.5) == (day, cut)
    assert paid == pytest.approx(0.5 * 10 / 1.5)
    assert [(2, "split", 0.0, 12.5)] == rows_of(outcome, "split")
    assert [1000, 1000] == equities(outcome)[:2]
    assert 750 + paid + 37 * 6 == pytest.approx(equities(outcome)[2])


def test_a_short_position_pays_for_its_fraction():
    """What is cut off towards zero costs the short what the long receives."""
    actions = (Action("split", "A", 2, ratio=1.5),)
    outcome = run(bars("A", 10.0, 10.0, 6.0), [buy(-25.0)], actions=actions)
    assert Decimal(-37) == outcome.positions["A"]
    [(_, _, paid, cut)] = rows_of(outcome, "cash-in-lieu")
    assert 0.5 == cut
    assert paid == pytest.approx(-0.5 * 10 / 1.5)


def test_a_split_changes_working_orders():
    """Quantity times two, limit by two: it fills where it would have filled."""
    actions = (Action("split", "A", 2, ratio=2.0),)
    outcome = run(bars("A", 10.0, 10.0, 5.0, 4.5), [buy(10.0, limit_price=9.0)], actions=actions)
    [fill] = outcome.fills
    assert (20.0, 4.5, "limit") == (float(fill.quantity), float(fill.reference), fill.reason)
    reasons = [(each.at // DAY, each.reason) for each in outcome.transitions if each.order == 0]
    assert (2, "corporate-action") in reasons


def test_an_order_of_which_nothing_is_left_takes_its_children_along():
    """1 at 1:4 is nothing; the stop and the target end with their parent."""
    actions = (Action("split", "A", 1, ratio=0.25),)
    bracket = Bracket("b", "A", 1.0, entry_limit=5.0, stop_price=4.0, target_price=12.0)
    outcome = run(bars("A", 10.0, 40.0, 40.0), [Step(CLOSES, bracket)], actions=actions)
    assert ("cancelled", "corporate-action") == last(outcome)
    assert [] == outcome.fills


def test_a_dividend_is_owed_from_the_ex_session_and_paid_later():
    """0.5 on 10: equity has it at once, cash on the pay date; shorts pay."""
    actions = (Action("dividend", "A", 2, amount=0.5, pay=4),)
    prices = bars("A", 10.0, 10.0, 9.5, 9.5, 9.5)
    for side in (1, -1):
        outcome = run(prices, [buy(10.0 * side)], actions=actions, accounts=cash(1000))
        assert [1000.0] * 5 == equities(outcome)
        assert [0, 0, 5 * side, 5 * side, 0] == [float(sample.receivable) for sample in outcome.samples]
        assert [(4, "dividend", 5.0 * side, 0.0)] == rows_of(outcome, "dividend")


def test_a_fill_at_the_ex_open_has_no_right():
    """Bought at the open of the ex session."""
    outcome = run(bars("A", 10.0, 9.5), [buy(10.0)], actions=(Action("dividend", "A", 1, amount=0.5),))
    assert [] == rows_of(outcome, "dividend")


def test_a_merger_takes_what_was_paid_over():
    """20 A at 10 become 10 B and 40 in cash; B has cost (10 - 2) / 0.5 = 16 each."""
    actions = (Action("merger", "A", 2, ratio=0.5, amount=2.0, new_symbol="B"),)
    rows = [*bars("A", 10.0, 10.0), *bars("B", 20.0, 20.0, 20.0)]
    outcome = run(rows, [buy(20.0), buy(1.0, day=2, name="late")], actions=actions, accounts=cash(1000))
    assert (Decimal(0), Decimal(10)) == (outcome.positions["A"], outcome.positions["B"])
    assert [(2, "merger", 40.0, 0.0), (2, "merger", 0.0, -20.0), (2, "merger", 0.0, 10.0)] == rows_of(outcome, "merger")
    assert 1000 - 200 + 40 + 10 * 20 == equities(outcome)[2]
    assert ("refused", "delisted") == last(outcome, 1)


def test_a_merger_for_cash_realises():
    """Bought at 10, paid 12."""
    actions = (Action("merger", "A", 2, amount=12.0),)
    outcome = run([*bars("A", 10.0, 10.0), *bars("B", 1.0, 1.0, 1.0)], [buy(5.0)], actions=actions, accounts=cash(100))
    assert [(2, "merger", 60.0, 0.0), (2, "merger", 0.0, -5.0)] == rows_of(outcome, "merger")
    assert (110.0, 10.0) == (equities(outcome)[2], float(outcome.samples[2].realised))


def test_a_spin_off_moves_worth_from_one_to_the_other():
    """1 B at 4 for 4 A: 10 A give 2 B and half a B in cash."""
    actions = (Action("spin-off", "A", 2, ratio=0.25, value=4.0, new_symbol="B"),)
    rows = [*bars("A", 10.0, 10.0, 9.0), *bars("B", None, None, 4.0)]
    outcome = run(rows, [buy(10.0)], actions=actions, accounts=cash(1000))
    assert Decimal(2) == outcome.positions["B"]
    assert [(2, "cash-in-lieu", 2.0, -0.5)] == rows_of(outcome, "cash-in-lieu")
    assert [1000.0] * 3 == equities(outcome)


@pytest.mark.parametrize(("value", "received"), [(0.0, 0.0), (4.0, 40.0), (None, 100.0)])
def test_a_delisting_closes_at_a_value(value, received):
    """At 0, at a value, at the mark; what works ends."""
    actions = (Action("delisting", "A", 2, value=value),)
    rows = [*bars("A", 10.0, 10.0), *bars("B", 1.0, 1.0, 1.0)]
    steps = [buy(10.0), buy(10.0, name="limit", limit_price=1.0)]
    outcome = run(rows, steps, actions=actions, accounts=cash(1000))
    assert [(2, "delisting", received, -10.0)] == rows_of(outcome, "delisting")
    assert ("cancelled", "corporate-action") == last(outcome, 1)
    assert 900 + received == equities(outcome)[2]


def test_a_future_pays_each_day_and_expires():
    """Bought at 100, marked 101, 99, 103: +2, -4, +8 with 2 contracts of multiplier 1, then nothing is held."""
    future = Listing("A", "future", expires=3)
    rows = [*bars("A", 100.0, 100.0, 99.0, 103.0), *bars("B", 1.0, 1.0, 1.0, 1.0, 1.0)]
    outcome = run(rows, [buy(2.0), buy(1.0, day=4, name="late")], listings=(future,), accounts=cash(1000))
    assert [(2, "variation", -2.0, 0.0), (3, "variation", 8.0, 0.0)] == rows_of(outcome, "variation")
    assert [(3, "expiry", 0.0, -2.0)] == rows_of(outcome, "expiry")
    assert [1000.0, 1000.0, 998.0, 1006.0, 1006.0] == equities(outcome)


def test_a_perpetual_pays_what_closes_and_its_funding():
    """10 bought at 100: nothing moves; 1 % of 1,000 is paid; 4 sold at 110 pay 40."""
    account = cash(5000, "USD", funding=(Rate("A", 2 * DAY + 3_600, 0.01),))
    steps = [buy(10.0), buy(-4.0, day=2, name="p")]
    outcome = run(bars("A", 100.0, 100.0, 110.0, 110.0), steps, listings=(Listing("A", "perpetual"),), accounts=account)
    assert [(1, "fill", 0.0, 0.0), (3, "fill", 40.0, 0.0)] == rows_of(outcome, "fill")
    [(_, _, paid, _)] = rows_of(outcome, "funding")
    assert paid == pytest.approx(-10.0)
    assert [5000.0, 5000.0, 5090.0, 5090.0] == pytest.approx(equities(outcome))


def test_borrow_and_interest_fall_on_what_was_held_before():
    """Short 10 at 100 for a day at 36 %: 1; cash of 2,000 and the interest of the day before at 18 %."""
    account = cash(1000, borrow=0.36, interest=(0.36, 0.18))
    outcome = run(bars("A", 100.0, 100.0, 100.0), [buy(-10.0)], accounts=account)
    assert [(2, -1.0)] == [(day, pytest.approx(paid)) for day, _, paid, _ in rows_of(outcome, "borrow")]
    assert [(1, 0.5), (2, 1.00025)] == [(day, pytest.approx(paid)) for day, _, paid, _ in rows_of(outcome, "interest")]


def test_cash_of_a_sale_settles_later():
    """T+1: sold on day 2, there at the close of day 3; with use_unsettled = false nothing can be bought before."""
    account = cash(100, type="cash", settlement_days=1, use_unsettled=False)
    steps = [buy(10.0), buy(-10.0, day=1, name="sale"), buy(5.0, day=2, name="early"), buy(5.0, day=3, name="late")]
    outcome = run(bars("A", 10.0, 10.0, 10.0, 10.0, 10.0), steps, accounts=account)
    settled = [each for each in outcome.ledger if each.kind == "settlement"]
    assert [(3, 100.0)] == [(each.at // DAY, float(each.settled)) for each in settled]
    assert ("refused", "no-buying-power") == last(outcome, 2)
    assert ("filled", "next-open") == last(outcome, 3)


def test_a_margin_account_carries_twice_its_equity():
    """Capital 100, mark 10: 20 pass, one more does not; what reduces does, and it is cut where it may be."""
    prices = bars("A", 10.0, 10.0, 10.0)
    margin = cash(100, type="margin")
    outcome = run(prices, [buy(20.0), buy(1.0, name="more")], accounts=margin)
    assert ("refused", "no-buying-power") == last(outcome, 1)
    assert ("filled", "next-open") == last(outcome)
    assert last(run(prices, [buy(21.0)], accounts=margin)) == ("refused", "no-buying-power")
    scaled = run(prices, [buy(30.0)], accounts=cash(100, type="margin", insufficient="scale"))
    assert [20.0] == [float(fill.quantity) for fill in scaled.fills]
    turned = run(prices, [buy(20.0), buy(-20.0, day=1, name="out")], accounts=margin)
    assert ("filled", "next-open") == last(turned, 1)


def test_the_larger_side_counts():
    """Buys and sells of the same size on the way do not cancel out, and do not add up."""
    steps = [buy(20.0, limit_price=5.0), buy(-20.0, name="above", limit_price=15.0), buy(-1.0, name="more")]
    outcome = run(bars("A", 10.0, 10.0), steps, accounts=cash(100, type="margin"))
    assert ("cancelled", "end-of-run") == last(outcome, 1)
    assert ("refused", "no-buying-power") == last(outcome, 2)


def test_a_cash_account_sells_what_it_has():
    """Nothing below zero; at the fill commission counts too."""
    outcome = run(bars("A", 10.0, 10.0), [buy(-1.0)], accounts=cash(100, type="cash"))
    assert ("refused", "short-not-allowed") == last(outcome)
    account = cash(100, type="cash", check="fill")
    paid = run(bars("A", 10.0, 10.0), [buy(10.0)], accounts=account, costs=Costs(0.0, "per-trade", 1.0))
    assert ("cancelled", "no-buying-power") == last(paid)


def test_an_amendment_is_judged_for_what_it_adds():
    """20 may be on the way, 21 may not; a cancel of the same round frees."""
    steps = [buy(20.0, limit_price=5.0), Step(DAY + CLOSES, Amend("o", quantity=21.0))]
    outcome = run(bars("A", 10.0, 10.0, 10.0), steps, accounts=cash(100, type="margin"))
    assert ("refused", "no-buying-power") in [(each.status, each.reason) for each in outcome.transitions]
    steps = [buy(20.0, limit_price=5.0), Step(DAY + CLOSES, Cancel("o")), buy(20.0, day=1, name="new")]
    outcome = run(bars("A", 10.0, 10.0, 10.0), steps, accounts=cash(100, type="margin"))
    assert ("filled", "next-open") == last(outcome, 1)


def test_shorts_need_a_lender():
    """A symbol without a row, or more than there is."""
    table = (Rate("A", 0, 0.01, available=5.0),)
    steps = [buy(-5.0), buy(-1.0, name="more"), buy(-1.0, "B", name="none")]
    outcome = run([*bars("A", 10.0, 10.0), *bars("B", 10.0, 10.0)], steps, accounts=cash(1000, borrow=table))
    assert [("filled", "next-open"), *[("refused", "not-borrowable")] * 2] == [last(outcome, each) for each in range(3)]


def test_prices_and_rates_earn_apart():
    """A share at 10 EUR becomes 11 while the euro goes from 1 to 2: worth 10 -> 22 each, less the loan."""
    listings = (Listing("A", currency="EUR"), Listing("EURUSD", "fx", base="EUR"))
    rows = [*bars("A", 10.0, 10.0, 11.0), *bars("EURUSD", 1.0, 1.0, 2.0)]
    outcome = run(rows, [buy(10.0)], listings=listings, accounts=cash(1000))
    assert [1000.0, 1000.0, 1020.0] == equities(outcome)
    assert (20.0, 0.0) == (float(outcome.samples[2].unrealised), float(outcome.samples[2].fx_pnl))
    outcome = run(rows, [buy(10.0)], listings=listings, accounts=cash(1000, convert="at-fill"))
    conversions = [(each.currency, float(each.amount)) for each in outcome.ledger if each.kind == "conversion"]
    assert [("EUR", 100.0), ("USD", -100.0)] == conversions
    assert 1000 - 100 + 110 * 2 == equities(outcome)[2]
    assert (20.0, 100.0) == (float(outcome.samples[2].unrealised), float(outcome.samples[2].fx_pnl))


def test_rates_turn_and_cross_and_are_never_one():
    """Through the dollar's own pair, and by way of a third currency."""
    listings = (
        Listing("A", currency="JPY"),
        Listing("USDGBP", "fx", "GBP", base="USD"),
        Listing("GBPJPY", "fx", "JPY", base="GBP"),
    )
    rows = [*bars("A", 160.0, 160.0), *bars("USDGBP", 0.5, 0.5), *bars("GBPJPY", 80.0, 80.0)]
    outcome = run(rows, [buy(10.0)], listings=listings, accounts=cash(1000))
    assert 1600.0 / 80 / 0.5 == float(outcome.samples[1].gross)
    with pytest.raises(MissingRateError):
        run(bars("A", 160.0, 160.0), [buy(10.0)], listings=listings[:1], accounts=cash(1000))


def test_a_margin_call_closes_everything():
    """Capital 100 carries 20 at 10; at 6 equity is 20 and 30 is required."""
    account = cash(100, type="margin", margin_call="liquidate")
    steps = [buy(20.0), buy(1.0, name="waits", day=1, limit_price=1.0)]
    outcome = run(bars("A", 10.0, 10.0, 6.0, 6.0), steps, accounts=account)
    assert [(2 * DAY + CLOSES, 0)] == outcome.calls
    assert Decimal(0) == outcome.positions["A"]
    assert [100.0, 100.0, 20.0, 20.0] == equities(outcome)


def test_accounts_by_venue_are_judged_by_themselves():
    """The rich one does not lend to the poor one."""
    accounts = (Account(type="margin"), Account("perps", "margin", "V", (("USD", 10.0),)))
    rows = [*bars("A", 10.0, 10.0), *bars("A@V", 10.0, 10.0)]
    outcome = run(rows, [buy(10.0), buy(10.0, "A@V", name="poor")], accounts=accounts)
    assert [("filled", "next-open"), ("refused", "no-buying-power")] == [last(outcome, each) for each in (0, 1)]


def test_a_symbol_is_traded_while_it_is_listed():
    """Not before, not after."""
    steps = [buy(1.0), buy(1.0, day=1, name="in"), buy(1.0, day=3, name="late")]
    listing = (Listing("A", listed_from=1, listed_to=2),)
    outcome = run(bars("A", *[10.0] * 5), steps, listings=listing, instrument=Instrument())
    assert [("refused", "not-listed"), ("filled", "next-open"), ("refused", "not-listed")] == [
        last(outcome, each) for each in range(3)
    ]
