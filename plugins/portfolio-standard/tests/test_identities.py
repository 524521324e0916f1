"""What always holds of accounts, after every fill, action, payment and mark: docs/reference/accounts.md, equity."""

import math
from decimal import Decimal

import numba
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml4t.backtest.errors import RunError

CALM = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
NAN = math.nan
HOUR, DAY = 3600 * 10**9, 86_400 * 10**9
# Symbols 0, 1, 6 and 7 may merge; the others differ in what matters to accounting.
ACCOUNT = (0, 0, 0, 0, 1, 1, 0, 0)
CURRENCY = (0, 0, 1, 0, 2, 1, 0, 0)
SETTLES = (0, 0, 0, 1, 0, 2, 0, 0)
MULTIPLIER = (1.0, 1.0, 1.0, 5.0, 0.1, 50.0, 1.0, 1.0)
KINDS = ("split", "stock-dividend", "dividend", "merger", "spin-off", "delisting", "expiry")


compiled_only = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="takes minutes where nothing is compiled")


@pytest.fixture(scope="module")
def apply_all():
    """A function that applies many fills at one price and returns the position after each."""
    from ml4t_backtest_portfolio_standard import accounting

    @numba.njit(error_model="numpy")
    def run(fills, instruments, positions, accounts, ledger, counters, after):
        for i in range(len(after)):
            accounting.apply_fill(fills, i, instruments, positions, accounts, ledger, counters)
            after[i] = positions[0]["quantity"]

    def apply(books, quantities, price, commission):
        state, count = books.state, len(quantities)
        fills, ledger = state.fills.reserve(count), state.ledger.reserve(2 * count)
        fills["quantity"][:count], fills["price"][:count], fills["commission"][:count] = quantities, price, commission
        after = np.zeros(count)
        with np.errstate(all="ignore"):
            run(fills, state.instruments, state.positions, state.accounts, ledger, state.counters, after)
        return after

    return apply


