"""A fill: what it costs, the rows that record it, and what it does to other orders and the account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np

from ml4t_backtest_broker_simulation.callback import call_back
from ml4t_backtest_broker_simulation.core import (
    Record,
    change,
    compiled,
    count_in_book,
    end,
    fault,
    inlined,
    round_to_step,
)
from ml4t_backtest_broker_simulation.family import spread_fill
from ml4t_backtest_broker_simulation.layout import (
    AFFORDS,
    AFFORDS_CALLBACK,
    AFFORDS_PARAMS,
    AT_ONCE,
    BARS,
    BEYOND,
    CALLBACK,
    CANCELLED,
    COMMISSION_NOW,
    FAULT_EARLY,
    FAULT_FILLED,
    FAULT_RANGE,
    FILLED,
    FILLS,
    OPENS_AND_STOPS,
    PARAMS,
    PARTIAL,
    PRESENT,
    QUOTES,
    ROWS,
    SLIPS_ON,
    SLIPS_WITHIN,
    SOURCE,
    STATES,
    STOP,
    WORKING,
    Run,
    reason_of,
    whole,
)
from ml4t_backtest_broker_simulation.price import R_LIMIT, R_LIMIT_BETTER, R_STOP, R_STOP_GAP
from ml4t_backtest_broker_simulation.view import earliest
from ml4t_backtest_broker_simulation.volume import amount, take_volume

__all__ = ["ask", "fill_order", "paid_price", "pay", "reference_price", "write_fill"]

FILL, SLIPPAGE, IMPACT, COMMISSION, APPLY_FILL = map(whole, range(5))

Functions: TypeAlias = tuple[Callable[..., float], ...]

R_PRICE: Final = reason_of("fill-price-not-finite")
R_NOTHING: Final = reason_of("nothing-to-reduce")
R_POWER: Final = reason_of("no-buying-power")

WAITS: Final = 0
DONE: Final = 1
ENDED: Final = 2


@inlined
def ask(which: int, function: Callable[..., float], run: Run, i: int) -> float:
    """Call a model, compiled by its address or back in Python; a model that is not there costs nothing."""
    setup = run.setup
    if setup[PRESENT + which] == 0:
        return 0.0
    if setup[CALLBACK + which] != 0:
        return call_back(setup[CALLBACK + which], i)
    own_params = run.params[setup[PARAMS + which] : setup[PARAMS + which + 1]]
    own_state = run.states[setup[STATES + which] : setup[STATES + which + 1]]
    return function(run.orders, i, run.market, own_params, own_state)


@compiled
def in_range(raw: Record, price: float) -> bool:
    """Say whether a price lies between the lowest and the highest that a row shows."""
    low = np.fmin(np.fmin(raw["open"], raw["close"]), np.fmin(raw["low"], raw["high"]))
    high = np.fmax(np.fmax(raw["open"], raw["close"]), np.fmax(raw["low"], raw["high"]))
    return bool(low <= price and price <= high)


@inlined
def write_fill(run: Run, order: Record, reference: float, commission: float, reason: int, formed_at: int) -> int:
    """Append the FILL row of what is in ``market[0]`` and return its row number."""
    bar = run.market[0]
    row = int(run.counters[FILLS])
    fill = run.fills[row]
    fill["order_id"] = order["id"]
    fill["symbol"] = order["symbol"]
    fill["account"] = order["account"]
    fill["reason"] = reason
    fill["maker"] = bar["maker"]
    fill["quantity"] = bar["quantity"]
    fill["price"] = bar["price"]
    fill["reference_price"] = reference
    fill["commission"] = commission
    fill["slippage"] = (bar["price"] - reference) * bar["quantity"] * bar["multiplier"]
    fill["formed_at"] = formed_at
    fill["known_at"] = bar["known_at"]
    fill["submitted_at"] = order["submitted_at"]
    run.counters[FILLS] = row + 1
    return row


@inlined
def pay(run: Run, models: Functions, row: int) -> None:
    """Hand a fill to the portfolio."""
    if run.setup[CALLBACK + APPLY_FILL] != 0:
        call_back(run.setup[CALLBACK + APPLY_FILL], row)
    else:
        models[4](run.fills, row, run.instruments, run.positions, run.accounts, run.ledger, run.counters)


@inlined
def can_pay(run: Run, models: Functions, i: int, commission: float) -> bool:
    """Ask the portfolio, where it looks at fills, whether it can pay for the one in ``market[0]``."""
    setup = run.setup
    run.numbers[COMMISSION_NOW] = commission
    if setup[AFFORDS_CALLBACK] != 0:
        return call_back(setup[AFFORDS_CALLBACK], i) > 0.0
    params = run.params[setup[AFFORDS_PARAMS] : setup[AFFORDS_PARAMS + 1]]
    tables = (run.instruments, run.positions, run.accounts)
    return models[5](run.orders, i, run.market, commission, *tables, params) > 0.0


@compiled
def reference_price(run: Run, models: Functions, i: int, price: float) -> float:
    """Return the price that the fill model makes of the one found; NaN for not now."""
    if run.setup[PRESENT + FILL] == 0:
        return price
    answer = ask(FILL, models[0], run, i)
    if run.setup[STOP] != 0:
        return np.nan
    if np.isfinite(answer) and not in_range(run.market[1], answer):
        fault(run.setup, FAULT_RANGE, i)
        return np.nan
    return answer


@compiled
def slips(run: Run, i: int, phase: int, reason: int) -> bool:
    """Say whether the rules let a fill slip; a stop-limit that fills at its stop does so as a stop."""
    if run.setup[SLIPS_ON] == 0:
        return True
    if phase == 0:
        return bool(run.setup[SLIPS_ON] == OPENS_AND_STOPS)
    return reason in (R_STOP, R_STOP_GAP) or fills_at_its_stop(run, i, phase, reason)


@compiled
def fills_at_its_stop(run: Run, i: int, phase: int, reason: int) -> bool:
    """Say whether a fill that the rules treat as a stop's is that of a stop-limit, within its bar."""
    if run.setup[SLIPS_ON] == 0 or phase == 0 or phase > 3:
        return False
    order = run.orders[i]
    if reason != R_LIMIT:
        return bool(reason == R_LIMIT_BETTER)
    terms = run.terms[order["terms"]]
    now = terms["event_row"] == run.counters[ROWS] and terms["event_phase"] > 0
    return bool(now and order["limit_price"] == order["stop_price"])


