"""Which column of an input is what."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import timedelta
from typing import Literal, TypeAlias

import polars as pl

from ml4t.backtest.core.stamps import parse_duration
from ml4t.backtest.errors import DataError
from ml4t.backtest.interfaces.gate import FeedConfig, SignalConfig
from ml4t_backtest_gate_standard.training import PROOF

__all__ = ["Arrangement", "Kind"]

Kind: TypeAlias = Literal["bar", "quote", "trade", "signal"]

# Per kind: the fields it has, and the first of them that it cannot do without.
_FIELDS: Mapping[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "bar": (("open", "high", "low", "close", "volume"), ("close",)),
    "quote": (("bid", "bid_size", "ask", "ask_size"), ("bid", "ask")),
    "trade": (("price", "size"), ("price",)),
}

_QUOTE_BARS = """bars of bids and asks have no column close; take the last quote of each, known at the bar's end
    kind = "quote"
    columns = { bid = "bid_close", ask = "ask_close" }
    bar = "1m"   # the length of one bar
    stamp = "open"   # or "close": which end of its bar a stamp is"""


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_")


class Arrangement:
    """How the columns of an input become those of a source.

    Args:
        schema: Columns of the input.
        config: Settings of the source.
        origin: File or frame, for messages.

    Attributes:
        kind: What a row is.
        times: Columns of stamps; the first one orders the rows.
        fields: Value columns in order.
        columns: Column of the input by the name it gets; there is no ``symbol`` where the settings name one.
        notes: Columns that were taken for others, one sentence each.
        shift: How long (ns) after its stamp in the input a row happened, where the one is the other's column.

    Raises:
        DataError: Columns are missing; shows the settings that would map them.
    """

    def __init__(self, schema: pl.Schema, config: FeedConfig | SignalConfig, origin: str) -> None:
        self._schema, self._mapped, self._origin = schema, config.columns, origin
        self._plain = {_plain(name): name for name in schema}
        self._by_file = hasattr(config, "symbol_from")
        self._problems: list[str] = []
        self.columns: dict[str, str] = {}
        self.kind: Kind = "signal"
        if config.symbol is None:
            self._need("symbol", "asset", "ticker")
        if isinstance(config, FeedConfig):
            fits: list[Kind] = [kind for kind, (_, needed) in _FIELDS.items() if all(map(self._find, needed))]
            self.kind = config.kind or (fits[0] if fits else "bar")
        known = [name for name in ("known_at", "event_time") if self._find(name)]
        self.times = known or ["timestamp"]
        if self.kind == "bar":
            own = ["event_time", "bar_start"] if self._find("bar_start") and self._find("event_time") else ["timestamp"]
            self.times = [*own, *[name for name in known if name == "known_at"]]
        for name in self.times:
            self._need(name, *(("date", "datetime", "time") if name == "timestamp" else ()))
        if isinstance(config, SignalConfig):
            for name in [name for name in PROOF if name not in config.values and self._find(name)]:
                self._need(name)
        self.fields = self._values(config) if isinstance(config, SignalConfig) else self._prices(config)
        for name in self.fields:
            self._need(name)
        for name in [name for name in self._mapped if name not in self.columns and not self._problems]:
            usual = ["symbol", "timestamp", "known_at", "event_time", "bar_start", *_FIELDS.get(self.kind, ((), ()))[0]]
            near = [f'did you mean "{other}"' for other in difflib.get_close_matches(name, usual, 1)]
            hint = next(iter(near), "take it out, or name it in fields or values")
            self._problems.append(f"{origin}: columns.{name} is no column of a {self.kind}; {hint}")
        if self._problems:
            raise DataError(*self._problems)
        taken = [(name, column) for name, column in self.columns.items() if name != column]
        taken = [(name, column) for name, column in taken if name not in self._mapped]
        pairs = ", ".join(f"{column} for {name}" for name, column in taken)
        self.notes = [f"{origin}: columns are taken: {pairs}"] if taken else []
        self.shift = self._last_of_bar(config) if isinstance(config, FeedConfig) else 0

    def expressions(self, config: FeedConfig | SignalConfig) -> list[pl.Expr]:
        """Return what to select from the input to have the source's columns."""
        symbol = pl.lit(config.symbol, pl.String)
        if "symbol" in self.columns:
            symbol = pl.col(self.columns["symbol"])
            if not isinstance(self._schema[self.columns["symbol"]], pl.Categorical | pl.Enum):
                symbol = symbol.cast(pl.String)
        rest = {name: pl.col(column) for name, column in self.columns.items() if name != "symbol"}
        if self.shift:
            rest["event_time"] = rest["event_time"] + timedelta(microseconds=self.shift // 1000)
        return [symbol.alias("symbol"), *(column.alias(name) for name, column in rest.items())]

    def _last_of_bar(self, config: FeedConfig) -> int:
        """Return how long (ns) after its stamp a row happened: quotes and trades may be the last ones of bars."""
        ends = self.kind != "bar" and self.times == ["timestamp"] and config.stamp is not None
        if config.bar is None or not ends or not isinstance(self._schema[self.columns["timestamp"]], pl.Datetime):
            return 0
        self.times = ["event_time"]
        self.columns = {{"timestamp": "event_time"}.get(name, name): column for name, column in self.columns.items()}
        return parse_duration(config.bar, f"{self._origin}: bar") if config.stamp == "open" else 0

    def _prices(self, config: FeedConfig) -> list[str]:
        usual, needed = _FIELDS[self.kind]
        here = [name for name in usual if name in needed or self._find(name)]
        return here + [name for name in dict.fromkeys(config.fields) if name not in here]

    def _values(self, config: SignalConfig) -> list[str]:
        names = {column: name for name, column in self._mapped.items()}
        keys = set(self.columns.values())
        numeric = [name for name, dtype in self._schema.items() if dtype.is_numeric() and name not in keys]
        if not config.values and not numeric:
            self._problems.append(f"{self._origin}: no column holds numbers; it has {self._listed()}")
        return list(config.values) or [names.get(name, name) for name in numeric]

    def _find(self, name: str, *others: str) -> str | None:
        if name in self._mapped or name in self._schema:
            return self._mapped.get(name, name)
        alike = [column for column in self._schema if _plain(column) in (name, *others)]
        return alike[0] if len(alike) == 1 and alike[0] not in self._mapped.values() else None

    def _listed(self) -> str:
        names = list(self._schema)
        return ", ".join(names[:12]) + f" and {len(names) - 12} more" * (len(names) > 12)

    def _need(self, name: str, *others: str) -> None:
        column = self._find(name, *others)
        if column is not None and column in self._schema:
            self.columns[name] = column
            return
        taken = {*_FIELDS.get(self.kind, ((), ()))[0], "symbol", "timestamp", *self.columns.values()}
        free = [plain for plain, other in self._plain.items() if not taken & {plain, other}]
        near = difflib.get_close_matches((column or name).lower(), free, 1, 0.4)
        near = [each for each in (f"{name}_close",) if each in self._plain] or near
        if name == "close" and "close" not in self._mapped and {"bid_close", "ask_close"} <= self._plain.keys():
            self._problems.append(f"{self._origin}: {_QUOTE_BARS}")
            return
        line = f'columns = {{ {name} = "{self._plain[near[0]] if near else "its name there"}" }}'
        also = '\n    or, where there is one symbol only, symbol = "ITS NAME"' if name == "symbol" else ""
        if also and self._by_file:
            also += '\n    or, where each file is of one symbol and called so, symbol_from = "filename"'
        fault = f"{self._origin}: no column {column or name}; it has {self._listed()}"
        self._problems.append(f"{fault}; add to this source\n    {line}{also}")