class World:
    """Two accounts in three currencies, eight symbols, and a random hand."""

    def __init__(self, books, seed):
        self.random = np.random.default_rng(seed)
        step, lot = self.pick([(1e-9, 1.0), (1e-9, 0.1), (0.01, 0.1), (0.01, 100.0), (1.0, 1.0), (1.0, 100.0)])
        interest = {"debit": 0.06, "credit": 0.02}
        accounts = [
            {"capital": {"USD": 1e6, "EUR": 5e4}, "borrow": 0.03, "interest": interest, "settlement_days": 2},
            {"name": "two", "capital": {"JPY": 1e7}, "convert": self.pick(["none", "at-fill"]), "interest": interest},
        ]
        self.books = books(
            accounts=[{"type": "unlimited", "margin_call": "note", "on_silence": "hold", **each} for each in accounts],
            symbols=list("ABCDEFGH"),
            currencies=("USD", "EUR", "JPY"),
            account=ACCOUNT,
            currency=CURRENCY,
            settles=SETTLES,
            multiplier=MULTIPLIER,
            quantity_step=step,
            lot=lot,
        )
        self.state, self.portfolio = self.books.state, self.books.portfolio
        self.state.session_opens = np.arange(1, 400) * DAY
        self.state.session_closes = self.state.session_opens + 8 * HOUR
        self.session, self.state.now = 0, DAY
        self.state.instruments["mark"] = self.random.uniform(5, 50, 8)
        self.state.instruments["mark_time"] = DAY
        self.state.accounts["rate"] = np.tile([1.0, 1.1, 0.007], 2)
        self.ended = set()
        self.portfolio.sample(self.state.now, self.session)  # deposits count at the rates of now

    def pick(self, values):
        return values[self.random.integers(len(values))]

    def do(self):
        """Let something happen, and look whether the accounts still agree."""
        self.pick([self.fill] * 6 + [self.mark, self.rate, self.action, self.action, self.close])()
        self.portfolio.sample(self.state.now, self.session)
        self.compare()

    def fill(self):
        symbol = int(self.random.integers(8))
        step = float(self.state.instruments["quantity_step"][symbol])
        held = float(self.state.positions["quantity"][symbol])
        size = self.pick([float(np.ceil(self.random.uniform(0, 300) / step) * step), abs(held), 2 * abs(held)])
        quantity = size * self.pick([1.0, -1.0])
        mark = float(self.state.instruments["mark"][symbol])
        if quantity and symbol not in self.ended:
            price = mark * self.random.uniform(0.95, 1.05)
            self.books.fill(quantity, price, symbol=symbol, commission=self.pick([0.0, 1.5]))
            self.state.fills.data["formed_at"][self.state.fills.count - 1] = self.state.now

    def mark(self):
        self.state.instruments["mark"] *= self.random.uniform(0.9, 1.1, 8)

    def rate(self):
        self.state.accounts["rate"] *= np.tile([1.0, *self.random.uniform(0.9, 1.1, 2)], 2)

    def action(self):
        kind, symbol, other = self.pick(KINDS), self.pick([0, 1, 2, 3, 4, 5, 6, 7]), self.pick([0, 1, 6, 7])
        if kind in {"merger", "spin-off"}:
            symbol = self.pick([0, 1, 6, 7])
        if kind == "expiry":
            symbol = 5
        if symbol in self.ended or other in self.ended or symbol == other:
            return
        ratio = self.pick([2.0, 0.5, 1.5, 1 / 3, 0.1, NAN if kind == "merger" else 3.0])
        amount = self.pick([0.0, 0.37, 12.0]) if kind in {"dividend", "merger"} else NAN
        value = self.pick([0.0, 7.3]) if kind in {"spin-off", "delisting"} else NAN
        pay_at = self.pick([0, self.state.now + DAY + HOUR])
        other = other if kind in {"merger", "spin-off"} and not math.isnan(ratio) else -1
        pay_at = pay_at if kind in {"dividend", "merger"} else 0
        self.books.act(kind, symbol, ratio, amount, value, other, pay_at, CURRENCY[symbol])
        mark = self.state.instruments["mark"]
        if kind == "split":
            mark[symbol] /= ratio
        if kind == "stock-dividend":
            mark[symbol] /= 1 + ratio
        if kind in {"merger", "delisting", "expiry"}:
            self.ended.add(symbol)
            self.state.instruments["ended"][symbol] = 1

    def close(self):
        """Let the session close."""
        self.state.now = int(self.state.session_closes[self.session])
        with np.errstate(all="ignore"):
            self.portfolio.settle(self.session + 1)
        self.portfolio.sample(self.state.now, self.session)
        self.session += 1
        self.state.now = int(self.state.session_opens[self.session])
        if self.portfolio.next_due() <= self.state.now:
            self.portfolio.settle(None)

    def compare(self):
        """Recompute everything from the ledger, the fills and the last row of equity."""
        state, ledger, fills = self.state, self.state.ledger.rows(), self.state.fills.rows()
        place = ledger["account"] * 3 + ledger["currency"]
        for name, column in (("cash", "amount"), ("settled", "settled")):
            total = np.bincount(place, ledger[column], 6)
            assert np.allclose(total, state.accounts[name], rtol=1e-9, atol=1e-6)
        held = np.bincount(fills["symbol"], fills["quantity"], 8)
        own = ledger["symbol"] >= 0
        held += np.bincount(ledger["symbol"][own], ledger["quantity"][own], 8)
        assert np.allclose(
            held, state.positions["quantity"], rtol=1e-9, atol=float(state.instruments["quantity_step"][0])
        )
        row = state.equity.rows()[-1]
        assert all(math.isfinite(row[name]) for name in row.dtype.names)
        earned = sum(row[name] for name in ("realised", "unrealised", "dividends", "interest", "borrow", "funding"))
        gained = earned + row["fx_pnl"] - row["commission"]
        deposits = 1e6 + 5e4 * 1.1 + 1e7 * 0.007
        assert row["equity"] - deposits == pytest.approx(gained, rel=1e-9, abs=1e-3)
        assert row["long_pnl"] + row["short_pnl"] == pytest.approx(row["realised"] + row["unrealised"], abs=1e-3)

    def compare_trips(self):
        """Round trips hold what positions hold, and have earned what they have."""
        trades = self.portfolio.trades()
        signed = trades["quantity"].to_numpy() * np.where(trades["side"] == "long", 1.0, -1.0)
        symbols = np.array(["ABCDEFGH".index(name) for name in trades["symbol"]], int)
        is_open = trades["is_open"].to_numpy()
        instruments, positions = self.state.instruments, self.state.positions
        held = np.bincount(symbols[is_open], signed[is_open], 8)
        step = float(instruments["quantity_step"][0])
        assert np.allclose(held, positions["quantity"], rtol=1e-9, atol=1e-6)
        assert (trades["quantity"].to_numpy() > 0.0).all()
        assert (trades["mfe"].to_numpy() >= 0.0).all()
        assert (trades["mae"].to_numpy() <= 0.0).all()
        profit = positions["quantity"] * (instruments["mark"] - positions["average_price"]) * instruments["multiplier"]
        families = np.array([0, 0, 2, 3, 4, 5, 0, 0])  # symbols that merge count together
        pnl = np.bincount(families[symbols], trades["pnl"].to_numpy(), 8)
        expected = np.bincount(families, positions["realised"] + profit, 8)
        sizes = np.bincount(families[symbols], np.abs(trades["pnl"].to_numpy()), 8).max(initial=1.0)
        assert np.allclose(pnl, expected, rtol=1e-6, atol=1e-6 * sizes + 1e4 * step)


