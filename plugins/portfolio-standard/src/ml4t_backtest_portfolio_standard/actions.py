"""What corporate actions do to positions and cash, on the position held strictly before."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ml4t.backtest.errors import RunError
from ml4t_backtest_portfolio_standard.accounting import round_to_step
from ml4t_backtest_portfolio_standard.booking import place_of, post

if TYPE_CHECKING:
    from ml4t.backtest.interfaces import Action
    from ml4t.backtest.state import RunState

__all__ = ["Actions"]

_FOREVER: Final = 2**63 - 1
_DUST: Final = 1e-9  # lots


class Actions:
    """Adjusts positions, and pays what actions have promised for a later day.

    Args:
        state: The run's columns.
    """

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._due: list[
            tuple[int, int, int, str, float, int]
        ] = []  # when, number, row of ACCOUNT, kind, amount, symbol
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
        instrument, position = self._state.instruments[symbol], self._state.positions[symbol]
        held, mark = self._held(symbol), float(instrument["mark"]) / ratio
        whole = self._is_whole(symbol, held)
        after = held * ratio
        left_over = after - self._whole_lots(symbol, after) if whole and np.isfinite(mark) else 0.0
        if not left_over:
            after = round_to_step(after, float(instrument["quantity_step"]))
        for name in ("average_price", "basis", "high", "low"):
            position[name] /= ratio
        position["quantity"] = after
        self._note(symbol, kind, after - held, mark)
        if left_over:
            self.take(symbol, left_over, mark, "cash-in-lieu")

    def _pay_dividend(self, action: Action) -> None:
        amount = self._units(action.symbol) * action.amount
        place = self._place(action)
        self._state.accounts[place]["dividends"] += amount
        self._promise(action, place, amount)

    def _merge(self, action: Action) -> None:
        state, symbol = self._state, action.symbol
        position, held = state.positions[symbol], self._held(symbol)
        cash = action.amount if np.isfinite(action.amount) else 0.0
        if not (action.other >= 0 and action.ratio > 0.0):
            self._sell_for(action, held, cash)
            return
        self._check_alike(action)
        received, average = held * action.ratio, (float(position["average_price"]) - cash) / action.ratio
        whole, multiplier = self._is_whole(symbol, held), float(state.instruments[symbol]["multiplier"])
        _empty(position)
        self._note(symbol, action.kind, -held, cash)
        if cash:
            self._promise(action, self._place(action), held * cash * multiplier)
        self._receive(action, received, average, float(state.instruments[action.other]["mark"]), whole)

    def _spin_off(self, action: Action) -> None:
        self._check_alike(action)
        state, held = self._state, self._held(action.symbol)
        value = action.value if np.isfinite(action.value) else 0.0
        state.positions[action.symbol]["average_price"] -= action.ratio * value
        whole = self._is_whole(action.symbol, held)
        self._note(action.symbol, action.kind, 0.0, action.ratio * value)
        self._receive(action, held * action.ratio, value, value, whole)

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
        multiplier = float(self._state.instruments[symbol]["multiplier"])
        self._realise(symbol, held, cash)
        _empty(self._state.positions[symbol])
        self._note(symbol, action.kind, -held, cash)
        self._promise(action, self._place(action), held * cash * multiplier)

    def _promise(self, action: Action, place: int, amount: float) -> None:
        """Pay at once, or count as receivable until the day of payment."""
        if action.pay_at <= self._state.now:
            post(self._state, place, action.kind, amount, symbol=action.symbol)
            return
        self._state.accounts[place]["receivable"] += amount
        self._entered += 1
        heapq.heappush(self._due, (action.pay_at, self._entered, place, action.kind, amount, action.symbol))

    def _receive(self, action: Action, quantity: float, price: float, mark: float, whole: bool) -> None:
        """Add units of another instrument at a cost that moves no cash; fractions of a lot are paid at its mark."""
        state, symbol = self._state, action.other
        instrument, position = state.instruments[symbol], state.positions[symbol]
        left_over = quantity - self._whole_lots(symbol, quantity) if whole and np.isfinite(mark) else 0.0
        if not left_over:
            quantity = round_to_step(quantity, float(instrument["quantity_step"]))
        held = float(position["quantity"])
        if held and (held > 0.0) != (quantity > 0.0):  # it closes what is held the other way
            closed = held if abs(quantity) >= abs(held) else -quantity
            self._realise(symbol, closed, price)
        if held == 0.0 or (abs(quantity) > abs(held) and (held > 0.0) != (quantity > 0.0)):
            position["average_price"], position["since"] = price, state.now
        elif (held > 0.0) == (quantity > 0.0):
            position["average_price"] = (held * position["average_price"] + quantity * price) / (held + quantity)
        position["quantity"] = held + quantity
        if position["quantity"] == 0.0:
            _empty(position)
        self._note(symbol, action.kind, quantity, price)
        if left_over:
            self.take(symbol, left_over, mark, "cash-in-lieu")

    def take(self, symbol: int, quantity: float, price: float, kind: str) -> None:
        """Take units off a position at a price: cash, profit, ledger."""
        state = self._state
        instrument, position = state.instruments[symbol], state.positions[symbol]
        if quantity == 0.0:
            return
        before = 0.0 if instrument["settles"] == 0 else float(position["basis"])
        amount = quantity * (price - before) * float(instrument["multiplier"])
        self._realise(symbol, quantity, price)
        left = round_to_step(float(position["quantity"]) - quantity, float(instrument["quantity_step"]))
        position["quantity"] = left
        if left == 0.0:
            _empty(position)
        post(state, place_of(state, symbol), kind, amount, symbol=symbol, quantity=-quantity, price=price)

    def _realise(self, symbol: int, quantity: float, price: float) -> None:
        instrument, position = self._state.instruments[symbol], self._state.positions[symbol]
        profit = quantity * (price - float(position["average_price"])) * float(instrument["multiplier"])
        account = self._state.accounts[place_of(self._state, symbol)]
        account["realised"] += profit
        account["long_realised" if quantity > 0.0 else "short_realised"] += profit
        position["realised"] += profit

    def _note(self, symbol: int, kind: str, quantity: float, price: float) -> None:
        """Record a change of a position that moves no cash."""
        post(self._state, place_of(self._state, symbol), kind, 0.0, symbol=symbol, quantity=quantity, price=price)

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

    def _is_whole(self, symbol: int, quantity: float) -> bool:
        return abs(quantity - self._whole_lots(symbol, quantity)) <= _DUST * abs(quantity)

    def _whole_lots(self, symbol: int, quantity: float) -> float:
        """Return a quantity cut to lots, towards zero."""
        lot = float(self._state.instruments[symbol]["lot"])
        count = np.floor(abs(quantity) / lot + _DUST)
        return float(np.copysign(round_to_step(float(count * lot), lot), quantity))

    def get_state(self) -> dict[str, Any]:
        """Return what a snapshot must keep."""
        return {"due": list(self._due), "entered": self._entered}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take back what ``get_state`` returned."""
        self._due, self._entered = [tuple(each) for each in state["due"]], state["entered"]


def _empty(position: Any) -> None:
    """Make a position flat; what it has realised stays, and what prices it has met, for the trips that end here."""
    for name in ("quantity", "average_price", "basis"):
        position[name] = 0.0
