"""Rows that defects are planted into, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ml4t.backtest.errors import RunFileError

if TYPE_CHECKING:
    from ml4t_backtest_data_synthetic.world import World

__all__ = ["NO_DEFECTS", "PLACES", "Plot"]

PLACES = 3  # rows per defect
NO_DEFECTS = pl.DataFrame(
    schema={"rule": pl.String, "frame": pl.String, "row": pl.Int64, "symbol": pl.String, "stamp": pl.String}
)
_ID = "row id"


@dataclass
class Plot:
    """A frame while defects are planted: each row has an id, so that it is found again when others come or go.

    Attributes:
        name: Of the frame: bars, quotes or signals.
        frame: Its rows.
        world: The market.
        rng: Where rows are chosen.
        rule: The defect being planted.
        marks: (rule, id, symbol, stamp) of each planted place.
    """

    name: str
    frame: pl.DataFrame
    world: World
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    rule: str = ""
    marks: list[tuple[str, int | None, str | None, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Number the rows."""
        self.frame = self.frame.with_row_index(_ID).with_columns(pl.col(_ID).cast(pl.Int64))
        self._next = len(self.frame)
        self._used: set[int] = set()

    @property
    def stamp(self) -> str:
        """Name of the column of stamps."""
        return "timestamp" if "timestamp" in self.frame.columns else "event_time"

    def need(self, fits: bool, what: str) -> None:
        """Refuse a defect that this market cannot have."""
        if not fits:
            raise RunFileError(f"defects has {self.rule!r}, which needs {what}; change that or take it out")

    def choose(self, count: int = PLACES) -> list[int]:
        """Return the positions of rows that no defect has yet, none of the first two of a symbol nor of its last."""
        rank = pl.int_range(pl.len()).over("symbol")
        inner = (rank > 1) & (rank < pl.len().over("symbol") - 1)
        table = self.frame.select(_ID, inner=inner).with_row_index("place").filter("inner")
        free = table.filter(~pl.col(_ID).is_in(list(self._used)))["place"].to_numpy()
        self.need(len(free) >= count, "more rows")
        places = sorted(int(place) for place in self.rng.choice(free, count, replace=False))
        ids = self.frame[_ID]
        self._used.update(int(ids[place]) for place in places)
        return places

    def choose_symbol(self) -> str:
        """Return a symbol that no such choice has returned and that has many rows."""
        ids = self.frame.filter(~pl.col(_ID).is_in(list(self._used)))
        lengths = ids.group_by("symbol", maintain_order=True).len().sort("len", "symbol", descending=[True, False])
        longest = lengths.filter(pl.col("len") == pl.col("len").max())["symbol"].to_list()
        self.need(bool(longest), "more symbols")
        return str(self.rng.choice(longest))

    def use(self, symbol: str) -> None:
        """Keep further defects away from a symbol."""
        self._used.update(self.frame.filter(pl.col("symbol") == symbol)[_ID].to_list())

    def mark(self, places: Sequence[int]) -> None:
        """Note rows at their positions."""
        for place in places:
            row = self.frame.row(place, named=True)
            self.marks.append((self.rule, row[_ID], row["symbol"], str(row[self.stamp])))

    def mark_missing(self, symbol: str, stamp: object) -> None:
        """Note that rows of a symbol from a stamp on are gone."""
        self.marks.append((self.rule, None, symbol, str(stamp)))

    def mark_all(self) -> None:
        """Note the frame as a whole."""
        self.marks.append((self.rule, None, None, None))

    def set(self, places: Sequence[int], **values: pl.Expr) -> None:
        """Note rows and give them other values."""
        self.mark(places)
        here = pl.Series(np.isin(np.arange(len(self.frame)), places))
        self.frame = self.frame.with_columns(
            pl.when(here).then(value).otherwise(pl.col(name)).alias(name) for name, value in values.items()
        )

    def insert(self, rows: pl.DataFrame, after: Sequence[int]) -> None:
        """Put rows behind the ones at these positions, and note them."""
        fresh = rows.with_columns(pl.int_range(self._next, self._next + len(rows)).alias(_ID)).select(
            self.frame.columns
        )
        self._next += len(rows)
        parts, begin = list[pl.DataFrame](), 0
        for number, place in enumerate(after):
            parts += [self.frame[begin : place + 1], fresh[number : number + 1]]
            begin = place + 1
        self.frame = pl.concat([*parts, self.frame[begin:]])
        places = self.frame[_ID].is_in(fresh[_ID].to_list()).arg_true().to_list()
        self._used.update(fresh[_ID].to_list())
        self.mark(places)

    def remove(self, gone: pl.Series) -> None:
        """Take rows out."""
        self.frame = self.frame.filter(~gone)

    def finish(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the rows, and where defects are in them."""
        place_of = {number: place for place, number in enumerate(self.frame[_ID].to_list())}
        rows = [
            (rule, self.name, None if number is None else place_of.get(number), symbol, stamp)
            for rule, number, symbol, stamp in self.marks
        ]
        return self.frame.drop(_ID), pl.DataFrame(rows, NO_DEFECTS.schema, orient="row")
