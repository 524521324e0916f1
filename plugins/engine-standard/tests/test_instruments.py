"""Instruments: what settings may say of a symbol, and what its column starts with."""

from datetime import date, datetime

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Strategy
from ml4t.backtest.errors import RunFileError
from ml4t.backtest.state import ASSET_CLASSES, SETTLES, RunState
from ml4t_backtest_engine_standard.assembly.instruments import Instrument, Rules, unmet_entries

FIRST, LAST = date(2024, 1, 2), date(2024, 6, 28)


class Idle(Strategy):
    """Look on."""

    def on_slice(self, market, context):
        pass


def columns(kit, instruments, symbols="AB", **settings):
    """Return INSTRUMENT rows of a run by symbol."""
    source = kit.Source(kit.bars(symbols=tuple(symbols)))
    state = kit.run(Idle(), source, instruments=instruments, **settings).state
    return dict(zip(state.symbols.names, state.instruments, strict=True))


def added(rules, *names):
    """Return INSTRUMENT rows of symbols."""
    state = RunState()
    state.add_symbols(list(names), rules)
    return state.instruments


@pytest.mark.parametrize(
    ("asset_class", "settles"),
    [
        ("equity", "value"),
        ("etf", "value"),
        ("future", "daily"),
        ("fx", "value"),
        ("crypto", "value"),
        ("perpetual", "close"),
    ],
)
def test_the_asset_class_says_how_value_changes_hands(asset_class, settles):
    """Unless ``settles`` says so."""
    base = {"base": "EUR"} if asset_class == "fx" else {}
    row = added(Rules([Instrument(symbol="A", asset_class=asset_class, **base)], ["USD", "EUR"], [""]), "A")[0]
    assert (asset_class, settles) == (ASSET_CLASSES[row["asset_class"]], SETTLES[row["settles"]])
    row = added(Rules([Instrument(symbol="A", asset_class=asset_class, settles="close", **base)], ["USD"], [""]), "A")
    assert "close" == SETTLES[row[0]["settles"]]


@pytest.mark.parametrize(("lot", "step"), [(1.0, 0.3), (0.1, 0.03), (None, 0.4), (2.0**-20, 1e-9)])
def test_lots_that_are_no_multiple_of_the_step_are_refused(lot, step):
    """No position could be whole lots."""
    with pytest.raises(ValueError, match=r"is no multiple of quantity_step .*: give a quantity_step that divides it"):
        Instrument(symbol="A", lot=lot, quantity_step=step)


@pytest.mark.parametrize(
    ("lot", "step"), [(0.3, 0.1), (100.0, 1e-9), (1e-8, 1e-9), (1e6, 0.001), (0.3, 0.0), (0.7, 0.7)]
)
def test_lots_are_multiples_of_the_step_up_to_the_digits_of_floats(lot, step):
    """0.3 is three times 0.1."""
    assert lot == Instrument(symbol="A", lot=lot, quantity_step=step).whole_lot


def test_margins_that_nobody_names_are_those_of_the_account():
    """They stay NaN."""
    instrument = Instrument(symbol="A", initial_per_unit=6160.0, maintenance_per_unit=5600.0)
    row = added(Rules([instrument], ["USD"], [""]), "A")[0]
    assert (6160.0, 5600.0) == (row["initial_per_unit"], row["maintenance_per_unit"])
    assert [True, True] == np.isnan([row["initial_margin"], row["maintenance_margin"]]).tolist()


def test_what_trades_at_a_venue_belongs_to_its_account():
    """Rules are those of the symbol, else of the name before the venue, else of ``*``."""
    entries = [
        Instrument(symbol="BTC", multiplier=2.0),
        Instrument(symbol="ETH@BINANCE", multiplier=3.0),
        Instrument(symbol="ETH", multiplier=4.0),
        Instrument(multiplier=5.0),
    ]
    rules = Rules(entries, ["USD"], ["", "BINANCE"])
    rows = added(rules, "BTC", "BTC@BINANCE", "ETH@BINANCE", "ETH", "SOL@BINANCE", "SOL", "SOL@ELSEWHERE")
    assert [2.0, 2.0, 3.0, 4.0, 5.0, 5.0, 5.0] == rows["multiplier"].tolist()
    assert [0, 1, 1, 0, 1, 0, 0] == rows["account"].tolist()


def test_a_symbol_without_a_venue_belongs_to_the_first_account_without_one():
    """Also where no entry says anything of it."""
    assert [1, 0] == added(Rules([], ["USD"], ["BINANCE", "", ""]), "A", "A@BINANCE")["account"].tolist()
    assert [0, 1] == added(Rules([], ["USD"], ["X", "Y"]), "A", "A@Y")["account"].tolist()


def test_currencies_are_numbered_base_first(kit):
    """Then those of the capital, then those of instruments."""
    entries = [{"symbol": "A", "currency": "JPY"}, {"symbol": "B", "asset_class": "fx", "base": "CHF"}]
    rows = columns(kit, entries, capital={"EUR": 1.0, "USD": 2.0}, base_currency="USD")
    assert [2, 0] == [int(rows[name]["currency"]) for name in "AB"]


