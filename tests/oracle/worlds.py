"""Random scenarios with accounts, currencies, instruments and corporate actions, from a seed."""

from __future__ import annotations

import random
from dataclasses import replace

from . import happenings
from .requesting import Desires, random_script
from .scenario import DAY, Bar, Feed, Instrument, Row, Scenario
from .scenarios import GAP, HOUR, Walk, random_bars, random_costs, random_instants, random_rules, random_ticks
from .terms import Account, Listing, Rate

SHAPES = ("daily", "daily", "daily", "intraday", "intraday", "quotes", "trades")
PAIRS = {
    "direct": (Listing("EURUSD", "fx", base="EUR"),),
    "reverse": (Listing("USDEUR", "fx", "EUR", base="USD"),),
    "crossing": (Listing("EURGBP", "fx", "GBP", base="EUR"), Listing("GBPUSD", "fx", base="GBP")),
}


def random_world(seed: int) -> Scenario:
    """Return the scenario of a seed."""
    rng = random.Random(f"world {seed}")
    shape, always_open = rng.choice(SHAPES), rng.random() < 0.3
    sessions = tuple(
        (day * DAY + (0 if always_open else GAP[0]), day * DAY + (DAY if always_open else GAP[1]))
        for day in range(rng.randint(10, 12) if rng.random() < 0.1 else rng.randint(4, 7))
    )
    step = rng.choice((0.125, 0.25, 0.5, 0.5))
    listings, pairs = _listings(rng, len(sessions))
    symbols = ("AA", *(each.symbol for each in listings if each not in pairs))
    walks = {symbol: Walk(rng, step, 10.0) for symbol in symbols}
    prices = _feed(rng, shape, walks, sessions)
    if len(sessions) > 7 and len(walks) > 1:
        silent, since = rng.choice(symbols), sessions[rng.randrange(1, 4)][0]
        prices = replace(prices, rows=tuple(row for row in prices.rows if row.symbol != silent or row.end <= since))
    feeds = (*([_rates(rng, pairs, sessions)] if pairs else []), prices)
    rules = random_rules(rng, shape)
    scenario = Scenario(
        feeds=feeds,
        script=(),
        sessions=sessions,
        rules=rules,
        costs=random_costs(rng),
        instrument=Instrument(lot=rng.choice((None, None, None, 1.0, 10.0)), tick=rng.choice((0.0, 0.0, 0.0, 1.0))),
        latency=0 if rules.market == "same-close" else rng.choice((0, 0, 0, 0, 60, 2 * HOUR)),
        accounts=_accounts(rng, listings, sessions),
        listings=listings,
    )
    desires = Desires(
        rng=rng,
        symbols=(*symbols, *(pair.symbol for pair in pairs if rng.random() < 0.3)),
        ticking=frozenset(row.symbol for feed in feeds if feed.kind != "bar" for row in feed.rows),
        step=step,
        lot=scenario.instrument.lot or 1.0,
        trails_on_grid=not scenario.instrument.tick,
        instants=random_instants(rng, scenario),
        closes=tuple(close for _, close in sessions),
    )
    scenario = replace(scenario, script=random_script(desires))
    if rng.random() < 0.3:
        scenario = happenings.in_halves(scenario)
    return happenings.happen(rng, scenario, [symbol for symbol in symbols if "@" not in symbol and symbol != "FU"])


def _listings(rng: random.Random, days: int) -> tuple[tuple[Listing, ...], tuple[Listing, ...]]:
    """Return what is traded beside AA, and the pairs among it."""
    found: list[Listing] = []
    if rng.random() < 0.5:
        found.append(_share(rng, "BB", days))
    if rng.random() < 0.25:
        per_unit = rng.random() < 0.5
        margins = {"initial_per_unit": 6.0, "maintenance_per_unit": 5.0} if per_unit else {}
        expires = rng.randrange(1, days) if rng.random() < 0.6 else None
        found.append(Listing("FU", "future", multiplier=rng.choice((1.0, 4.0)), expires=expires, **margins))
    if rng.random() < 0.25:
        found.append(Listing("PP@V", "perpetual"))
    pairs: tuple[Listing, ...] = ()
    if rng.random() < 0.35:
        pairs = PAIRS[rng.choice(tuple(PAIRS))]
        found.append(Listing("EE", currency="EUR"))
    return (*found, *pairs), pairs


def _share(rng: random.Random, symbol: str, days: int) -> Listing:
    share = Listing(symbol, multiplier=rng.choice((1.0, 1.0, 2.0)))
    if rng.random() < 0.2:
        share = replace(share, listed_from=rng.choice((None, 0, 1)), listed_to=rng.choice((None, days - 2)))
    if rng.random() < 0.3:
        share = replace(share, initial_margin=rng.choice((0.25, 1.0)), maintenance_margin=0.125)
    return share


