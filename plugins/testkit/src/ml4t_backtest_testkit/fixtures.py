"""Offer the fixtures of the testkit to pytest.

Loaded by pytest in every session, so that nothing but pytest is imported here before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    import polars as pl

    from ml4t.backtest import Engine
    from ml4t.backtest.plugins import PluginHost

__all__ = ["EngineFactory", "RunFileFactory", "engine", "market", "only_plugins", "run_file"]

# Conformance classes live in modules that are no tests: their asserts shall be explained all the same.
pytest.register_assert_rewrite("ml4t_backtest_testkit.conformance")


class EngineFactory(Protocol):
    """What the fixture ``engine`` is."""

    def __call__(
        self,
        strategy: object,
        *,
        prices: pl.DataFrame | None = None,
        signals: pl.DataFrame | None = None,
        host: PluginHost | None = None,
        **settings: Any,
    ) -> Engine:
        """Return an engine over plain components."""
        ...


class RunFileFactory(Protocol):
    """What the fixture ``run_file`` is."""

    def __call__(
        self,
        settings: Mapping[str, object] | None = None,
        *,
        prices: pl.DataFrame | None = None,
        files: Mapping[str, str] | None = None,
    ) -> Path:
        """Write a run file and return its path."""
        ...


@pytest.fixture
def market() -> Callable[..., pl.DataFrame]:
    """Make small random markets: ``market(seed=1, symbols=3, bars=40)``; see ``random_market``."""
    from ml4t_backtest_testkit.market import random_market

    return random_market


@pytest.fixture
def only_plugins() -> Callable[..., PluginHost]:
    """Make a host of the given plugin modules or objects, without discovery: ``only_plugins(plugin)``."""
    from ml4t.backtest.plugins import PluginHost

    return PluginHost.only


@pytest.fixture
def engine(market: Callable[..., pl.DataFrame]) -> EngineFactory:
    """Make engines over a small market and plain components: ``engine(strategy, reporter=[…])``.

    Prices are ``market(seed=1)`` unless given. Installed plugins are not looked for: components are given
    as classes or instances, or by name together with ``host=only_plugins(…)``. Whatever ``Engine`` takes can
    be set; the defaults are a broker for market orders at the next open, without costs, and a portfolio.
    """
    from ml4t_backtest_testkit.engines import plain_engine

    def make(
        strategy: object,
        *,
        prices: pl.DataFrame | None = None,
        signals: pl.DataFrame | None = None,
        host: PluginHost | None = None,
        **settings: Any,
    ) -> Engine:
        rows = market(seed=1) if prices is None else prices
        return plain_engine(strategy, rows, signals, host=host, **settings)

    return make


@pytest.fixture
def run_file(tmp_path: Path, market: Callable[..., pl.DataFrame]) -> RunFileFactory:
    """Write a run file, its prices and a strategy into ``tmp_path``: ``run_file({"reporter": […]})``.

    ``settings`` add to or replace top-level keys, None leaves one out; ``files`` are further files by name.
    The run reads ``prices.parquet`` with the feed ``parquet`` and buys ten of every symbol.
    """
    from ml4t_backtest_testkit.run_files import write_run_file

    def make(
        settings: Mapping[str, object] | None = None,
        *,
        prices: pl.DataFrame | None = None,
        files: Mapping[str, str] | None = None,
    ) -> Path:
        return write_run_file(tmp_path, market(seed=1) if prices is None else prices, settings, files)

    return make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Keep the figures of a benchmark with the report of its test."""
    report: Any = yield
    measurement = getattr(getattr(item, "function", None), "measurement", None)
    if measurement is not None and report.when == "call":
        report.user_properties.append(("benchmark", str(measurement)))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of all benchmarks."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    properties = [
        value
        for report in reports
        for key, value in getattr(report, "user_properties", ())
        if key == "benchmark" and getattr(report, "when", "") == "call"
    ]
    if properties:
        terminalreporter.section("benchmarks")
        for text in properties:
            terminalreporter.write_line(text)