@compiled
def paid_price(run: Run, models: Functions, i: int, phase: int, reason: int) -> float:
    """Return the reference price in ``market[0]`` plus slippage and impact, where they may go."""
    setup, order, bar, raw = run.setup, run.orders[i], run.market[0], run.market[1]
    buys = order["quantity"] > 0.0
    reference = bar["price"]
    shift = 0.0
    if slips(run, i, phase, reason):
        shift = ask(SLIPPAGE, models[1], run, i)
    if setup[STOP] == 0:
        shift += ask(IMPACT, models[2], run, i)
    price = float(reference + shift)
    limited = reason in (R_LIMIT, R_LIMIT_BETTER) and not fills_at_its_stop(run, i, phase, reason)
    if setup[SLIPS_WITHIN] != 0 and setup[SOURCE] == BARS and (buys or not limited):
        price = float(np.fmin(price, raw["high"]) if buys else np.fmax(price, raw["low"]))
    if limited:
        limit = order["limit_price"]
        if setup[BEYOND] == 0:
            price = min(price, limit) if buys else max(price, limit)
    return price


@compiled
def is_beyond(run: Run, i: int, reason: int, price: float) -> bool:
    """Say whether an order rather waits than pay a price beyond its limit."""
    order = run.orders[i]
    if run.setup[BEYOND] != 1 or reason not in (R_LIMIT, R_LIMIT_BETTER):
        return False
    limit = order["limit_price"]
    return bool(price > limit if order["quantity"] > 0.0 else price < limit)