def _feed(rng: random.Random, shape: str, walks: dict[str, Walk], sessions: tuple[tuple[int, int], ...]) -> Feed:
    if shape in ("quotes", "trades"):
        return random_ticks(rng, walks, sessions, shape[:-1])
    return random_bars(rng, walks, sessions, 1 if shape == "daily" else 3)


def _rates(rng: random.Random, pairs: tuple[Listing, ...], sessions: tuple[tuple[int, int], ...]) -> Feed:
    """Return daily bars of pairs without gaps: what a missing rate does is tested by itself."""
    rows: list[Row] = []
    for opens, closes in sessions:
        for pair in pairs:
            opened, closed = (rng.choice((0.75, 1.0, 1.125, 1.25, 1.5, 2.0)) for _ in range(2))
            highest, lowest = max(opened, closed), min(opened, closed)
            rows.append(Bar(pair.symbol, opens, closes, opened, highest, lowest, closed, 1000.0, None))
    return Feed("bar", tuple(rows), "1d")


def _accounts(
    rng: random.Random, listings: tuple[Listing, ...], sessions: tuple[tuple[int, int], ...]
) -> tuple[Account, ...]:
    currencies = ("USD", "EUR") if any(each.currency == "EUR" for each in listings) else ("USD",)
    found = [_account(rng, "main", "", currencies, sessions)]
    if any("@" in each.symbol for each in listings):
        found.append(_account(rng, "perps", "V", ("USD",), sessions))
    return tuple(found)


def _account(
    rng: random.Random, name: str, venue: str, currencies: tuple[str, ...], sessions: tuple[tuple[int, int], ...]
) -> Account:
    kind = rng.choice(("unlimited", "unlimited", "margin", "margin", "cash" if not venue else "margin"))
    amount = 1_000_000.0 if rng.random() < 0.4 else rng.choice((100.0, 400.0, 1_000.0, 4_000.0))
    account = Account(name, kind, venue, (("USD", amount),))
    if "EUR" in currencies:
        if rng.random() < 0.5:
            account = replace(account, capital=(*account.capital, ("EUR", rng.choice((100.0, 1_000.0)))))
        account = replace(account, convert=rng.choice(("", "", "at-fill")))
    if rng.random() < 0.3:
        account = replace(account, insufficient="scale")
    if rng.random() < 0.2:
        account = replace(account, check=rng.choice(("none", "fill", "both")))
    if rng.random() < 0.3:
        account = replace(account, settlement_days=rng.randint(1, 2), use_unsettled=rng.random() < 0.5)
    if rng.random() < 0.25:
        account = replace(account, initial_margin=rng.choice((0.25, 1.0)), maintenance_margin=0.125)
    account = replace(account, on_silence=rng.choice(("stop", "hold", "last", "zero")))
    if rng.random() < 0.3:
        account = replace(account, max_mark_age=rng.choice((2, 3)))
    account = replace(account, margin_call=rng.choice(("note", "liquidate")))
    return _paying(rng, account, currencies, sessions)


def _paying(
    rng: random.Random, account: Account, currencies: tuple[str, ...], sessions: tuple[tuple[int, int], ...]
) -> Account:
    """Return an account that pays for shorts, loans and perpetuals."""
    end = sessions[-1][1] // 60

    def at() -> int:
        return rng.choice((0, rng.randrange(end) * 60, rng.choice(sessions)[1]))

    if rng.random() < 0.3:
        table = [
            Rate(each, at(), rng.choice((0.125, 0.5)), available=rng.choice((None, 20.0))) for each in ("AA", "BB")
        ]
        lent = tuple(row for row in table if rng.random() < 0.8)
        account = replace(account, borrow=lent if lent and rng.random() < 0.5 else 0.25)
        account = replace(account, borrow_missing=rng.choice(("refuse", "allow")))
    if rng.random() < 0.3:
        rows = tuple(Rate(each, at(), rng.choice((0.125, 0.5)), credit=0.0625) for each in currencies)
        account = replace(account, interest=rows if rng.random() < 0.5 else (0.25, 0.125))
    if account.venue and rng.random() < 0.7:
        stamps = sorted({at() for _ in range(rng.randint(1, 6))})
        funding = tuple(Rate("PP@V", stamp, rng.choice((0.0625, 0.125, -0.0625))) for stamp in stamps)
        account = replace(account, funding=funding)
    return replace(account, day_count=rng.choice((360, 360, 365)))
