"""Corporate actions on positions and cash: docs/reference/corporate-actions.md."""

import numpy as np
import pytest

from ml4t.backtest.errors import RunError
from ml4t.backtest.interfaces import Action, Setup
from ml4t.backtest.state import LEDGER_KINDS, RunState

NAN = float("nan")
SETTLES = {"value": 0, "close": 1, "daily": 2}


class Holding:
    """A portfolio with 1,000,000 of cash in USD that holds symbols A and B, bought or sold short at 90 and 40.

    Args:
        a, b: Quantities.
        marks: Of both.
        settles: How value changes hands.
        rates: Of USD and EUR.
        instruments: Columns of both.
    """

    def __init__(self, a=100.0, b=0.0, marks=(100.0, 50.0), settles="value", rates=(1.0, 2.0), **instruments):
        from ml4t_backtest_portfolio_standard.portfolio import PortfolioAccounting

        self.state = state = RunState()
        state.currencies = ["USD", "EUR"]
        state.now = 10
        state.add_symbols(["A", "B"])
        state.instruments["settles"] = SETTLES[settles]
        for name, value in instruments.items():
            state.instruments[name] = value
        self.portfolio = PortfolioAccounting(PortfolioAccounting.Config(), Setup(name="standard"))
        self.portfolio.open(state, {"USD": 1e6})
        state.accounts["rate"] = rates
        for symbol, (quantity, price) in enumerate(((a, 90.0), (b, 40.0))):
            if quantity:
                self.fill(symbol, quantity, price)
        state.instruments["mark"] = marks

    def fill(self, symbol, quantity, price):
        """Apply one fill."""
        state = self.state
        fills, ledger = state.fills.reserve(1), state.ledger.reserve(4)
        row = fills[state.fills.count]
        row["symbol"], row["quantity"], row["price"], row["formed_at"] = symbol, quantity, price, 5
        state.counters[state.FILLS] += 1
        table = (state.instruments, state.positions, state.accounts)
        with np.errstate(all="ignore"):
            self.portfolio.apply_fill(fills, state.fills.count - 1, *table, ledger, state.counters)

    def act(self, kind, ratio=NAN, *, amount=NAN, value=NAN, other=-1, pay_at=0, currency=0, symbol=0):
        """Let an action take effect, on the marks, too."""
        self.portfolio.apply_action(Action(kind, symbol, ratio, amount, currency, value, other, pay_at))
        marks = self.state.instruments["mark"]
        if kind in ("split", "stock-dividend"):
            marks[symbol] /= ratio if kind == "split" else 1.0 + ratio
        elif kind == "dividend":
            marks[symbol] -= amount
        elif kind == "spin-off" and np.isfinite(value):
            marks[symbol] -= ratio * value
        self.check()

    def check(self):
        """Check the identities of accounts and that of equity."""
        self.portfolio.sample(self.state.now, 0)

    def position(self, symbol=0):
        """Return quantity and average price."""
        row = self.state.positions[symbol]
        return float(row["quantity"]), float(row["average_price"])

    @property
    def cash(self):
        """What cash has gained since the start, by fills too."""
        return float(self.state.accounts["cash"][0]) - 1e6

    def rows(self, *kinds):
        """Ledger rows of actions: kind, symbol, quantity, price, amount."""
        names = [(LEDGER_KINDS[row["kind"]], row) for row in self.state.ledger.rows()]
        return [
            (kind, int(row["symbol"]), *(float(row[name]) for name in ("quantity", "price", "amount")))
            for kind, row in names
            if kind not in ("deposit", "fill", "variation")
        ]


SIDES = pytest.mark.parametrize("side", [1.0, -1.0])


@SIDES
@pytest.mark.parametrize("settles", SETTLES)
@pytest.mark.parametrize(
    "figures",
    [
        {"kind": "split", "ratio": 3.0},
        {"kind": "split", "ratio": 0.03},
        {"kind": "stock-dividend", "ratio": 0.015},
        {"kind": "dividend", "amount": 2.5},
        {"kind": "dividend", "amount": 2.5, "pay_at": 99},
        {"kind": "merger", "ratio": 1.625, "amount": 18.75, "other": 1},
        {"kind": "merger", "ratio": 1.625, "amount": 18.75, "other": 1, "pay_at": 99},
        {"kind": "merger", "ratio": 2.0, "other": 1},
        {"kind": "merger", "amount": 100.0},
        {"kind": "merger", "amount": 100.0, "pay_at": 99},
        {"kind": "spin-off", "ratio": 0.005, "value": 50.0, "other": 1},
        {"kind": "symbol-change"},
        {"kind": "delisting"},
        {"kind": "delisting", "value": 100.0},
        {"kind": "expiry", "value": 100.0},
    ],
    ids=lambda figures: " ".join(map(str, figures.values())),
)
@pytest.mark.parametrize("other", [0.0, 30.0, -30.0, 300.0, -300.0])
def test_equity_is_continuous(side, settles, figures, other):
    """What an action gives is worth what it takes, and all identities hold, when it pays later, too."""
    run = Holding(side * 101.0, other, settles=settles, multiplier=2.0)
    run.check()
    before = run.portfolio.equity()

    run.act(**figures)

    assert before == pytest.approx(run.portfolio.equity(), rel=1e-12)
    run.state.now = 99
    run.portfolio.settle(None)
    run.check()
    assert before == pytest.approx(run.portfolio.equity(), rel=1e-12)
    assert [0.0, 0.0] == run.state.accounts["receivable"].tolist()


