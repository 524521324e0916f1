"""A split is continuous: raw prices with the split give what split-adjusted prices give without it."""

import random
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from ml4t.backtest import Engine, Strategy
from ml4t.backtest.state import REASONS, STATUSES

FIRST = date(2024, 3, 4)
DAYS = [FIRST + timedelta(number) for number in range(26) if (FIRST + timedelta(number)).weekday() < 5]
EX = 9
OPENS = {None: datetime(2024, 3, 15, tzinfo=UTC), "XNYS": datetime(2024, 3, 15, 13, 30, tzinfo=UTC)}
PRICES = ("open", "high", "low", "close")
RULES = [
    {},
    {"path": "optimistic"},
    {"path": "open-high-low-close", "trail": "close"},
    {"volume_limit": 0.5},
    {"volume_limit": 0.5, "volume_basis": "trailing"},
    {"children": "next-bar", "sees": "close"},
]


def market(rng, ratio):
    """Return raw bars: dyadic prices that jump by the ratio at the ex date, even volumes."""
    rows, price = [], 64.0
    for number, day in enumerate(DAYS):
        opened, close = (price + rng.randrange(-16, 17) / 4 for _ in range(2))
        high, low = max(opened, close) + rng.randrange(9) / 4, min(opened, close) - rng.randrange(9) / 4
        since = ratio if number >= EX else 1.0
        row = {"timestamp": day, "symbol": "A", "volume": 2.0 * rng.randrange(1, 30) * since}
        rows.append(row | {name: each / since for name, each in zip(PRICES, (opened, high, low, close), strict=True)})
        price = close
    return pl.DataFrame(rows)


def adjusted(frame, ratio):
    """Return the bars in the units of today."""
    before = pl.int_range(pl.len()) < EX
    return frame.with_columns(
        *(pl.when(before).then(pl.col(name) / ratio).otherwise(name) for name in PRICES),
        pl.when(before).then(pl.col("volume") * ratio).otherwise("volume").alias("volume"),
    )


def terms(rng, side):
    """Return the terms of an order of a random kind, away from 64 by a few quarters."""

    def near(sign):
        return 64.0 + side * sign * rng.randrange(-8, 25) / 4

    kind = rng.choice(("market", "limit", "stop", "stop-limit", "trailing-stop", "trailing-stop-limit"))
    time_in_force = rng.choice(("GTC", "GTC", "DAY", "IOC", "FOK", "OPG", "CLS"))
    made = {"time_in_force": time_in_force if kind in ("market", "limit") else rng.choice(("GTC", "DAY"))}
    made |= {"limit_price": near(-1)} if kind in ("limit", "stop-limit") else {}
    made |= {"stop_price": near(1)} if kind in ("stop", "stop-limit") else {}
    if kind.startswith("trailing"):
        made |= rng.choice(({"trail_percent": 0.0625}, {"trail_amount": rng.randrange(1, 9) / 2}))
    if kind.endswith("stop-limit") and kind != "stop-limit":
        made["limit_offset"] = rng.randrange(-4, 5) / 4
    return made


def script(rng):
    """Return what is asked for by day: kind of request, and its figures."""
    steps = []
    for number in range(len(DAYS) - 1):
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            side = rng.choice((1.0, -1.0))
            size, what = side * rng.randrange(1, 40), rng.random()
            if what < 0.55:
                steps.append((number, "order", size, terms(rng, side) | {"reduce_only": rng.random() < 0.2}))
            elif what < 0.7:
                prices = {"stop_price": 64.0 - 4.0 * side, "target_price": 64.0 + 3.5 * side}
                entry = rng.choice(({}, {"entry_limit": 64.0 - side}, {"entry_stop": 64.0 + side}))
                steps.append((number, "bracket", size, prices | entry))
            elif what < 0.8:
                steps.append((number, "oco", size, {"limit_price": 64.0 - 2.0 * side, "stop_price": 64.0 + 2.0 * side}))
            elif what < 0.9:
                steps.append((number, "cancel", rng.random(), {}))
            else:
                figures = {"quantity": size} if rng.random() < 0.5 else {"limit_price": 64.0 - side}
                steps.append((number, "amend", rng.random(), figures))
    return steps


