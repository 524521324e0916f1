"""Rates of exchange: which marks make them, and when there are none."""

import numpy as np
import pytest

from ml4t.backtest.errors import RunError
from ml4t.backtest.state import ACCOUNT, RunState
from ml4t_backtest_engine_standard.assembly.instruments import Instrument, Rules
from ml4t_backtest_engine_standard.loop.rates import Rates

CURRENCIES = ["USD", "EUR", "JPY", "CHF"]
DAY = 86_400 * 10**9


class World:
    """Two accounts in four currencies, and pairs that are given marks by name, as ``EURUSD``."""

    def __init__(self, *pairs):
        self.state = state = RunState()
        state.currencies[:] = CURRENCIES
        state.accounts = np.zeros(2 * len(CURRENCIES), ACCOUNT)
        state.accounts["currency"] = np.tile(np.arange(len(CURRENCIES)), 2)
        state.accounts["account"] = np.repeat([0, 1], len(CURRENCIES))
        state.session_closes = np.arange(1, 40, dtype=np.int64) * DAY
        state.now = DAY
        entries = [Instrument(symbol=name, asset_class="fx", base=name[:3], currency=name[3:6]) for name in pairs]
        state.add_symbols(
            [*pairs, "DAX"], Rules([*entries, Instrument(symbol="DAX", currency="EUR")], CURRENCIES, [""])
        )
        self.rates = Rates(state, ["main", "other"], [5, 2])
        for place, name in enumerate(pairs):
            self.rates.add(state.symbols.id(name), name[:3], place)

    def mark(self, formed=None, **marks):
        """Give marks, which formed now, and return the rates."""
        for name, price in marks.items():
            row = self.state.instruments[self.state.symbols.id(name)]
            row["mark"], row["mark_time"] = price, self.state.now if formed is None else formed
        self.rates.update()
        return self.rates.rates


def test_a_rate_is_the_mark_of_the_pair_or_one_over_that_of_the_reverse():
    """It is written into every account."""
    world = World("EURUSD", "USDJPY")
    rates = world.mark(EURUSD=1.25, USDJPY=160.0)
    assert [1.0, 1.25, 1 / 160.0] == rates[:3].tolist()
    assert np.isnan(rates[3])
    assert [1.25, 1.25] == world.state.accounts["rate"][[1, 5]].tolist()
    assert [1.0, 1.0] == world.state.accounts["rate"][[0, 4]].tolist()


@pytest.mark.parametrize(
    ("pairs", "marks", "expected"),
    [
        (("CHFEUR", "EURUSD"), {"CHFEUR": 0.9, "EURUSD": 1.25}, 0.9 * 1.25),
        (("EURCHF", "EURUSD"), {"EURCHF": 0.8, "EURUSD": 1.25}, 1 / 0.8 * 1.25),
        (("EURCHF", "USDEUR"), {"EURCHF": 0.8, "USDEUR": 0.8}, 1 / 0.8 * (1 / 0.8)),
        (("CHFJPY", "USDJPY"), {"CHFJPY": 180.0, "USDJPY": 160.0}, 180.0 * (1 / 160.0)),
    ],
)
def test_a_rate_goes_by_way_of_one_third_currency(pairs, marks, expected):
    """Each leg a pair or its reverse."""
    assert expected == World(*pairs).mark(**marks)[3]


def test_a_direct_pair_comes_before_a_crossing():
    """As soon as it has a mark."""
    world = World("CHFEUR", "EURUSD", "CHFUSD")
    assert 0.9 * 1.25 == world.mark(CHFEUR=0.9, EURUSD=1.25)[3]
    assert 1.2 == world.mark(CHFUSD=1.2)[3]


def test_third_currencies_are_tried_by_name():
    """EUR before JPY, whatever came first."""
    world = World("CHFJPY", "USDJPY", "CHFEUR", "EURUSD")
    assert 180.0 * (1 / 160.0) == world.mark(CHFJPY=180.0, USDJPY=160.0)[3]
    assert 0.9 * 1.25 == world.mark(CHFEUR=0.9, EURUSD=1.25)[3]


def test_of_two_pairs_of_the_same_currencies_the_first_one_named_counts():
    """Once it has a mark."""
    world = World("EURUSD@ONE", "EURUSD@TWO")
    assert 1.3 == world.mark(**{"EURUSD@TWO": 1.3})[1]
    assert 1.2 == world.mark(**{"EURUSD@ONE": 1.2})[1]


@pytest.mark.parametrize("price", [0.0, -1.0, np.inf, np.nan])
def test_a_price_that_is_no_rate_makes_none(price):
    """Never 1."""
    assert np.isnan(World("EURUSD").mark(EURUSD=price)[1])


def needed(world, currency=1, account=0):
    """Return the message of the error, if there is one."""
    try:
        world.rates.require([0, currency], account, "an order of DAX")
    except RunError as error:
        return str(error)
    return None


def test_a_rate_that_is_needed_and_missing_stops_the_run():
    """With currency, date, and what to add; the base currency needs none."""
    world = World("EURUSD")
    world.rates.require([0], 0, "nothing")
    assert (
        "currency EUR has no rate yet in USD on 1970-01-02, which an order of DAX of account main needs: add prices "
        'of a pair with asset_class = "fx", base = "EUR", currency = "USD", or the reverse'
    ) == needed(world)
    world.mark(EURUSD=1.2)
    assert needed(world) is None


def test_a_rate_is_too_old_after_the_sessions_that_the_account_says():
    """A rate of the fourth session's close is five sessions old in the ninth, from its first moment to its close."""
    world = World("EURUSD")
    world.state.now = 4 * DAY
    world.mark(EURUSD=1.2)
    world.state.now = 9 * DAY
    assert needed(world) is None
    world.state.now = 9 * DAY + 1
    assert "currency EUR has a rate of 1970-01-05, 6 sessions old (max_fx_age 5) in USD on 1970-01-10" in needed(world)
    assert "3 sessions old (max_fx_age 2)" in needed_at(world, 6 * DAY + 1, account=1)
    world.mark(EURUSD=1.2)  # the same price, formed anew
    assert needed(world) is None


def needed_at(world, now, account):
    world.state.now = now
    return needed(world, account=account)


def test_the_older_leg_of_a_crossing_counts():
    """Though the other one is new."""
    world = World("CHFEUR", "EURUSD")
    world.state.now = 9 * DAY
    world.mark(formed=2 * DAY, CHFEUR=0.9)
    world.mark(EURUSD=1.2)
    assert needed(world, 1) is None
    assert "7 sessions old" in needed(world, 3)


@pytest.mark.parametrize("column", ["cash", "receivable"])
def test_a_balance_needs_a_rate(column):
    """Of either sign; a currency without a balance needs none."""
    world = World("EURUSD")
    world.rates.check()
    world.state.accounts[column][5] = -7.0
    with pytest.raises(RunError, match=r"currency EUR has no rate yet .* of account other needs"):
        world.rates.check()
    world.mark(EURUSD=1.2)
    world.rates.check()


def test_positions_and_orders_need_a_rate():
    """Positions that are not flat, and orders of symbols that there are."""
    world = World("EURUSD")
    world.rates.needed(np.array([-1, 0, 99]))
    with pytest.raises(RunError, match="which an order of DAX of account main needs"):
        world.rates.needed(np.array([1]))
    world.rates.check()
    world.state.positions["quantity"][1] = -1.0
    with pytest.raises(RunError, match="which the position in DAX of account main needs"):
        world.rates.check()
