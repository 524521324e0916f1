"""Which company a ticker meant, and when: one company is one column, whatever it was called."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby
from operator import attrgetter
from typing import Literal, Protocol

import numpy as np
import polars as pl

from ml4t.backtest.core.sessions import EPOCH_ORDINAL, Integers, SessionTable
from ml4t_backtest_engine_standard.assembly.actions import PlannedAction
from ml4t_backtest_engine_standard.assembly.stamps import DAYS_HELD

__all__ = ["Listing", "Tickers"]

_ALWAYS = int(np.iinfo(np.int64).min)


class Listing(Protocol):
    """What the entry of an instrument says of its ticker."""

    @property
    def symbol(self) -> str:
        """The ticker."""
        ...

    @property
    def entity(self) -> str | None:
        """The company, by a name that no other has."""
        ...

    @property
    def listed_from(self) -> date | None:
        """First session."""
        ...

    @property
    def listed_to(self) -> date | None:
        """Last session."""
        ...


@dataclass(slots=True)
class _Fact:
    """From ``at`` on the company ``key`` gives up the ticker ``old`` and has the ticker ``new``, each if not empty."""

    at: int
    old: str = ""
    new: str = ""
    key: str = ""


@dataclass(slots=True)
class _Spell:
    """Who had a ticker, by when that began: rows that formed after ``since[k]`` are those of ``keys[k]``."""

    since: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


class Tickers:
    """Says which company a ticker meant at a time, from instruments and actions alone, before any row is read.

    A company has a *key*, which nobody sees: the ticker itself for the first that has it.

    Args:
        listings: The entries of instruments.
        actions: Corporate actions by when they take effect.
        sessions: The run's calendar.

    Attributes:
        actions: Those given, and a symbol change for each further ticker of one entity.
        plain: Whether every ticker meant one company and kept its name.
    """

    def __init__(self, listings: Iterable[Listing], actions: Sequence[PlannedAction], sessions: SessionTable) -> None:
        self._sessions = sessions
        self._spells: dict[str, _Spell] = {}
        self._names: dict[str, _Spell] = {}
        self._entities: dict[str, str] = {}
        self._count = 0
        facts, changes = self._listed(list(listings))
        told = {(action.effective_at, action.symbol, action.new_symbol) for action in actions}
        changes = [each for each in changes if (each.effective_at, each.symbol, each.new_symbol) not in told]
        self.actions = sorted([*actions, *changes], key=attrgetter("effective_at"))
        for action in actions:
            if action.kind == "symbol-change":
                facts.append(_Fact(action.effective_at, action.symbol, action.new_symbol))
            elif action.kind in ("merger", "delisting"):
                facts.append(_Fact(action.effective_at, action.symbol))
        for at, group in groupby(sorted(facts, key=attrgetter("at")), key=attrgetter("at")):
            self._settle(at, list(group))
        self.plain = not self._spells

    def key(self, ticker: str, instant: int) -> str:
        """Return the company of a row of this ticker that formed at an instant, UTC ns."""
        spell = self._spells.get(ticker)
        if spell is None:
            return ticker
        place = bisect_left(spell.since, instant)
        return spell.keys[place - 1] if place else ticker

    def meant(self, action: PlannedAction) -> list[str]:
        """Return the companies that an action may be of, the likeliest first.

        Who has the ticker just before it takes effect, then who has it from then on; who gets the new one in a symbol
        change; and where a company ends, also who had the ticker at the last close.
        """
        at = action.effective_at
        if action.kind == "symbol-change":
            return [self.key(action.new_symbol, at + 1)]
        keys = [self.key(action.symbol, at), self.key(action.symbol, at + 1)]
        if action.kind in ("merger", "delisting"):
            keys.append(self.key(action.symbol, self._last_close(at)))
        return keys

    def name(self, key: str, instant: int) -> str:
        """Return the ticker that a company has, or had last, at an instant."""
        spell = self._names.get(key)
        return key if spell is None else spell.keys[max(0, bisect_right(spell.since, instant) - 1)]

    def entity(self, key: str) -> str:
        """Return what a company is called in the instruments; empty where they do not say."""
        return self._entities.get(key, "")

    def former_name(self, key: str, ticker: str) -> str:
        """Return what a company is called once another has its ticker."""
        entity = self._entities.get(key)
        if entity:
            return f"{ticker} ({entity})"
        spell = self._spells[ticker]
        ends = [end for holder, end in zip([ticker, *spell.keys], spell.since, strict=False) if holder == key]
        row = int(np.searchsorted(self._sessions.close, ends[-1], side="right")) - 1
        return f"{ticker} ({date.fromordinal(EPOCH_ORDINAL + int(self._sessions.label[max(0, row)]))})"

    def identify(self, symbols: pl.Series, event_time: Integers, *, ends: bool = True) -> pl.Series:
        """Return the company of each row; see ``Clock``.

        Args:
            symbols: Tickers.
            event_time: int64 (n,), UTC ns.
            ends: Whether what happened at the very instant at which a ticker passes on was before it, as with bars,
                which end there; quotes and trades were after it.
        """
        meant = symbols.cast(pl.String)
        rows = np.flatnonzero(meant.is_in(list(self._spells)).to_numpy())
        if not len(rows):
            return symbols
        tickers = meant.gather(rows).to_numpy()
        order = np.argsort(tickers.astype(str), kind="stable")
        rows, tickers = rows[order], tickers[order]
        firsts = np.flatnonzero(np.append(True, tickers[1:] != tickers[:-1]))
        out = meant.to_numpy().astype(object)
        for first, stop in zip(firsts, np.append(firsts[1:], len(rows)), strict=True):
            ticker, places = tickers[first], rows[first:stop]
            spell = self._spells[ticker]
            holders = np.array([ticker, *spell.keys], object)
            side: Literal["left", "right"] = "left" if ends else "right"
            out[places] = holders[np.searchsorted(np.array(spell.since), event_time[places], side=side)]
        return pl.Series(symbols.name, out.tolist(), dtype=pl.String)

    def _listed(self, listings: list[Listing]) -> tuple[list[_Fact], list[PlannedAction]]:
        """Return what instruments say of tickers, and the symbol changes among it."""
        facts, changes = [], []
        first: dict[str, str] = {}
        before: dict[str, str] = {}
        for row in sorted(listings, key=lambda row: row.listed_from or date.min):
            begins = _ALWAYS if row.listed_from is None else self._edge(row.listed_from, "open")
            if row.entity:
                key = first.get(row.entity)
                if key is None:
                    key = first[row.entity] = row.symbol if begins == _ALWAYS else self._fresh(row.symbol)
                    self._entities[key] = row.entity
                old = before.get(row.entity, "")
                if row.listed_from is not None:
                    facts.append(_Fact(begins, old, row.symbol, key))
                    if old and old != row.symbol:
                        day = row.listed_from.toordinal() - EPOCH_ORDINAL
                        changes.append(PlannedAction("symbol-change", old, day, begins, begins, new_symbol=row.symbol))
                before[row.entity] = row.symbol
            if row.listed_to is not None:
                facts.append(_Fact(self._edge(row.listed_to, "close"), row.symbol, key=first.get(row.entity or "", "")))
        return facts, changes

    def _settle(self, at: int, facts: list[_Fact]) -> None:
        """Let all facts of one instant take effect together, on who had which ticker at the last close."""
        before = self._last_close(at)
        holders = {fact.old: self.key(fact.old, before) for fact in facts}
        for fact in facts:
            fact.key = fact.key or holders[fact.old]
            if fact.old and holders[fact.old] == fact.key:
                self._hand(fact.old, at, self._fresh(fact.old))
        for fact in facts:
            if fact.new:
                self._hand(fact.new, at, fact.key)

    def _hand(self, ticker: str, at: int, key: str) -> None:
        """Give a ticker to a company."""
        if self.key(ticker, at + 1) == key:
            return
        spell = self._spells.setdefault(ticker, _Spell())
        names = self._names.setdefault(key, _Spell([_ALWAYS], [self._names_first(key, ticker)]))
        if spell.since and spell.since[-1] == at:
            spell.since.pop()
            spell.keys.pop()
        spell.since.append(at)
        spell.keys.append(key)
        if names.keys[-1] != ticker:
            names.since.append(at)
            names.keys.append(ticker)

    def _names_first(self, key: str, ticker: str) -> str:
        """Return what a company was called first: its key, unless that was made up."""
        return key if "\x1f" not in key else ticker

    def _fresh(self, ticker: str) -> str:
        self._count += 1
        return f"{ticker}\x1f{self._count}"

    def _last_close(self, at: int) -> int:
        """Return the newest close up to an instant, UTC ns; the instant itself before the first."""
        row = int(np.searchsorted(self._sessions.close, at, side="right")) - 1
        return int(self._sessions.close[row]) if row >= 0 else at

    def _edge(self, day: date, edge: str) -> int:
        held = min(max(day, DAYS_HELD[0]), DAYS_HELD[1])  # 9999-12-31 stands for no end in databases
        days = np.array([held.toordinal() - EPOCH_ORDINAL], np.int64)
        return int((self._sessions.label_open if edge == "open" else self._sessions.label_close)(days)[0])