def live(books, seed, steps=40):
    world = World(books, seed)
    for _ in range(steps):
        world.do()
    world.compare_trips()
    return world


@settings(CALM, max_examples=25)
@given(seed=st.integers(0, 2**40))
def test_identities_hold_after_everything(make_books_of, seed):
    """Balances, positions, equity and round trips, whatever happens in whatever order."""
    live(make_books_of, seed)


@pytest.mark.exhaustive
@settings(CALM, max_examples=10_000)
@given(seed=st.integers(0, 2**40))
def test_identities_hold_ten_thousand_times(make_books_of, seed):
    """The same at length."""
    live(make_books_of, seed)


def test_cash_without_a_ledger_row_stops_the_run(make_books):
    """The message names account and currency."""
    books = make_books()
    books.state.accounts[0]["cash"] += 1.0
    with pytest.raises(RunError, match=r"account 0 has 10001\.0 USD of cash, 10000\.0 of it settled"):
        books.portfolio.sample(0, 0)


def test_settled_cash_without_a_ledger_row_stops_the_run(make_books):
    """Settled cash is looked at as cash is."""
    books = make_books()
    books.state.accounts[0]["settled"] -= 1.0
    with pytest.raises(RunError, match="component has moved cash without a ledger row"):
        books.portfolio.sample(0, 0)


def test_a_position_without_a_fill_stops_the_run(make_books):
    """The message names the symbol."""
    books = make_books()
    books.state.positions[1]["quantity"] = 3.0
    with pytest.raises(RunError, match=r"the position in B is 3\.0, and fills and actions sum to 0\.0"):
        books.portfolio.sample(0, 0)


def test_profit_that_nobody_counted_stops_the_run(make_books):
    """A component that moves cash says what for."""
    books = make_books()
    books.fill(10, 10.0)
    books.state.accounts[0]["realised"] += 5.0
    with pytest.raises(RunError, match=r"equity is 10000\.0, which is 0\.0 more than the deposits, .* sums to 5\.0"):
        books.portfolio.sample(0, 0)


def test_cash_that_is_no_number_is_left_to_the_engine(make_books):
    """Which names the session."""
    books = make_books()
    books.fill(1e300, 1e300)
    books.portfolio.sample(0, 0)

    assert not math.isfinite(books.state.equity.rows()["equity"][0])


def test_a_snapshot_goes_on_where_it_was_taken(make_books):
    """What was summed up so far is kept, so that the next look needs new rows only."""
    first, second = make_books(), make_books()
    first.fill(10, 10.0)
    first.portfolio.sample(0, 0)
    kept = first.portfolio.get_state()
    for name in ("fills", "ledger", "equity"):
        getattr(second.state, name).restore(getattr(first.state, name).rows())
    for name in ("positions", "accounts"):
        getattr(second.state, name)[:] = getattr(first.state, name)
    second.portfolio.set_state(kept)
    for books in (first, second):
        books.fill(-10, 11.0)
        books.portfolio.sample(1, 1)

    assert first.state.equity.rows().tolist() == second.state.equity.rows().tolist()


@compiled_only
@pytest.mark.parametrize("capital", [1_000.0, 10_000.0, 1_000_000.0, 1_000_000_000.0])
def test_a_million_round_trips_end_flat_with_the_exact_cash(make_books, apply_all, capital):
    """Bought and sold at 0.1, 0.1 each, with 0.1 % commission: 20 in all, to a millionth."""
    books = make_books(cash=capital)
    apply_all(books, np.tile([0.1, -0.1], 1_000_000), 0.1, 0.1 * 0.1 * 0.001)

    assert 0.0 == books.position()[0]
    assert abs(Decimal(float(books.state.accounts[0]["cash"])) - (Decimal(capital) - 20)) < Decimal("1e-6")


@compiled_only
def test_random_round_trips_end_exactly_flat(make_books, apply_all):
    """100,000 times three fills of any size and one back: 0, not 1e-17."""
    random = np.random.default_rng(5)
    legs = random.uniform(0.001, 9.0, (100_000, 3)).round(9) * random.choice([-1.0, 1.0], (100_000, 1))
    books = make_books()
    after = apply_all(books, np.column_stack([legs, -legs.sum(axis=1)]).ravel(), 10.0, 0.0)

    assert not after[3::4].any()
    assert after[2::4].all()
