"""Rules of feeds and signal sources."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable
from datetime import date
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ml4t.backtest.core.sessions import AlwaysOpen, SessionTable
from ml4t.backtest.core.stamps import StampRule, derive
from ml4t.backtest.errors import InputError
from ml4t.backtest.interfaces import DataFeed, SignalSource, Source, Window
from ml4t_backtest_testkit.conformance.rules import Conformance
from ml4t_backtest_testkit.market import random_market

__all__ = ["FeedConformance", "SignalConformance"]

MakeSource = Callable[..., Source]


class _SourceConformance(Conformance):
    """Rules that feeds and signal sources share.

    Attributes:
        reads_rows: Whether ``make_source`` offers the rows that it is given; False for a source whose data
            come with it.
    """

    reads_rows: ClassVar[bool] = True
    expected: ClassVar[type[Source]]
    kinds: ClassVar[tuple[str, ...]]

    @pytest.fixture
    def make_source(self) -> MakeSource:
        """A function ``(rows, **settings)`` that returns a new source, not opened, over these rows.

        ``rows`` is a polars frame; write it to a file of the source's format, or hand it over. ``settings``
        are further fields of the source's Config.
        """
        raise NotImplementedError("override the fixture make_source: (rows, **settings) -> a new source")

    @pytest.fixture
    def rows(self) -> pl.DataFrame:
        """The rows; override to test with other columns."""
        return random_market(seed=7, symbols=3, bars=30, missing=0.1)

    def test_the_spec_is_valid(self, make_source: MakeSource, rows: pl.DataFrame) -> None:
        """TK-F01: once open, a source says what its rows are, which fields they have and what stamps mean."""
        source = _opened(make_source(rows))
        spec = source.spec
        source.close()
        assert isinstance(source, self.expected)
        assert spec.kind in self.kinds
        assert spec.name
        assert spec.fields
        assert len(set(spec.fields)) == len(spec.fields)
        assert isinstance(spec.rule, StampRule)
        assert (spec.prices is not None) == (spec.kind == "bar")
        assert spec.valid_for is None or spec.valid_for > 0

    def test_batches_have_the_promised_columns(self, make_source: MakeSource, rows: pl.DataFrame) -> None:
        """TK-F02: each batch has symbols, stamps without nulls and every field of the spec as numbers."""
        source = _opened(make_source(rows))
        batches = [_frame(batch) for batch in source.batches()]
        rule, fields = source.spec.rule, source.spec.fields
        source.close()
        assert batches
        stamp = rule.convention if rule.convention in ("known_at", "event_time") else "timestamp"
        for batch in batches:
            assert isinstance(batch["symbol"].dtype, pl.String | pl.Categorical | pl.Enum)
            assert isinstance(batch[stamp].dtype, pl.Date | pl.Datetime)
            assert batch["symbol"].null_count() + batch[stamp].null_count() == 0
            assert [field for field in fields if not batch[field].dtype.is_numeric()] == []

    def test_stamps_never_go_back(self, make_source: MakeSource, rows: pl.DataFrame) -> None:
        """TK-F03: rows come in the order in which they become known."""
        known_at = _known_at(_opened(make_source(rows)))
        assert (np.diff(known_at) >= 0).all()

    def test_rows_do_not_hang_on_the_batch_size(self, make_source: MakeSource, rows: pl.DataFrame) -> None:
        """TK-F04: the batches make the same rows whatever their size, and again when asked again."""
        source = _opened(make_source(rows))
        first, again = _concatenated(source), _concatenated(source)
        assert_frame_equal(first, again)
        names = {field.name for field in dataclasses.fields(getattr(type(source), "Config", _NoConfig))}
        for size in (1, 7) if "batch_rows" in names else ():
            assert_frame_equal(first, _concatenated(_opened(make_source(rows, batch_rows=size))))

    def test_the_digest_is_that_of_the_data(self, make_source: MakeSource, rows: pl.DataFrame) -> None:
        """TK-F05: two sources over the same data have one digest, before and after reading; other data not."""
        first, second = _opened(make_source(rows)), _opened(make_source(rows))
        digest = first.digest()
        for _ in first.batches():
            pass
        assert re.fullmatch(r"([0-9a-f]{64})?", digest)
        assert (digest, digest) == (first.digest(), second.digest())
        if digest and self.reads_rows:
            assert digest != _opened(make_source(rows.head(-1))).digest()

    def test_cutting_the_future_changes_nothing(self, make_source: MakeSource, rows: pl.DataFrame) -> None:
        """TK-F06: with the data after t gone, rows known up to t are the same."""
        source = _opened(make_source(rows))
        whole, known_at = _concatenated(source), _known_at(source)
        for moment in _moments(known_at):
            kept = whole.filter(pl.Series(known_at <= moment))
            if self.reads_rows:
                last = _stamp_of(kept).max()
                cut = _opened(make_source(rows.filter(_stamp_of(rows) <= last)))
            else:
                cut = _opened(make_source(rows), last=moment)
            cut_rows = _concatenated(cut).filter(pl.Series(_known_at(cut) <= moment))
            assert_frame_equal(kept, cut_rows)

    def test_a_window_keeps_all_rows_inside(self, make_source: MakeSource, rows: pl.DataFrame) -> None:
        """TK-F07: opened with a window, a source still yields every row that becomes known inside it.

        What becomes known at the window's very first instant belongs to the time before.
        """
        source = _opened(make_source(rows))
        whole, known_at = _concatenated(source), _known_at(source)
        first, *_, last = _moments(known_at)
        narrow = _opened(make_source(rows), first=first, last=last)
        times = _known_at(narrow)
        inside = _concatenated(narrow).filter(pl.Series((times > first) & (times <= last)))
        assert_frame_equal(whole.filter(pl.Series((known_at > first) & (known_at <= last))), inside)

    def test_two_sources_do_not_share_state(self, make_source: MakeSource, rows: pl.DataFrame) -> None:
        """TK-F08: two sources read in turn yield what each yields alone."""
        first, second = _opened(make_source(rows)), _opened(make_source(rows))
        alone = _concatenated(_opened(make_source(rows)))
        one, two = iter(first.batches()), iter(second.batches())
        parts = [(_frame(a), _frame(b)) for a, b in zip(one, two, strict=True)]
        first.close()
        assert_frame_equal(alone, pl.concat([a for a, _ in parts]))
        assert_frame_equal(alone, pl.concat([b for _, b in parts]))

    def test_a_source_that_never_opened_can_be_closed(self, make_source: MakeSource, rows: pl.DataFrame) -> None:
        """TK-F09: close is safe before open, which is what happens after another source's error."""
        make_source(rows).close()

    def test_rows_out_of_order_are_refused_or_put_in_order(self, make_source: MakeSource, rows: pl.DataFrame) -> None:
        """TK-F10: stamps that go back are an error or are sorted, never passed on."""
        if not self.reads_rows:
            pytest.skip("its data come with it")
        known_at = np.zeros(0, np.int64)
        with contextlib.suppress(InputError):
            known_at = _known_at(_opened(make_source(rows.reverse())))
        assert (np.diff(known_at) >= 0).all()

    def test_a_missing_column_is_named(self, make_source: MakeSource, rows: pl.DataFrame) -> None:
        """TK-F11: without a column of symbols the source says so before the run."""
        if not self.reads_rows:
            pytest.skip("its data come with it")
        with pytest.raises(InputError, match="symbol"):
            _opened(make_source(rows.drop("symbol")))


