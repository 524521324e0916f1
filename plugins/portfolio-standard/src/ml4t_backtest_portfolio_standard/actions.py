"""What corporate actions do to positions and cash, on the position held strictly before."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ml4t.backtest.errors import RunError
from ml4t_backtest_portfolio_standard.accounting import held_after, round_to_step
from ml4t_backtest_portfolio_standard.booking import place_of, post

if TYPE_CHECKING:
    from ml4t.backtest.interfaces import Action
    from ml4t.backtest.state import RunState

__all__ = ["Actions"]

_FOREVER: Final = 2**63 - 1
_DUST: Final = 1e-9  # lots
_ROUNDED: Final = 1.0 + 1e-15  # what a product of floats may be off by, of many lots


class Actions:
    """Adjusts positions, and pays what actions have promised for a later day.

    Args:
        state: The run's columns.
    """

    def __init__(self, state: RunState) -> None:
        self._state = state
        # when, number, row of ACCOUNT, kind, amount, symbol
        self._due: list[tuple[int, int, int, str, float, int]] = []
        self._entered = 0
        self._kinds: dict[str, Callable[[Action], None]] = {
            "split": lambda action: self._multiply(action.symbol, action.ratio, action.kind),
            "stock-dividend": lambda action: self._multiply(action.symbol, 1.0 + action.ratio, action.kind),
            "dividend": self._pay_dividend,
            "merger": self._merge,
            "spin-off": self._spin_off,
            "delisting": self._end,
            "expiry": self._end,
        }

    @property
    def next_due(self) -> int:
        """Return when something promised is paid next, UTC ns."""
        return self._due[0][0] if self._due else _FOREVER

    def apply(self, action: Action) -> None:
        """Adjust the position in a symbol; kinds that change none are passed over."""
        change = self._kinds.get(action.kind)
        if change is not None and self._held(action.symbol) != 0.0:
            change(action)

    def pay(self) -> None:
        """Pay what is due by now."""
        while self.next_due <= self._state.now:
            _, _, place, kind, amount, symbol = heapq.heappop(self._due)
            self._state.accounts[place]["receivable"] -= amount
            post(self._state, place, kind, amount, symbol=symbol)
            if not any(place == other[2] for other in self._due):
                self._state.accounts[place]["receivable"] = 0.0  # no dust of adding and taking

    def close_position(self, symbol: int, price: float, kind: str = "delisting") -> None:
        """Close the position in a symbol at a price."""
        self.take(symbol, self._held(symbol), price, kind)

    # --- kinds ------------------------------------------------------------------------------------------

    def _multiply(self, symbol: int, ratio: float, kind: str) -> None:
        """Give ``ratio`` units for each; what is left over of whole lots is paid in cash."""
        position = self._state.positions[symbol]
        held, mark = self._held(symbol), float(self._state.instruments[symbol]["mark"]) / ratio
        kept, left_over = self._cut(symbol, held * ratio, self._is_whole(symbol, held), mark)
        after = kept + left_over
        for name in ("average_price", "basis"):
            position[name] *= held / after  # what was paid stays, whatever rounding did to the quantity
        for name in ("high", "low"):
            position[name] /= ratio
        position["quantity"] = after
        self._note(symbol, kind, after - held, mark)
        if left_over:
            price = mark if np.isfinite(mark) else float(position["average_price"])
            self.take(symbol, left_over, price, "cash-in-lieu")

    def _pay_dividend(self, action: Action) -> None:
        amount = self._units(action.symbol) * action.amount
        place = self._place(action)
        self._state.accounts[place]["dividends"] += amount
        self._promise(action, amount, place)

    def _merge(self, action: Action) -> None:
        state, symbol = self._state, action.symbol
        position, held = state.positions[symbol], self._held(symbol)
        cash = self._exchanged(action) if np.isfinite(action.amount) else 0.0
        if not (action.other >= 0 and action.ratio > 0.0):
            self._sell_for(action, held, cash)
            return
        self._check_alike(action)
        average = (float(position["average_price"]) - cash) / action.ratio
        basis, mark = float(position["basis"]) / action.ratio, float(state.instruments[action.other]["mark"])
        whole = self._is_whole(symbol, held)
        _empty(position)
        self._note(symbol, action.kind, -held, cash)
        if cash:
            self._promise(action, held * cash * float(state.instruments[symbol]["multiplier"]))
        self._receive(action, held * action.ratio, (average, basis), mark, whole)

    def _spin_off(self, action: Action) -> None:
        self._check_alike(action)
        state, held = self._state, self._held(action.symbol)
        value = action.value if np.isfinite(action.value) else 0.0
        position = state.positions[action.symbol]
        by_value = self._by_value(action.symbol)
        for name in ("average_price", "high", "low") if by_value else ("average_price", "high", "low", "basis"):
            position[name] -= action.ratio * value
        self._note(action.symbol, action.kind, 0.0, action.ratio * value)
        whole = self._is_whole(action.symbol, held)
        self._receive(action, held * action.ratio, (value, 0.0 if by_value else value), value, whole)

    def _end(self, action: Action) -> None:
        instrument, position = self._state.instruments[action.symbol], self._state.positions[action.symbol]
        known = [each for each in (action.value, instrument["mark"], position["average_price"]) if np.isfinite(each)]
        self.close_position(action.symbol, float(known[0]), action.kind)

    # --- parts ------------------------------------------------------------------------------------------

    def _sell_for(self, action: Action, held: float, cash: float) -> None:
        """Close a position for cash that is paid now or later."""
        symbol = action.symbol
        if action.pay_at <= self._state.now:
            self.take(symbol, held, cash, action.kind)
            return
        amount = self._worth(symbol, held, cash)
        self._realise(symbol, held, cash)
        _empty(self._state.positions[symbol])
        self._note(symbol, action.kind, -held, cash)
        self._promise(action, amount)

    def _promise(self, action: Action, amount: float, place: int | None = None) -> None:
        """Pay at once, or count as receivable until the day of payment."""
        place = place_of(self._state, action.symbol) if place is None else place
        if action.pay_at <= self._state.now:
            post(self._state, place, action.kind, amount, symbol=action.symbol)
            return
        self._state.accounts[place]["receivable"] += amount
        self._entered += 1
        heapq.heappush(self._due, (action.pay_at, self._entered, place, action.kind, amount, action.symbol))

    def _receive(self, action: Action, quantity: float, cost: tuple[float, float], mark: float, whole: bool) -> None:
        """Add units of another instrument at a cost that moves no cash; fractions of a lot are paid at its mark.

        Args:
            action: What gives them.
            quantity: Signed.
            cost: Average price of a unit, and the price up to which its profits are in cash already.
            mark: At which fractions are paid; at cost where it is not known.
            whole: Whether the position that they come from was whole lots.
        """
        state, symbol = self._state, action.other
        position, multiplier = state.positions[symbol], float(state.instruments[symbol]["multiplier"])
        kept, left_over = self._cut(symbol, quantity, whole, mark)
        price, basis = (each * quantity / (kept + left_over) for each in cost)
        held, amount = float(position["quantity"]), 0.0
        if held and kept and (held > 0.0) != (kept > 0.0):  # it closes what is held the other way
            closed = held if abs(kept) >= abs(held) else -kept
            amount = closed * (basis - self._basis(symbol)) * multiplier
            self._realise(symbol, closed, price)
            if abs(kept) > abs(held):
                position["average_price"], position["basis"] = price, basis
                _begin(position, state.now)
        elif kept:
            for name, own in (("average_price", price), ("basis", basis)):
                position[name] = (held * position[name] + kept * own) / (held + kept)
            if held == 0.0:
                _begin(position, state.now)
        position["quantity"] = held_after(held, kept, float(state.instruments[symbol]["quantity_step"]))
        if position["quantity"] == 0.0:
            _empty(position)
        self._note(symbol, action.kind, kept + left_over, price, amount)
        if left_over:
            worth = mark if np.isfinite(mark) else price
            self._realise(symbol, left_over, worth, price)
            self._note(symbol, "cash-in-lieu", -left_over, worth, left_over * (worth - basis) * multiplier)

    def take(self, symbol: int, quantity: float, price: float, kind: str) -> None:
        """Take units off a position at a price: cash, profit, ledger."""
        state = self._state
        instrument, position = state.instruments[symbol], state.positions[symbol]
        if quantity == 0.0:
            return
        amount = self._worth(symbol, quantity, price)
        self._realise(symbol, quantity, price)
        left = held_after(float(position["quantity"]), -quantity, float(instrument["quantity_step"]))
        position["quantity"] = left
        if left == 0.0:
            _empty(position)
        post(state, place_of(state, symbol), kind, amount, symbol=symbol, quantity=-quantity, price=price)

    def _realise(self, symbol: int, quantity: float, price: float, cost: float | None = None) -> None:
        """Count the profit of units that go at a price; they cost the average price of the position, or ``cost``."""
        instrument, position = self._state.instruments[symbol], self._state.positions[symbol]
        paid = float(position["average_price"]) if cost is None else cost
        profit = quantity * (price - paid) * float(instrument["multiplier"])
        account = self._state.accounts[place_of(self._state, symbol)]
        account["realised"] += profit
        account["long_realised" if quantity > 0.0 else "short_realised"] += profit
        position["realised"] += profit

    def _note(self, symbol: int, kind: str, quantity: float, price: float, amount: float = 0.0) -> None:
        """Record a change of a position, with the cash that it moves."""
        post(self._state, place_of(self._state, symbol), kind, amount, symbol=symbol, quantity=quantity, price=price)

    def _check_alike(self, action: Action) -> None:
        old, new = self._state.instruments[action.symbol], self._state.instruments[action.other]
        alike = all(old[name] == new[name] for name in ("currency", "account", "multiplier", "settles"))
        if not alike:
            names = self._state.symbols.names
            raise RunError(
                f"the {action.kind} of {names[action.symbol]} into {names[action.other]} joins instruments that differ "
                "in currency, account, multiplier or settlement: give both the same in [[instruments]]"
            )

    def _held(self, symbol: int) -> float:
        return float(self._state.positions[symbol]["quantity"])

    def _units(self, symbol: int) -> float:
        return self._held(symbol) * float(self._state.instruments[symbol]["multiplier"])

    def _place(self, action: Action) -> int:
        """Return the row of ACCOUNT for the currency in which an action pays."""
        state = self._state
        return int(state.instruments[action.symbol]["account"]) * len(state.currencies) + action.currency

    def _exchanged(self, action: Action) -> float:
        """Return the cash that an action pays for a unit in the instrument's currency, at the rates of now."""
        state, own = self._state, int(self._state.instruments[action.symbol]["currency"])
        if action.currency == own:
            return action.amount
        rates = state.accounts["rate"]
        cash = action.amount * float(rates[action.currency] / rates[own])
        if not np.isfinite(cash):
            name, into, currency = state.symbols.names[action.symbol], state.currencies[own], action.currency
            raise RunError(
                f"the {action.kind} of {name} pays in {state.currencies[currency]}, and no rate to {into} is known: "
                "add the pair to [[instruments]] and to the prices"
            )
        return cash

    def _worth(self, symbol: int, quantity: float, price: float) -> float:
        """Return the cash that units of a position bring at a price."""
        multiplier = float(self._state.instruments[symbol]["multiplier"])
        return quantity * (price - self._basis(symbol)) * multiplier

    def _by_value(self, symbol: int) -> bool:
        return bool(self._state.instruments[symbol]["settles"] == 0)

    def _basis(self, symbol: int) -> float:
        """Return the price up to which profits of a position are in cash; 0 where it settles by value."""
        return 0.0 if self._by_value(symbol) else float(self._state.positions[symbol]["basis"])

    def _cut(self, symbol: int, quantity: float, whole: bool, mark: float) -> tuple[float, float]:
        """Return what is kept of a quantity and what is paid for: fractions of a lot, or what rounds to nothing."""
        if not (whole and np.isfinite(mark)):
            step = float(self._state.instruments[symbol]["quantity_step"])
            return (held_after(quantity, 0.0, step), 0.0) if round_to_step(quantity, step) else (0.0, quantity)
        kept = self._whole_lots(symbol, quantity)
        left_over = quantity - kept
        return kept, left_over if abs(left_over) > _DUST * abs(quantity) else 0.0

    def _is_whole(self, symbol: int, quantity: float) -> bool:
        return abs(quantity - self._whole_lots(symbol, quantity)) <= _DUST * abs(quantity)

    def _whole_lots(self, symbol: int, quantity: float) -> float:
        """Return a quantity cut to lots, towards zero; all of it where there are none."""
        lot = float(self._state.instruments[symbol]["lot"])
        if not lot > 0.0:
            return quantity
        count = np.floor(abs(quantity) / lot * _ROUNDED + _DUST)
        return float(np.copysign(round_to_step(float(count * lot), lot), quantity))

    def get_state(self) -> dict[str, Any]:
        """Return what a snapshot must keep."""
        return {"due": list(self._due), "entered": self._entered}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what ``get_state`` returned."""
        self._due, self._entered = [tuple(each) for each in state["due"]], state["entered"]


def _begin(position: Any, now: int) -> None:
    """Let a position begin that has met no price yet."""
    position["since"], position["high"], position["low"] = now, np.nan, np.nan


def _empty(position: Any) -> None:
    """Make a position flat; what it has realised stays, and what prices it has met, for the trips that end here."""
    for name in ("quantity", "average_price", "basis"):
        position[name] = 0.0
