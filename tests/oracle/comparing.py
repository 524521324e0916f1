"""A scenario through the engine and through the simulator, and what differs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ml4t.backtest import RunError
from ml4t.backtest.state import LEDGER_KINDS, REASONS, STATUSES

from .accounts import Entry
from .native import Scripted, engine_of
from .rates import MissingRateError
from .sampling import Sample
from .scenario import Scenario
from .settings import EPOCH, FIRST, last_names
from .silence import TooSilentError
from .simulator import Outcome, simulate

_NS = 1_000_000_000
_START = int(EPOCH.timestamp())
TOLERANCE = 1e-9
FIGURES = (
    "cash", "equity", "receivable", "gross", "net", "stale", "realised", "unrealised", "commission", "dividends",
    "interest", "borrow", "funding", "fx_pnl", "initial_margin", "maintenance_margin",
)  # fmt: skip
# Columns of the engine that make a figure, where they are called otherwise.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "gross": ("gross_exposure",),
    "net": ("net_exposure",),
    "stale": ("stale_exposure",),
}


@dataclass(frozen=True)
class Real:
    """What the engine wrote down, in the simulator's terms; ``held`` is by place of session and symbol."""

    fills: list[tuple[Any, ...]]
    transitions: list[tuple[int, int, str, str]]
    positions: dict[str, float]
    ledger: dict[tuple[Any, ...], list[float]]
    equity: list[dict[str, float]]
    held: dict[int, dict[str, float]]


def run_real(scenario: Scenario) -> Real:
    """Run a scenario through the engine."""
    strategy = Scripted(scenario)
    engine = engine_of(scenario, strategy)
    result = engine.run()
    state = result.state
    if strategy.due:
        raise LookupError(f"nobody was called at {sorted(strategy.due)}")
    fills = [
        (
            int(row["order_id"]),
            float(row["quantity"]),
            float(row["reference_price"]),
            float(row["price"]),
            float(row["commission"]),
            _seconds(row["formed_at"]),
            _seconds(row["known_at"]),
            REASONS[row["reason"]],
            bool(row["maker"]),
        )
        for row in state.fills.rows()
    ]
    transitions = [
        (_seconds(row["timestamp"]), int(row["order_id"]), STATUSES[row["status"]], REASONS[row["reason"]])
        for row in state.order_events.rows()
    ]
    names = [last_names(scenario).get(name, name) for name in state.symbols]
    positions = {name: float(state.positions["quantity"][place]) for place, name in enumerate(names)}
    equity = [{name: float(row[name]) for name in row.dtype.names or ()} for row in state.equity.rows()]
    held: dict[int, dict[str, float]] = defaultdict(dict)
    for row in result.positions.iter_rows(named=True):
        name = last_names(scenario).get(row["symbol"], row["symbol"])
        held[(row["session"] - FIRST).days][name] = row["quantity"]
    return Real(fills, transitions, positions, _real_ledger(state, names), equity, held)


def _seconds(instant: Any) -> int:
    return int(instant) // _NS - _START