def test_instruments_come_from_a_table_too(kit):
    """One row each; what is not given has its default."""
    frame = pl.DataFrame(
        {
            "symbol": ["A", "B"],
            "multiplier": [50, 1],
            "tick": [0.25, None],
            "lot": [float("nan"), 10.0],
            "listed_from": [datetime(2024, 1, 2), None],
            "sector": ["x", "y"],
        }
    )
    source = kit.Source(kit.bars(symbols=("A", "B")))
    result = kit.run(Idle(), source, instruments=frame)
    rows = result.state.instruments
    assert [50.0, 1.0] == rows["multiplier"].tolist()
    assert [(0.25, 1.0, 0), (0.0, 10.0, 1)] == rows[["tick", "lot", "lot_stated"]].tolist()
    assert "instruments.0: columns without a meaning are left out: sector" in result.notes
    assert "instruments.0" in result.manifest["inputs"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"asset_class": "bond"}, "asset_class was 'bond'"),
        ({"settles": "weekly"}, "settles was 'weekly'"),
        ({"asset_class": "fx"}, "an fx pair names its base"),
        ({"base": "EUR"}, 'add asset_class = "fx"'),
        ({"asset_class": "fx", "base": "EUR", "currency": "EUR"}, "base and currency are both EUR"),
        ({"asset_class": "fx", "base": "USD"}, "of A has base USD, in which its price is: name its currency"),
        ({"root": "ES"}, 'add asset_class = "future"'),
        ({"expires": LAST}, 'add asset_class = "future"'),
        ({"listed_from": LAST, "listed_to": FIRST}, "listed_from 2024-06-28 is after listed_to 2024-01-02"),
        ({"listed_from": "soon"}, "listed_from was 'soon', expected date"),
        ({"initial_margin": -0.1}, "initial_margin was -0.1"),
        ({"initial_margin": 0.5, "initial_per_unit": 1.0}, "initial_margin and initial_per_unit were both given"),
        ({"initial_margin": 0.1, "maintenance_margin": 0.2}, "maintenance_margin 0.2 is above initial_margin 0.1"),
        ({"symbol": "*", "entity": "Acme"}, "entity is of one symbol"),
        ({"symbol": ""}, "symbol is empty"),
        ({"multiplyer": 2.0}, 'did you mean "multiplier"'),
    ],
)
def test_what_no_symbol_could_be_is_refused(kit, keys, said):
    """In one clear sentence that names the entry."""
    with pytest.raises(RunFileError) as raised:
        columns(kit, [{"symbol": "A", **keys}])
    assert 1 == len(raised.value.problems)
    assert said in raised.value.problems[0]
    assert raised.value.problems[0].startswith("instruments")


def test_a_row_of_a_table_is_named_where_it_is_wrong(kit):
    """By its number, below the header."""
    frame = pl.DataFrame({"symbol": ["A", "B"], "multiplier": [1.0, -1.0]})
    with pytest.raises(RunFileError, match=r"instruments\.0 row 1 cannot be used: lot and multiplier"):
        columns(kit, frame)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({}, {}, "gives symbol 'A' a second time: remove one"),
        ({"entity": "One"}, {"entity": "One"}, "a second time: remove one"),
        ({"entity": "One"}, {"entity": "Two"}, "while One has it"),
        ({"entity": "One", "listed_to": LAST}, {"entity": "Two", "listed_from": FIRST}, "while One has it"),
    ],
)
def test_one_symbol_has_one_entry_at_a_time(kit, first, second, said):
    """Two companies may have a ticker one after the other."""
    with pytest.raises(RunFileError, match=r"instruments\.1 gives") as raised:
        columns(kit, [{"symbol": "A", **first}, {"symbol": "A", **second}])
    assert said in str(raised.value)


def test_rules_of_a_ticker_that_passed_on_are_those_of_each_company():
    """By ``symbol (entity)``."""
    entries = [
        Instrument(symbol="A", entity="One", listed_to=FIRST, multiplier=2.0),
        Instrument(symbol="A", entity="Two", listed_from=LAST, multiplier=3.0),
    ]
    rules = Rules(entries, ["USD"], [""])
    assert (2.0, 3.0, None) == (rules["A (One)"][2], rules["A (Two)"][2], rules.get("A"))


def test_entries_of_symbols_that_never_came_are_noted(kit):
    """They are perhaps mistyped; venues, companies and what actions name are no such entries."""
    entries = [{"symbol": name} for name in ("A", "B", "APPL")]
    result = kit.run(Idle(), kit.Source(kit.bars(symbols=("A", "B@X"))), instruments=entries)

    assert ["instruments: no row came of 1 of 3 symbols: APPL"] == list(result.notes)


def test_many_entries_that_never_came_are_one_short_note():
    """A table of all instruments has more than a run."""
    entries = [Instrument(symbol=f"S{number}") for number in range(7)]
    assert ["instruments: no row came of 6 of 7 symbols: S1, S2, S3, S4, S5 …"] == unmet_entries(entries, ["S0"])
    assert [] == unmet_entries([Instrument(), Instrument(symbol="A", entity="one")], [])
    assert [] == unmet_entries([Instrument(symbol="A")], ["A (2024-03-07)"])
