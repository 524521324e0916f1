"""What holds in every run, whatever is asked for: random markets, random orders, the real engine.

Some examples in every run; ten thousand of each with ``-m exhaustive``.
"""

import math
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle.native import engine_of
from oracle.scenario import Bar, Quote, Trade
from oracle.scenarios import random_scenario

from ml4t.backtest.state import FILLED, REASONS, REFUSED, STATUSES

ORDERS_PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "orders.md"
NS = 1_000_000_000
PHASES_OF_FILLS = {"filled", "partial"}


@cache
def table():
    """Return what the page allows: (from, to) -> reasons, None for any reason of a fill."""
    text = ORDERS_PAGE.read_text(encoding="utf-8")
    section, allowed = text.split("## States")[1].split("## Refusals"), defaultdict(set)
    refusals = set(re.findall(r"`([a-z-]+)`", section[1]))
    for line in section[0].splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 3 or cells[0] in ("from", "---"):
            continue
        reasons = set(re.findall(r"`([a-z-]+)`", cells[2])) | ({""} if "`" not in cells[2] else set())
        if cells[1] == "refused":
            reasons = refusals
        elif cells[1] in PHASES_OF_FILLS:
            reasons = {None}
        for before in cells[0].split(", "):
            allowed[before, cells[1]] |= reasons
    allowed["pending", "submitted"] |= {""}
    for reason in allowed["accepted", "accepted"]:  # "a further fill, or as accepted to accepted"
        allowed["partial", "partial"].add(reason)
    return dict(allowed)


def rows_by_end(scenario):
    found = {}
    for feed in scenario.feeds:
        for row in feed.rows:
            found.setdefault((row.symbol, row.end), []).append(row)
    return found


def bounds(row, quantity):
    """Return the lowest and highest price that a row holds for one side."""
    match row:
        case Quote():
            prices = [row.ask if quantity > 0 else row.bid]
        case Trade():
            prices = [row.price]
        case Bar():
            prices = [row.open, row.high, row.low, row.close]
    known = [price for price in prices if price is not None]
    return min(known, default=math.inf), max(known, default=-math.inf)


def check(seed):
    """Run the scenario of a seed and check all invariants."""
    scenario = random_scenario(seed)
    engine = engine_of(scenario)
    state = engine.run().state
    start = int(engine.result.state.session_opens[0]) // NS - scenario.sessions[0][0]
    fills, orders = state.fills.rows(), state.orders.rows()
    check_transitions(state.order_events.rows(), len(orders))
    check_sums(fills, orders)
    latency = scenario.latency * NS
    rows, volumes, formed = rows_by_end(scenario), defaultdict(float), {}
    for fill in fills:
        order, symbol = orders[fill["order_id"]], state.symbols.names[fill["symbol"]]
        begins = fill["submitted_at"] + (0 if released(state, fill["order_id"]) else latency)
        if REASONS[fill["reason"]] != "same-close":
            assert begins <= fill["formed_at"], f"seed {seed}: order {order['id']} filled before it was there"
        assert formed.get(symbol, 0) <= fill["formed_at"], f"seed {seed}: fills of {symbol} go back in time"
        formed[symbol] = fill["formed_at"]
        candidates = rows[symbol, int(fill["known_at"]) // NS - start]
        ranges = [bounds(row, fill["quantity"]) for row in candidates]
        within = [low <= fill["reference_price"] <= high for low, high in ranges]
        assert any(within), f"seed {seed}: {fill['reference_price']} is outside the row"
        side = fill["quantity"] > 0 if isinstance(candidates[0], Quote) else None
        volumes[symbol, int(fill["known_at"]), side] += abs(fill["quantity"])
    check_volumes(scenario, rows, volumes, start)
    check_positions(state, fills)


def released(state, order_id):
    """Whether an order waited for its parent: it rests at the venue, so that no latency is between."""
    terms = state.orders.rows()["terms"][order_id]
    return terms >= 0 and state.terms.rows()["parent"][terms] >= 0


def check_transitions(events, orders):
    allowed, now = table(), ["pending"] * orders
    for event in events:
        order, status, reason = int(event["order_id"]), STATUSES[event["status"]], REASONS[event["reason"]]
        if status == "refused" and now[order] != "submitted":
            continue  # the answer to a request; the order stays as it is
        reasons = allowed.get((now[order], status))
        assert reasons is not None, f"order {order}: {now[order]} -> {status} ({reason}) is not in the table"
        assert None in reasons or reason in reasons, f"order {order}: {now[order]} -> {status} for {reason!r}"
        now[order] = status


def check_sums(fills, orders):
    filled = defaultdict(float)
    for fill in fills:
        filled[int(fill["order_id"])] += float(fill["quantity"])
    for order in orders:
        total = filled[int(order["id"])]
        if order["status"] == REFUSED:
            assert total == 0.0
            continue
        assert abs(total - float(order["filled"])) <= 1e-9
        assert abs(total) <= abs(float(order["quantity"])) + 1e-9
        if order["status"] == FILLED:
            assert abs(total - float(order["quantity"])) <= 1e-9


def check_volumes(scenario, rows, volumes, start):
    limit = scenario.rules.volume_limit
    if not limit or scenario.rules.volume_basis == "trailing":
        return
    for (symbol, known_at, buys), quantity in volumes.items():
        candidates = rows[symbol, known_at // NS - start]
        sizes = []
        for row in candidates:
            size = row.volume if isinstance(row, Bar) else row.size if isinstance(row, Trade) else None
            sizes.append((row.ask_size if buys else row.bid_size) if isinstance(row, Quote) else size)
        assert quantity <= limit * sum(size or 0.0 for size in sizes) + 1e-9


def check_positions(state, fills):
    held = defaultdict(float)
    for fill in fills:
        held[int(fill["symbol"])] += float(fill["quantity"])
    for place, quantity in enumerate(state.positions["quantity"]):
        assert float(quantity) == held[place], "a position is the sum of its fills, and exactly 0 where that is 0"


CALM = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
SEEDS = st.integers(10_000, 2**40)


@settings(CALM, max_examples=60)
@given(seed=SEEDS)
def test_invariants_hold(seed):
    """Fills sum to filled; transitions are in the table; prices formed later, within their bar, within the cap."""
    check(seed)


@pytest.mark.exhaustive
@settings(CALM, max_examples=10_000)
@given(seed=SEEDS)
def test_invariants_hold_ten_thousand_times(seed):
    """The same at length."""
    check(seed)


def test_the_table_of_states_is_read():
    """A page that changes its shape does not go unnoticed."""
    allowed = table()
    assert {""} == allowed["submitted", "accepted"]
    assert "parent-ended" in allowed["held", "cancelled"]
    assert "day-over" in allowed["partial", "expired"]
    assert "quantity-zero" in allowed["submitted", "refused"]
    assert ("filled", "cancelled") not in allowed
