"""The row checks that every source of bars, quotes, trades and signals shares.

A gate looks at one source, batch after batch, and says all that is wrong in one error: which file, which
row, which symbol and stamp, and what to do. What a run can live with becomes a note with a count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml4t.backtest.errors import DataError
from ml4t_backtest_gate_standard.bounds import BOUNDS, has_place, have_place, show_stamp
from ml4t_backtest_gate_standard.findings.finding import Finding
from ml4t_backtest_gate_standard.findings.judge import Judge
from ml4t_backtest_gate_standard.skim import is_plain
from ml4t_backtest_gate_standard.training import Training

__all__ = ["PRICES", "SIZES", "RowGate"]

PRICES = ("open", "high", "low", "close", "price", "bid", "ask")
SIZES = ("volume", "size", "bid_size", "ask_size")

Mask: TypeAlias = NDArray[np.bool_]
_PER_DAY = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_NAMED = 3  # rows that a finding names
_REMEDIES = {
    "missing-value": "fill it in where it is known; a run takes it as unknown",
    "crossed-quote": "leave such quotes out; a run uses both sides as they are",
    "close-outside-range": "ask who made the bars; prices of fills inside a bar come from low and high",
}
_ALLOW = "correct it, or add `allow_negative_prices = true` where the instrument has such prices"


@dataclass(kw_only=True)
class RowGate:
    """Check the rows of one source, in canonical columns.

    Attributes:
        origin: File or frame, for messages.
        kind: What a row is; equal stamps of one symbol are genuine for quotes and trades only.
        time_column: The column that orders the rows: ``timestamp``, ``known_at`` or ``event_time``.
        fields: Names of the value columns.
        sort: Whether the caller sorts, so that a symbol's stamps may go back.
        allow_negative: Whether prices at or below zero are legal.
        place: Names a row by its number among those given to ``check``; by default ``<origin> row <n>``.
        judge: How severe each fault is, and who is told.
        training: What is to be proven of the training of the model whose values these are.
        errors: One sentence per fault found so far.
        rows: Number of rows seen.
        in_time_order: Whether no stamp was older than the one before it.
        went_back: Whether the stamps of some symbol went back.
        all_midnight: Whether every stamp was a date, or midnight in its own zone.
    """

    origin: str
    kind: Literal["bar", "quote", "trade", "signal", "table"]
    time_column: str
    fields: Sequence[str]
    sort: bool = False
    allow_negative: bool = False
    place: Callable[[int], str] | None = None
    judge: Judge = field(default_factory=Judge)
    training: Training | None = None
    errors: list[str] = field(default_factory=list)
    rows: int = 0
    in_time_order: bool = True
    went_back: bool = False
    all_midnight: bool = True
    _counts: dict[str, int] = field(default_factory=dict)
    _found: dict[str, Finding] = field(default_factory=dict)
    _tail: pl.DataFrame | None = None
    _frame: pl.DataFrame = field(default_factory=pl.DataFrame)

    def check(self, frame: pl.DataFrame) -> None:
        """Look at the next rows.

        Args:
            frame: ``symbol`` (String, Categorical or Enum), the time column (Date or Datetime), and the
                fields; also ``event_time`` where rows of one ``known_at`` differ in it.
        """
        self._frame = frame
        self.rows += frame.height
        if self.kind == "bar" and {"bar_start", "event_time"} <= {*frame.columns}:
            self._check_lengths(frame["bar_start"], frame["event_time"])
        if self._is_plain(frame):
            return
        for name in ("symbol", self.time_column):
            missing = frame[name].is_null()
            if name == "symbol":
                missing |= frame[name] == ""
            self._fault("missing-key", missing.to_numpy(), f"no {name}", "give each row one, or leave the row out")
            if missing.any():
                return
        if not (placed := has_place(frame[self.time_column])).all():
            what = f"{self.time_column} is {show_stamp(frame[self.time_column], (~placed).arg_max() or 0)}"
            self._fault("missing-key", (~placed).to_numpy(), what, BOUNDS)
            return
        if frame.height:
            self._check_order(frame)
            self._check_known(frame)
            if self.training is not None:
                remedy = "leave such rows out, or predict with a model that was trained before"
                self._fault("known-too-early", *self.training.breaches(frame, self.time_column), remedy)
            self._check_values({name: self._numbers(frame[name]) for name in self.fields})

    def raise_if_any(self) -> None:
        """Raise one ``DataError`` with every fault found so far, if there is any."""
        if self.errors:
            raise DataError(*self.errors)

    def report(self, name: str) -> None:
        """Tell the judge what was found in the source of this name."""
        for finding in self.found():
            self.judge.add(finding, name, self.origin)

    def found(self) -> list[Finding]:
        """Return what was found so far."""
        return list(self._found.values())

    def notes(self) -> tuple[str, ...]:
        """Return one sentence, with its count, per finding that does not stop a run."""
        counts = self._counts.items()
        return tuple(f"{self.origin}: {count:,} of {self.rows:,} rows {what}" for what, count in counts)

    def _is_plain(self, frame: pl.DataFrame) -> bool:
        """Say whether there is nothing to find; most rows are so, and this is the fastest way to tell."""
        market = self.kind in ("bar", "quote", "trade")
        prices = [name for name in self.fields if market and name in PRICES]
        sizes = [name for name in self.fields if market and name in SIZES]
        plain = (
            frame.height > 0
            and not self.allow_negative
            and self.training is None
            and self.in_time_order
            and not self._early(frame).any()
            and is_plain(
                frame,
                self._tail,
                time=self.time_column,
                prices=prices,
                sizes=sizes,
                others=[name for name in self.fields if name not in (*prices, *sizes)],
                bars=self.kind == "bar",
                ties=self.kind in ("quote", "trade"),
            )
        )
        if plain:
            stamps = frame[self.time_column]
            if not have_place(stamps):
                return False
            self._see_midnights(stamps)
            keys = [name for name in ("symbol", "event_time") if name in frame.columns]
            whole = stamps.to_physical().to_numpy()
            newest = frame.slice(int(np.searchsorted(whole, whole[-1])))
            self._tail = pl.DataFrame([*newest[keys], newest[self.time_column].alias("#")])
        return plain

    def _see_midnights(self, stamps: pl.Series) -> None:
        if self.all_midnight and isinstance(stamps.dtype, pl.Datetime):
            local = stamps.dt.replace_time_zone(None).to_physical()
            self.all_midnight = bool((local % _PER_DAY[stamps.dtype.time_unit] == 0).all())

    def _check_order(self, frame: pl.DataFrame) -> None:
        """Look for stamps that go back and for rows given twice, over the edges of batches too."""
        self._see_midnights(frame[self.time_column])
        keys = [name for name in ("symbol", "event_time") if name in frame.columns]
        rows = frame.select(pl.col(keys), pl.col(self.time_column).alias("#"))
        rows = rows if self._tail is None else pl.concat([self._tail, rows], how="vertical_relaxed")
        names = rows["symbol"].unique().cast(pl.String).sort()
        codes = rows["symbol"].cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int32)
        stamps = rows["#"].to_physical().to_numpy()
        self._tail = rows.filter(stamps == stamps[-1])
        later, up, many = np.diff(stamps), np.diff(codes) > 0, self.kind in ("quote", "trade")
        ordered = bool((later >= 0).all())
        self.in_time_order &= ordered
        ascending = up | ((np.diff(codes) == 0) & (later > 0))
        if (ordered and (many or ((later > 0) | up).all())) or ascending.all():
            return
        order = np.argsort(codes.astype(np.uint16) if len(names) < 1 << 16 else codes, kind="stable")
        same, later = np.diff(codes[order]) == 0, np.diff(stamps[order])
        shift = rows.height - frame.height
        if (back := same & (later < 0)).any():
            self.went_back = True
            mask = _mask(order[1:][back] - shift, frame.height)
            if not self.sort:
                what, remedy = "the stamps of this symbol go back", "sort the rows, or add `sort = true`"
                self._fault("unsorted-rows", mask, what, remedy)
            order = np.lexsort((stamps, codes))
            same, later = np.diff(codes[order]) == 0, np.diff(stamps[order])
        twice = same & (later == 0)
        if "event_time" in keys and twice.any():
            happened = rows["event_time"].to_physical().to_numpy()
            order = np.lexsort((happened, stamps, codes))
            twice = (np.diff(codes[order]) == 0) & (np.diff(stamps[order]) == 0) & (np.diff(happened[order]) == 0)
        if twice.any() and not many:
            pairs = np.sort([order[:-1][twice], order[1:][twice]], axis=0) - shift
            first = self._place(int(pairs[0][pairs[1].argmin()]))
            what = f"this symbol and stamp were given before, in {first}"
            self._fault("duplicate-rows", _mask(pairs[1], frame.height), what, "keep one of the rows")

    def _check_lengths(self, begin: pl.Series, end: pl.Series) -> None:
        """Refuse a bar that does not end after it begins: no severity makes a bar of it."""
        naive = [getattr(stamps.dtype, "time_zone", None) is None for stamps in (begin, end)]
        wrong = (begin >= end).fill_null(False) if naive[0] == naive[1] else pl.Series([False])
        if wrong.any():
            row = wrong.arg_max() or 0
            fault = f"bar_start is {begin[row]}, not before event_time; correct the row"
            raise DataError(*self.errors, f"{self._place(row)} {self._key(row)}: {fault}")

    def _check_known(self, frame: pl.DataFrame) -> None:
        """Look for rows that are known before they happened; a survey looks at them by what their stamps mean."""
        if not self.judge.survey and (early := self._early(frame)).any():
            rule = "known-too-early" if self.kind == "signal" else "negative-latency"
            self._fault(rule, early.to_numpy(), "known_at is before event_time", "correct known_at or event_time")

    def _early(self, frame: pl.DataFrame) -> pl.Series:
        """Return which rows have a known_at before their event_time; bars have rules of their own."""
        if self.kind == "bar" or not {"known_at", "event_time"} <= {*frame.columns}:
            return pl.Series([], dtype=pl.Boolean)
        known, happened = frame["known_at"], frame["event_time"]
        if known.dtype != happened.dtype:
            return pl.Series([], dtype=pl.Boolean)
        return (known < happened).fill_null(False)

    def _numbers(self, column: pl.Series) -> NDArray[np.float64]:
        """Return a field with NaN for unknown; text in it is a fault, shown by its first row."""
        plain = column if column.dtype.is_numeric() else column.cast(pl.String)
        numbers = plain.cast(pl.Float64, strict=False)
        wrong = numbers.is_null() & column.is_not_null()
        what = f"{column.name} is {column[wrong.arg_max() or 0]!r}, which is no number"
        self._fault("not-a-number", wrong.to_numpy(), what, f"correct it, or map another column to {column.name}")
        return numbers.to_numpy()

    def _check_values(self, values: dict[str, NDArray[np.float64]]) -> None:
        market = self.kind in ("bar", "quote", "trade")
        for name, column in values.items():
            fills = market and name in PRICES and name not in ("high", "low")
            lack = "a symbol cannot fill there" if fills else "unknown there"
            self._count("missing-value", np.isnan(column), f"have no {name}: {lack}")
            self._fault("infinite-value", np.isinf(column), f"{name} is infinite", "correct it, or leave it empty")
            if market and name in PRICES and not self.allow_negative:
                self._fault("nonpositive-price", column <= 0, f"{name} is not above zero", _ALLOW)
            if market and name in SIZES:
                self._fault("negative-size", column < 0, f"{name} is negative", "correct it")
        if self.kind == "bar" and {"low", "high"} <= values.keys():
            low, high = values["low"], values["high"]
            self._fault("high-below-low", high < low, "high is below low", "correct the row")
            for name in [name for name in ("open", "close") if name in values]:
                outside = (values[name] > high) | (values[name] < low)
                self._count("close-outside-range", outside, f"have {name} outside low and high")
        if self.kind == "quote" and {"bid", "ask"} <= values.keys():
            self._count("crossed-quote", values["bid"] > values["ask"], "are crossed: bid above ask")

    def _count(self, rule: str, mask: Mask, what: str) -> None:
        """Note what a run can live with, unless the settings say that it cannot."""
        if count := int(np.count_nonzero(mask)):
            if self.judge.severities[rule] == "error":
                self._fault(rule, mask, f"this row and its like {what}", "correct them")
                return
            self._find(rule, mask, f"rows {what}", _REMEDIES.get(rule, "correct them"), count)
            if self.judge.severities[rule] != "ignore":
                self._counts[what] = self._counts.get(what, 0) + count

    def _fault(self, rule: str, mask: Mask, what: str, remedy: str) -> None:
        """Note what a run cannot live with, unless the settings say that it can."""
        if count := int(np.count_nonzero(mask)):
            if self.judge.severities[rule] != "error":
                self._count(rule, mask, f"are kept although {what}")
                return
            self._find(rule, mask, what, remedy, count)
            row = int(mask.argmax())
            more = f" (and {count - 1:,} more row{'s' * (count > 2)} like it)" if count > 1 else ""
            self.errors.append(f"{self._place(row)} {self._key(row)}: {what}{more}; {remedy}")

    def _find(self, rule: str, mask: Mask, what: str, remedy: str, count: int) -> None:
        key = f"{rule} {re.split(' is |, in ', what)[0]}"  # the rest names a row
        finding = self._found.setdefault(key, Finding(rule=rule, what=what, remedy=remedy, count=0))
        finding.count += count
        rows = np.flatnonzero(mask)[: _NAMED - len(finding.rows)] if self.judge.survey else ()
        if finding.symbol is None:
            finding.symbol = self._frame["symbol"][int(mask.argmax())]
        finding.rows += tuple(f"{self._place(int(row))} {self._key(int(row))}" for row in rows)

    def _key(self, row: int) -> str:
        return f"({self._frame['symbol'][row]}, {show_stamp(self._frame[self.time_column], row)})"

    def _place(self, row: int) -> str:
        number = self.rows - self._frame.height + row
        return self.place(number) if self.place else f"{self.origin} row {number}"


def _mask(rows: NDArray[np.int64], length: int) -> Mask:
    mask = np.zeros(length, np.bool_)
    mask[rows[rows >= 0]] = True
    return mask