@SIDES
def test_a_split_multiplies_the_position_and_divides_its_price(side):
    """And what prices it has met."""
    run = Holding(side * 100.0)
    run.state.positions["high"], run.state.positions["low"] = 120.0, 60.0

    run.act("split", 3.0)

    assert (side * 300.0, 30.0) == run.position()
    assert (40.0, 20.0) == tuple(run.state.positions[["high", "low"]][0])
    assert [("split", 0, side * 200.0, 100.0 / 3.0, 0.0)] == run.rows()


@SIDES
def test_what_is_left_over_of_whole_lots_is_paid_at_the_new_mark(side):
    """7 shares, 1 for 2: 3 and half a share at 200, which cost 180; a short position pays."""
    run = Holding(side * 7.0)

    run.act("split", 0.5)

    assert (side * 3.0, 180.0) == run.position()
    assert [("split", 0, side * -3.5, 200.0, 0.0), ("cash-in-lieu", 0, side * -0.5, 200.0, side * 100.0)] == run.rows()
    assert side * 10.0 == run.state.positions["realised"][0]


def test_a_reverse_split_may_leave_nothing():
    """One share of ten for one."""
    run = Holding(3.0)

    run.act("split", 0.1)

    assert (0.0, 0.0) == run.position()
    assert 30.0 == pytest.approx(run.state.accounts["realised"][0])


def test_fractions_stay_fractions():
    """A position that had one is rounded to the quantity step, nothing is cut off."""
    run = Holding(7.5)

    run.act("split", 1.0 / 3.0)

    assert 2.5 == run.position()[0]
    assert ["split"] == [row[0] for row in run.rows()]


@pytest.mark.parametrize("changes", [{"marks": (NAN, 50.0)}, {"lot": 0.0}])
def test_nothing_is_cut_off_without_a_mark_or_without_lots(changes):
    """There is no price to pay it at, or no lot to cut to."""
    run = Holding(7.0, **changes)

    run.act("split", 0.5)

    assert 3.5 == run.position()[0]


def test_dust_of_floats_is_not_paid():
    """A third of three is one."""
    run = Holding(3.0)

    run.act("split", 1.0 / 3.0)

    assert (1.0, 270.0) == run.position()
    assert ["split"] == [row[0] for row in run.rows()]


def test_a_stock_dividend_gives_more_for_each():
    """One for ten."""
    run = Holding()

    run.act("stock-dividend", 0.1)

    assert (110.0, 90.0 / 1.1) == run.position()


@SIDES
def test_a_dividend_is_receivable_until_it_is_paid(side):
    """It counts from the ex date on, whatever becomes of the position."""
    run = Holding(side * 100.0)
    bought = run.cash

    run.act("dividend", amount=1.5, pay_at=40)
    run.fill(0, side * -100.0, 90.0)

    account = run.state.accounts[0]
    assert (side * 150.0, side * 150.0) == (account["receivable"], account["dividends"])
    assert 40 == run.portfolio.next_due()
    run.state.now = 39
    run.portfolio.settle(None)
    assert 0.0 == run.cash
    run.state.now = 40
    run.portfolio.settle(None)
    assert (side * 150.0, 0.0) == (run.cash, account["receivable"])
    assert [("dividend", 0, 0.0, 0.0, side * 150.0)] == run.rows()
    assert bought == side * -9000.0


def test_dividends_are_paid_in_the_order_in_which_they_were_promised():
    """Of two of one day the first comes first; what is due survives a snapshot."""
    run = Holding(100.0, 10.0)
    run.act("dividend", amount=1.0, pay_at=50)
    run.act("dividend", amount=2.0, pay_at=50, symbol=1)
    run.act("dividend", amount=4.0, pay_at=30, symbol=1)
    kept = run.portfolio.get_state()
    run.portfolio.set_state(kept)
    run.state.now = 60

    run.portfolio.settle(None)

    assert [40.0, 100.0, 20.0] == [row[-1] for row in run.rows()]
    assert 0.0 == run.state.accounts["receivable"][0]


