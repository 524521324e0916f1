"""Accounts and currencies: what settings say of them."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.errors import InputError, RunFileError
from ml4t.backtest.plugins import PluginHost


class Idle(Strategy):
    """Look on."""

    def on_slice(self, market, context):
        pass


@dataclass(frozen=True, kw_only=True)
class Account:
    """What a portfolio knows of an account."""

    name: str = "main"
    venue: str = ""
    type: str = "margin"
    capital: dict[str, float] = dataclasses.field(default_factory=dict)
    check: str = "submit"
    borrow: Any = 0.0
    interest: Any = None
    funding: Any = None
    max_fx_age: int = 5


def engine(kit, portfolio=None, profile=None, **settings):
    """Return an engine, and the class of its portfolio that keeps the accounts that it was told of."""

    class Told(kit.Portfolio):
        told: list[Any] = []  # noqa: RUF012  # one class for each engine

        @dataclass(frozen=True, kw_only=True)
        class Config:
            accounts: Sequence[Account] = ()

        def __init__(self, config, setup):
            self.told[:] = config.accounts

    class Broker(kit.Broker):
        @classmethod
        def defaults(cls, settings):
            return {"account": profile} if profile else {}

    broker = {"use": Broker, "fill": kit.Fill()}
    feed = kit.Source(kit.bars())
    made = Engine(feed=feed, strategy=Idle(), broker=broker, portfolio=portfolio or Told, host=PluginHost(), **settings)
    return made, Told


def told(kit, **settings):
    """Return the accounts that a portfolio is told of, as tables of what is not the default."""
    default = Account()
    fields = [field.name for field in dataclasses.fields(Account)]
    rows = engine(kit, **settings)[1].told
    return [
        {name: value for name in fields if (value := getattr(row, name)) is not getattr(default, name)} for row in rows
    ]


def test_without_an_account_there_is_one_with_the_run_s_capital(kit):
    """100,000 USD where nothing is said."""
    assert [{"capital": {"USD": 100_000.0}}] == told(kit)
    assert [{"capital": {"USD": 5.0}}] == told(kit, capital=5)
    assert [{"capital": {"EUR": 5.0}}] == told(kit, capital={"EUR": 5})
    assert [{"capital": {"EUR": 5.0}}] == told(kit, capital=5, base_currency="EUR")
    assert [{"capital": {"EUR": 5.0}, "type": "cash"}] == told(kit, capital={"EUR": 5}, account={"type": "cash"})


def test_capital_of_accounts_is_summed_by_currency(kit):
    """The base currency comes first."""
    accounts = [{"name": "a", "capital": {"EUR": 1.0, "USD": 2.0}}, {"name": "b", "capital": {"USD": 3.0}}]
    made, _ = engine(kit, account=accounts, base_currency="USD")
    parts = made.prepare()
    assert ([("USD", 5.0), ("EUR", 1.0)], ["USD", "EUR"]) == (list(parts.capital.items()), parts.currencies)
    assert "USD" == made.run().currency


def test_a_profile_stands_behind_what_accounts_name(kit):
    """For each account."""
    profile = {"type": "cash", "check": "fill"}
    assert [{"type": "cash", "check": "fill", "capital": {"USD": 100_000.0}}] == told(kit, profile=profile)
    named = {"account": {"type": "unlimited"}, "profile": profile}
    assert [{"type": "unlimited", "check": "fill", "capital": {"USD": 100_000.0}}] == told(kit, **named)


def test_rates_by_table_reach_the_portfolio_as_frames(kit):
    """Known at their session's close; a mapping or a number is left alone."""
    frame = pl.DataFrame({"symbol": ["A"], "date": [pl.date(2024, 1, 2)], "rate": [0.1]}).with_columns(
        date=pl.date(2024, 1, 2)
    )
    interest = {"debit": 0.06, "credit": 0.02}
    account = {"borrow": frame, "interest": interest, "funding": {"use": "frame", "frame": frame}}
    made, portfolio = engine(kit, account=account)
    (row,) = portfolio.told
    assert interest == row.interest
    assert ["known_at", "symbol", "rate"] == row.borrow.columns == row.funding.columns
    assert 1704240000 * 10**9 == row.borrow["known_at"][0]
    assert {"account.0.borrow", "account.0.funding"} <= set(made.prepare().inputs)
    assert "account main: margin, borrow by table, interest debit 0.06 credit 0.02, funding by table" in made.header


