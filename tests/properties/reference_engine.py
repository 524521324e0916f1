"""A second opinion: a plain engine for market orders on daily bars, sharing no code with the real one.

Written from the rules in words, with dicts and loops, for reading rather than for speed:

- A bar of day d spans the day; its prices become known together at the day's end. All decisions are made
  there, after the day's fills.
- ``next-open``: an order takes the open of the symbol's first bar after the day of its decision.
  ``next-close``: the close of that bar. ``same-close``: the close of the very day where there is one, else
  the symbol's next close. A missing bar or a NaN price fills nothing and the order waits.
- Fills of a day go by symbol name, then by age of the order.
- A target order is truncated towards zero, target - position - other open orders; a new target replaces
  what is left of the last one, unless it asks for just that. Weights are of equity at the last known
  closes. A weight of 0 closes.
- Positions are rounded to 1e-9 after each fill. One that never had a close is worth its average cost.
- price = reference + bps slippage against the order; commission = rate per share with a minimum an order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

NAN = float("nan")


@dataclass
class Bar:
    """One day of one symbol; NaN where unknown."""

    open: float
    close: float


@dataclass(eq=False)
class Order:
    """A market order that has not filled."""

    symbol: str
    quantity: float
    day: int
    is_target: bool


@dataclass(frozen=True)
class Fill:
    """What traded: the day whose price it took, and what it cost."""

    day: int
    symbol: str
    quantity: float
    price: float
    commission: float
    slippage: float


@dataclass
class Reference:
    """Run a script of decisions over a market.

    Attributes:
        mode: ``next-open``, ``next-close`` or ``same-close``.
        cash: Money at the start, then at any time.
        bps: Slippage in basis points of the price.
        rate: Commission per share.
        minimum: Least commission of an order.
        fills: Fills in the order in which they happened.
        equity: Cash and marked positions after each day.
    """

    mode: str
    cash: float
    bps: float = 0.0
    rate: float = 0.0
    minimum: float = 0.0
    positions: dict[str, float] = field(default_factory=dict)
    marks: dict[str, float] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    working: list[Order] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)

    def run(self, market: list[dict[str, Bar]], script: list[tuple[str, dict[str, float]]]) -> None:
        """Go through the days.

        Args:
            market: Bars by symbol for each day.
            script: For each day what is asked for at its end: ``quantities``, ``target_quantities`` or
                ``target_weights``, and amounts by symbol.
        """
        for day, (bars, (kind, amounts)) in enumerate(zip(market, script, strict=True)):
            self.fill_waiting(day, bars)
            for symbol in sorted(bars):
                if symbol not in self.marks:
                    self.marks[symbol] = NAN
                    self.positions[symbol] = 0.0
                if not math.isnan(bars[symbol].close):
                    self.marks[symbol] = bars[symbol].close
            known = {symbol: amount for symbol, amount in amounts.items() if symbol in self.marks}
            self.decide(day, kind, known)
            if self.mode == "same-close":
                self.fill_at_once(day, bars)
            self.equity.append(self.worth())

    def worth(self) -> float:
        """Return cash plus positions at their marks, in the order in which symbols appeared."""
        value = 0.0
        for symbol, quantity in self.positions.items():
            if quantity != 0.0:
                mark = self.marks[symbol]
                value += quantity * (self.costs[symbol] if math.isnan(mark) else mark)
        return self.cash + value

    def fill_waiting(self, day: int, bars: dict[str, Bar]) -> None:
        """Let orders of earlier days meet today's prices."""
        for symbol in sorted(bars):
            price = bars[symbol].open if self.mode == "next-open" else bars[symbol].close
            for order in [each for each in self.working if each.symbol == symbol]:
                self.try_fill(order, day, price)

    def fill_at_once(self, day: int, bars: dict[str, Bar]) -> None:
        """Let today's orders take today's closes."""
        for symbol in sorted(bars):
            for order in [each for each in self.working if each.symbol == symbol and each.day == day]:
                self.try_fill(order, day, bars[symbol].close)

    def try_fill(self, order: Order, day: int, reference: float) -> None:
        """Fill an order whole at a price, unless there is none."""
        if math.isnan(reference):
            return
        side = 1.0 if order.quantity > 0 else -1.0
        price = reference + side * (self.bps / 10_000.0 * abs(reference))
        commission = max(self.minimum, self.rate * abs(order.quantity))
        self.cash -= order.quantity * price
        if commission:
            self.cash -= commission
        held = self.positions[order.symbol]
        after = round(held + order.quantity, 9)
        if held * order.quantity > 0:
            self.costs[order.symbol] = (held * self.costs[order.symbol] + order.quantity * price) / after
        elif held == 0 or held * after < 0:
            self.costs[order.symbol] = price
        self.positions[order.symbol] = after
        self.working.remove(order)
        slippage = (price - reference) * order.quantity
        self.fills.append(Fill(day, order.symbol, order.quantity, price, commission, slippage))

    def decide(self, day: int, kind: str, amounts: dict[str, float]) -> None:
        """Turn what is asked for into orders."""
        equity = self.worth()
        for symbol in self.marks:  # the order of appearance is the order of ids
            if symbol not in amounts or math.isnan(amounts[symbol]):
                continue
            amount = amounts[symbol]
            if kind == "quantities":
                self.place(symbol, amount, day, is_target=False)
                continue
            if kind == "target_weights" and amount != 0.0:
                amount = amount * equity / self.marks[symbol]
            self.place_target(symbol, amount, day)

    def place_target(self, symbol: str, wanted: float, day: int) -> None:
        """Replace what is left of the last target by the way from here to the new one."""
        own = [order for order in self.working if order.symbol == symbol]
        left = [order for order in own if order.is_target]
        others = sum(order.quantity for order in own if not order.is_target)
        missing = wanted - round(self.positions[symbol] + others, 9)
        if wanted != 0.0 and not math.isnan(missing):
            missing = float(math.trunc(missing))
        if left and missing == sum(order.quantity for order in left):
            return
        self.working = [order for order in self.working if order not in left]
        if not math.isnan(missing):  # else nobody knows a price yet: refused
            self.place(symbol, missing, day, is_target=True)

    def place(self, symbol: str, quantity: float, day: int, *, is_target: bool) -> None:
        """Add a working order; an order for nothing is none."""
        if quantity != 0.0:
            self.working.append(Order(symbol, quantity, day, is_target))
