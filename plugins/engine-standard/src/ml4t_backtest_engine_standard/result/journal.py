"""What a run's tables do not hold: targets asked for, positions per session, signals and recorded values.

A call appends to plain lists and costs a few microseconds; frames are built when somebody asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.state import RunState
from ml4t_backtest_engine_standard.result.fates import FATES, find_fates
from ml4t_backtest_engine_standard.result.frames import columns, words

__all__ = ["Journal"]

Floats: TypeAlias = "NDArray[np.float64]"
Integers: TypeAlias = "NDArray[np.int64]"


class Journal:
    """The columnar diary of one run; its attributes are plain lists, which a snapshot may keep.

    Args:
        state: The run's columns; positions and orders are read from there.

    Attributes:
        books: Name of each strategy's book; one without a name where there is one strategy.
    """

    def __init__(self, state: RunState) -> None:
        self._state = state
        self.books: list[str] = [""]
        self.target_kinds: list[str] = []
        self.target_rows: list[tuple[Any, ...]] = []
        self.position_rows: list[tuple[Any, ...]] = []
        self.signal_chunks: dict[str, list[tuple[Any, ...]]] = {}
        self.signal_fields: dict[str, tuple[tuple[str, ...], int | None, int | None]] = {}
        self.recorded: list[dict[str, Any]] = []
        self.request_rows: list[tuple[int, int, NDArray[np.void]]] = []

    def target(self, timestamp: int, kind: str, asked: Floats, ids: Integers, book: int = 0) -> None:
        """Note one vector decision.

        Args:
            timestamp: Of the decision, UTC ns.
            kind: Name of the order form, for example ``order_target_weights``.
            asked: float64 (n_symbols,), NaN where the decision leaves a symbol as it is.
            ids: int64 (n_symbols,), the order made for each symbol, -1 for none.
            book: Number of the strategy.
        """
        if kind not in self.target_kinds:
            self.target_kinds.append(kind)
        symbols = (asked == asked).nonzero()[0]  # NaN is not equal to itself
        figures = (asked, ids.copy()) if len(symbols) == len(asked) else (asked[symbols], ids[symbols])
        kind_index = self.target_kinds.index(kind)
        self.target_rows.append((timestamp, kind_index, book, *figures, symbols.astype(np.int32)))

    def requests(self, timestamp: int, made: int, rows: NDArray[np.void]) -> None:
        """Note the requests of a round in which not all are plain market orders or cancels.

        Args:
            timestamp: Of the round, UTC ns.
            made: Orders that the run had before it.
            rows: REQUEST rows as the broker is given them; kept, not copied.
        """
        self.request_rows.append((timestamp, made, rows))

    def sample_positions(self, timestamp: int, session: int) -> None:
        """Note the open positions and their marks, at a session's close.

        Args:
            timestamp: UTC ns.
            session: The session's label, days since 1970-01-01.
        """
        positions, instruments = self._state.positions, self._state.instruments
        symbols = positions["quantity"].nonzero()[0]
        figures = (
            positions["quantity"],
            positions["average_price"],
            instruments["mark"],
            instruments["multiplier"],
        )
        rates: Any = 1.0
        if len(self._state.currencies) > 1:
            rates = self._state.accounts["rate"][instruments["currency"][symbols]]
        self.position_rows.append((timestamp, session, rates, *(figure[symbols] for figure in figures), symbols))

    def signal_rows(
        self,
        source: str,
        fields: tuple[str, ...],
        symbol: NDArray[np.int32],
        known_at: Integers,
        event_time: Integers,
        values: Floats,
        *,
        valid_for: int | None = None,
        horizon: int | None = None,
    ) -> None:
        """Note rows of a signal source that were released; the arrays are kept, not copied.

        Args:
            source: The source's name; its chunks come in order of ``known_at``.
            fields: Names of the values.
            symbol: int32 (n,) symbol ids.
            known_at: int64 (n,) UTC ns, when the rows were released.
            event_time: int64 (n,) UTC ns.
            values: float64 (n_fields, n).
            valid_for: How long a value stays valid, ns; None means until the source's next release.
            horizon: How long after event_time a value says anything, ns; None where that is not stated.
        """
        self.signal_fields[source] = (fields, valid_for, horizon)
        self.signal_chunks.setdefault(source, []).append((known_at, event_time, *values, symbol))

    def record(self, timestamp: int, values: Mapping[str, Any]) -> None:
        """Note what the strategy wants to see again: plain values by name."""
        self.recorded.append({"timestamp": timestamp, **values})

    def targets(self) -> pl.DataFrame:
        """Return what was asked for and the order it led to, a row per symbol of a decision."""
        timestamp, kind, book, asked, ids, symbol = _joined(self.target_rows, "i8 i8 i8 f8 i8 i8")
        ordered = np.append(self._state.orders.rows()["quantity"], np.nan)[ids]
        rows = {"timestamp": timestamp, "symbol": symbol, "asked": asked, "order_id": ids, "ordered": ordered}
        frame = pl.DataFrame(columns(rows, " ".join(rows), self._state.symbols.names))
        frame = frame.insert_column(2, words(self.target_kinds, kind, pl.String()).alias("kind"))
        return frame.with_columns(words(self.books, book, pl.String()).alias("book"))

    def positions(self) -> pl.DataFrame:
        """Return the positions held at each session close; a symbol without a mark is valued at its cost.

        Prices are in the instrument's currency, values in base currency at the rate of that close.
        """
        joined = _joined(self.position_rows, "i8 i8 f8 f8 f8 f8 f8 i8")
        timestamp, session, rate, quantity, average, mark, multiplier, symbol = joined
        size, price = quantity * multiplier, np.where(np.isnan(mark), average, mark)
        rows = {
            "timestamp": timestamp,
            "session": session,
            "symbol": symbol,
            "quantity": quantity,
            "mark": mark,
            "value": size * price * rate,
            "average_price": average,
            "unrealised": size * (price - average) * rate,
            "account": self._state.instruments["account"][symbol],
        }
        return pl.DataFrame(columns(rows, " ".join(rows), self._state.symbols.names))

    def records(self) -> pl.DataFrame:
        """Return the recorded values, a row per call and a column per name; null where not recorded."""
        schema = None if self.recorded else {"timestamp": pl.Int64}
        frame = pl.DataFrame(self.recorded, schema, infer_schema_length=None, strict=False)
        return frame.with_columns(pl.col("timestamp").cast(pl.Datetime("ns", "UTC")))

    def signals(self) -> pl.DataFrame:
        """Return what was known, a row per signal row with a column per value, and what became of it.

        ``used_at`` is when the first accepted order was made on the symbol while the row counted; the fates are those
        of ``fates.FATES``.
        """
        sources = [self._source(source, *self.signal_fields[source]) for source in self.signal_fields]
        return pl.concat(sources or [self._source("", (), None, None)], how="diagonal_relaxed")

    def _source(self, source: str, fields: tuple[str, ...], valid_for: int | None, horizon: int | None) -> pl.DataFrame:
        chunks = self.signal_chunks.get(source, [])
        known_at, event_time, *values, symbol = _joined(chunks, " ".join(["i8 i8", *("f8" for _ in fields), "i8"]))
        fate, used_at = find_fates(self._state, symbol, (event_time, known_at), valid_for, horizon)
        rows = {"symbol": symbol, "event_time": event_time, "known_at": known_at, "used_at": used_at}
        frame = pl.DataFrame(columns(rows, " ".join(rows), self._state.symbols.names))
        taken = {*frame.columns, "source", "fate"}
        named = [f"{name}_value" if name in taken else name for name in fields]
        figures = {n: pl.Series(v).fill_nan(None) for n, v in zip(named, values, strict=True)}
        fates = words(FATES, fate, pl.Enum(FATES))
        return frame.select(pl.lit(source).alias("source"), pl.all(), fate=fates, **figures)


def _joined(chunks: Sequence[tuple[Any, ...]], dtypes: str) -> list[NDArray[Any]]:
    """Join chunks column by column; a scalar counts for every row of its chunk's last column."""
    lengths = [len(chunk[-1]) for chunk in chunks]
    joined: list[NDArray[Any]] = []
    for place, dtype in enumerate(dtypes.split()):
        parts = [chunk[place] for chunk in chunks]
        if parts and np.ndim(parts[0]):
            joined.append(np.concatenate(parts).astype(dtype, copy=False))
        else:
            joined.append(np.repeat(np.array(parts, dtype), lengths))
    return joined
