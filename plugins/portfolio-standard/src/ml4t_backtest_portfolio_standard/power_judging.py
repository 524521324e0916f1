"""Buying power: judges a round of which not everything passes, one by one and basket by basket."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from ml4t.backtest.state import ACTIONS, ORDER_KINDS, REASONS
from ml4t_backtest_portfolio_standard import accounting
from ml4t_backtest_portfolio_standard import power_core as core

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ml4t.backtest.state import RunState

__all__ = ["Round", "find_cancelled", "wishes_of"]

Function = TypeVar("Function", bound=Callable[..., Any])

_ORDER, _CANCEL, _CANCEL_TARGETS, _AMEND = range(len(ACTIONS))
_NO_POWER, _SHORT, _NOT_BORROWABLE, _NO_MARK = (
    REASONS.index(reason) for reason in ("no-buying-power", "short-not-allowed", "not-borrowable", "no-mark")
)
_MARKET: Final = ORDER_KINDS.index("market")
_MOST_STEPS: Final = 60
_MOST: Final = 1e15  # units; what is more, or no number, is for the broker to refuse


def _plain(function: Function) -> Function:
    """Return the source of a compiled function as plain Python; rounds that come here are rare."""
    plain: Function = getattr(function, "py_func", function)
    return plain


_claim, _counts, _whole_of = _plain(core.claim), _plain(core.counts), _plain(core.whole_of)
_closes_only = _plain(core.closes_only)
_round_to_step = _plain(accounting.round_to_step)


def wishes_of(requests: NDArray[np.void], state: RunState) -> list[float]:
    """Return the signed quantity that each request adds to what is on its way, 0 where nothing is to be judged."""
    before: dict[int, float] = {}  # quantities of orders of this round, and as amended in it
    wishes = []
    for request in requests:
        quantity, order_id, wish = float(request["quantity"]), int(request["order_id"]), 0.0
        if request["reason"] == 0 and abs(quantity) <= _MOST and 0 <= request["symbol"] < len(state.symbols):
            if request["action"] == _ORDER and not _closes_only(request):
                wish = before[order_id] = quantity
            elif request["action"] == _AMEND:
                if order_id not in before and 0 <= order_id < state.orders.count:
                    order = state.orders.data[order_id]
                    if _counts(order, state.terms.data):
                        before[order_id] = float(_whole_of(order, state.terms.data))
                if order_id in before:
                    more = quantity - before[order_id]
                    wish = more if more * before[order_id] > 0.0 else 0.0
                    before[order_id] = quantity
        wishes.append(wish)
    return wishes


def find_cancelled(
    requests: NDArray[np.void], wishes: list[float], work: NDArray[np.float64], freed: NDArray[np.uint8]
) -> None:
    """Note what cancels of the round end, orders of the round itself included, which then wish for nothing."""
    for k in range(len(requests) - 1, -1, -1):
        request = requests[k]
        order_id, symbol = int(request["order_id"]), int(request["symbol"])
        if request["action"] == _CANCEL and 0 <= order_id < len(freed):
            freed[order_id] = 1
        elif request["action"] == _CANCEL_TARGETS and 0 <= symbol < len(work):
            work[symbol, core.REPLACED] = core.FIRST_BOOK + request["book"]
        elif wishes[k]:
            replaced = request["is_target"] and work[symbol, core.REPLACED] == core.FIRST_BOOK + request["book"]
            if replaced or (0 <= order_id < len(freed) and freed[order_id]):
                wishes[k] = 0.0


class Round:
    """One round of requests, and what of the accounts it has claimed so far.

    Args:
        requests: REQUEST rows, changed in place.
        state: The run's columns.
        rules: float64 (n_accounts, RULES).
        work: float64 (n_symbols, WORK), as ``survey`` has written it.
        sums: float64 (n_accounts, SUMS), as ``survey`` has written it.
    """

    def __init__(
        self,
        requests: NDArray[np.void],
        state: RunState,
        rules: NDArray[np.float64],
        work: NDArray[np.float64],
        sums: NDArray[np.float64],
    ) -> None:
        self._requests, self._rules, self._work, self._sums = requests, rules, work, sums
        self._held = state.positions["quantity"].copy()  # with what this round is sure to reduce
        self._accounts = state.instruments["account"]
        self._marks, self._lots = state.instruments["mark"], state.instruments["lot"]

    def judge(self, wishes: list[float]) -> bool:
        """Judge what only reduces, then orders and baskets as they were made; say whether any was changed."""
        requests = self._requests
        symbols, baskets = requests["symbol"].tolist(), requests["basket"].tolist()
        left = [k for k, wish in enumerate(wishes) if wish]
        for k in list(left):
            if baskets[k] < 0 and self._reduces(symbols[k], wishes[k]):
                self._reduce(k, wishes[k])
                left.remove(k)
        changed = False
        while left:
            first = left[0]
            rows = [k for k in left if baskets[k] == baskets[first]] if baskets[first] >= 0 else [first]
            left = [k for k in left if k not in rows]
            judged = self._judge_basket(rows, wishes) if baskets[first] >= 0 else self._judge_one(first, wishes[first])
            changed = judged or changed
        return changed

    def _judge_one(self, k: int, wish: float) -> bool:
        request = self._requests[k]
        symbol = int(request["symbol"])
        problem = self._problem(symbol, wish, 0.0)
        if not problem and self._work[symbol, core.MODE] != core.FREE:
            room = self._room(symbol, wish)
            if abs(wish) > room:
                size = self._cut(room, symbol)
                scales = self._rules[self._accounts[symbol], core.SCALES] and request["action"] == _ORDER
                if scales and size:
                    request["quantity"] = wish = float(np.copysign(size, wish))
                    self._move(symbol, wish)
                    return True
                problem = _NO_POWER
        if problem:
            request["reason"] = problem
            return True
        self._move(symbol, wish)
        return False

    def _judge_basket(self, rows: list[int], wishes: list[float]) -> bool:
        requests = self._requests
        problem, increasing = 0, []
        more = np.zeros((len(self._work), 2))  # what increasing orders buy and sell
        for k in rows:
            symbol, wish = int(requests[k]["symbol"]), wishes[k]
            if self._reduces(symbol, wish):
                self._reduce(k, wish)
                continue
            increasing.append(k)
            problem = problem or self._problem(symbol, wish, more[symbol, 1])
            more[symbol, 0 if wish > 0.0 else 1] += abs(wish)
        factor = 0.0 if problem else self._factor(more)
        if factor == 0.0:
            requests["reason"][rows] = problem or _NO_POWER
            for k in rows:
                if k not in increasing:
                    self._reduce(k, wishes[k], -1.0)
            return True
        for k in increasing:
            symbol, wish = int(requests[k]["symbol"]), wishes[k]
            size = abs(wish) if factor == 1.0 else self._cut(factor * abs(wish), symbol)
            if size == 0.0:
                requests["reason"][k] = _NO_POWER
            else:
                requests["quantity"][k] = np.copysign(size, wish)
            self._move(symbol, float(np.copysign(size, wish)))
        return factor != 1.0

    def _reduces(self, symbol: int, wish: float) -> bool:
        """Say whether an order takes a position towards zero, counting what works on its side."""
        held, side = float(self._held[symbol]), self._work[symbol, core.BUYS if wish > 0.0 else core.SELLS]
        return held * wish < 0.0 and bool(side + abs(wish) <= abs(held) * (1.0 + core.SLACK))

    def _reduce(self, k: int, wish: float, sign: float = 1.0) -> None:
        """Count what only reduces: a market order as filled, for it makes room; another one as on its way."""
        request = self._requests[k]
        symbol, account = int(request["symbol"]), int(self._accounts[request["symbol"]])
        sure = request["action"] == _ORDER and request["kind"] == _MARKET
        if not sure or self._work[symbol, core.MODE] == core.CASH:
            self._move(symbol, wish, sign)
            return
        self._sums[account, core.CLAIMED] -= self._claim(symbol)
        self._held[symbol] += sign * wish
        self._sums[account, core.CLAIMED] += self._claim(symbol)

    def _problem(self, symbol: int, wish: float, sold: float) -> int:
        """Return why an order that does more than reduce cannot pass at any size, 0 where it may."""
        short = self._work[symbol, core.SELLS] + sold - wish - self._held[symbol]
        if wish < 0.0 and short > self._work[symbol, core.BORROW] * (1.0 + core.SLACK):
            return _NOT_BORROWABLE
        if self._work[symbol, core.MODE] == core.FREE:
            return 0
        if not np.isfinite(self._marks[symbol]):
            return _NO_MARK
        return _SHORT if wish < 0.0 and self._work[symbol, core.MODE] == core.CASH else 0

    def _move(self, symbol: int, wish: float, sign: float = 1.0) -> None:
        """Count a quantity as on its way, or with ``sign`` -1 no more."""
        account, work = int(self._accounts[symbol]), self._work
        self._sums[account, core.CLAIMED] -= self._claim(symbol)
        work[symbol, core.BUYS if wish > 0.0 else core.SELLS] += sign * abs(wish)
        self._sums[account, core.CLAIMED] += self._claim(symbol)

    def _claim(self, symbol: int, buys: float = 0.0, sells: float = 0.0) -> float:
        """Return what a symbol claims with so much more."""
        work, account = self._work, int(self._accounts[symbol])
        sides = (work[symbol, core.BUYS] + buys, work[symbol, core.SELLS] + sells)
        return float(_claim(work, self._rules, symbol, account, self._held[symbol], *sides))

    def _room(self, symbol: int, wish: float) -> float:
        """Return the largest size of an order on the wish's side that passes."""
        held, account = float(self._held[symbol]), int(self._accounts[symbol])
        buys, sells, unit = map(float, self._work[symbol, [core.BUYS, core.SELLS, core.UNIT]])
        has, claimed, worth = map(float, self._sums[account, [core.HAS, core.CLAIMED, core.WORTH]])
        ahead, behind = (held + buys, sells - held) if wish > 0.0 else (sells - held, held + buys)
        reduces = max(-ahead, 0.0)
        if worth <= 0.0:
            return reduces
        if not unit > 0.0:
            return abs(wish) if claimed <= has else reduces
        if self._work[symbol, core.MODE] == core.CASH:
            return max((has - claimed) / unit, reduces)
        side = (has - claimed) / unit + max(abs(ahead), abs(behind))  # the largest side that there is room for
        return reduces if abs(behind) > side else max(side - ahead, reduces)

    def _cut(self, size: float, symbol: int) -> float:
        """Return a size cut to whole lots."""
        lot = float(self._lots[symbol])
        if not lot > 0.0:
            return size
        return float(_round_to_step(np.floor(size / lot + core.SLACK) * lot, lot))

    def _factor(self, more: NDArray[np.float64]) -> float:
        """Return the largest factor at which the increasing orders of a basket pass in every account, 0 for none.

        Claims are convex in the factor, so that Newton's steps from above never go below that factor.
        """
        factor = 1.0
        symbols = [s for s in np.flatnonzero(more.any(axis=1)).tolist() if self._work[s, core.MODE] != core.FREE]
        for account in sorted({int(self._accounts[symbol]) for symbol in symbols}):
            mine = [symbol for symbol in symbols if self._accounts[symbol] == account]
            has, claimed, worth = map(float, self._sums[account, [core.HAS, core.CLAIMED, core.WORTH]])
            if worth <= 0.0:
                return 0.0
            for _ in range(_MOST_STEPS):
                missing, slope = claimed - has, 0.0
                for symbol in mine:
                    buys, sells = (factor * more[symbol]).tolist()
                    missing += self._claim(symbol, buys, sells) - self._claim(symbol)
                    slope += self._slope(symbol, buys, sells, more[symbol].tolist())
                if not missing > 0.0:
                    break
                if not self._rules[account, core.SCALES] or not missing < factor * slope:
                    return 0.0
                factor -= missing / slope
        return factor

    def _slope(self, symbol: int, buys: float, sells: float, more: list[float]) -> float:
        """Return by how much the claim of a symbol grows with the factor."""
        work, held = self._work, float(self._held[symbol])
        unit = float(work[symbol, core.UNIT])
        if work[symbol, core.MODE] == core.CASH:
            return more[0] * unit
        up, down = held + work[symbol, core.BUYS] + buys, work[symbol, core.SELLS] + sells - held
        if abs(up) >= abs(down):
            return float(np.copysign(more[0] * unit, up))
        return float(np.copysign(more[1] * unit, down))