def test_a_dividend_may_be_in_another_currency():
    """It goes into that currency's row."""
    run = Holding()

    run.act("dividend", amount=1.5, currency=1)

    assert [150.0, 150.0] == [run.state.accounts[1][name] for name in ("cash", "dividends")]


@SIDES
def test_a_merger_for_shares_moves_the_cost_over(side):
    """Nothing is realised; the average price is the old one, less the cash, over the ratio."""
    run = Holding(side * 100.0)
    before = run.cash

    run.act("merger", 1.5, amount=15.0, other=1)

    assert (0.0, 0.0) == run.position()
    assert (side * 150.0, 50.0) == run.position(1)
    assert side * 1500.0 == run.cash - before
    assert 0.0 == run.state.accounts["realised"][0]
    assert [
        ("merger", 0, side * -100.0, 15.0, 0.0),
        ("merger", 0, 0.0, 0.0, side * 1500.0),
        ("merger", 1, side * 150.0, 50.0, 0.0),
    ] == run.rows()


@SIDES
@pytest.mark.parametrize("pay_at", [0, 99])
def test_a_merger_for_cash_realises(side, pay_at):
    """Paid now or later."""
    run = Holding(side * 100.0)

    run.act("merger", amount=95.0, pay_at=pay_at)

    assert (0.0, 0.0) == run.position()
    assert side * 500.0 == run.state.accounts["realised"][0]
    assert (side * 9500.0 if pay_at else 0.0) == run.state.accounts["receivable"][0]


def test_fractions_of_what_a_merger_gives_are_paid_at_its_mark():
    """5 for 3 of 0.5: 2, and half a share at 50 that cost 180."""
    run = Holding(5.0)

    run.act("merger", 0.5, other=1)

    assert (2.0, 180.0) == run.position(1)
    assert ("cash-in-lieu", 1, -0.5, 50.0, 25.0) == run.rows()[-1]
    assert -65.0 == run.state.accounts["realised"][0]


def test_without_a_mark_of_what_it_gives_nothing_is_cut_off():
    """There is no price to pay it at."""
    run = Holding(5.0, marks=(100.0, NAN))

    run.act("merger", 0.5, other=1)

    assert (2.5, 180.0) == run.position(1)


@pytest.mark.parametrize(
    ("held", "expected", "realised"),
    [
        (-30.0, (70.0, 90.0), -1500.0),
        (-100.0, (0.0, 0.0), -5000.0),
        (-130.0, (-30.0, 40.0), -5000.0),
        (100.0, (200.0, 65.0), 0.0),
    ],
)
def test_what_is_received_joins_what_is_held(held, expected, realised):
    """Against a short position at 40 it closes at what it cost, 90."""
    run = Holding(100.0, held)

    run.act("merger", 1.0, other=1)

    assert expected == run.position(1)
    assert realised == run.state.accounts["short_realised"][0]


def test_a_position_that_begins_with_an_action_has_met_no_price():
    """Its extremes are counted from then on."""
    run = Holding()
    run.state.positions["high"][1], run.state.positions["low"][1] = 99.0, 1.0

    run.act("merger", 1.0, other=1)

    row = run.state.positions[1]
    assert 10 == row["since"]
    assert np.isnan(row["high"])
    assert np.isnan(row["low"])


def test_cash_of_a_merger_in_another_currency_is_exchanged():
    """At the rate of the instant, here two USD for one EUR."""
    run = Holding()

    run.act("merger", amount=45.0, currency=1)

    assert (0.0, 0.0) == (run.cash, run.state.accounts["realised"][0])
    assert (0.0, 0.0) == tuple(run.state.accounts[["cash", "receivable"]][1])


def test_cash_of_a_merger_without_a_rate_stops_the_run():
    """It is never taken as one."""
    run = Holding(rates=(1.0, NAN))

    with pytest.raises(RunError, match="merger of A pays in EUR, and no rate to USD is known"):
        run.act("merger", amount=45.0, currency=1)


@SIDES
@pytest.mark.parametrize(("value", "average", "cost"), [(20.0, 80.0, 20.0), (NAN, 90.0, 0.0)])
def test_a_spin_off_takes_its_value_off_the_price(side, value, average, cost):
    """Without a value it costs nothing."""
    run = Holding(side * 100.0)

    run.act("spin-off", 0.5, value=value, other=1)

    assert (side * 100.0, average) == run.position()
    assert (side * 50.0, cost) == run.position(1)


def test_fractions_of_a_spin_off_are_paid_at_its_value():
    """5 for 0.5: 2, and half a share at 20."""
    run = Holding(5.0)

    run.act("spin-off", 0.5, value=20.0, other=1)

    assert 2.0 == run.position(1)[0]
    assert ("cash-in-lieu", 1, -0.5, 20.0, 10.0) == run.rows()[-1]
    assert 0.0 == run.state.accounts["realised"][0]


