"""Phases 7 and 9: what risk managers and the portfolio ask for, and what they make of requests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ml4t.backtest.errors import RunError
from ml4t.backtest.interfaces.portfolio import Portfolio
from ml4t.backtest.interfaces.risk import RiskManager
from ml4t.backtest.state import ORDER_KINDS, REASONS, REQUEST, RunState
from ml4t_backtest_engine_standard.context.outbox import CANCEL, ORDER, Outbox, blank_requests

__all__ = ["Judging"]

_REFUSED = REASONS.index("refused-by-risk")
_DUST = 1e-9  # lots
# What a risk manager may say of an exit; the prices only where its kind has them.
_FREE = ("symbol", "account", "quantity", "kind", "time_in_force", "expires_at", "reduce_only")
_TRAIL = ("trail_amount", "trail_percent", "limit_offset")
_PRICES = {
    "limit": ("limit_price",),
    "stop": ("stop_price",),
    "stop-limit": ("limit_price", "stop_price"),
    "trailing-stop": _TRAIL,
    "trailing-stop-limit": _TRAIL,
}


class Judging:
    """Lets risk managers and then the portfolio speak, and holds them to what they may say.

    Args:
        managers: In the order in which they judge.
        portfolio: Judges last, by buying power, and may liquidate.
        state: The run's columns.
        outbox: Takes exits.

    Attributes:
        judge: The manager, or the portfolio, at work, or that was last.
        exiting: Managers that ask for exits.
        liquidates: Whether the portfolio does.
        book: Number of the strategy that exits belong to; -1, nobody, where there are several.
    """

    def __init__(self, managers: Sequence[RiskManager], portfolio: Portfolio, state: RunState, outbox: Outbox) -> None:
        self.managers = managers
        self.judge: RiskManager | Portfolio = managers[0] if managers else portfolio
        self.exiting = [each for each in managers if type(each).exits is not RiskManager.exits]
        self._portfolio = portfolio
        self.liquidates = type(portfolio).exits is not Portfolio.exits
        self._state, self._outbox = state, outbox
        self.book = 0

    def exits(self, *, closes: bool) -> None:
        """Put the exits that managers ask for, and at a session's close the portfolio's, into the outbox."""
        if closes and self.liquidates:
            self.judge = self._portfolio
            rows = self._portfolio.exits()
            if rows is not None and len(rows):
                self._outbox.append(self._complete(self._portfolio, rows))
        for manager in self.exiting:
            self.judge = manager
            rows = manager.exits(self._state)
            if rows is not None and len(rows):
                self._outbox.append(self._complete(manager, rows))

    def check(self, requests: NDArray[np.void]) -> bool:
        """Have all managers judge one round in place; say whether any of them changed a quantity."""
        changed = False
        judges: tuple[RiskManager | Portfolio, ...] = (*self.managers, self._portfolio)
        for manager in judges:
            before, reasons = requests["quantity"].copy(), requests["reason"].copy()
            self.judge = manager
            if isinstance(manager, RiskManager):
                manager.check(requests, self._state)
            elif not manager.check(requests):
                continue
            self._hold_to_it(manager, requests, before)
            new = (requests["reason"] == 0) & (requests["quantity"] == 0.0) & (before != 0.0) & (before == before)
            requests["reason"][new] = _REFUSED
            refused = (requests["reason"] != 0) & (reasons == 0)
            requests["quantity"][refused] = before[refused]
            self._cut_children(requests, before)
            cut = (requests["quantity"] != before) & (before == before)  # NaN is not equal to itself
            first = cut & np.isnan(requests["asked"])
            requests["asked"][first] = before[first]
            changed = changed or bool(cut.any())
        return changed

    def _cut_children(self, requests: NDArray[np.void], before: NDArray[np.float64]) -> None:
        """Cut children with their entry, in lots: whole, they would trade more than the entry has opened."""
        if not (requests["parent"] >= 0).any():
            return
        rows = {int(each): row for row, each in enumerate(requests["order_id"]) if requests["action"][row] == ORDER}
        for row in np.flatnonzero((requests["parent"] >= 0) & (requests["reason"] == 0) & np.isfinite(before)):
            entry = rows.get(int(requests["parent"][row]))
            if entry is None or requests["action"][row] != ORDER or requests["reason"][entry] or not before[entry]:
                continue
            new, old, size = (abs(float(each)) for each in (requests["quantity"][entry], before[entry], before[row]))
            if not new < old:
                continue
            symbol = requests["symbol"][row]
            lot = float(self._state.instruments["lot"][symbol]) if 0 <= symbol < len(self._state.symbols) else 0.0
            part = new if size == old else size * new / old
            if size != old and lot > 0.0:
                part = float(np.floor(part / lot + _DUST)) * lot
            if part == 0.0:
                requests["quantity"][row], requests["reason"][row] = before[row], _REFUSED
            elif part < abs(float(requests["quantity"][row])):
                requests["quantity"][row] = np.copysign(part, before[row])

    def _hold_to_it(
        self, manager: RiskManager | Portfolio, requests: NDArray[np.void], before: NDArray[np.float64]
    ) -> None:
        after = requests["quantity"]
        wrong = ~np.isfinite(after) & np.isfinite(before)
        wrong |= after * before < 0.0
        wrong |= (before == 0.0) & (after != 0.0)
        if wrong.any():
            row = int(wrong.argmax())
            raise RunError(
                f"{type(manager).__name__} changed the quantity of order {requests['order_id'][row]} from "
                f"{before[row]} to {after[row]}: a quantity keeps its side; set a reason to refuse"
            )
        reasons = requests["reason"]
        if ((reasons < 0) | (reasons >= len(REASONS))).any():
            raise RunError(f"{type(manager).__name__} set a reason that is no index into ml4t.backtest.state.REASONS")

    def _complete(self, manager: RiskManager | Portfolio, rows: NDArray[np.void]) -> NDArray[np.void]:
        """Return exits as requests of this run."""
        name = type(manager).__name__
        if rows.dtype != REQUEST:
            raise RunError(f"{name} gave exits of {rows.dtype}: give rows of ml4t.backtest.state.REQUEST")
        requests = blank_requests(len(rows))
        for request, row in zip(requests, rows, strict=True):
            request["action"], request["symbol"], request["book"] = row["action"], row["symbol"], self.book
            if row["action"] == CANCEL:
                request["order_id"], request["tag"] = row["order_id"], self._known(name, row, len(REASONS))
                continue
            known = 0 <= row["symbol"] < len(self._state.symbols) and 0 <= row["kind"] < len(ORDER_KINDS)
            if row["action"] != ORDER or not known or not np.isfinite(row["quantity"]) or row["quantity"] == 0.0:
                raise RunError(
                    f"{name} asked for an exit of {row['quantity']} of symbol {row['symbol']}, action {row['action']}, "
                    f"kind {row['kind']}: give orders of known symbols with a quantity, or cancels"
                )
            for column in (*_FREE, *_PRICES.get(ORDER_KINDS[row["kind"]], ())):
                request[column] = row[column]
            request["tag"] = self._known(name, row, len(self._state.tags))
            request["counts"] = row["kind"] < 2 and not row["reduce_only"]
        return requests

    @staticmethod
    def _known(name: str, row: np.void, size: int) -> int:
        """Return the tag of an exit, which must be one of ``size``."""
        if not 0 <= row["tag"] < size:
            raise RunError(
                f"{name} gave an exit the tag {row['tag']}: give an index into RunState.tags, or for a cancel into "
                "ml4t.backtest.state.REASONS"
            )
        return int(row["tag"])
