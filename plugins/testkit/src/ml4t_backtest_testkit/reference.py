"""Plain components, so that a plugin can be tested with the kernel and the testkit alone.

They are written to be read, not to be fast, and do what the first-party components do for market orders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from ml4t.backtest.core.stamps import StampRule, parse_duration
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces import DataFeed, FillRules, Portfolio, SignalSource, SourceSpec, TableSource, Window
from ml4t.backtest.state import EQUITY, LEDGER, LEDGER_KINDS, RunState

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PlainCommission", "PlainFill", "PlainPortfolio", "RowsFeed", "RowsSignal", "RowsTable", "plain"]

_BAR = ("open", "high", "low", "close", "volume")


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function as Python sees it: what ``numba.njit`` compiled keeps its source."""
    found: Callable[..., Any] = getattr(function, "py_func", function)
    return found


class _Rows:
    """What both sources do with the rows that they were given."""

    _spec: SourceSpec

    def __init__(self, rows: pl.DataFrame, batch_rows: int) -> None:
        self._rows, self._batch_rows = rows, batch_rows

    @property
    def spec(self) -> SourceSpec:
        """The description of the rows."""
        return self._spec

    def open(self, window: Window) -> None:
        """Check that the column of symbols is there.

        Raises:
            DataError: It is not.
        """
        if "symbol" not in self._rows.columns:
            raise DataError(f"<rows>: no column symbol; there are {', '.join(self._rows.columns)}")

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield the rows."""
        yield from self._rows.iter_slices(self._batch_rows or max(1, self._rows.height))


class RowsFeed(_Rows, DataFeed):
    """Bars of a polars frame that is sorted by timestamp; values are not checked.

    Args:
        rows: symbol, timestamp and some of open, high, low, close, volume. Dates are session labels, other
            stamps the ends of their bars.
        name: Name of the feed in the run.
        bar: Length of a bar; None for ``1d`` where stamps are dates, else ``1m``.
        batch_rows: Rows per batch; 0 for all at once.
        drives: Whether ``on_slice`` is called for these rows.
    """

    def __init__(
        self,
        rows: pl.DataFrame,
        *,
        name: str = "prices",
        bar: str | None = None,
        batch_rows: int = 0,
        drives: bool = True,
    ) -> None:
        super().__init__(rows, batch_rows)
        label = rows["timestamp"].dtype == pl.Date
        rule = StampRule(
            convention="label" if label else "close",
            period_ns=parse_duration(bar or ("1d" if label else "1m")),
            origin=f"<{name}>",
        )
        fields = tuple(field for field in _BAR if field in rows.columns)
        self._spec = SourceSpec(name=name, kind="bar", fields=fields, rule=rule, prices="raw", drives=drives)


class RowsSignal(_Rows, SignalSource):
    """Predictions of a polars frame that is sorted by timestamp; values are not checked.

    Args:
        rows: symbol, timestamp (Date: known at the close of that session) and a column per signal.
        name: Name of the source in the run.
        batch_rows: Rows per batch; 0 for all at once.
    """

    def __init__(self, rows: pl.DataFrame, *, name: str = "signals", batch_rows: int = 0) -> None:
        super().__init__(rows, batch_rows)
        rule = StampRule(convention="label", origin=f"<{name}>")
        fields = tuple(field for field in rows.columns if field not in ("symbol", "timestamp"))
        self._spec = SourceSpec(name=name, kind="signal", fields=fields, rule=rule, drives=False)


class RowsTable(TableSource):
    """The rows of a polars frame.

    Args:
        rows: What the run is to read.
    """

    def __init__(self, rows: pl.DataFrame) -> None:
        self._rows = rows

    def read(self) -> pl.DataFrame:
        """Return the rows."""
        return self._rows


class _Model:
    _params: tuple[float, ...] = ()
    _phrase: str = "none"

    def params(self) -> NDArray[np.float64]:
        """Return the parameters of the function."""
        return np.array(self._params, np.float64)

    def initial_state(self) -> NDArray[np.float64]:
        """Return no state."""
        return np.zeros(0)

    def describe(self) -> str:
        """Return the setting."""
        return self._phrase


def _open_price(orders: Any, i: int, market: Any, params: Any, state: Any) -> float:
    return float(market[0]["open"])


def _close_price(orders: Any, i: int, market: Any, params: Any, state: Any) -> float:
    return float(market[0]["close"])


def _fraction(orders: Any, i: int, market: Any, params: Any, state: Any) -> float:
    return float(params[0] * abs(market[0]["quantity"] * market[0]["price"] * market[0]["multiplier"]))


class PlainFill(_Model):
    """Fills at the next open or the next close.

    Args:
        mode: ``next-open`` or ``next-close``.
    """

    function: Callable[..., float] | None

    def __init__(self, mode: Literal["next-open", "next-close"] = "next-open") -> None:
        self.rules = FillRules(market="open" if mode == "next-open" else "close")
        self.function = _open_price if mode == "next-open" else _close_price
        self._phrase = mode


class PlainCommission(_Model):
    """Charges a fraction of the value traded.

    Args:
        rate: The fraction.
    """

    function = staticmethod(_fraction)

    def __init__(self, rate: float = 0.001) -> None:
        self._params = (rate,)
        self._phrase = f"{rate:g} of value"


def _apply_fill(
    fills: Any,
    i: int,
    instruments: Any,
    positions: Any,
    accounts: Any,
    ledger: Any,
    counters: Any,
) -> float:
    """Apply a fill at average cost and return the profit that it realised."""
    fill = fills[i]
    position, account = positions[fill["symbol"]], accounts[fill["account"]]
    multiplier, step = (float(instruments[fill["symbol"]][name]) for name in ("multiplier", "quantity_step"))
    held, average = float(position["quantity"]), float(position["average_price"])
    quantity, price = float(fill["quantity"]), float(fill["price"])
    after = held + quantity
    if step > 0.0:
        whole = round(after / step) / round(1 / step) if step < 1.0 else round(after / step) * step
        after = whole if abs(whole - after) <= 1e-12 * (abs(held) + abs(quantity)) else after
    realised = 0.0
    if held * quantity < 0.0:
        closed = held if abs(quantity) >= abs(held) else -quantity
        realised = closed * (price - average) * multiplier
        account["long_realised" if held > 0.0 else "short_realised"] += realised
        average = price if after * held <= 0.0 else average
    else:
        average = (held * average + quantity * price) / (held + quantity)
    position["quantity"], position["average_price"] = after, average if after else 0.0
    position["realised"] += realised
    account["realised"] += realised
    for name in ("commission", "slippage"):
        account[name] += fill[name]
    position["commission"] += fill["commission"]
    for kind, amount in (("fill", -quantity * price * multiplier), ("commission", -float(fill["commission"]))):
        if kind == "fill" or amount:
            account["cash"] += amount
            who = (fill["known_at"], fill["order_id"], fill["symbol"], fill["account"])
            _write(ledger[counters[RunState.LEDGER]], (*who, LEDGER_KINDS.index(kind), amount, account["cash"]))
            counters[RunState.LEDGER] += 1
    return realised


def _write(row: NDArray[np.void], values: tuple[float, ...]) -> None:
    """Write the first columns of a LEDGER row; the others are 0."""
    for name, value in zip(LEDGER.names or (), values, strict=False):
        row[name] = value


class PlainPortfolio(Portfolio):
    """Cash and positions at average cost."""

    apply_fill = staticmethod(_apply_fill)

    def open(self, state: RunState, capital: Mapping[str, float]) -> None:
        """Write the opening balance."""
        self._state = state
        cash = sum(capital.values())
        state.accounts[0]["cash"] = state.accounts[0]["start_cash"] = cash
        _write(state.ledger.reserve(1)[0], (0, -1, -1, 0, LEDGER_KINDS.index("deposit"), cash, cash))
        state.counters[RunState.LEDGER] = 1

    def _values(self) -> NDArray[np.float64]:
        positions, instruments = self._state.positions, self._state.instruments
        marks = np.where(np.isnan(instruments["mark"]), positions["average_price"], instruments["mark"])
        values: NDArray[np.float64] = positions["quantity"] * marks * instruments["multiplier"]
        return values

    def equity(self) -> float:
        """Return cash plus marked positions."""
        return float(self._state.accounts["cash"].sum() + self._values().sum())

    def exposure(self) -> tuple[float, float]:
        """Return gross and net value of the positions."""
        values = self._values()
        return float(np.abs(values).sum()), float(values.sum())

    def unrealised(self) -> float:
        """Return profit and loss of the open positions."""
        positions = self._state.positions
        cost = positions["quantity"] * positions["average_price"] * self._state.instruments["multiplier"]
        return float((self._values() - cost).sum())

    def sample(self, timestamp: int, session: int) -> None:
        """Append an EQUITY row."""
        state = self._state
        account = state.accounts
        row = np.zeros(1, EQUITY)[0]
        gross, net = self.exposure()
        row["timestamp"], row["session"], row["unrealised"] = timestamp, session, self.unrealised()
        row["cash"], row["equity"], row["gross_exposure"], row["net_exposure"] = (
            *(account["cash"].sum(), self.equity()),
            *(gross, net),
        )
        for name in ("realised", "commission", "slippage"):
            row[name] = account[name].sum()
        state.equity.reserve(1)[state.equity.count] = row
        state.counters[RunState.EQUITY] += 1

    def trades(self) -> pl.DataFrame:
        """Return no round trips: they are not kept."""
        return pl.DataFrame(schema={"symbol": pl.String, "quantity": pl.Float64, "is_open": pl.Boolean})

    def metrics(self) -> Mapping[str, float]:
        """Return the total return and the final equity."""
        start = float(self._state.accounts["start_cash"].sum())
        return {"total_return": self.equity() / start - 1.0, "final_equity": self.equity()}