def _real_ledger(state: Any, names: list[str]) -> dict[tuple[Any, ...], list[float]]:
    """Sum the amounts, quantities and what settled by instant, kind, account, currency, symbol and order."""
    found: dict[tuple[Any, ...], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for row in state.ledger.rows():
        kind = LEDGER_KINDS[row["kind"]]
        symbol = names[row["symbol"]] if row["symbol"] >= 0 and kind != "deposit" else ""
        at = -1 if kind == "deposit" else _seconds(row["timestamp"])
        order = int(row["order_id"]) if kind in ("fill", "commission", "conversion") else -1
        key = (at, kind, int(row["account"]), state.currencies[row["currency"]], symbol, order)
        settled = float(row["settled"]) if kind == "settlement" else 0.0
        _count(found, _same_kind(key), (float(row["amount"]), float(row["quantity"]), settled))
    return found


def _plain_ledger(ledger: Sequence[Entry]) -> dict[tuple[Any, ...], list[float]]:
    found: dict[tuple[Any, ...], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for entry in ledger:
        key = (entry.at, entry.kind, entry.account, entry.currency, entry.symbol, entry.order)
        _count(found, _same_kind(key), (float(entry.amount), float(entry.quantity), float(entry.settled)))
    return found


def _same_kind(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """Count variation and expiry of one close together: the pages do not say which of them pays."""
    at, kind, *rest = key
    if kind == "settlement":
        return (at, kind, rest[0], rest[1], "", -1)
    return (at, "expiry" if kind == "variation" else kind, *rest)


def _count(found: dict[tuple[Any, ...], list[float]], key: tuple[Any, ...], more: tuple[float, float, float]) -> None:
    for place, value in enumerate(more):
        found[key][place] += value


def differences(scenario: Scenario) -> Iterator[str]:
    """Yield what the engine and the simulator do not agree on, worst first."""
    plain: Outcome | None
    real: Real | None
    try:
        plain = simulate(scenario)
    except (MissingRateError, TooSilentError):
        plain = None
    try:
        real = run_real(scenario)
    except RunError as error:
        real = None
        if plain is not None:
            yield f"the engine stopped: {error}"
    if plain is None and real is not None:
        yield "the engine went on, where a rate is missing or a position has no price"
    if real is None or plain is None:
        return
    yield from _fill_differences(real, plain)
    yield from _transition_differences(real, plain)
    for symbol in sorted({*real.positions, *plain.positions}):
        expected, quantity = float(plain.positions.get(symbol, 0)), real.positions.get(symbol, 0.0)
        if abs(expected - quantity) > TOLERANCE:
            yield f"position of {symbol}: the simulator says {expected}, the engine {quantity}"
    yield from _ledger_differences(real, plain)
    yield from _equity_differences(real, plain.samples)


def _transition_differences(real: Real, plain: Outcome) -> Iterator[str]:
    ids = {each[1] for each in real.transitions} | {each.order for each in plain.transitions}
    for order in sorted(ids):
        theirs = [(at, status, reason) for at, each, status, reason in real.transitions if each == order]
        ours = [(each.at, each.status, each.reason) for each in plain.transitions if each.order == order]
        for place in range(max(len(ours), len(theirs))):
            wanted, got = (rows[place] if place < len(rows) else None for rows in (ours, theirs))
            if wanted != got:
                yield f"order {order}, transition {place}: the simulator says {wanted}, the engine {got}"
                break


def _fill_differences(real: Real, plain: Outcome) -> Iterator[str]:
    ours = [
        tuple(float(part) if not isinstance(part, (int, str)) else part for part in vars(each).values())
        for each in plain.fills
    ]
    for place in range(max(len(ours), len(real.fills))):
        wanted, got = (rows[place] if place < len(rows) else None for rows in (ours, real.fills))
        if wanted is None or got is None or not all(map(_equal, wanted, got)):
            yield f"fill {place}: the simulator says {wanted}, the engine {got}"
            return


def _ledger_differences(real: Real, plain: Outcome) -> Iterator[str]:
    theirs, ours = real.ledger, _plain_ledger(plain.ledger)
    for key in sorted({*theirs, *ours}):
        wanted, got = (ledger.get(key, [0.0, 0.0, 0.0]) for ledger in (ours, theirs))
        if not all(map(_equal, wanted, got)):
            yield f"ledger {key}: the simulator says {wanted}, the engine {got} (amount, quantity, settled)"


def _equity_differences(real: Real, samples: list[Sample]) -> Iterator[str]:
    if len(samples) != len(real.equity):
        yield f"the simulator has {len(samples)} rows of equity, the engine {len(real.equity)}"
        return
    for sample, row in zip(samples, real.equity, strict=True):
        scale = max(1.0, abs(float(sample.equity)), float(sample.gross))
        for name in FIGURES:
            expected, got = float(getattr(sample, name)), sum(row[each] for each in _COLUMNS.get(name, (name,)))
            if not abs(expected - got) <= TOLERANCE * scale:
                yield f"session {sample.session}, {name}: the simulator says {expected}, the engine {got}"
        held = real.held.get(sample.session, {})
        for symbol in sorted({*held, *sample.quantities}):
            expected, got = float(sample.quantities.get(symbol, 0)), held.get(symbol, 0.0)
            if abs(expected - got) > TOLERANCE:
                yield f"session {sample.session}, {symbol} held: the simulator says {expected}, the engine {got}"


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float):
        return bool(abs(one - other) <= TOLERANCE * max(1.0, abs(one)))
    return bool(one == other)
