"""What a synthetic market looks like."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from ml4t.backtest.core.stamps import parse_duration
from ml4t.backtest.errors import RunFileError

__all__ = ["BAR_DEFECTS", "DEFECTS", "QUOTE_DEFECTS", "SIGNAL_DEFECTS", "SyntheticConfig"]

# Rules of the data gate that can be broken on purpose, by the rows in which that is done.
BAR_DEFECTS = (
    "unreadable", "missing-column", "unclear-stamps", "naive-stamps", "mixed-zones", "missing-key", "not-a-number",
    "duplicate-rows", "unsorted-rows", "infinite-value", "nonpositive-price", "negative-size", "high-below-low",
    "negative-latency", "close-outside-range", "missing-session", "outside-session", "holiday-rows", "open-stamped",
    "unadjusted-split", "stale-prices", "missing-value", "zero-volume", "gaps", "symbols-appear", "symbols-vanish",
)  # fmt: skip
QUOTE_DEFECTS = ("crossed-quote",)
SIGNAL_DEFECTS = ("known-too-early", "unknown-symbols", "signal-leak")
DEFECTS = (*BAR_DEFECTS, *QUOTE_DEFECTS, *SIGNAL_DEFECTS)


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig:
    """One market; the same settings and seed give the same rows in every source of it.

    Rates are per symbol and year of 252 sessions; volatilities and drift are per such year, of log prices.

    Attributes:
        symbols: How many symbols: ``S0000``, ``S0001`` …
        first: First day; the market begins with the first session on or after it; 2020-01-02 by default.
        sessions: How many sessions.
        calendar: Calendar of the sessions, such as ``XNYS``; that of the run by default, in Python ``24/7``.
        bar: Length of a bar: ``1d``, or a shorter one such as ``1m``.
        seed: Seed of the market; that of the run by default.
        price: Median first price, in currency per unit; symbols begin between half and twice of it.
        tick: Smallest step of prices.
        drift: Expected growth.
        volatility: Median volatility in calm sessions; symbols lie between 0.7 and 1.4 times of it.
        turbulence: By how much volatility is multiplied in turbulent sessions.
        correlation: Of the returns of two symbols, 0 to below 1.
        to_turbulent: Probability that a turbulent session follows a calm one.
        to_calm: Probability that a calm session follows a turbulent one.
        volume: Median units traded per session; of a bar in proportion to its length.
        spread_bps: Median spread of quotes, in basis points of the mid; at least one tick.
        splits: Rate of splits (2, 3 or 4 for 1, at times 1 for 5); known five sessions before.
        dividends: Rate of cash dividends of half to two percent of the price; known five sessions before.
        delistings: Rate at which symbols end; of each a tenth to all of the last close is paid.
        renames: Rate at which symbols get another name.
        late: Share of symbols that begin after the first session, within the first half of all.
        missing: Share of bars that are left out.
        skill: Correlation of the score with the return of the next session, -1 to 1.
        defects: Rules of the data gate to be broken, each at a few known places; see ``DEFECTS``.
    """

    symbols: int = 5
    first: date | None = None
    sessions: int = 252
    calendar: str = ""
    bar: str = "1d"
    seed: int | None = None
    price: float = 50.0
    tick: float = 0.01
    drift: float = 0.06
    volatility: float = 0.2
    turbulence: float = 2.5
    correlation: float = 0.3
    to_turbulent: float = 0.02
    to_calm: float = 0.1
    volume: float = 1_000_000.0
    spread_bps: float = 2.0
    splits: float = 0.0
    dividends: float = 0.0
    delistings: float = 0.0
    renames: float = 0.0
    late: float = 0.0
    missing: float = 0.0
    skill: float = 0.05
    defects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse figures with which there is no market."""
        problems = [
            f"{name} was {getattr(self, name)}, expected {low} to {high}"
            for name, (low, high) in _RANGES.items()
            if not low <= getattr(self, name) <= high
        ]
        problems += [
            f"defects has {name!r}, which cannot be planted; choose among {', '.join(DEFECTS)}"
            for name in self.defects
            if name not in DEFECTS
        ]
        period = parse_duration(self.bar, "bar")
        if not (self.bar == "1d" or 10**9 <= period <= 12 * 3600 * 10**9):
            problems.append(f'bar was "{self.bar}", expected "1d" or a duration of 1s to 12h')
        if problems:
            raise RunFileError(*problems)

    @property
    def first_day(self) -> date:
        """The day on or after which the market begins."""
        return self.first or date(2020, 1, 2)

    @property
    def daily(self) -> bool:
        """Whether a bar is a session."""
        return self.bar == "1d"


_RANGES = {
    "symbols": (1, 10_000), "sessions": (2, 20_000), "price": (0.01, 1e9), "tick": (1e-9, 1e6), "drift": (-5.0, 5.0),
    "volatility": (0.0, 5.0), "turbulence": (0.1, 20.0), "correlation": (0.0, 0.99), "to_turbulent": (0.0, 1.0),
    "to_calm": (0.0, 1.0), "volume": (1.0, 1e15), "spread_bps": (0.0, 1_000.0), "splits": (0.0, 20.0),
    "dividends": (0.0, 20.0), "delistings": (0.0, 20.0), "renames": (0.0, 20.0), "late": (0.0, 1.0),
    "missing": (0.0, 0.9), "skill": (-1.0, 1.0),
}  # fmt: skip
