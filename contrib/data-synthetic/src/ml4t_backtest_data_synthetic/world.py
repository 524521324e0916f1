"""What is settled of a market before its first bar: sessions, paths from session to session, corporate actions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.core.sessions import EPOCH_ORDINAL, SessionTable
from ml4t.backtest.errors import DataError
from ml4t_backtest_data_synthetic.config import SyntheticConfig

__all__ = ["World", "make_world"]

Floats = NDArray[np.float64]
YEAR = 252  # sessions
# Of the variance of a session's return, the part between the close before and its open.
_OVERNIGHT = 0.2
_NOTICE = 5  # sessions between the announcement of an action and its effect
_ACTIONS: dict[str, pl.DataType | type[pl.DataType]] = {
    "symbol": pl.String, "kind": pl.String, "ex_date": pl.Date, "known_at": pl.Datetime("ns", "UTC"),
    "ratio": pl.Float64, "amount": pl.Float64, "value": pl.Float64, "new_symbol": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class World:
    """A market from session to session; bars are drawn within it, each session by itself.

    Attributes:
        config: Its settings.
        seed: Its seed.
        calendar: Its sessions, rows of ``SESSION_DTYPE``, (sessions,).
        turbulent: Whether a session is, bool (sessions,).
        deviation: Volatility of a session's log return, (sessions, symbols).
        returns: Log returns from close to close as if no action had been, (sessions, symbols).
        opens, closes: Raw prices, not rounded, (sessions, symbols).
        begins, ends: First session of a symbol and the one after its last, (symbols,).
        names: Name of each symbol from a session on: (session, name), ascending, per symbol.
        actions: Corporate actions, as the run file's ``[[actions]]`` takes them.
    """

    config: SyntheticConfig
    seed: int
    calendar: NDArray[Any]
    turbulent: NDArray[np.bool_]
    deviation: Floats
    returns: Floats
    opens: Floats
    closes: Floats
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]
    names: list[list[tuple[int, str]]]
    actions: pl.DataFrame

    def name(self, symbol: int, session: int) -> str:
        """Return what a symbol is called in a session."""
        return next(name for begin, name in reversed(self.names[symbol]) if begin <= session)

    def day(self, session: int) -> date:
        """Return the label of a session."""
        return date.fromordinal(EPOCH_ORDINAL + int(self.calendar["label"][session]))


@dataclass
class _Draft:
    """Paths that actions are written into."""

    calendar: NDArray[Any]
    opens: Floats
    closes: Floats
    ends: NDArray[np.int64]
    names: list[list[tuple[int, str]]]
    tick: float
    actions: list[dict[str, object]] = field(default_factory=list)

    def split(self, rng: np.random.Generator, symbol: int, session: int) -> None:
        """Multiply units and divide all later prices."""
        price = self.closes[session - 1, symbol]
        ratio = float(rng.choice([2.0, 3.0, 4.0, 2.0, 0.2]))
        if ratio > 1.0 and price / ratio < 100 * self.tick:
            ratio = 0.2  # nobody splits what costs next to nothing
        self._scale(symbol, session, 1.0 / ratio)
        self._note(symbol, session, "split", ratio=ratio)

    def dividend(self, rng: np.random.Generator, symbol: int, session: int) -> None:
        """Take an amount off all later prices, in proportion."""
        price = self.closes[session - 1, symbol]
        amount = round(float(rng.uniform(0.005, 0.02)) * price / self.tick) * self.tick
        if amount > 0.0:
            self._scale(symbol, session, 1.0 - amount / price)
            self._note(symbol, session, "dividend", amount=round(amount, 9))

    def delist(self, rng: np.random.Generator, symbol: int, session: int) -> None:
        """End a symbol."""
        value = round(float(rng.uniform(0.1, 1.0)) * self.closes[session - 1, symbol] / self.tick) * self.tick
        self.ends[symbol] = session
        self._note(symbol, session, "delisting", value=round(value, 9))

    def rename(self, rng: np.random.Generator, symbol: int, session: int) -> None:
        """Give a symbol another name from a session on."""
        new = f"{self.names[symbol][0][1]}R{len(self.names[symbol])}"
        self._note(symbol, session, "symbol-change", new_symbol=new)
        self.names[symbol].append((session, new))

    def _scale(self, symbol: int, session: int, factor: float) -> None:
        self.opens[session:, symbol] *= factor
        self.closes[session:, symbol] *= factor

    def _note(self, symbol: int, session: int, kind: str, **figures: object) -> None:
        ex_date = date.fromordinal(EPOCH_ORDINAL + int(self.calendar["label"][session]))
        known_at = int(self.calendar["close"][max(session - _NOTICE, 0)])
        name = self.names[symbol][-1][1]
        self.actions.append({"symbol": name, "kind": kind, "ex_date": ex_date, "known_at": known_at, **figures})


def make_world(config: SyntheticConfig, seed: int, table: SessionTable) -> World:
    """Draw a market from session to session.

    Args:
        config: Its settings.
        seed: Its seed.
        table: The sessions of its calendar.

    Returns:
        The market; memory is that of ``sessions`` times ``symbols``, whatever the length of a bar.

    Raises:
        DataError: The calendar has too few sessions from the first day on.
    """
    start = int(np.searchsorted(table.label, config.first_day.toordinal() - EPOCH_ORDINAL))
    calendar = table.data[start : start + config.sessions]
    if len(calendar) < config.sessions:
        raise DataError(
            f"calendar {table.name} has {len(calendar):,} sessions from {config.first_day} on, {config.sessions:,} are "
            "wanted: begin earlier or ask for fewer"
        )
    rng = np.random.default_rng([seed, 0])
    size = (config.sessions, config.symbols)
    turbulent = _regimes(rng, config)
    deviation = config.volatility * np.exp2(rng.uniform(-0.5, 0.5, config.symbols)) / np.sqrt(YEAR)
    deviation = deviation * np.where(turbulent, config.turbulence, 1.0)[:, None]
    night = _correlated(rng, size, config.correlation) * deviation * np.sqrt(_OVERNIGHT)
    trend = config.drift / YEAR - deviation**2 / 2
    inside = _correlated(rng, size, config.correlation) * deviation * np.sqrt(1.0 - _OVERNIGHT) + trend
    night[0] = 0.0
    path = np.cumsum(night + inside, axis=0) + np.log(config.price * np.exp2(rng.uniform(-1.0, 1.0, config.symbols)))
    late = rng.uniform(size=config.symbols) < config.late
    late[0] = False  # a market has someone to begin with
    begins = np.where(late, rng.integers(1, max(2, config.sessions // 2), config.symbols), 0)
    names = [[(0, f"S{symbol:04d}")] for symbol in range(config.symbols)]
    draft = _Draft(calendar, np.exp(path - inside), np.exp(path), np.full(config.symbols, config.sessions), names,
                   config.tick)  # fmt: skip
    _act(np.random.default_rng([seed, 1]), config, draft, begins)
    actions = pl.DataFrame(draft.actions, _ACTIONS, orient="row").sort("ex_date", "symbol", maintain_order=True)
    return World(
        config=config,
        seed=seed,
        calendar=calendar,
        turbulent=turbulent,
        deviation=deviation,
        returns=night + inside,
        opens=draft.opens,
        closes=draft.closes,
        begins=begins,
        ends=draft.ends,
        names=names,
        actions=actions,
    )


def _regimes(rng: np.random.Generator, config: SyntheticConfig) -> NDArray[np.bool_]:
    """Return which sessions are turbulent: a Markov chain that begins calm."""
    draws, state = rng.uniform(size=config.sessions), False
    out = np.zeros(config.sessions, np.bool_)
    for session in range(1, config.sessions):
        state = draws[session] >= config.to_calm if state else draws[session] < config.to_turbulent
        out[session] = state
    return out


def _correlated(rng: np.random.Generator, size: tuple[int, int], correlation: float) -> Floats:
    """Return normal draws, (sessions, symbols): a common part and one of each symbol's own."""
    common = rng.standard_normal((size[0], 1))
    own: Floats = rng.standard_normal(size)
    both: Floats = np.sqrt(correlation) * common + np.sqrt(1.0 - correlation) * own
    return both


def _act(rng: np.random.Generator, config: SyntheticConfig, draft: _Draft, begins: NDArray[np.int64]) -> None:
    """Draw what happens to each symbol, at most one action a session, and write it into the paths."""
    kinds = {
        "split": config.splits,
        "dividend": config.dividends,
        "rename": config.renames,
        "delist": config.delistings,
    }
    edges = np.cumsum([rate / YEAR for rate in kinds.values()])
    draws = rng.uniform(size=(config.sessions, config.symbols))
    for session, symbol in np.argwhere(draws < edges[-1]).tolist():
        if begins[symbol] + 1 < session < draft.ends[symbol]:
            kind = list(kinds)[int(np.searchsorted(edges, draws[session, symbol], side="right"))]
            getattr(draft, kind)(rng, symbol, session)