def test_accounts_are_in_the_header(kit):
    """With type, venue and what their settings name."""
    accounts = [{"capital": {"USD": 1.0}}, {"name": "perps", "venue": "X", "type": "cash", "capital": {"USDT": 1.0}}]
    made, _ = engine(kit, account=accounts, base_currency="USD")
    assert ["account main: margin", "account perps at X: cash; base currency USD"] == [
        line for line in made.header if line.startswith("account")
    ]


TWO = {"USD": 1.0, "EUR": 1.0}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"capital": TWO}, "base_currency is missing: capital names USD, EUR"),
        ({"capital": -1.0}, "capital was -1.0, expected an amount above 0"),
        ({"capital": {"USD": float("inf")}}, "capital was {'USD': inf}"),
        ({"capital": {"USD": 0.0}}, "capital was {'USD': 0.0}"),
        ({"capital": {"": 1.0}}, "capital was {'': 1.0}"),
        ({"capital": "much"}, "capital was 'much'"),
        ({"account": {"capital": 5.0}}, "account.0.capital was 5.0, expected a table of amounts"),
        ({"account": {"capital": {"USD": 1.0}}, "capital": 2.0}, "capital is given beside the capital of accounts"),
        ({"account": "cash"}, "account.0 was 'cash', expected a table"),
        ({"account": {"kind": "cash"}}, "account.0.kind is not a known key"),
        ({"account": {"type": 3}}, "account.0.type was 3, expected str"),
        (
            {"account": [{"name": "a"}, {"name": "b", "capital": {"USD": 1.0}}]},
            "account.0.capital is missing: of several accounts each names its own",
        ),
        (
            {"account": [{"capital": {"USD": 1.0}}, {"capital": {"USD": 1.0}}]},
            "account.1.name was 'main' a second time",
        ),
        (
            {"account": [{"name": n, "venue": "X", "capital": {"USD": 1.0}} for n in "ab"]},
            "account.1.venue was 'X' a second time",
        ),
        ({"account": [{"name": "a"}, {"name": "b"}], "capital": 2.0}, "capital is given once for 2 accounts"),
        ({"account": {"borrow": {"use": "nothing"}}}, "account.0.borrow"),
        ({"account": {"borrow": "5%"}}, "account.0.borrow was '5%', expected yearly rates as numbers"),
        ({"account": {"interest": "0.05"}}, "account.0.interest was '0.05', expected yearly rates as numbers"),
    ],
)
def test_what_is_wrong_with_accounts_is_one_clear_error(kit, settings, said):
    """It names the key as it was written."""
    with pytest.raises(RunFileError) as raised:
        engine(kit, **settings)
    assert 1 == len(raised.value.problems)
    assert said in raised.value.problems[0]


def test_a_table_of_rates_without_its_column_is_refused(kit):
    """Once the calendar is known."""
    frame = pl.DataFrame({"symbol": ["A"], "known_at": ["2024-01-02T00:00:00Z"]}).with_columns(
        pl.col("known_at").str.to_datetime(time_zone="UTC")
    )
    with pytest.raises(InputError, match=r"no column debit and no column credit; it has .*; name it, as in columns"):
        engine(kit, account={"interest": frame})


def test_a_portfolio_that_keeps_no_accounts_is_told_nothing(kit):
    """Accounts that are given are then an error."""
    made, _ = engine(kit, portfolio=kit.Portfolio)
    assert 100_000.0 == made.run().final_equity
    for portfolio in (kit.Portfolio, kit.Portfolio()):
        with pytest.raises(RunFileError, match=r"account is given, which .* knows nothing of: leave it out"):
            engine(kit, portfolio=portfolio, account={"type": "cash"})


def test_accounts_are_not_written_into_the_portfolio_s_table(kit):
    """They have a key of their own."""
    table = {"use": "standard", "accounts": []}
    with pytest.raises(RunFileError, match=r"portfolio\.accounts is written as \[\[account\]\]"):
        engine(kit, portfolio=table)
