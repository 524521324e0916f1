"""Accounts and currencies: what the settings say of them, as far as the engine has to know it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ml4t.backtest.core.sessions import SessionTable
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import TableSource
from ml4t_backtest_engine_standard.assembly.actions import PlannedAction
from ml4t_backtest_engine_standard.assembly.config import Errors
from ml4t_backtest_engine_standard.assembly.instruments import Instrument
from ml4t_backtest_engine_standard.assembly.tables import Tables

__all__ = [
    "Account",
    "Accounts",
    "check_currencies",
    "dated_settings",
    "find_currencies",
    "read_accounts",
    "takes_accounts",
]

_CAPITAL = 100_000.0
_MAX_FX_AGE = 5
# Settings that may be a table -> its columns of figures.
_DATED = {"borrow": ("rate",), "interest": ("debit", "credit"), "funding": ("rate",)}

# Settings whose rows are not of symbols -> what passes for the column.
_NAMED_BY = {"interest": "currency"}


@dataclass(kw_only=True)
class Account:
    """One account: what the engine has to know of it, and all that the portfolio is told.

    Attributes:
        where: Key of its settings, for messages.
        name: Its name.
        venue: It trades ``SYMBOL@VENUE``; empty for none.
        capital: Currency -> amount at the start.
        max_fx_age: Sessions after which a rate is too old.
        settings: Its table for the portfolio.
        tables: Dated rates by the key of the setting that they take the place of.
    """

    where: str
    name: str = "main"
    venue: str = ""
    capital: dict[str, float]
    max_fx_age: int = _MAX_FX_AGE
    settings: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, TableSource] = field(default_factory=dict)


@dataclass(kw_only=True)
class Accounts:
    """All accounts of a run.

    Attributes:
        rows: The accounts, by number.
        base_currency: What equity, sizes and results are in.
        capital: Currency -> amount at the start, summed over accounts, the base currency first if it is there.
        stated: Whether the settings name accounts, or a profile does.
    """

    rows: list[Account]
    base_currency: str
    capital: dict[str, float]
    stated: bool


def read_accounts(settings: Mapping[str, Any], defaults: Mapping[str, Any], tables: Tables, errors: Errors) -> Accounts:
    """Return the accounts that the settings name, or the one that there is without any.

    Args:
        settings: The run's settings, of which ``account``, ``capital`` and ``base_currency`` are read.
        defaults: What holds where an account names nothing else; from a profile of the broker.
        tables: Finds dated rates.
        errors: Takes every mistake.
    """
    values = settings.get("account") or []
    common, base = settings.get("capital"), settings.get("base_currency") or ""
    rows: list[Account] = []
    for place, value in enumerate(values or [{}]):
        where = f"account.{place}"
        if not isinstance(value, Mapping):
            errors.add(where, f"was {value!r}, expected a table")
            continue
        rows.append(_read({**defaults, **value}, where, tables, errors))
    alone = len(rows) == 1 and rows[0].settings.get("capital") is None
    if alone:
        rows[0].capital = _amounts(_CAPITAL if common is None else common, base or "USD", "capital", errors)
    elif common is not None and all(row.settings.get("capital") is None for row in rows):
        errors.add("capital", f"is given once for {len(rows)} accounts: give each account its own instead")
        alone = True
    elif common is not None:
        errors.add("capital", "is given beside the capital of accounts: keep one of them")
    for row in rows:
        if not alone and not row.capital and row.settings.get("capital") is None:
            errors.add(f"{row.where}.capital", "is missing: of several accounts each names its own")
        row.settings["capital"] = dict(row.capital)
    for what in ("name", "venue"):
        _check_twice([(row.where, getattr(row, what)) for row in rows], what, errors)
    capital: dict[str, float] = {}
    for row in rows:
        for currency, amount in row.capital.items():
            capital[currency] = capital.get(currency, 0.0) + amount
    if len(capital) > 1 and not base:
        errors.add("base_currency", f"is missing: capital names {', '.join(capital)}, name the one that results are in")
    base = base or next(iter(capital), "USD")
    ordered = {name: capital[name] for name in sorted(capital, key=lambda name: name != base)}
    return Accounts(rows=rows, base_currency=base, capital=ordered, stated=bool(values or defaults))


def _read(value: dict[str, Any], where: str, tables: Tables, errors: Errors) -> Account:
    """Return one account, its tables found."""
    row = Account(where=where, capital={}, settings=dict(value))
    for key, kind in (("name", str), ("venue", str), ("max_fx_age", int)):
        if isinstance(value.get(key), kind):  # anything else is refused by the portfolio, which knows all keys
            setattr(row, key, value[key])
    if value.get("capital") is not None:
        row.capital = _amounts(value["capital"], "", f"{where}.capital", errors)
    for key in _DATED:
        given = value.get(key)
        plain = isinstance(given, Mapping) and not {"use", "frame"} & set(given)
        if given is None or plain or isinstance(given, int | float):
            continue
        if isinstance(given, str) and not given[:1].isalpha():
            figures = " and ".join(_DATED[key])
            errors.add(f"{where}.{key}", f"was {given!r}, expected yearly rates as numbers, or a table with {figures}")
            continue
        table = tables.find(given, f"{where}.{key}")
        row.settings[key] = None if key != "borrow" else 0.0
        if table is not None:
            row.tables[key] = table
    return row


def _amounts(value: object, currency: str, where: str, errors: Errors) -> dict[str, float]:
    """Return amounts by currency; a number alone is of ``currency``."""
    given = value if isinstance(value, Mapping) else {currency: value}
    out = {str(name): _amount(amount) for name, amount in given.items()}
    out = {name: amount for name, amount in out.items() if np.isfinite(amount)}
    if len(out) < len(given) or not all(out) or not any(amount > 0.0 for amount in out.values()):
        known = "an amount above 0" if currency else "a table of amounts such as { USD = 1e6 }"
        errors.add(where, f"was {value!r}, expected {known}")
        return {}
    return out


def _amount(value: object) -> float:
    """Return a number of at least 0; NaN for anything else."""
    plain = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return float(value) if plain and 0.0 <= value < np.inf else np.nan  # type: ignore[arg-type, operator]  # it is one


def _check_twice(pairs: Sequence[tuple[str, str]], what: str, errors: Errors) -> None:
    seen: set[str] = set()
    for where, value in pairs:
        if value and value in seen:
            errors.add(f"{where}.{what}", f"was {value!r} a second time: give each account its own")
        seen.add(value)


def find_currencies(accounts: Accounts, instruments: Sequence[Instrument], errors: Errors) -> list[str]:
    """Return all currencies of a run, the base currency first, then in the order in which the settings name them."""
    base = accounts.base_currency
    named = [base, *accounts.capital]
    for row in instruments:
        named += [name for name in (row.currency, row.base) if name]
        if row.base and row.base == (row.currency or base):
            errors.add("instruments", f"of {row.symbol} has base {row.base}, in which its price is: name its currency")
    return list(dict.fromkeys(named))


def check_currencies(actions: Sequence[PlannedAction], currencies: Sequence[str]) -> None:
    """Refuse actions that pay in a currency of which the run knows nothing.

    Raises:
        DataError: With the currencies, and the first action of each.
    """
    strange: dict[str, PlannedAction] = {}
    for action in actions:
        if action.currency and action.currency not in currencies:
            strange.setdefault(action.currency, action)
    if strange:
        first = [f"{name} (a {action.kind} of {action.symbol})" for name, action in strange.items()]
        remedy = "name the currency in capital or of an instrument, or take them out"
        raise DataError(f"actions are in {', '.join(first)}, the run has {', '.join(currencies)}: {remedy}")


def dated_settings(accounts: Accounts, tables: Tables, sessions: SessionTable) -> list[dict[str, Any]]:
    """Return the tables of all accounts for the portfolio, dated rates read.

    Raises:
        DataError: Everything that is wrong with rows of dated rates.
    """
    problems: list[str] = []
    out = []
    for row in accounts.rows:
        settings = dict(row.settings)
        for key, table in row.tables.items():
            where = f"{row.where}.{key}"
            try:
                settings[key] = frame = tables.dated_rows(table, where, sessions, _NAMED_BY.get(key, "symbol"))
            except DataError as error:
                problems += error.problems
                continue
            lacking = [name for name in _DATED[key] if name not in frame.columns]
            if lacking:
                what = f"{where}: no column {' and no column '.join(lacking)}; it has {', '.join(frame.columns)}"
                problems.append(f'{what}; name it, as in columns = {{ {lacking[0]} = "column" }}')
        out.append(settings)
    if problems:
        raise DataError(*problems)
    return out


def takes_accounts(portfolio: object) -> bool:
    """Say whether a portfolio is a class whose ``Config`` knows accounts."""
    config = getattr(portfolio, "Config", None) if isinstance(portfolio, type) else None
    return dataclasses.is_dataclass(config) and any(each.name == "accounts" for each in dataclasses.fields(config))
