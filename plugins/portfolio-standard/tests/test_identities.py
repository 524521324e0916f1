"""What always holds of accounts, after every fill, action, payment and mark: docs/reference/accounts.md, equity."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ml4t.backtest.errors import RunError
from ml4t.backtest.interfaces import Action
from ml4t.backtest.state import LEDGER_KINDS

CALM = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
NAN = math.nan
HOUR, DAY = 3600 * 10**9, 86_400 * 10**9
# Symbols 0, 1, 6 and 7 may merge; the others differ in what matters to accounting.
ACCOUNT = (0, 0, 0, 0, 1, 1, 0, 0)
CURRENCY = (0, 0, 1, 0, 2, 1, 0, 0)
SETTLES = (0, 0, 0, 1, 0, 2, 0, 0)
MULTIPLIER = (1.0, 1.0, 1.0, 5.0, 0.1, 50.0, 1.0, 1.0)
KINDS = ("split", "stock-dividend", "dividend", "merger", "spin-off", "delisting", "expiry")


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
        what = self.pick(["fill"] * 6 + ["mark", "rate", "action", "action", "pass"])
        getattr(self, what)()
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
        currency = CURRENCY[symbol]
        action = Action(kind, symbol, ratio, amount, currency, value, other, pay_at if kind in {"dividend", "merger"} else 0)
        self.portfolio.apply_action(action)
        mark = self.state.instruments["mark"]
        if kind == "split":
            mark[symbol] /= ratio
        if kind == "stock-dividend":
            mark[symbol] /= 1 + ratio
        if kind in {"merger", "delisting", "expiry"}:
            self.ended.add(symbol)
            self.state.instruments["ended"][symbol] = 1

    def pass_(self):
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
        assert np.allclose(held, state.positions["quantity"], rtol=1e-9, atol=float(state.instruments["quantity_step"][0]))
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
        assert np.allclose(held, positions["quantity"], rtol=1e-9, atol=step)
        assert (trades["quantity"].to_numpy() > 0.0).all()
        assert (trades["mfe"].to_numpy() >= 0.0).all()
        assert (trades["mae"].to_numpy() <= 0.0).all()
        profit = positions["quantity"] * (instruments["mark"] - positions["average_price"]) * instruments["multiplier"]
        groups = (0, 2, 3, 4, 5, 0, 0, 0)  # merging symbols together
        families = np.array([0, 0, 2, 3, 4, 5, 0, 0])
        assert len(groups) == 8
        pnl = np.bincount(families[symbols], trades["pnl"].to_numpy(), 8)
        expected = np.bincount(families, positions["realised"] + profit, 8)
        sizes = np.bincount(families[symbols], np.abs(trades["pnl"].to_numpy()), 8).max(initial=1.0)
        assert np.allclose(pnl, expected, rtol=1e-6, atol=1e-6 * sizes + 1e4 * step)


setattr(World, "pass", World.pass_)


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
