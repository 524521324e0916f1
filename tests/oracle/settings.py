"""Accounts, instruments and corporate actions of a scenario in the engine's terms."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from .scenario import Bar, Row, Scenario
from .terms import Account, Action, Listing, Rate

FIRST = date(2024, 3, 4)
EPOCH = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC)
FIGURES = ("ratio", "amount", "value")


def ticker(scenario: Scenario, symbol: str, instant: int) -> str:
    """Return what a symbol is called for what forms from an instant on."""
    for action in scenario.actions:
        begins = scenario.sessions[action.session][0]
        if action.kind == "symbol-change" and action.symbol == symbol and begins <= instant:
            return action.new_symbol
    return symbol


def ticker_at(scenario: Scenario, symbol: str, instant: int) -> str:
    """Return what a strategy that is called at an instant calls a symbol.

    Where sessions touch, an action comes after all else of the instant.
    """
    touching = any(close == instant for _, close in scenario.sessions)
    return ticker(scenario, symbol, instant - touching)


def ticker_of(scenario: Scenario, row: Row) -> str:
    """Return what a row's symbol was called when the row began."""
    return ticker(scenario, row.symbol, row.start if isinstance(row, Bar) else row.end)


def last_names(scenario: Scenario) -> dict[str, str]:
    """Return the scenario's name of every symbol that has another at the end."""
    changed = [action for action in scenario.actions if action.kind == "symbol-change"]
    return {action.new_symbol: action.symbol for action in changed}


def world_of(scenario: Scenario) -> dict[str, Any]:
    """Return the keywords of the engine that say who trades what."""
    rules = scenario.instrument
    common: dict[str, Any] = ({"lot": rules.lot} if rules.lot else {}) | ({"tick": rules.tick} if rules.tick else {})
    common |= {"allow_negative_prices": True} if rules.negative else {}
    listings = [{"symbol": "*"} | common, *(common | _listing(scenario, each) for each in scenario.listings)]
    world: dict[str, Any] = {"instruments": listings, "base_currency": scenario.base}
    world["account"] = [_account(scenario, each) for each in scenario.accounts]
    return world | ({"actions": _actions(scenario)} if scenario.actions else {})


def day(session: int) -> date:
    """Return the label of a session."""
    return FIRST + timedelta(days=session)


def _listing(scenario: Scenario, listing: Listing) -> dict[str, Any]:
    usual = Listing(listing.symbol)
    entry = {name: value for name, value in vars(listing).items() if value != getattr(usual, name)}
    for name in ("listed_from", "listed_to", "expires"):
        if name in entry:
            entry[name] = day(entry[name])
    return entry | {"symbol": ticker(scenario, listing.symbol, 0)}


def _account(scenario: Scenario, account: Account) -> dict[str, Any]:
    usual = Account()
    entry = {name: value for name, value in vars(account).items() if value != getattr(usual, name)}
    entry |= {"name": account.name, "type": account.type, "capital": dict(account.capital)}
    entry |= {"margin_call": account.margin_call}
    if isinstance(account.borrow, tuple):
        changed = {name: ticker for ticker, name in last_names(scenario).items()}
        renamed = [replace(row, symbol=changed[row.symbol]) for row in account.borrow if row.symbol in changed]
        entry["borrow"] = _table((*account.borrow, *renamed), "rate", "available")
    if isinstance(account.interest[0], Rate):
        entry["interest"] = _table(account.interest, "debit", "credit")
    elif "interest" in entry:
        entry["interest"] = dict(zip(("debit", "credit"), account.interest, strict=True))
    if account.funding:
        entry["funding"] = _table(account.funding, "rate")
    return entry


def _table(rows: tuple[Any, ...], *figures: str) -> pl.DataFrame:
    columns: dict[str, Any] = {"symbol": [row.symbol for row in rows]}
    columns["known_at"] = [EPOCH + timedelta(seconds=row.at) for row in rows]
    for name in figures:
        columns[name] = [getattr(row, "rate" if name == "debit" else name) for row in rows]
    schema = {"symbol": pl.String, "known_at": pl.Datetime("us", "UTC")} | dict.fromkeys(figures, pl.Float64)
    return pl.DataFrame(columns, schema=schema)


def _actions(scenario: Scenario) -> pl.DataFrame:
    def named(action: Action, symbol: str) -> str | None:
        begins = scenario.sessions[action.session][0]
        return ticker(scenario, symbol, begins - (action.kind == "symbol-change")) if symbol else None

    rows = scenario.actions
    columns: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in ("kind", *FIGURES)}
    columns["symbol"] = [named(row, row.symbol) for row in rows]
    columns["new_symbol"] = [
        row.new_symbol if row.kind == "symbol-change" else named(row, row.new_symbol) for row in rows
    ]
    columns["ex_date"] = [day(row.session) for row in rows]
    columns["pay_date"] = [None if row.pay is None else day(row.pay) for row in rows]
    columns["known_at"] = [None if row.known is None else EPOCH + timedelta(seconds=row.known) for row in rows]
    schema = {"symbol": pl.String, "kind": pl.String, "new_symbol": pl.String, "ex_date": pl.Date, "pay_date": pl.Date}
    schema |= {"known_at": pl.Datetime("us", "UTC")} | dict.fromkeys(FIGURES, pl.Float64)
    return pl.DataFrame({name: columns[name] for name in schema}, schema=schema)