@compiled
def prepare(run: Run, i: int, quantity: float, price: float, maker: bool) -> None:
    """Write what models are told of the fill under way into ``market[0]``; prices stand there already."""
    bar, raw = run.market[0], run.market[1]
    bar["price"] = price
    bar["quantity"] = quantity
    bar["maker"] = 1 if maker else 0
    bar["volume"] = raw["volume"]
    bar["vwap"] = raw["vwap"]
    if run.setup[SOURCE] != BARS:
        bar["open"], bar["high"], bar["low"], bar["close"] = price, price, price, price
        bar["vwap"] = np.nan
        if run.setup[SOURCE] == QUOTES and quantity > 0.0:
            bar["volume"] = raw["vwap"]


@compiled
def fill_order(run: Run, models: Functions, i: int, phase: int, price: float, reason: int, maker: bool) -> int:
    """Fill what may fill of a working order at a price; return WAITS, DONE, or ENDED without a fill."""
    setup, order, bar, raw = run.setup, run.orders[i], run.market[0], run.market[1]
    if order["reduce_only"] != 0:
        held = run.positions[order["symbol"]]["quantity"]
        if held == 0.0 or (held > 0.0) == (order["quantity"] > 0.0):
            end(run, i, CANCELLED, R_NOTHING)
            return ENDED
    quantity = amount(run, i)
    if quantity == 0.0:
        return WAITS
    prepare(run, i, quantity, price, maker)
    reference = reference_price(run, models, i, price)
    if setup[STOP] != 0 or not np.isfinite(reference):
        return WAITS
    bar["price"] = reference
    worst = paid_price(run, models, i, phase, reason)
    if setup[STOP] != 0 or is_beyond(run, i, reason, worst):
        return WAITS
    bar["price"] = worst
    commission = ask(COMMISSION, models[3], run, i)
    if setup[STOP] != 0:
        return WAITS
    if not np.isfinite(worst) or not np.isfinite(commission):
        end(run, i, CANCELLED, R_PRICE)
        return ENDED
    if setup[AFFORDS] != 0 and not can_pay(run, models, i, commission):
        if setup[STOP] != 0:
            return WAITS
        end(run, i, CANCELLED, R_POWER)
        return ENDED
    formed_at = raw["bar_start"] if phase == 0 else raw["event_time"]
    if not in_range(raw, reference):
        fault(setup, FAULT_RANGE, i)
    if setup[AT_ONCE] == 0 and formed_at < earliest(run, i):
        fault(setup, FAULT_EARLY, i)
    book_fill(run, models, i, reference, commission, reason, formed_at, phase)
    return DONE


@compiled
def book_fill(
    run: Run,
    models: Functions,
    i: int,
    reference: float,
    commission: float,
    reason: int,
    formed_at: int,
    phase: int,
) -> None:
    """Record a fill, move its order on, pay, and tell the orders that belong with it."""
    order = run.orders[i]
    quantity = run.market[0]["quantity"]
    row = write_fill(run, order, reference, commission, reason, formed_at)
    before = order["filled"]
    step = run.instruments[order["symbol"]]["quantity_step"]
    after = order["quantity"]
    if abs(quantity) < abs(after - before):
        after = round_to_step(before + quantity, step)
    if abs(after) > abs(order["quantity"]):
        fault(run.setup, FAULT_FILLED, i)
    order["filled"] = after
    order["commission"] += commission
    status = FILLED if after == order["quantity"] else PARTIAL
    count_in_book(run, order, before - after)
    if status == FILLED:
        run.counters[WORKING] -= 1
    run.fills[row]["sequence"] = change(run, i, status, reason)
    take_volume(run, order["symbol"], quantity)
    pay(run, models, row)
    if order["terms"] >= 0:
        run.terms[order["terms"]]["met_row"] = run.counters[ROWS]
        spread_fill(run, i, quantity, phase, reference, formed_at)