class Scripted(Strategy):
    """Asks for what a script says; before the split in units of ``ratio``."""

    def __init__(self, steps, ratio, until):
        self.steps, self.ratio, self.until, self.day, self.orders = steps, ratio, until, -1, []

    def on_slice(self, market, context):
        self.day += 1
        # Prices of the script are those before the split.
        units, since = (self.ratio, 1.0) if context.now <= self.until else (1.0, self.split)
        for number, kind, size, figures in self.steps:
            if number == self.day:
                self.ask(context, kind, size, units, units * since, figures)

    def ask(self, context, kind, size, units, part, figures):
        prices = (
            "limit_price",
            "stop_price",
            "target_price",
            "entry_limit",
            "entry_stop",
            "trail_amount",
            "limit_offset",
        )
        scaled = {name: value / part if name in prices else value for name, value in figures.items()}
        if kind == "order":
            self.orders.append(context.order("A", size * units, **scaled))
        elif kind == "bracket":
            made = context.bracket("A", size * units, **scaled)
            self.orders += [made.entry, made.stop, made.target]
        elif kind == "oco":
            legs = [{"symbol": "A", "quantity": size * units, name: price} for name, price in scaled.items()]
            self.orders += context.oco(*legs)
        elif self.orders:
            order = self.orders[int(size * len(self.orders))]
            if kind == "cancel":
                context.cancel(order)
            else:
                if "quantity" in scaled:
                    scaled["quantity"] *= units
                context.amend(order, **scaled)


def run(frame, steps, ratio, split, calendar, rules, **settings):
    """Run a script; return fills and transitions in units of today, and equity."""
    strategy = Scripted(steps, ratio, OPENS[calendar])
    strategy.split = split
    fill = {"use": "next-open", **rules}
    costs = {"fill": fill, "slippage": {"use": "bps", "bps": 8.0}}
    account = {"type": "unlimited", "capital": {"USD": 1e6}}
    with_calendar = {"calendar": calendar} if calendar else {}
    result = Engine(prices=frame, strategy=strategy, broker=costs, account=account, **with_calendar, **settings).run()
    state, ex = result.state, int(OPENS[calendar].timestamp()) * 10**9
    units = {"old": split if "actions" in settings else 1.0}
    fills = []
    for row in state.fills.rows():
        part = units["old"] if row["known_at"] <= ex else 1.0
        fills.append((int(row["order_id"]), row["quantity"] * part, row["price"] / part, int(row["formed_at"])))
    transitions = [
        (int(row["timestamp"]), int(row["order_id"]), STATUSES[row["status"]], REASONS[row["reason"]])
        for row in state.order_events.rows()
        if REASONS[row["reason"]] != "corporate-action"
    ]
    return fills, transitions, state.equity.rows()["equity"].tolist()


@pytest.mark.parametrize("calendar", OPENS)
@pytest.mark.parametrize("seed", range(12))
def test_raw_prices_with_a_split_give_what_adjusted_prices_give(seed, calendar):
    """Fills, prices, transitions and equity, to the last bit where lots allow it."""
    rng = random.Random(seed)
    split = rng.choice((2.0, 4.0))
    frame, steps, rules = market(rng, split), script(rng), rng.choice(RULES)
    kind, ratio = rng.choice((("split", split), ("stock-dividend", split - 1.0)))
    actions = pl.DataFrame({"symbol": ["A"], "kind": [kind], "ex_date": [DAYS[EX]], "ratio": [ratio]})

    raw = run(frame, steps, 1.0, split, calendar, rules, actions=actions)
    plain = run(adjusted(frame, split), steps, split, split, calendar, rules)

    assert plain[0] == raw[0]
    assert plain[1] == raw[1]
    assert plain[2] == pytest.approx(raw[2], rel=1e-9)


def test_the_scenarios_fill_on_both_sides_of_the_split():
    """Otherwise they would show nothing."""
    seen = set()
    for seed in range(12):
        rng = random.Random(seed)
        frame, steps = market(rng, 2.0), script(rng)
        fills, transitions, _ = run(adjusted(frame, 2.0), steps, 2.0, 2.0, None, {})
        ex = int(OPENS[None].timestamp()) * 10**9
        seen |= {formed_at > ex for *_, formed_at in fills} | {reason for *_, reason in transitions}

    assert {True, False, "parent-filled", "one-cancels-other", "triggered", "amended", "nothing-to-reduce"} <= seen