@pytest.mark.parametrize("kind", ["merger", "spin-off"])
@pytest.mark.parametrize("column", ["currency", "multiplier", "settles"])
def test_what_is_given_has_to_be_of_the_same_sort(kind, column):
    """Otherwise cost and value could not be compared."""
    run = Holding()
    run.state.instruments[column][1] += 1

    with pytest.raises(RunError, match=f"the {kind} of A into B joins instruments that differ in currency, account"):
        run.act(kind, 1.0, value=1.0, other=1)


@SIDES
@pytest.mark.parametrize(
    ("value", "mark", "price"), [(7.0, 100.0, 7.0), (0.0, 100.0, 0.0), (NAN, 100.0, 100.0), (NAN, NAN, 90.0)]
)
@pytest.mark.parametrize("kind", ["delisting", "expiry"])
def test_the_end_closes_the_position(side, value, mark, price, kind):
    """At the value, the mark where it is missing, the average price where nothing is known."""
    run = Holding(side * 100.0, marks=(mark, 50.0))
    before = run.cash

    run.act(kind, value=value)

    assert (0.0, 0.0) == run.position()
    assert side * 100.0 * price == run.cash - before
    assert side * 100.0 * (price - 90.0) == run.state.accounts["realised"][0]
    assert side * 100.0 * (price - 90.0) == run.state.accounts["long_realised" if side > 0 else "short_realised"][0]


@pytest.mark.parametrize("kind", ["split", "stock-dividend", "dividend", "merger", "spin-off", "delisting", "expiry"])
def test_actions_of_what_is_not_held_change_nothing(kind):
    """Not a byte."""
    run = Holding(0.0, 10.0)
    tables = (run.state.positions, run.state.accounts)
    before = [table.tobytes() for table in tables]

    run.portfolio.apply_action(Action(kind, 0, 2.0, 1.0, 0, 1.0, 1, 0))

    assert before == [table.tobytes() for table in tables]
    assert [] == run.rows()


def test_each_account_is_paid_by_its_own():
    """A dividend of a symbol of the second account goes there."""
    from ml4t_backtest_portfolio_standard.account import Account
    from ml4t_backtest_portfolio_standard.portfolio import PortfolioAccounting

    state = RunState()
    state.add_symbols(["A"])
    state.currencies = ["USD", "EUR"]
    accounts = [Account(capital={"USD": 100.0}), Account(capital={"EUR": 100.0})]
    portfolio = PortfolioAccounting(PortfolioAccounting.Config(accounts=accounts), Setup(name="standard"))
    portfolio.open(state, {})
    state.instruments["account"], state.instruments["currency"], state.positions["quantity"] = 1, 1, 10.0

    portfolio.apply_action(Action("dividend", 0, NAN, 2.0, 1, NAN, -1, 0))

    assert [100.0, 0.0, 0.0, 120.0] == state.accounts["cash"].tolist()


def test_closing_what_is_not_held_changes_nothing():
    """As a symbol does that fell silent after it was sold."""
    run = Holding(0.0)

    run.portfolio.close_position(0, 5.0)

    assert [] == run.rows()


@pytest.mark.parametrize("kind", ["merger", "spin-off", "split", "stock-dividend"])
def test_positions_between_two_steps_lose_nothing_to_an_action(kind):
    """What they cost stays in their average price, to the last digit of a price of sixty thousand."""
    held = Holding(a=1 / 3, b=1 / 7, marks=(60_000.0, 60_000.0))
    other = {"other": 1, "value": 60_000.0} if kind in ("merger", "spin-off") else {}
    held.act(kind, 1 / 9, **other)
    held.portfolio.sample(20, 0)

    positions, row = held.state.positions, held.state.equity.rows()[-1]
    received = {"merger": 1 / 7 + 1 / 27, "spin-off": 1 / 7 + 1 / 27}.get(kind, 1 / 7)
    kept = {"merger": 0.0, "split": 1 / 27, "stock-dividend": 10 / 27}.get(kind, 1 / 3)
    assert [kept, received] == pytest.approx(positions["quantity"].tolist(), rel=1e-15)
    assert row["equity"] - 1e6 == pytest.approx(row["realised"] + row["unrealised"], abs=1e-9)


def test_a_position_that_is_closed_in_parts_between_two_steps_is_flat():
    """Ten million thirds are no sum of floats, and what is left of them is finer than they are."""
    held = Holding(a=0.0)
    for quantity in (1e7 / 3, 3e7 / 7, -2e7 / 11):
        held.fill(0, quantity, 0.001)
    held.fill(0, -(1e7 / 3 + (3e7 / 7 - 2e7 / 11)), 0.001)

    assert 0.0 == held.state.positions["quantity"][0]
