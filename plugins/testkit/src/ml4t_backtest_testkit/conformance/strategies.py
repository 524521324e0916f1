"""Rules of strategies."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

from ml4t.backtest import Engine, MarketEvent, Result, Strategy
from ml4t_backtest_testkit.conformance.rules import Conformance
from ml4t_backtest_testkit.engines import plain_engine
from ml4t_backtest_testkit.market import random_market

__all__ = ["StrategyConformance"]

_NUMBERS = ("open", "high", "low", "close", "volume")

MakeStrategy = Callable[[pl.DataFrame], Strategy]


class StrategyConformance(Conformance):
    """Check a strategy for look-ahead and chance; override the fixture ``make_strategy``.

    A strategy that needs signals overrides ``make_signals`` too.
    """

    @pytest.fixture
    def make_strategy(self) -> MakeStrategy:
        """A function ``(prices)`` that returns a new strategy.

        ``prices`` are the bars of the run, for strategies that compute something from them in advance: that
        is where a look into the future hides. The others ignore it.
        """
        raise NotImplementedError("override the fixture make_strategy: (prices) -> a new Strategy")

    @pytest.fixture
    def make_signals(self) -> Callable[[pl.DataFrame], pl.DataFrame | None]:
        """A function ``(prices)`` that returns signals labelled with sessions, or None for none."""
        return lambda prices: None

    @pytest.fixture
    def settings(self) -> Mapping[str, Any]:
        """Further settings of the engine."""
        return {"capital": 100_000.0}

    @pytest.fixture
    def prices(self) -> pl.DataFrame:
        """Daily bars; override for other bars, with dates or datetimes in ``timestamp``."""
        return random_market(seed=41, symbols=4, bars=60, missing=0.05)

    @pytest.fixture
    def make_engine(
        self,
        make_strategy: MakeStrategy,
        make_signals: Callable[[pl.DataFrame], pl.DataFrame | None],
        settings: Mapping[str, Any],
    ) -> Callable[[pl.DataFrame], Engine]:
        """A function ``(prices)`` that returns a new engine with a new strategy."""
        return lambda prices: plain_engine(
            make_strategy(prices), prices, make_signals(prices), **{"seed": 13, **settings}
        )

    def test_it_is_a_strategy_that_trades(
        self, make_engine: Callable[[pl.DataFrame], Engine], prices: pl.DataFrame
    ) -> None:
        """TK-S01: it derives from Strategy and orders something, or the other rules would say nothing."""
        engine = make_engine(prices)
        result = engine.run()
        assert result.status == "done"
        assert result.state.orders.count > 0, "no order was made: override prices, make_signals or settings"

    def test_the_same_seed_gives_the_same_result(
        self, make_engine: Callable[[pl.DataFrame], Engine], prices: pl.DataFrame
    ) -> None:
        """TK-S02: two runs with one seed agree, also when they take turns instant by instant."""
        alone = make_engine(prices).run().result_hash
        first, second = make_engine(prices), make_engine(prices)
        for _ in zip(first.steps(), second.steps(), strict=True):
            pass
        assert first.result is not None
        assert second.result is not None
        assert (alone, alone) == (first.result.result_hash, second.result.result_hash)

    def test_scrambling_the_future_changes_no_decision(
        self, make_engine: Callable[[pl.DataFrame], Engine], prices: pl.DataFrame
    ) -> None:
        """TK-S03: with every price after t replaced, decisions up to t are the same."""
        whole = make_engine(prices).run()
        for last, instant in _moments(prices):
            future = pl.col("timestamp") > last
            shaken = pl.Series(np.random.default_rng(17).uniform(0.5, 2.0, prices.height))
            columns = [name for name in _NUMBERS if name in prices.columns]
            scrambled = prices.with_columns(
                pl.when(future).then(pl.col(name) * shaken).otherwise(pl.col(name)) for name in columns
            )
            assert _decisions(whole, instant) == _decisions(make_engine(scrambled).run(), instant)

    def test_cutting_the_future_changes_no_decision(
        self, make_engine: Callable[[pl.DataFrame], Engine], prices: pl.DataFrame
    ) -> None:
        """TK-S04: with every row after t gone, decisions before t are the same."""
        whole = make_engine(prices).run()
        for last, instant in _moments(prices):
            cut = make_engine(prices.filter(pl.col("timestamp") <= last)).run()
            assert _decisions(whole, instant - 1) == _decisions(cut, instant - 1)

    def test_events_are_not_changed(self, make_engine: Callable[[pl.DataFrame], Engine], prices: pl.DataFrame) -> None:
        """TK-S05: events are as they were when the strategy got them."""
        engine = make_engine(prices)
        seen: list[tuple[MarketEvent, MarketEvent]] = []

        def keep(event: MarketEvent) -> None:
            seen.append((event, copy.copy(event)))

        engine.bus.subscribe(MarketEvent, keep)
        engine.run()
        assert [after for after, before in seen if repr(after) != repr(before)] == []

    def test_little_data_do_no_harm(self, make_engine: Callable[[pl.DataFrame], Engine], prices: pl.DataFrame) -> None:
        """TK-S06: a run over the first instant, and one with a single symbol, come to their end."""
        first = prices.filter(pl.col("timestamp") == pl.col("timestamp").min())
        assert make_engine(first).run().status == "done"
        one = prices.filter(pl.col("symbol") == pl.col("symbol").first())
        assert make_engine(one).run().status == "done"


def _moments(prices: pl.DataFrame) -> list[tuple[Any, int]]:
    """Return three stamps, each with the instant (UTC ns) at which its rows become known."""
    stamps = prices["timestamp"].unique().sort()
    chosen = [stamps[len(stamps) * part // 4] for part in (1, 2, 3)]
    if stamps.dtype == pl.Date:
        ends = pl.Series(chosen).dt.offset_by("1d")
        return list(zip(chosen, ends.cast(pl.Datetime("ns")).to_physical().to_list(), strict=True))
    instants = stamps.filter(stamps.is_in(chosen)).dt.cast_time_unit("ns").to_physical().to_list()
    return list(zip(chosen, instants, strict=True))


def _decisions(result: Result, until: int) -> list[tuple[object, ...]]:
    """Return what was ordered up to an instant."""
    names = result.state.symbols.names
    orders = result.state.orders.rows()
    kept = orders[orders["submitted_at"] <= until]
    columns = ("submitted_at", "quantity", "kind", "limit_price", "stop_price")
    return [
        (names[order["symbol"]] if order["symbol"] >= 0 else "", *(repr(order[name]) for name in columns))
        for order in kept
    ]
