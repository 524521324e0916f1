"""Random scenarios from a seed, on a coarse grid of prices, so that touches, gaps and ties happen all the time."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from .requesting import Desires, random_script
from .scenario import DAY, Bar, Costs, Feed, FillRules, Instrument, Quote, Row, Scenario, Trade

HOUR = 3_600
# Half a session apart from the clock's full hours: 09:30 and 16:00.
GAP = (9 * HOUR + 1_800, 16 * HOUR)
SHAPES = ("daily", "daily", "intraday", "intraday", "quotes", "trades", "mixed")


@dataclass
class Walk:
    """A price that moves on the grid."""

    rng: random.Random
    step: float
    at: float

    def move(self, odds: float = 0.5) -> float:
        """Move by a step or two, sometimes by a jump, and never far from 10."""
        if self.rng.random() < odds:
            self.at += self.rng.choice((-2, -1, -1, 1, 1, 2)) * self.step
        if self.rng.random() < 0.06:
            self.at += self.rng.choice((-6, 6)) * self.step
        self.at = min(max(self.at, 10.0 - 9 * self.step), 10.0 + 9 * self.step)
        return self.at


def random_scenario(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    rng = random.Random(seed)
    shape, always_open = rng.choice(SHAPES), rng.random() < 0.5
    days = rng.randint(3, 6)
    sessions = tuple(
        (day * DAY + (0 if always_open else GAP[0]), day * DAY + (DAY if always_open else GAP[1]))
        for day in range(days)
    )
    step = rng.choice((0.125, 0.25, 0.5, 0.5))
    rules = random_rules(rng, shape)
    symbols = ("AA", "BB")[: rng.choice((1, 1, 2))]
    walks = {symbol: Walk(rng, step, 10.0) for symbol in symbols}
    feeds: tuple[Feed, ...]
    if shape == "mixed":
        ticks = {"ZZ": Walk(rng, step, 10.0)}
        feeds = (random_bars(rng, walks, sessions, 1), random_ticks(rng, ticks, sessions, "trade"))
        symbols += ("ZZ",)
    elif shape in ("quotes", "trades"):
        feeds = (random_ticks(rng, walks, sessions, shape[:-1]),)
    else:
        feeds = (random_bars(rng, walks, sessions, 1 if shape == "daily" else 3),)
    instrument = Instrument(
        lot=rng.choice((None, None, None, 1.0, 10.0)),
        tick=rng.choice((0.0, 0.0, 0.0, 1.0)),
        negative=rng.random() < 0.1,
    )
    same_close = rules.market == "same-close"
    scenario = Scenario(
        feeds=feeds,
        script=(),
        sessions=sessions,
        rules=rules,
        costs=random_costs(rng),
        instrument=instrument,
        latency=0 if same_close else rng.choice((0, 0, 0, 0, 60, 2 * HOUR)),
        strict_ticks=rng.random() < 0.2,
    )
    desires = Desires(
        rng=rng,
        symbols=symbols,
        ticking=frozenset(row.symbol for feed in feeds if feed.kind != "bar" for row in feed.rows),
        step=step,
        lot=instrument.lot or 1.0,
        trails_on_grid=not instrument.tick,
        instants=random_instants(rng, scenario),
        closes=tuple(close for _, close in sessions),
    )
    return replace(scenario, script=random_script(desires))


def random_rules(rng: random.Random, shape: str) -> FillRules:
    """Return rules of filling."""
    bars_only = shape in ("daily", "intraday")
    market = rng.choice(("open", "open", "open", "close", "vwap", *(("same-close",) if bars_only else ())))
    limited = rng.random() < 0.35 and market != "same-close"
    return FillRules(
        market=market,
        sees=rng.choice(("bar", "bar", "bar", "close")),
        limit=rng.choice(("touch", "touch", "cross")),
        path=rng.choice(("pessimistic", "optimistic", "open-high-low-close")),
        trail=rng.choice(("extreme", "extreme", "close")),
        children=rng.choice(("same-bar", "same-bar", "next-bar")),
        volume_limit=rng.choice((0.25, 0.5, 1.0)) if limited else 0.0,
        volume_basis=rng.choice(("bar", "bar", "trailing")) if limited else "bar",
        beyond_limit=rng.choice(("clip", "clip", "wait")),
    )


def random_costs(rng: random.Random) -> Costs:
    """Return costs."""
    commission = rng.choice(("", "", "per-share", "percent", "per-trade"))
    rate = {"": 0.0, "per-share": 0.0078125, "percent": 0.0009765625, "per-trade": 1.5}[commission]
    minimum = rng.choice((0.0, 1.0)) if commission in ("per-share", "percent") else 0.0
    maximum = rng.choice((0.0, 0.005)) if commission == "per-share" else 0.0
    return Costs(rng.choice((0.0, 0.0, 5.0, 100.0)), commission, rate, minimum, maximum)


def _maybe(rng: random.Random, value: float, odds: float = 0.04) -> float | None:
    return None if rng.random() < odds else value


def random_bars(
    rng: random.Random, walks: dict[str, Walk], sessions: tuple[tuple[int, int], ...], per_session: int
) -> Feed:
    rows: list[Row] = []
    has_vwap = True
    for number, (opens, closes) in enumerate(sessions):
        length = (closes - opens) // per_session
        for place in range(per_session):
            for symbol in walks:
                bar = _bar(rng, walks[symbol], symbol, opens + place * length, opens + (place + 1) * length)
                if (number or place) and rng.random() < 0.1:  # the first one is there: it names the symbol
                    continue
                rows.append(bar if has_vwap else replace(bar, vwap=None))
    length = (sessions[0][1] - sessions[0][0]) // per_session
    return Feed("bar", tuple(rows), "1d" if per_session == 1 else f"{length // 60}m")


def _bar(rng: random.Random, walk: Walk, symbol: str, start: int, end: int) -> Bar:
    opened, closed = walk.move(), walk.move(0.7)
    high = max(opened, closed) + rng.choice((0, 0, 1, 2)) * walk.step
    low = min(opened, closed) - rng.choice((0, 0, 1, 2)) * walk.step
    vwap = rng.choice((low, (low + high) / 2, high, high + 1.0))
    volume = rng.choice((0.0, 20.0, 40.0, 80.0, 200.0, 200.0, 1000.0))
    prices = [None] * 4 if rng.random() < 0.02 else [_maybe(rng, price) for price in (opened, high, low, closed)]
    return Bar(symbol, start, end, *prices, _maybe(rng, volume), _maybe(rng, vwap))


def random_ticks(rng: random.Random, walks: dict[str, Walk], sessions: tuple[tuple[int, int], ...], kind: str) -> Feed:
    rows: list[Row] = []
    for number, (opens, closes) in enumerate(sessions):
        ends = sorted(rng.randrange(opens // 60 + 1, closes // 60) * 60 for _ in range(rng.randint(2, 6)))
        for place, end in enumerate([opens + 60, *ends] if number == 0 else ends):
            for symbol in walks:
                if not (number == 0 and place == 0) and rng.random() < 0.2:
                    continue
                rows.append(_tick(rng, walks[symbol], symbol, end, kind))
    return Feed(kind, tuple(rows))


def _tick(rng: random.Random, walk: Walk, symbol: str, end: int, kind: str) -> Quote | Trade:
    price = walk.move(0.7)
    size = rng.choice((0.0, 10.0, 20.0, 100.0, 500.0))
    if kind == "trade":
        return Trade(symbol, end, _maybe(rng, price), _maybe(rng, size))
    spread = rng.choice((0, 1, 2)) * walk.step
    other = rng.choice((0.0, 10.0, 20.0, 100.0))
    return Quote(symbol, end, _maybe(rng, price), _maybe(rng, size), _maybe(rng, price + spread), _maybe(rng, other))


def random_instants(rng: random.Random, scenario: Scenario) -> tuple[int, ...]:
    """Return instants at which something can be asked for: every symbol has been named, and rows are to come."""
    first: dict[str, int] = {}
    for feed in scenario.feeds:
        for row in feed.rows:
            first.setdefault(row.symbol, row.end)
    begin, end = max(first.values()), max(row.end for feed in scenario.feeds for row in feed.rows)
    found = {row.end for feed in scenario.feeds for row in feed.rows}
    for opens, closes in scenario.sessions:
        middle = opens + rng.randrange(1, (closes - opens) // 60) * 60
        found |= {opens, closes, opens + 1_800, middle, opens - HOUR}
    return tuple(sorted(instant for instant in found if begin <= instant < end))