class FeedConformance(_SourceConformance):
    """Check a feed; override the fixture ``make_source``, and ``rows`` for other columns than daily bars."""

    expected = DataFeed
    kinds = ("bar", "quote", "trade")

    def test_prices_are_positive_or_unknown(self, make_source: MakeSource, rows: pl.DataFrame) -> None:
        """TK-F12: no infinite value leaves a feed; what is unknown is null or NaN."""
        source = _opened(make_source(rows))
        fields, whole = source.spec.fields, _concatenated(source)
        assert [field for field in fields if whole[field].cast(pl.Float64).is_infinite().any()] == []


class SignalConformance(_SourceConformance):
    """Check a signal source; override the fixture ``make_source``, and ``rows`` for other columns."""

    expected = SignalSource
    kinds = ("signal",)

    @pytest.fixture
    def rows(self) -> pl.DataFrame:
        """Two signals, labelled with the session whose close they used."""
        market = random_market(seed=8, symbols=3, bars=30, missing=0.1)
        change = pl.col("close") / pl.col("open") - 1.0
        return market.select("symbol", "timestamp", score=change, size=pl.col("volume"))

    def test_a_signal_drives_nothing(self, make_source: MakeSource, rows: pl.DataFrame) -> None:
        """TK-F13: a signal source is no price feed: it has no basis of prices and does not call on_slice."""
        source = _opened(make_source(rows))
        assert (source.spec.drives, source.spec.prices) == (False, None)


@dataclasses.dataclass
class _NoConfig:
    pass


def _opened(source: Source, *, first: int | None = None, last: int | None = None) -> Source:
    source.open(Window(first=first, last=last))
    return source


def _frame(batch: Any) -> pl.DataFrame:
    frame = batch if isinstance(batch, pl.DataFrame) else pl.DataFrame(batch)
    return frame.with_columns(pl.col("symbol").cast(pl.String))


def _concatenated(source: Source) -> pl.DataFrame:
    return pl.concat([_frame(batch) for batch in source.batches()])


def _known_at(source: Source) -> np.ndarray[Any, np.dtype[np.int64]]:
    always = AlwaysOpen()
    table = SessionTable(
        always.sessions(date(1970, 1, 1), date(2040, 12, 31)), timezone=always.timezone, name=always.name
    )
    rule = source.spec.rule
    return np.concatenate([derive(rule, _frame(batch), table)[2] for batch in source.batches()])


def _moments(known_at: np.ndarray[Any, np.dtype[np.int64]]) -> list[int]:
    """Return three instants, spread over those at which rows become known."""
    distinct = np.unique(known_at)
    return [int(distinct[len(distinct) * part // 4]) for part in (1, 2, 3)]


def _stamp_of(rows: pl.DataFrame) -> pl.Series:
    return next(rows[name] for name in ("known_at", "event_time", "timestamp") if name in rows.columns)
